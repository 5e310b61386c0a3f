/**
 * The prototypes of decision 8 as session stores: for the storage table, the crash harness and the suite of stores.
 */
import { InvalidOptions, MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import { SessionStore, type SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Prototype, PrototypeOptions, PrototypeSession } from "./contract.ts"
import { SegmentLog } from "./segmentLog.ts"

const failed = (session: string, method: string, kind: StorageFailed["kind"], detail: string): MqttError =>
  new MqttError({ session, method: `SessionStore.${method}`, reason: new StorageFailed({ kind, detail }) })

/** One opening of a session. */
interface Opening {
  readonly part: PrototypeSession
  isOpen: boolean
}

const toHandle = (name: string, opening: Opening, sync: boolean): SessionStoreHandle => {
  const { part } = opening
  const run = (method: string, use: (settle: (error: unknown) => void) => void) =>
    Effect.callback<void, MqttError>((resume) => {
      if (!opening.isOpen) return resume(Effect.fail(failed(name, method, "closed", "the store is closed")))
      use((error) => {
        const kind = error instanceof RangeError || error instanceof TypeError ? "invalid" : "unavailable"
        resume(error === undefined ? Effect.void : Effect.fail(failed(name, method, kind, String(error))))
      })
    })
  return {
    durability: sync ? "power" : "process",
    load: Effect.andThen(
      // Behind the commits that run.
      run("load", (settle) => part.commit([], settle)),
      Effect.sync(() => {
        const { lost, records } = part.load()
        return { records, damage: lost === 0 ? undefined : { lost, detail: `${lost} records cannot be read` } }
      })
    ),
    commit: (changes) => run("commit", (settle) => part.commit(changes, settle)),
    clear: run("clear", (settle) => part.clear(settle))
  }
}

const notOpen = (session: unknown): MqttError =>
  new MqttError({
    method: "SessionStore.open",
    reason: new InvalidOptions({ issues: [{ path: "session", message: `${typeof session} is no name` }] })
  })

export const makeStore = (
  open: (options: PrototypeOptions) => Prototype | Promise<Prototype>,
  options: PrototypeOptions
): Effect.Effect<SessionStore["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const openings = new Map<string, Opening>()
    let isClosed = false
    const prototype = yield* Effect.acquireRelease(
      Effect.promise(async () => open(options)),
      (opened) =>
        Effect.promise(() => {
          isClosed = true
          for (const opening of openings.values()) opening.isOpen = false
          return opened.close()
        })
    )
    return {
      open: (name) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            if (typeof name !== "string") return Effect.fail(notOpen(name))
            if (isClosed) return Effect.fail(failed(name, "open", "closed", "the store is closed"))
            if (openings.has(name)) return Effect.fail(failed(name, "open", "owned", "the session is open"))
            const opening = { part: prototype.session(name), isOpen: true }
            openings.set(name, opening)
            return Effect.succeed(opening)
          }),
          (opening) =>
            Effect.sync(() => {
              opening.isOpen = false
              openings.delete(name)
            })
        ).pipe(Effect.map((opening) => toHandle(name, opening, options.sync)))
    }
  })

const openLog = ({ directory, sync }: PrototypeOptions): Prototype => {
  const log = SegmentLog.open(directory, sync)
  const parts = new Map<string, PrototypeSession>()
  return {
    session: (name) => {
      const known = parts.get(name)
      if (known !== undefined) return known
      const session = log.session(name)
      const part: PrototypeSession = {
        load: () => log.load(session),
        commit: (changes, settle) => log.commit(session, changes, settle),
        clear: (settle) => log.clear(session, settle)
      }
      parts.set(name, part)
      return part
    },
    close: () => log.close()
  }
}

/** The segmented log. */
export const makeLogStore = (options: PrototypeOptions): Effect.Effect<SessionStore["Service"], never, Scope.Scope> =>
  makeStore(openLog, options)

/** SQLite of Node 22.13 and newer. */
export const makeSqliteStore = (
  options: PrototypeOptions
): Effect.Effect<SessionStore["Service"], never, Scope.Scope> =>
  makeStore(async (given) => (await import("./sqlite.ts")).openSqlite(given), options)

export const layerOf = (
  make: (options: PrototypeOptions) => Effect.Effect<SessionStore["Service"], never, Scope.Scope>,
  options: PrototypeOptions
): Layer.Layer<SessionStore> => Layer.effect(SessionStore, make(options))
