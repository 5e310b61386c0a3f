/**
 * Session stores in any key-value store of Effect: memory, files, SQL, a browser's storage.
 *
 * A commit is one write of one value, and is complete or absent, whatever the key-value store does on a crash. From
 * time to time the values of a session are rewritten in a more compact form. A session's name is encoded so that it
 * fits into file names and no two names collide.
 *
 * A key-value store has no locks. Sessions are owned within the process only, for all layers over the same
 * `KeyValueStore` object. Two processes, or two tabs of a browser, need different prefixes or stores. A write that has
 * begun continues when its caller is interrupted, and until it ends, opening the session again fails with `owned`.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { closedStore, storageFailed } from "./internal/failure.ts"
import { Log } from "./internal/log.ts"
import { LogValues } from "./internal/logValues.ts"
import { encodeName } from "./internal/names.ts"
import { privateFiles } from "./internal/privateFiles.ts"

/**
 * Options of the stores, all optional.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SessionStoreKvsOptions {
  /** The prefix of all keys, followed by a slash. Default "mqtt". */
  readonly prefix?: string | undefined
  /**
   * What a commit survives in this key-value store, which cannot report it itself. Default "session". The files of
   * `layerFileSystem` and a browser's storage survive the end of the process, but not always a power cut.
   */
  readonly durability?: SessionStore.Durability | undefined
}

/** How long the end of a scope waits for a key-value store that does not respond. */
const closeTimeout = "5 seconds"

/** The names in use, for each store, so that layers over the same store know each other's sessions. */
const owners = new WeakMap<KeyValueStore.KeyValueStore, Set<string>>()

const ownersOf = (kvs: KeyValueStore.KeyValueStore): Set<string> => {
  const known = owners.get(kvs) ?? new Set<string>()
  owners.set(kvs, known)
  return known
}

/**
 * Ends an open session. Completes when none of its operations is running any more, or `closeTimeout` is over.
 */
type End = Effect.Effect<void>

/**
 * Makes a store of sessions over the key-value store in the context. The end of its scope closes it: sessions that are
 * still open then fail with the kind `closed`. Fails with `InvalidOptions` for invalid options.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: SessionStoreKvsOptions
): Effect.Effect<SessionStore.SessionStore["Service"], MqttError, KeyValueStore.KeyValueStore | Scope.Scope> =>
  Effect.gen(function*() {
    const kvs = yield* KeyValueStore.KeyValueStore
    const { durability, prefix } = yield* Effect.fromResult(
      OptionsSchema.decode(KvsOptionsSchema, options === undefined ? {} : options, "SessionStoreKvs.make")
    )
    const owned = ownersOf(kvs)
    const ends = new Set<End>()
    let isClosed = false
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        return Effect.forEach(Array.from(ends), (end) => end, { concurrency: "unbounded", discard: true })
      })
    )

    const open: SessionStore.SessionStore["Service"]["open"] = Effect.fnUntraced(function*(session) {
      yield* Effect.fromResult(OptionsSchema.decode(NameSchema, { session }, "SessionStore.open"))
      const name = yield* Effect.mapError(
        encodeName(session),
        (reason) => new MqttError({ session, method: "SessionStore.open", reason })
      )
      const base = `${prefix}/${name}/`
      const lock = Semaphore.makeUnsafe(1)
      const closing = Deferred.makeUnsafe<never, MqttError>()
      let hasEnded = false
      // The next owner must not meet a write of this one, however long that write takes.
      const end: End = Effect.suspend(() => {
        if (hasEnded) return Effect.void
        hasEnded = true
        ends.delete(end)
        return Effect.forkDetach(lock.withPermits(1)(Effect.sync(() => owned.delete(base)))).pipe(
          Effect.flatMap((released) => Effect.timeoutOption(Fiber.await(released), closeTimeout)),
          // A caller that still waits for an unresponsive key-value store fails.
          Effect.andThen(Deferred.fail(closing, closedStore(session, "commit")))
        )
      })
      yield* Effect.acquireRelease(
        Effect.suspend(() => {
          if (isClosed) return Effect.fail(closedStore(session, "open"))
          if (owned.has(base)) {
            const detail = "another owner has the store of this session open"
            return Effect.fail(storageFailed(session, "open", { kind: "owned", detail }))
          }
          owned.add(base)
          ends.add(end)
          return Effect.void
        }),
        () => end
      )
      const log = new Log(new LogValues(kvs, { base, name, session }))
      // Runs in its own fiber: an interrupted caller returns at once, and the log is never left in the middle of a
      // change.
      const exclusively = <A>(method: string, effect: Effect.Effect<A, MqttError>): Effect.Effect<A, MqttError> => {
        const whileOpen = Effect.suspend(() => hasEnded ? Effect.fail(closedStore(session, method)) : effect)
        return Effect.suspend(() =>
          hasEnded
            ? Effect.fail(closedStore(session, method))
            : Effect.flatMap(Effect.forkDetach(lock.withPermits(1)(whileOpen)), (fiber) =>
              Effect.raceFirst(Fiber.join(fiber), Deferred.await(closing)))
        )
      }
      return {
        durability,
        load: exclusively("load", log.load),
        commit: (changes) => exclusively("commit", log.commit(changes)),
        clear: exclusively("clear", log.clear)
      }
    })
    return { open }
  })

const text = Schema.String.annotate({ message: "expected a text" })
const NameSchema = OptionsSchema.strict({ session: text })
const DirectorySchema = OptionsSchema.strict({ directory: text })
const KvsOptionsSchema = OptionsSchema.strict({
  prefix: text.pipe(Schema.withDecodingDefaultKey(Effect.succeed("mqtt"))),
  durability: Schema.Literals(["session", "process", "power"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("session" as const))
  )
})

/**
 * Provides session stores over the key-value store in the context.
 *
 * **Example** (Keeping the state of sessions in files)
 *
 * ```ts
 * import { SessionStoreKvs } from "@effect-mqttx/store-kvs"
 * import { NodeServices } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * export const Storage = SessionStoreKvs.layerKvs({ durability: "process" }).pipe(
 *   Layer.provide(SessionStoreKvs.layerFileSystem("/var/lib/plant")),
 *   Layer.provide(NodeServices.layer)
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerKvs = (
  options?: SessionStoreKvsOptions
): Layer.Layer<SessionStore.SessionStore, MqttError, KeyValueStore.KeyValueStore> =>
  Layer.effect(SessionStore.SessionStore, make(options))

/**
 * A key-value store in a directory whose files only their owner may read (0600). A directory that it makes has the mode
 * 0700. Both are independent of the umask. Symbolic links to values are not followed: reading one fails with the kind
 * `refused`. (`KeyValueStore.layerFileSystem` makes files with 0666 minus the umask.) Fails with `InvalidOptions` for a
 * directory that is no string.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerFileSystem = (
  directory: string
): Layer.Layer<KeyValueStore.KeyValueStore, MqttError | PlatformError, FileSystem.FileSystem | Path.Path> =>
  Layer.unwrap(Effect.suspend(() =>
    Effect.map(
      Effect.fromResult(OptionsSchema.decode(DirectorySchema, { directory }, "SessionStoreKvs.layerFileSystem")),
      () => KeyValueStore.layerFileSystem(directory)
    )
  )).pipe(
    Layer.provide(Layer.effect(FileSystem.FileSystem, Effect.map(FileSystem.FileSystem, privateFiles)))
  )
