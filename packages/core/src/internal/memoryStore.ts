/**
 * The memory store: a real store whose records live as long as the store itself.
 */
import * as Effect from "effect/Effect"
import { InvalidOptions, MqttError, StorageFailed } from "../MqttError.ts"
import type { SessionStore, SessionStoreHandle } from "../SessionStore.ts"
import { keyOf, type StoreRecord } from "../StoreRecord.ts"
import { kindOf } from "./valueNames.ts"

interface Entry {
  readonly records: Map<string, StoreRecord>
  owned: boolean
}

const load = (records: Map<string, StoreRecord>): ReadonlyArray<StoreRecord> =>
  Array.from(records.keys()).sort().map((key) => records.get(key)!)

const handle = (records: Map<string, StoreRecord>): SessionStoreHandle => ({
  durability: "session",
  load: Effect.sync(() => ({ records: load(records), damage: undefined })),
  commit: (changes) =>
    Effect.sync(() => {
      for (const change of changes) {
        if (change._tag === "Put") records.set(keyOf(change.record), change.record)
        else records.delete(change.key)
      }
    }),
  clear: Effect.sync(() => records.clear())
})

/** A store is opened by a text. */
export const noName = (session: unknown): MqttError =>
  new MqttError({
    method: "SessionStore.open",
    reason: new InvalidOptions({ issues: [{ path: "session", message: `must be a text, got ${kindOf(session)}` }] })
  })

/**
 * Makes a store whose records outlive the sessions that use it, but not the process.
 */
export const makeMemory = (): SessionStore => {
  const entries = new Map<string, Entry>()
  return {
    open: (session) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          if (typeof session !== "string") return Effect.fail(noName(session))
          const entry = entries.get(session) ?? { records: new Map<string, StoreRecord>(), owned: false }
          if (entry.owned) {
            return Effect.fail(
              new MqttError({
                session,
                method: "SessionStore.open",
                reason: new StorageFailed({ kind: "owned", detail: "another owner has the store of this session open" })
              })
            )
          }
          entry.owned = true
          entries.set(session, entry)
          return Effect.succeed(entry)
        }),
        (entry) =>
          Effect.sync(() => {
            entry.owned = false
          })
      ).pipe(Effect.map((entry) => handle(entry.records)))
  }
}
