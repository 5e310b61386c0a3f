/**
 * Removes obsolete changes of records that were not handed to a store yet. `core.ts` and the session's commits call it.
 */
import { keyOf, outboundKey, type StoreChange } from "../../StoreRecord.ts"

const keyOfChange = (change: StoreChange): string => change._tag === "Put" ? keyOf(change.record) : change.key

const outboundPrefix = "outbound/"

/**
 * Keeps the latest change of each key, in place. Outbound records from `freshSequence` on are in no store yet, so a
 * deleted one needs no change at all.
 */
export const compactChanges = (changes: Array<StoreChange>, freshSequence: number): void => {
  const latest = new Map<string, StoreChange>()
  for (const change of changes) latest.set(keyOfChange(change), change)
  const firstFresh = outboundKey(freshSequence)
  let kept = 0
  for (const [key, change] of latest) {
    if (change._tag === "Delete" && key.startsWith(outboundPrefix) && key >= firstFresh) continue
    changes[kept++] = change
  }
  changes.length = kept
}

/**
 * The same changes without those of the given records, which the store must not hold.
 */
export const withoutRecords = (
  changes: ReadonlyArray<StoreChange>,
  keys: ReadonlyArray<string>
): ReadonlyArray<StoreChange> => {
  const unwanted = new Set(keys)
  return changes.filter((change) => !unwanted.has(keyOfChange(change)))
    .concat(keys.map((key) => ({ _tag: "Delete", key })))
}
