/**
 * One program, three stores: `tsc -b examples && node examples/dist/storage.js`.
 *
 * A meter records readings while there is no network, and ends. Later it runs again and delivers them. The only
 * difference between the three runs is the layer that provides the store. Redis is REDIS_URL, or a server that the
 * example starts when one is installed.
 */
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { RedisStore } from "@effect-mqttx/store-redis"
import { RedisServer, ScriptedBroker } from "@effect-mqttx/testing"
import { NodeFileSystem, NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, FileSystem, Layer, Option } from "effect"
import { deliver, record } from "./storage/meter.ts"

const program = Effect.fnUntraced(function*(name: string) {
  const broker = yield* ScriptedBroker.make()
  const meter = MqttSession.layerDurable({
    name: "meter",
    servers: [broker.url],
    drainTimeout: "100 millis",
    reconnect: { initialDelay: "20 millis" }
  })

  yield* broker.refuseNetwork
  const storage = yield* Effect.provide(record([17.2, 17.4, 17.9]), meter, { local: true })
  yield* broker.acceptNetwork
  yield* Effect.provide(deliver, meter, { local: true })

  const arrived = broker.published.map(({ payload }) => new TextDecoder().decode(payload)).join(", ")
  yield* Effect.log(`${name} (durability: ${storage?.durability}): ${arrived}`)
  if (arrived !== "17.2, 17.4, 17.9, end of report") yield* Effect.die(`${name} lost a reading`)
}, Effect.scoped)

const redisUrl = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("REDIS_URL"))
  if (Option.isSome(given)) return given
  if (!RedisServer.isPresent()) return Option.none<string>()
  return Option.some((yield* RedisServer.make({ appendonly: true, appendfsync: "always" })).url)
})

const main = Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  yield* Effect.provide(program("memory"), SessionStore.layerMemory)
  yield* Effect.provide(program("file"), FileStore.layer({ directory }))
  const url = yield* redisUrl
  if (Option.isNone(url)) return yield* Effect.log("redis: skipped, there is no redis-server on this machine")
  const redis = RedisStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: url.value })))
  yield* Effect.provide(program("redis"), redis)
})

NodeRuntime.runMain(main.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
