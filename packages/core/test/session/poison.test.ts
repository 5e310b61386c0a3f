/**
 * Messages over which a server ends the connection, instead of refusing them: what becomes of them, and of what waits
 * behind.
 */
import * as MqttError from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Fault from "@effect-mqttx/testing/Fault"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makePair, publishedAt, settled } from "../../../../test/support/forwarders.ts"
import { realServer } from "../../../../test/support/servers.ts"
import { eventsOf, impatient, makeSession, nextEvent, reasonOf } from "./support.ts"

const behind = Array.from({ length: 20 }, (_, index) => `${index}`)

/** The server closes the connection whenever this message comes. */
const poison = Fault.dropBefore({
  direction: "received",
  packet: "Publish",
  where: (packet) => packet._tag === "Publish" && packet.topic === "poison"
}, { times: Infinity })

describe("a message over which the server ends every connection", () => {
  it.live.each([4, 5] as const)(
    "fails with PoisonMessage after six connections, which is reported, and the messages behind it arrive once, version %s",
    (protocolVersion) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        yield* broker.inject(poison)
        const session = yield* makeSession(broker, { clientId: "plant", protocolVersion })
        const events = yield* eventsOf(session)
        const first = yield* Effect.forkChild(reasonOf(session.publish("poison", "1", { qos: 2 })), {
          startImmediately: true
        })
        const others = yield* Effect.forkChild(
          Effect.forEach(behind, (payload) => session.publish("t", payload, { qos: 2 }), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        const reason = yield* Fiber.join(first)
        assert.instanceOf(reason, MqttError.PoisonMessage)
        assert.strictEqual(reason.connections, 6)
        yield* Fiber.join(others)
        assert.deepStrictEqual(
          broker.published.map(({ payload, topic }) => `${topic} ${new TextDecoder().decode(payload)}`),
          behind.map((payload) => `t ${payload}`)
        )
        const { cause, count, topic } = yield* nextEvent(events, "MessageDropped")
        assert.deepStrictEqual([cause, count, topic], ["poison", 1, "poison"])
        const { dropped, published } = yield* session.metrics
        assert.deepStrictEqual([dropped.poison, published.failed], [1, { PoisonMessage: 1 }])
      })
  )

  it.live("of a forwarder goes to its dead letters, and the messages behind it arrive", () =>
    Effect.gen(function*() {
      const net = yield* makePair({ poisonThreshold: 3 }, { record: true })
      const { a, b } = net.brokers
      yield* b!.inject(poison)
      const forwarder = yield* net.forward({ filters: ["poison", "t"], deadLetter: { topic: "dead" } })
      yield* forwarder.active
      yield* a!.publish("poison", "1", { qos: 1 })
      for (const payload of behind) yield* a!.publish("t", payload, { qos: 1 })
      const { deadLettered, forwarded } = yield* settled(forwarder, 21)
      assert.deepStrictEqual([deadLettered, forwarded], [1, 20])
      assert.sameMembers([...publishedAt(b!)], ["dead 1", ...behind.map((payload) => `t ${payload}`)])
    }))

  const mosquitto = realServer("mosquitto")

  it.live.skipIf(mosquitto === undefined)(
    "fails at a real mosquitto on 3.1.1 that accepts no packet of its size, and the messages behind it arrive",
    () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.make({ config: ["max_packet_size 1000"] })
        const session = yield* MqttSession.make({
          name: "plant",
          servers: [url],
          protocolVersion: 4,
          reconnect: impatient
        })
        const first = yield* Effect.forkChild(reasonOf(session.publish("t", "x".repeat(2000), { qos: 1 })), {
          startImmediately: true
        })
        yield* Effect.forEach(behind, (payload) => session.publish("t", payload, { qos: 1 }), {
          concurrency: "unbounded"
        })
        assert.instanceOf(yield* Fiber.join(first), MqttError.PoisonMessage)
      })
  )
})

describe("a message that was sent and that the next connection does not admit", () => {
  it.live("ends as Indeterminate, since the server may have it; what was not sent is refused", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { clientId: "plant", maxInflight: 1 })
      yield* session.awaitReady
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Pubrec" }))
      const sent = yield* Effect.forkChild(reasonOf(session.publish("t", "sent", { qos: 2 })), {
        startImmediately: true
      })
      const waiting = yield* Effect.forkChild(reasonOf(session.publish("t", "waiting", { qos: 2 })), {
        startImmediately: true
      })
      yield* broker.awaitUntil(() => broker.published.length === 1)
      yield* broker.setLimits({ maximumQoS: 1 })
      yield* broker.cut("plant")
      assert.instanceOf(yield* Fiber.join(sent), MqttError.Indeterminate)
      assert.instanceOf(yield* Fiber.join(waiting), MqttError.NotSupported)
    }))
})
