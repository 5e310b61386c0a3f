import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionPool from "@effect-mqttx/core/SessionPool"
import * as Transport from "@effect-mqttx/core/Transport"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { collect, impatient, logOf, makeWorld, reasonOf, texts } from "../../../../test/support/managers.ts"

describe("shared subscriptions", () => {
  it.live("share subscribes as a member of the group, and a bad name of a group is refused", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant", { clientId: "plant-1" })
      const subscription = yield* session.subscription(["a/#", "b"], { share: "workers" })
      assert.deepStrictEqual(subscription.filters, ["$share/workers/a/#", "$share/workers/b"])
      assert.strictEqual(broker.subscriptions("plant-1").length, 2)
      for (const share of ["", "a/b", "a+", "#"]) {
        assert.strictEqual((yield* reasonOf(session.subscription("a", { share })))._tag, "InvalidOptions")
        assert.strictEqual((yield* reasonOf(manager.listener("a", { share })))._tag, "InvalidOptions")
      }
      assert.strictEqual(
        (yield* reasonOf(session.subscription("$share/g/a", { share: "workers" })))._tag,
        "InvalidOptions"
      )
      assert.strictEqual(
        (yield* reasonOf(session.subscription("a", { share: "workers", noLocal: true })))._tag,
        "InvalidOptions"
      )
    }))

  it.live("a route with share deals each message to one of the sessions", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      for (const name of ["a", "b", "c"]) yield* ready(name)
      const listener = yield* manager.listener("jobs/#", { qos: 1, share: "workers" })
      yield* listener.active
      const inbox = yield* collect(listener.messages)
      for (let n = 0; n < 30; n++) yield* broker.publish(`jobs/${n}`, `${n}`, { qos: 1 })
      const messages = yield* inbox.take(30)
      assert.strictEqual(new Set(texts(messages)).size, 30)
      assert.isAbove(new Set(messages.map(({ session }) => session)).size, 1)
      assert.strictEqual((yield* listener.metrics).received, 30)
    }))

  it.live("SharedSubscriptionAtRisk warns of a session that outlives its connection, and of no other", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      const log = yield* logOf(manager)
      const lasting = yield* ready("lasting")
      const fleeting = yield* ready("fleeting", { persistence: "none" })
      yield* fleeting.subscription("a", { share: "g" })
      yield* lasting.subscription("a")
      yield* lasting.subscription("b", { share: "g" })
      const { at: _at, ...event } = yield* log.until(({ _tag }) => _tag === "SharedSubscriptionAtRisk")
      assert.deepStrictEqual(event, {
        _tag: "SharedSubscriptionAtRisk",
        session: "lasting",
        filters: ["$share/g/b"],
        persistence: "process"
      })
    }))
})

describe("SessionPool", () => {
  it.live("has sessions with names and identifiers of its own, and a size of at least 1", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* Effect.gen(function*() {
        const pool = yield* SessionPool.make({ name: "workers", size: 3, servers: [broker.url], clientId: "w" })
        yield* pool.manager.awaitAllReady()
        assert.deepStrictEqual(pool.sessions.map(({ name }) => name), ["workers-0", "workers-1", "workers-2"])
        assert.deepStrictEqual(broker.sessions.map(({ clientId }) => clientId).sort(), ["w-0", "w-1", "w-2"])
        for (let n = 0; n < 3; n++) yield* pool.publish("t", `${n}`, { qos: 1 })
        assert.deepStrictEqual(
          yield* Effect.forEach(
            pool.sessions,
            ({ metrics }) => Effect.map(metrics, ({ messagesSent }) => messagesSent)
          ),
          [1, 1, 1]
        )
        for (const size of [0, 1.5, -1]) {
          const pool = SessionPool.make({ name: "w", servers: broker.url, size })
          assert.strictEqual((yield* reasonOf(pool))._tag, "InvalidOptions")
        }
      }).pipe(Effect.provideService(Transport.Transport, broker.transport))
    }))

  describe.skipIf(!MosquittoBroker.isPresent())("on mosquitto", () => {
    it.live("one stream gets each message once, through several sessions, also when one of them is away", () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        const pool = yield* SessionPool.make({
          name: "workers",
          size: 3,
          servers: [broker.url],
          reconnect: impatient
        })
        const publisher = yield* MqttSession.make({ name: "publisher", servers: [broker.url] })
        const inbox = yield* collect(pool.listen("jobs/#", { qos: 1 }))
        yield* pool.manager.awaitAllReady()
        yield* publisher.awaitReady
        yield* Effect.flatMap(pool.manager.routes, ([route]) => route!.active)
        const publish = (from: number, to: number) =>
          publisher.publishAll(Stream.map(
            Stream.range(from, to),
            (n) => ({ topic: `jobs/${n % 10}`, payload: `${n}`, options: { qos: 1 as const } })
          ))
        yield* publish(1, 300)
        const first = yield* inbox.take(300)
        assert.strictEqual(new Set(texts(first)).size, 300)
        assert.strictEqual(new Set(first.map(({ session }) => session)).size, 3)

        yield* pool.sessions[1]!.drain
        yield* publish(301, 600)
        const second = yield* inbox.take(300)
        assert.strictEqual(new Set(texts(second)).size, 300)
        assert.deepStrictEqual(Array.from(new Set(second.map(({ session }) => session))).sort(), [
          "workers-0",
          "workers-2"
        ])
      }))
  })
})
