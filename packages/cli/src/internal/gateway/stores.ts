/**
 * The open stores of a gateway. A store is opened for the first session that needs it, and closed when no session of
 * the configuration does. Two names with the same options are one store. `runtime.ts` calls it.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { StoreOptions } from "./schema.ts"

type Store = SessionStore.SessionStore["Service"]

interface Entry {
  readonly store: Store
  readonly scope: Scope.Closeable
}

const failed = (detail: string, cause?: unknown): MqttError =>
  new MqttError({ method: "gateway", reason: new StorageFailed({ kind: "unavailable", detail, cause }) })

/** Optional packages: an installation without such a store needs none of them. */
const loadSql = Effect.tryPromise({
  try: () => Promise.all([import("@effect/sql-pg/PgClient"), import("@effect-mqttx/store-sql/SqlStore")]),
  catch: () => failed("a store of the type sql needs the packages @effect-mqttx/store-sql and @effect/sql-pg")
})

/** How long the owner of a session is one without a renewal, and how long another one waits for that; milliseconds. */
export interface Leases {
  readonly leaseDuration: number
  readonly acquireTimeout: number
}

const openSql = (
  { tablePrefix, url }: StoreOptions,
  leases: Leases | undefined
): Effect.Effect<Store, MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const [PgClient, SqlStore] = yield* loadSql
    const context = yield* Layer.build(
      SqlStore.layer({ ...leases, ...(tablePrefix === undefined ? undefined : { tablePrefix }) }).pipe(
        Layer.provide(Layer.fresh(PgClient.layer({ url: url! })))
      )
    )
    return Context.get(context, SessionStore.SessionStore)
  }).pipe(
    // What the driver says may have the address.
    Effect.mapError((error) => error instanceof MqttError ? error : failed("PostgreSQL cannot be reached"))
  )

const loadRedis = Effect.tryPromise({
  try: () => Promise.all([import("@effect/platform-node/NodeRedis"), import("@effect-mqttx/store-redis/RedisStore")]),
  catch: () => failed("a store of the type redis needs the packages @effect-mqttx/store-redis and redis")
})

const openRedis = (
  { keyPrefix, url }: StoreOptions,
  leases: Leases | undefined
): Effect.Effect<Store, MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const [NodeRedis, RedisStore] = yield* loadRedis
    const driver = Layer.fresh(NodeRedis.layer({ url: Redacted.value(url!) }))
    const context = yield* Layer.build(
      RedisStore.layer({ ...leases, ...(keyPrefix === undefined ? undefined : { keyPrefix }) }).pipe(
        Layer.provide(driver)
      )
    )
    return Context.get(context, SessionStore.SessionStore)
  }).pipe(
    // What the driver says may have the address.
    Effect.mapError((error) => error instanceof MqttError ? error : failed("Redis cannot be reached"))
  )

const open = (options: StoreOptions, leases: Leases | undefined): Effect.Effect<Store, MqttError, Scope.Scope> => {
  switch (options.type) {
    case "memory":
      return Effect.map(
        Layer.build(Layer.fresh(SessionStore.layerMemory)),
        (context) => Context.get(context, SessionStore.SessionStore)
      )
    case "redis":
      return openRedis(options, leases)
    case "sql":
      return openSql(options, leases)
    case "file":
      // Loaded here, because LevelDB has binaries that the other commands do not need.
      return Effect.flatMap(
        Effect.promise(() => import("@effect-mqttx/store-file/FileStore")),
        (FileStore) => FileStore.make({ directory: options.directory!, durability: options.durability })
      )
  }
}

/** The state of two memory stores is apart, and a directory is one store under any name. */
const keyOf = (name: string, { directory, durability, keyPrefix, tablePrefix, type, url }: StoreOptions): string =>
  JSON.stringify(
    type === "memory"
      ? [type, name]
      : [type, directory, durability, keyPrefix, tablePrefix, url === undefined ? undefined : Redacted.value(url)]
  )

export class Stores {
  readonly #open = new Map<string, Entry>()
  readonly #leases: Leases | undefined

  /** Undefined: the leases that stores have by default. */
  constructor(leases?: Leases) {
    this.#leases = leases
  }

  /** Opens a store, or answers the open one. */
  get(name: string, options: StoreOptions): Effect.Effect<Store, MqttError> {
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      const key = keyOf(name, options)
      const known = this.#open.get(key)
      if (known !== undefined) return known.store
      const scope = yield* Scope.make()
      const store = yield* open(options, this.#leases).pipe(
        Scope.provide(scope),
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
      this.#open.set(key, { store, scope })
      return store
    }))
  }

  /** Closes the stores that are not among these. */
  keep(stores: Iterable<readonly [string, StoreOptions]>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const wanted = new Set(Array.from(stores, ([name, options]) => keyOf(name, options)))
      const others = Array.from(this.#open).filter(([key]) => !wanted.has(key))
      return Effect.forEach(others, ([key, { scope }]) => {
        this.#open.delete(key)
        return Scope.close(scope, Exit.void)
      }, { discard: true })
    })
  }
}
