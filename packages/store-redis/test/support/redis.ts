import type { MqttError, SessionStore } from "@effect-mqttx/core"
import { RedisStore } from "@effect-mqttx/store-redis"
import type { RedisServer } from "@effect-mqttx/testing"
import { NodeRedis } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import { Redis } from "effect/persistence"

export type DriverOptions = NonNullable<Parameters<typeof NodeRedis.layer>[0]>

/** A driver of its own, as another process would have one; it belongs to the scope. */
export const driver = (
  server: RedisServer.Service,
  options?: DriverOptions
): Effect.Effect<Redis.Redis["Service"], Redis.RedisError, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(NodeRedis.layer({ url: server.url, ...options }))),
    (context) => Context.get(context, Redis.Redis)
  )

/** A driver whose commands all go through `intercept`, on the shared connection and on reserved ones. */
export const intercepted = (
  redis: Redis.Redis["Service"],
  intercept: (send: Redis.Redis["Service"]["send"]) => Redis.Redis["Service"]["send"]
): Redis.Redis["Service"] => ({
  ...redis,
  send: intercept(redis.send),
  reserve: Effect.map(redis.reserve, (connection) => ({ ...connection, send: intercept(connection.send) }))
})

/** A store with a driver of its own. */
export const store = (
  server: RedisServer.Service,
  options?: RedisStore.RedisStoreInput,
  driverOptions?: DriverOptions
): Effect.Effect<SessionStore.SessionStore["Service"], Redis.RedisError | MqttError.MqttError, Scope.Scope> =>
  Effect.flatMap(
    driver(server, driverOptions),
    (redis) => Effect.provideService(RedisStore.make(options), Redis.Redis, redis)
  )
