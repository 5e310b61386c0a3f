/**
 * What received messages take of memory, for as long as their consumers have not finished with them.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { eventsOf, makeBroker, nextEvent, type Options, readySession, reasonOf, settle } from "./support.ts"

const mebibyte = 1024 * 1024
const messageBytes = 50_000

// 2 MiB for received messages.
const limited: Options = { memoryLimit: 3 * mebibyte, queue: { bytes: mebibyte }, maximumPacketSize: mebibyte }
const inboundLimit = 2 * mebibyte
// What one read of the network brings when the bound is reached, and the message in it that has begun.
const oneRead = 256 * 1024

/** Messages from the server whose payloads begin with their numbers. */
const send = (broker: ScriptedBroker.Service, topic: string, count: number, qos: 0 | 1 | 2) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => `${index} `.padEnd(messageBytes, "x")),
    (payload) => broker.publish(topic, payload, { qos }),
    { discard: true }
  )

const numberOf = (text: string): number => Number(text.slice(0, text.indexOf(" ")))

const memory = (session: Session) => Effect.map(session.metrics, (metrics) => metrics.memory)

/** Until received messages take so much that reading waits. */
const untilFull = (session: Session) =>
  memory(session).pipe(Effect.delay("2 millis"), Effect.repeat({ until: ({ inbound }) => inbound > inboundLimit }))

