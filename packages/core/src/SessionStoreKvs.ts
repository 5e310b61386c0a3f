/**
 * Session stores in any key-value store of Effect: memory, files, SQL, a browser's storage. A subpath of its own, since
 * `effect/persistence/KeyValueStore` is an unstable API, which a minor version of Effect may change.
 *
 * A commit is one write of one value, and is there in full or not at all, whatever the key-value store does on a crash; now and then the
 * values of a session are written anew in a more compact form. A session's name is encoded so that it fits into file names and no two
 * collide.
 *
 * What a key-value store cannot do: lock. Sessions are owned within the process only, for all layers over the same `KeyValueStore` object. Two
 * processes, or two tabs of a browser, need different prefixes or stores. A write that has begun goes on when its caller is
 * interrupted, and whoever opens the session next is told `owned` until it has ended.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Semaphore from "effect/Semaphore"
import { makeLog } from "./internal/kvs/log.ts"
import { encodeName } from "./internal/kvs/names.ts"
import { noName } from "./internal/memoryStore.ts"
import { type Checks, oneOf, optionsIssues, refusal, text } from "./internal/options/plain.ts"
import { MqttError, StorageFailed } from "./MqttError.ts"
import * as SessionStore from "./SessionStore.ts"

export interface SessionStoreKvsOptions {
  /** All keys begin with it and a slash; "mqtt" by default. */
  readonly prefix?: string | undefined
  /**
   * What a commit survives in this key-value store, which does not tell itself: "session" by default. Files that `layerFileSystem`
   * writes and a browser's storage survive the end of the process, not always a power cut.
   */
  readonly durability?: SessionStore.Durability | undefined
}

/** How long the end of a scope waits for a key-value store that does not answer. */
const patience = "5 seconds"

/** The names in use, for each store: layers that are built over the same one know each other's sessions. */
const owners = new WeakMap<KeyValueStore.KeyValueStore, Set<string>>()

const ownersOf = (kvs: KeyValueStore.KeyValueStore): Set<string> => {
  const known = owners.get(kvs) ?? new Set<string>()
  owners.set(kvs, known)
  return known
}

const failure = (session: string, method: string, kind: StorageFailed["kind"], detail: string): MqttError =>
  new MqttError({ session, method: `SessionStore.${method}`, reason: new StorageFailed({ kind, detail }) })

/**
 * Makes a store of sessions over the key-value store in the context. Fails with `InvalidOptions` for options that are wrong.
 */
export const make = (
  options?: SessionStoreKvsOptions
): Effect.Effect<SessionStore.SessionStore, MqttError, KeyValueStore.KeyValueStore> =>
  Effect.flatMap(KeyValueStore.KeyValueStore, (kvs) => {
    const mistake = options === undefined ? undefined : refusal(optionsIssues(options, checks), "SessionStoreKvs.make")
    if (mistake !== undefined) return Effect.fail(mistake)
    const owned = ownersOf(kvs)
    const durability = options?.durability ?? "session"

    const open: SessionStore.SessionStore["open"] = Effect.fnUntraced(function*(session) {
      if (typeof session !== "string") return yield* noName(session)
      const name = encodeName(session)
      const base = `${options?.prefix ?? "mqtt"}/${name}/`
      const lock = Semaphore.makeUnsafe(1)
      let closed = false
      yield* Effect.acquireRelease(
        Effect.suspend(() => {
          if (owned.has(base)) {
            return Effect.fail(failure(session, "open", "owned", "another owner has the store of this session open"))
          }
          owned.add(base)
          return Effect.void
        }),
        // The next owner must not meet a write of this one, however long that takes.
        () =>
          Effect.suspend(() => {
            closed = true
            return Effect.forkDetach(lock.withPermits(1)(Effect.sync(() => owned.delete(base))))
          }).pipe(Effect.flatMap((released) => Effect.timeoutOption(Fiber.await(released), patience)))
      )
      const log = makeLog(kvs, { base, name, session })
      // In a fiber of its own: an interrupted caller leaves at once, and the log is never left in the middle of a change.
      const exclusively = <A>(effect: Effect.Effect<A, MqttError>): Effect.Effect<A, MqttError> =>
        Effect.flatMap(
          Effect.forkDetach(
            lock.withPermits(1)(Effect.suspend(() =>
              closed
                ? Effect.fail(failure(session, "commit", "fenced", "the scope of the store has ended"))
                : effect
            ))
          ),
          Fiber.join
        )
      return {
        durability,
        load: exclusively(log.load),
        commit: (changes) => exclusively(log.commit(changes)),
        clear: exclusively(log.clear)
      }
    })
    return Effect.succeed({ open })
  })

const checks: Checks<SessionStoreKvsOptions> = {
  prefix: text,
  durability: oneOf("session", "process", "power", "server")
}

/**
 * Provides session stores over the key-value store in the context.
 *
 * @example
 * const storage = SessionStoreKvs.layerKvs({ durability: "process" }).pipe(
 *   Layer.provide(KeyValueStore.layerFileSystem("/var/lib/plant")),
 *   Layer.provide(NodeServices.layer)
 * )
 */
export const layerKvs = (
  options?: SessionStoreKvsOptions
): Layer.Layer<never, MqttError, KeyValueStore.KeyValueStore> => Layer.effect(SessionStore.SessionStore, make(options))
