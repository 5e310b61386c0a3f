/**
 * The memory store: a full store whose records live as long as the store itself.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InvalidOptions, MqttError, StorageFailed } from "../../MqttError.ts"
import { keyOf, type StoreRecord } from "../../StoreRecord.ts"
import { kindOf } from "../valueNames.ts"
import type { SessionStoreHandle } from "./contract.ts"

/** The error of a method of this store. */
const failed = (session: string, method: string, kind: StorageFailed["kind"], detail: string): MqttError =>
  new MqttError({ session, method: `SessionStore.${method}`, reason: new StorageFailed({ kind, detail }) })

/** Runs an effect while the store is open, and fails with the kind `closed` afterwards. */
const whileOpen = <A>(
  session: string,
  method: string,
  isOpen: () => boolean,
  effect: Effect.Effect<A, MqttError>
): Effect.Effect<A, MqttError> =>
  Effect.suspend(() =>
    isOpen() ? effect : Effect.fail(failed(session, method, "closed", "the store of this session is closed"))
  )

interface Entry {
  readonly records: Map<string, StoreRecord>
  owned: boolean
}

/** A memory store and its end. After the end, every session that has it open fails. */
export interface MemoryStore {
  readonly open: (session: string) => Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope>
  readonly close: Effect.Effect<void>
}

const load = (records: Map<string, StoreRecord>): ReadonlyArray<StoreRecord> =>
  Array.from(records.keys()).sort().map((key) => records.get(key)!)

const handle = (session: string, records: Map<string, StoreRecord>, isOpen: () => boolean): SessionStoreHandle => {
  const guard = <A>(method: string, use: () => A): Effect.Effect<A, MqttError> =>
    whileOpen(session, method, isOpen, Effect.sync(use))
  return {
    durability: "session",
    load: guard("load", () => ({ records: load(records), damage: undefined })),
    commit: (changes) =>
      guard("commit", () => {
        for (const change of changes) {
          if (change._tag === "Put") records.set(keyOf(change.record), change.record)
          else records.delete(change.key)
        }
      }),
    clear: guard("clear", () => records.clear())
  }
}

/** The error for a session name that is no string. */
const noName = (session: unknown): MqttError =>
  new MqttError({
    method: "SessionStore.open",
    reason: new InvalidOptions({ issues: [{ path: "session", message: `must be a text, got ${kindOf(session)}` }] })
  })

/**
 * Makes a store whose records outlive the sessions that use it, but not the process.
 */
export const makeMemory = (): MemoryStore => {
  const entries = new Map<string, Entry>()
  let isClosed = false
  const acquire = (session: string) =>
    Effect.suspend(() => {
      const entry = entries.get(session) ?? { records: new Map<string, StoreRecord>(), owned: false }
      if (entry.owned) {
        return Effect.fail(failed(session, "open", "owned", "another owner has the store of this session open"))
      }
      entry.owned = true
      entries.set(session, entry)
      return Effect.succeed({ entry, isOpen: true })
    })
  const open: MemoryStore["open"] = (session) =>
    Effect.acquireRelease(
      typeof session !== "string"
        ? Effect.fail(noName(session))
        : whileOpen(session, "open", () => !isClosed, acquire(session)),
      (owner) =>
        Effect.sync(() => {
          owner.isOpen = false
          owner.entry.owned = false
        })
    ).pipe(Effect.map((owner) => handle(session, owner.entry.records, () => owner.isOpen && !isClosed)))
  const close = Effect.sync(() => {
    isClosed = true
  })
  return { open, close }
}
