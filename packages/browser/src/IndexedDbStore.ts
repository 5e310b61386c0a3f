/**
 * Stores of durable sessions in IndexedDB: what was accepted and subscribed survives a reload and the end of the tab.
 *
 * The records are those of `@effect-mqttx/store-kvs`, and each commit is one transaction with strict durability. A Web
 * Lock keeps two tabs from opening one session at a time: the second one fails with the kind `owned`.
 *
 * **Example** (A durable session in a browser)
 *
 * ```ts
 * import { IndexedDbStore } from "@effect-mqttx/browser"
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["wss://broker.example/mqtt"] }).pipe(
 *   Layer.provide(IndexedDbStore.layer())
 * )
 * ```
 */
import { MqttError, NotSupported, StorageFailed } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as SessionStoreKvs from "@effect-mqttx/store-kvs/SessionStoreKvs"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { makeKeyValueStore } from "./internal/indexedDb.ts"
import { tryHold } from "./internal/webLocks.ts"

/**
 * Options of the store, all optional.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface IndexedDbStoreOptions {
  /** The name of the database. Default "mqtt". */
  readonly database?: string | undefined
}

const StoreOptions = OptionsSchema.strict({
  database: Schema.NonEmptyString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("mqtt")))
})

/**
 * Makes a store in IndexedDB, for the life of the scope. Fails with `InvalidOptions`, with `NotSupported` where there
 * is no IndexedDB or no Web Lock, and with `StorageFailed` when the database cannot be opened.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: IndexedDbStoreOptions = {}
): Effect.Effect<SessionStore.SessionStore["Service"], MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const { database } = yield* Effect.fromResult(OptionsSchema.decode(StoreOptions, options, "IndexedDbStore.make"))
    if (typeof indexedDB === "undefined" || typeof navigator === "undefined" || navigator.locks === undefined) {
      return yield* new MqttError({
        method: "IndexedDbStore.make",
        reason: new NotSupported({ feature: "IndexedDbStore", detail: "it needs IndexedDB and Web Locks" })
      })
    }
    // Made first, so that the locks are free only when the store has ended its sessions.
    const locks = yield* Scope.fork(yield* Effect.scope)
    const kvs = yield* Effect.mapError(
      makeKeyValueStore(database),
      ({ message }) =>
        new MqttError({
          method: "IndexedDbStore.make",
          reason: new StorageFailed({ kind: "unavailable", detail: message })
        })
    )
    const store = yield* Effect.provideService(
      SessionStoreKvs.make({ durability: "process" }),
      KeyValueStore.KeyValueStore,
      kvs
    )
    const open: SessionStore.SessionStore["Service"]["open"] = Effect.fnUntraced(function*(session) {
      // The store itself knows owners of this tab only.
      const lock = yield* Effect.acquireRelease(Scope.fork(locks), (lock, exit) => Scope.close(lock, exit))
      const isFree = Scope.provide(tryHold(`mqttx-store/${database}/${String(session)}`), lock)
      if (!(yield* isFree)) {
        const detail = "another owner has the store of this session open"
        return yield* new MqttError({
          session,
          method: "SessionStore.open",
          reason: new StorageFailed({ kind: "owned", detail })
        })
      }
      return yield* store.open(session)
    })
    return { open }
  })

/**
 * The store as a layer.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: IndexedDbStoreOptions): Layer.Layer<SessionStore.SessionStore, MqttError> =>
  Layer.effect(SessionStore.SessionStore, make(options))
