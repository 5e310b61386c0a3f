import { ClusterSingleton, ClusterTimings } from "@effect-mqttx/cluster"
import { Forwarder, MqttSession, SessionManager, SessionStore } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import { MosquittoBroker, PostgresServer } from "@effect-mqttx/testing"
import { NodeClusterSocket } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { RunnerAddress, TestRunner } from "effect/cluster"
import { assignment } from "../../../test/support/assignment.ts"
import { connectionsOf, freePort, quiet } from "./support/nodes.ts"
import * as timings from "./support/timings.ts"

const servers = Layer.merge(
  PostgresServer.layer({ settings: { fsync: "off" } }),
  Layer.effect(MosquittoBroker.MosquittoBroker, MosquittoBroker.make({ config: ["max_queued_messages 0"] }))
)

/** A node that can run the forwarder from `in` to `out`. */
const node = Effect.fnUntraced(function*(broker: string, database: number) {
  const port = yield* freePort
  const address = Option.some(RunnerAddress.make("127.0.0.1", port))
  const settings = { ...ClusterTimings.session, servers: [broker], username: `node-${port}`, log: "off" as const }
  const sessions = SessionManager.layerDurable({
    sessions: [
      { ...settings, name: "source", clientId: "source", brokerName: "a" },
      { ...settings, name: "target", clientId: "target", brokerName: "b" }
    ]
  })
  const forward = Forwarder.make({
    name: "once",
    sources: "source",
    filters: "in/#",
    target: "target",
    mapping: [{ from: "in/#", to: "out/{1}" }]
  }).pipe(
    Effect.andThen(Effect.never),
    Effect.provide(Layer.fresh(sessions))
  )
  const running = ClusterSingleton.layer("forwarding", forward).pipe(
    Layer.provide(NodeClusterSocket.layer({
      storage: "sql",
      shardingConfig: { ...timings.sharding, runnerAddress: address, runnerListenAddress: address }
    })),
    Layer.provide(SqlStore.layer(timings.store)),
    Layer.provide(PgClient.layer({ host: "127.0.0.1", port: database, username: "plant", database: "postgres" }))
  )
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Layer.buildWithScope(Layer.fresh(running), scope)
  return { name: `node-${port}`, address: `127.0.0.1:${port}`, leave: Scope.close(scope, Exit.void) }
})

describe.skipIf(!PostgresServer.isPresent() || !MosquittoBroker.isPresent())("a forwarder as a singleton", () => {
  layer(servers, { excludeTestServices: true, timeout: "1 minute" })((it) => {
    it.effect(
      "runs on one node, continues on another one when that node leaves, and forwards each message once",
      () =>
        Effect.gen(function*() {
          const { port } = yield* PostgresServer.PostgresServer
          const broker = yield* MosquittoBroker.MosquittoBroker
          const nodes = yield* Effect.all([node(broker.url, port), node(broker.url, port)], { concurrency: 2 })
          const observer = yield* MqttSession.make({ name: "observer", servers: [broker.url], log: "off" })
          const out = yield* observer.subscription("out/#", { qos: 2 })
          const owner = () => connectionsOf(broker.log(), "source").at(-1)?.user
          const addressOf = yield* assignment(
            nodes.map(({ address }) => address),
            timings.sharding.shardsPerGroup
          )
          const first = nodes.find(({ address }) => address === addressOf("@effect-mqttx/cluster/forwarding"))!.name
          yield* Effect.sleep("50 millis").pipe(Effect.repeat({ until: () => owner() === first }))
          const received: Array<string> = []
          yield* out.messages.pipe(
            Stream.runForEach((message) => Effect.sync(() => received.push(message.text))),
            Effect.forkScoped({ startImmediately: true })
          )
          // What is published before the forwarder has subscribed does not count.
          yield* observer.publish("in/a", "ready", { qos: 2 }).pipe(
            Effect.andThen(Effect.sleep("50 millis")),
            Effect.repeat({ until: () => received.includes("ready") })
          )
          const texts = Array.from({ length: 100 }, (_, n) => `m${n}`)
          const sending = yield* Effect.forEach(
            texts,
            (text) => Effect.andThen(observer.publish("in/a", text, { qos: 2 }), Effect.sleep("20 millis")),
            { discard: true }
          ).pipe(
            Effect.forkScoped({ startImmediately: true })
          )
          yield* Effect.sleep("10 millis").pipe(Effect.repeat({ until: () => received.includes("m20") }))
          const [leaving, staying] = nodes[0].name === first ? nodes : [nodes[1], nodes[0]]
          yield* leaving.leave
          yield* Fiber.join(sending)
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => received.includes("m99") }))
          assert.deepStrictEqual(received.filter((text) => text !== "ready"), texts)
          assert.strictEqual(owner(), staying.name)
        }).pipe(quiet),
      240_000
    )
  })
})

describe("a singleton", () => {
  it.live("that fails runs again, with a scope of its own each time", () =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      const third = yield* Deferred.make<void>()
      let runs = 0
      const program = Effect.gen(function*() {
        const run = ++runs
        yield* Effect.addFinalizer(() => Effect.sync(() => ends.push(`end ${run}`)))
        if (run < 3) return yield* Effect.fail("not yet")
        yield* Deferred.succeed(third, undefined)
      })
      const running = ClusterSingleton.layer("failing", program).pipe(
        Layer.provide(TestRunner.layer),
        Layer.provide(SessionStore.layerMemory)
      )
      yield* Layer.build(running)
      yield* Deferred.await(third)
      assert.deepStrictEqual(ends, ["end 1", "end 2"])
    }).pipe(Effect.scoped, quiet))

  it.live("has a name", () =>
    Effect.gen(function*() {
      const nameless = ClusterSingleton.layer("", Effect.void).pipe(Layer.provide(TestRunner.layer))
      assert.match((yield* Effect.flip(Layer.build(nameless))).message, /1 to 200 characters/)
    }).pipe(Effect.scoped, quiet))
})
