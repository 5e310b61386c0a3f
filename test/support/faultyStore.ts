/**
 * A store in memory that fails, hangs or loses on command.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type * as SessionStore from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import { Deferred, Effect } from "effect"

export type Kind = StorageFailed["kind"]

export interface FaultyStore {
  readonly store: SessionStore.SessionStore["Service"]
  /** What a session would load now, by key. */
  readonly records: ReadonlyMap<string, StoreRecord>
  /** Commits that were tried. */
  readonly commits: () => number
  /** What the latest of them was to change. */
  readonly latest: () => ReadonlyArray<StoreChange>
  /** Topics of the outbound records, in their order. */
  readonly outbound: () => ReadonlyArray<string>
  /** Waits for so many tries of a commit from now on. */
  readonly awaitCommits: (count: number) => Effect.Effect<void>
  /**
   * From now on commits fail; with `applies` they are applied nevertheless, which a store may do that answers too late.
   */
  readonly fail: (kind?: Kind, options?: { readonly applies?: boolean }) => void
  /** From now on commits do not come back. */
  readonly hang: () => void
  /** From now on commits succeed again, those that hang too. */
  readonly mend: () => void
}

export interface FaultyOptions {
  readonly durability?: SessionStore.Durability
  readonly damage?: SessionStore.StoreDamage
  /** `load` fails with this kind. */
  readonly unreadable?: Kind
}

const failure = (kind: Kind): MqttError =>
  new MqttError({ reason: new StorageFailed({ kind, detail: `it is ${kind}` }) })

type Mode =
  | { readonly _tag: "Well" }
  | { readonly _tag: "Hang"; readonly mended: Deferred.Deferred<void> }
  | { readonly _tag: "Fail"; readonly kind: Kind; readonly applies: boolean }

export const make = ({ damage, durability = "process", unreadable }: FaultyOptions = {}): FaultyStore => {
  const records = new Map<string, StoreRecord>()
  const well: Mode = { _tag: "Well" }
  const waiters = new Set<() => void>()
  let mode: Mode = well
  let commits = 0
  let latest: ReadonlyArray<StoreChange> = []
  let reported = false

  const apply = (changes: ReadonlyArray<StoreChange>): void => {
    for (const change of changes) {
      if (change._tag === "Put") records.set(keyOf(change.record), change.record)
      else records.delete(change.key)
    }
  }

  const mend = (): void => {
    const before = mode
    mode = well
    if (before._tag === "Hang") Deferred.doneUnsafe(before.mended, Effect.void)
  }

  const commit = (changes: ReadonlyArray<StoreChange>): Effect.Effect<void, MqttError> =>
    Effect.suspend(() => {
      commits++
      latest = changes
      for (const waiter of waiters) waiter()
      const now = mode
      switch (now._tag) {
        case "Well":
          apply(changes)
          return Effect.void
        case "Hang":
          return Effect.andThen(Deferred.await(now.mended), Effect.sync(() => apply(changes)))
        case "Fail":
          if (now.applies) apply(changes)
          return Effect.fail(failure(now.kind))
      }
    })

  return {
    records,
    commits: () => commits,
    latest: () => latest,
    outbound: () =>
      Array.from(records.values()).filter((record) => record._tag === "Outbound")
        .sort((a, b) => a.sequence - b.sequence).map(({ topic }) => topic),
    awaitCommits: (count) =>
      Effect.callback((resume) => {
        const goal = commits + count
        const waiter = (): void => {
          if (commits < goal) return
          waiters.delete(waiter)
          resume(Effect.void)
        }
        waiters.add(waiter)
      }),
    fail: (kind = "full", options) => {
      mend()
      mode = { _tag: "Fail", kind, applies: options?.applies ?? false }
    },
    hang: () => {
      mode = { _tag: "Hang", mended: Deferred.makeUnsafe<void>() }
    },
    mend,
    store: {
      open: () =>
        Effect.succeed({
          durability,
          load: Effect.suspend(() => {
            if (unreadable !== undefined) return Effect.fail(failure(unreadable))
            const found = reported ? undefined : damage
            reported = true
            return Effect.succeed({
              records: Array.from(records.keys()).sort().map((key) => records.get(key)!),
              damage: found
            })
          }),
          commit,
          clear: Effect.sync(() => records.clear())
        })
    }
  }
}
