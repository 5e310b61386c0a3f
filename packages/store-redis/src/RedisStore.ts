/**
 * A durable session store in Redis, over the service `Redis` of `effect/persistence`. Any driver layer works, on Node
 * that of `@effect/platform-node/NodeRedis`. That module of Effect is unstable: a minor version of Effect may change
 * the API that is used here.
 *
 * The store reserves one connection of the driver, and replaces it when it proves useless, for example after a
 * failover. Every commit is applied in full or not at all, whatever its size. A session has one owner, which holds a
 * lease and renews it. An owner that lost its lease to another one cannot write any more. All keys of a session are in
 * one slot of Redis Cluster. The durability of a commit depends on the server's append-only file: `durability` of the
 * handle reports what the server's settings guarantee.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Options from "./internal/options.ts"
import { decodeOptions, StoreOptionsSchema } from "./internal/options.ts"
import { Sessions } from "./internal/sessions.ts"

/**
 * Options of the store, all optional. Durations are milliseconds, strings such as `30 seconds`, or any other input of
 * `Duration`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface RedisStoreInput {
  /** The prefix of all keys; no braces. Default `mqttx:session:`. */
  readonly keyPrefix?: string | undefined
  /**
   * How long Redis keeps a session that no program has open. Prolonged while the session is open. Must be longer than
   * `leaseDuration`. Default: without limit.
   */
  readonly expiry?: Duration.Input | undefined
  /**
   * How long a session stays locked after its owner has disappeared, by kill -9 or a cut network. The lease is renewed
   * after each third of this time. Default 10 seconds.
   */
  readonly leaseDuration?: Duration.Input | undefined
  /**
   * How long opening a session waits for the lease of another owner to end. Default: `leaseDuration` and one second, so
   * that a program can be started again at once after a kill.
   */
  readonly acquireTimeout?: Duration.Input | undefined
  /**
   * How long to wait for a reply of Redis, connected or not, plus a second for each megabyte that is sent. Without a
   * reply, another connection is tried for the same time. Default 5 seconds.
   */
  readonly commandTimeout?: Duration.Input | undefined
}

/**
 * The schema of options, with all defaults.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const RedisStoreOptions: Schema.Codec<RedisStoreOptions, RedisStoreOptionsEncoded> = StoreOptionsSchema

/**
 * Complete and checked options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type RedisStoreOptions = Options.RedisStoreOptions

/**
 * The JSON form of the options.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export type RedisStoreOptionsEncoded = Options.RedisStoreOptionsEncoded

/**
 * Makes the store. Fails with `InvalidOptions`. It does not contact Redis: an unreachable Redis shows when a session is
 * opened. The end of its scope closes the store: it releases the sessions that are still open, and their later
 * operations fail with `StorageFailed` of the kind `closed`.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: RedisStoreInput = {}
): Effect.fn.Return<SessionStore.SessionStore["Service"], MqttError, Redis.Redis | Scope.Scope> {
  const complete = yield* Effect.fromResult(decodeOptions(options))
  const redis = yield* Redis.Redis
  const sessions = yield* Effect.acquireRelease(
    Effect.sync(() => new Sessions(redis, complete)),
    ({ close }) => close
  )
  return { open: (session) => sessions.open(session) }
})

/**
 * Makes Redis the store of the sessions.
 *
 * **Example** (Keeping the state of a session in Redis)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { RedisStore } from "@effect-mqttx/store-redis"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * export const Plant = MqttSession.layerDurable({ name: "plant", servers: ["mqtt://localhost:1883"] }).pipe(
 *   Layer.provide(RedisStore.layer({ expiry: "7 days" })),
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" }))
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: RedisStoreInput): Layer.Layer<SessionStore.SessionStore, MqttError, Redis.Redis> =>
  Layer.effect(SessionStore.SessionStore, make(options))

/**
 * The same with options from Config, single ones or all: `Config.schema(RedisStore.RedisStoreOptions, "store")`.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<RedisStoreInput>
): Layer.Layer<SessionStore.SessionStore, MqttError | Config.ConfigError, Redis.Redis> =>
  Layer.effect(SessionStore.SessionStore, Effect.flatMap(OptionsSchema.unwrap(options, "RedisStore.layerConfig"), make))
