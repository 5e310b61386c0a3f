/**
 * Changes of records that have not been handed to a store yet, without those that later ones have made void.
 */
import { keyOf, outboundKey, type StoreChange } from "../../StoreRecord.ts"

const keyOfChange = (change: StoreChange): string => change._tag === "Put" ? keyOf(change.record) : change.key

const outboundPrefix = "outbound/"

/**
 * Keeps the latest change of each key, in place. Outbound records from `freshSequence` on are in no store: those that
 * are gone again leave nothing.
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
 * The same changes for a store that must not hold these records.
 */
export const withoutRecords = (
  changes: ReadonlyArray<StoreChange>,
  keys: ReadonlyArray<string>
): ReadonlyArray<StoreChange> => {
  const unwanted = new Set(keys)
  return changes.filter((change) => !unwanted.has(keyOfChange(change)))
    .concat(keys.map((key) => ({ _tag: "Delete", key })))
}