describe.each([4, 5] as const)("the memory limit, version %s", (protocolVersion) => {
  it.live.each([1, 2] as const)(
    "holds back QoS %i messages of a slow consumer in the network, and nothing is lost",
    (qos) =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("tcp")
        const session = yield* readySession(broker, { ...limited, protocolVersion, receiveMaximum: 65_535 })
        const open = yield* Deferred.make<void>()
        let most = 0
        const { messages } = yield* session.subscription("t", { qos })
        const numbers = yield* messages.pipe(
          Stream.mapEffect((message) =>
            Effect.gen(function*() {
              yield* Deferred.await(open)
              most = Math.max(most, (yield* memory(session)).inbound)
              return numberOf(message.text)
            })
          ),
          Stream.take(200),
          Stream.runCollect,
          Effect.forkScoped
        )
        yield* send(broker, "t", 200, qos)
        yield* untilFull(session)
        most = (yield* memory(session)).inbound
        yield* Deferred.succeed(open, undefined)
        assert.deepStrictEqual(yield* Fiber.join(numbers), Array.from({ length: 200 }, (_, index) => index))
        assert.isBelow(most, inboundLimit + oneRead)
        yield* broker.awaitIdle
        assert.strictEqual((yield* memory(session)).inbound, 0)
        assert.lengthOf(broker.received("Connect"), 1)
      }),
    180_000
  )

  it.live("drops QoS 0 messages of the fullest stream, and none of others", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { ...limited, protocolVersion, log: "off" })
      const full = yield* session.subscription("full", { qos: 0 })
      const other = yield* session.subscription("other", { qos: 0 })
      yield* send(broker, "other", 5, 0)
      yield* send(broker, "full", 200, 0)
      yield* broker.publish("other", "5 ", { qos: 0 })
      // In the order in which the server has sent them.
      const others = yield* other.messages.pipe(Stream.take(6), Stream.runCollect)
      assert.deepStrictEqual(others.map(({ text }) => numberOf(text)), [0, 1, 2, 3, 4, 5])
      const kept = yield* full.messages.pipe(
        Stream.map(({ text }) => numberOf(text)),
        Stream.takeUntil((number) => number === 199),
        Stream.runCollect
      )
      yield* settle
      const { buffered, dropped } = yield* session.metrics
      assert.isAbove(dropped.streamOverflow, 100)
      assert.deepStrictEqual(kept, Array.from(kept, (_, index) => dropped.streamOverflow + index))
      assert.isBelow(buffered.highWater * messageBytes, 2 * inboundLimit)
    }), 180_000)

  it.live("drops nothing of streams that suspend: reading waits", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { ...limited, protocolVersion, onOverflow: "suspend", log: "off" })
      const { messages } = yield* session.subscription("t", { qos: 0 })
      yield* send(broker, "t", 200, 0)
      yield* untilFull(session)
      assert.isBelow((yield* memory(session)).inbound, inboundLimit + oneRead)
      const all = yield* messages.pipe(Stream.take(200), Stream.runCollect)
      assert.deepStrictEqual(all.map(({ text }) => numberOf(text)), Array.from({ length: 200 }, (_, index) => index))
    }), 180_000)

  it.live("says that reading waits for consumers, once it has for a second", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { ...limited, protocolVersion, receiveMaximum: 65_535, log: "off" })
      const events = yield* eventsOf(session)
      yield* session.subscription("t", { qos: 1 })
      yield* send(broker, "t", 200, 1)
      const { bytes, isClosing, limit } = yield* nextEvent(events, "MemoryLimitReached")
      assert.deepStrictEqual([limit, isClosing], [inboundLimit, false])
      assert.isAbove(bytes, inboundLimit)
    }), 180_000)

  it.live("holds back no acknowledgement of what the session itself publishes", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, { ...limited, protocolVersion, receiveMaximum: 65_535, log: "off" })
      yield* session.subscription("t", { qos: 1 })
      // More than fits, by less than the connection is ended for.
      yield* send(broker, "t", 46, 1)
      yield* untilFull(session)
      yield* session.publish("own", "x", { qos: 2 })
      assert.lengthOf(broker.received("Connect"), 1)
    }), 180_000)

  it.live(
    "ends the connection with 0x97 when what the session waits for lies behind too much",
    () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("tcp")
        const session = yield* readySession(broker, {
          ...limited,
          protocolVersion,
          receiveMaximum: 65_535,
          persistence: "none",
          reconnect: { enabled: false },
          log: "off"
        })
        const events = yield* eventsOf(session)
        yield* session.subscription("t", { qos: 1 })
        yield* send(broker, "t", 200, 1)
        yield* untilFull(session)
        const published = yield* Effect.forkScoped(reasonOf(session.publish("own", "x", { qos: 1 })))
        const event = yield* Effect.repeat(nextEvent(events, "MemoryLimitReached"), {
          until: ({ isClosing }) => isClosing
        })
        assert.isAbove(event.bytes, 1.25 * inboundLimit)
        assert.isBelow(event.bytes, 1.25 * inboundLimit + 2 * mebibyte)
        yield* nextEvent(events, "Disconnected")
        yield* Fiber.join(published)
        if (protocolVersion === 5) {
          assert.deepStrictEqual(broker.received("Disconnect").map(({ packet }) => packet.reasonCode), [0x97])
        }
      }),
    180_000
  )
})

describe("the memory limit", () => {
  it.live("counts the memory of properties, also of many small ones in a packet", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("tcp")
      const session = yield* readySession(broker, limited)
      yield* session.subscription("t", { qos: 1 })
      yield* broker.publish("t", "", {
        qos: 1,
        properties: { userProperties: Array.from({ length: 1000 }, () => ["", ""] as const) }
      })
      yield* memory(session).pipe(Effect.delay("2 millis"), Effect.repeat({ until: ({ inbound }) => inbound > 0 }))
      // 5 bytes each in the packet, and held as these.
      assert.isAbove((yield* memory(session)).inbound, 5000)
    }))

  it.live("counts queued messages and those that are not acknowledged", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { ...limited, clientId: "session" })
      yield* broker.stopReading("session")
      yield* session.enqueue("t", "x".repeat(messageBytes), { qos: 1 })
      assert.isAbove((yield* memory(session)).outbound, messageBytes)
      yield* broker.resumeReading("session")
      yield* broker.awaitUntil(() => broker.published.length === 1)
      yield* memory(session).pipe(Effect.delay("1 millis"), Effect.repeat({ until: ({ outbound }) => outbound === 0 }))
      const { inbound, limit } = yield* memory(session)
      assert.deepStrictEqual([inbound, limit], [0, 3 * mebibyte])
    }))
})
