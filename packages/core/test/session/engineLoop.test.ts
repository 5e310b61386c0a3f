/**
 * What a session makes of the answers of `Connection.send`: a message is reported as sent only when the network has it.
 */
import { layerMemory, SessionStore } from "@effect-mqttx/core/SessionStore"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer } from "effect"
import type { Connection, SendResult } from "../../src/internal/connection/contract.ts"
import type { Outbound } from "../../src/internal/engine/contract.ts"
import { makeEngine } from "../../src/internal/engine/engine.ts"
import type { ConsumerQueue } from "../../src/internal/session/consumerQueue.ts"
import { EngineLoop } from "../../src/internal/session/engineLoop.ts"
import { Closed } from "../../src/MqttError.ts"
import type { Connack, Connect, Packet } from "../../src/Packet.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"
import type { SessionStoreHandle } from "../../src/SessionStore.ts"
import { ack, connack, consumerRequest, engineOptions, request, suback, word } from "../engine/harness.ts"
import { settle } from "./support.ts"

const connect: Connect = {
  _tag: "Connect",
  protocolVersion: 5,
  clientId: "test",
  cleanStart: false,
  keepAlive: 0,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: {}
}

const notSent = (sent = 0): SendResult => ({ _tag: "NotSent", sent, failure: undefined })

/** A connection whose answers are scripted; `Sent` when nothing is. */
class FakeConnection implements Connection {
  readonly connack = connack(false) as Connack
  readonly keepAlive = 0
  readonly certificates = []
  readonly counters = { bytesSent: 0, bytesReceived: 0, packetsSent: 0, packetsReceived: 0 }
  readonly asked: Array<ReadonlyArray<string>> = []
  answer: (packets: ReadonlyArray<Packet>) => SendResult = () => ({ _tag: "Sent" })

  send(packets: ReadonlyArray<Packet>): SendResult {
    this.asked.push(packets.map(word))
    return this.answer(packets)
  }

  reauthenticate(): Effect.Effect<void> {
    return Effect.void
  }

  pause(): void {}
  resume(): void {}
  close(): Effect.Effect<void> {
    return Effect.void
  }
}

interface World {
  readonly engineLoop: EngineLoop
  /** How messages ended: the topic, and the reason if they failed. */
  readonly ends: Array<string>
  readonly connected: (sessionPresent?: boolean) => FakeConnection
  readonly publish: (topic: string, qos?: QoS) => void
}

const make = Effect.fnUntraced(function*(version: ProtocolVersion, store?: SessionStoreHandle) {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const ends: Array<string> = []
  const nothing = (): void => {}
  const engineLoop: EngineLoop = new EngineLoop({
    session: "test",
    engine: makeEngine(engineOptions({ protocolVersion: version, durable: store !== undefined })),
    store,
    onStorageFailure: "wait",
    inboundLimit: 64 * 1024 * 1024,
    clock,
    fibers: { fork },
    handlers: {
      onEvent: nothing,
      onConsumer: nothing,
      onSpace: nothing,
      onTurn: nothing,
      onStorage: nothing,
      onStorageLost: nothing,
      onOverflow: nothing,
      onReadingStalled: nothing,
      onMemoryExceeded: nothing,
      onDefect: (cause) => ends.push(String(cause))
    }
  })
  const owner = {
    onAccepted: undefined,
    onSettled: ({ outcome, request: { topic } }: Outbound): void => {
      ends.push(outcome?._tag === "Failed" ? `${topic} ${outcome.reason._tag}` : topic)
    }
  }
  const world: World = {
    engineLoop,
    ends,
    connected: (sessionPresent = false) => {
      engineLoop.opening({ ...connect, protocolVersion: version })
      engineLoop.receive([connack(sessionPresent)])
      const connection = new FakeConnection()
      engineLoop.attach(connection)
      return connection
    },
    publish: (topic, qos = 0) => {
      const admission = engineLoop.publish(request(topic, qos))
      if (admission._tag === "Accepted") admission.outbound.owner = owner
    }
  }
  return world
})

const openStore = Effect.flatMap(
  Layer.build(Layer.fresh(layerMemory)),
  (context) => Context.get(context, SessionStore).open("test")
)

describe.each([[4, false], [4, true], [5, false], [5, true]] as const)(
  "version %s, durable: %s",
  (version, durable) => {
    const world = Effect.suspend(() =>
      durable ? Effect.flatMap(openStore, (store) => make(version, store)) : make(version)
    )

    it.effect("a QoS 0 message that was not sent has no outcome, and is sent once by the next connection", () =>
      Effect.gen(function*() {
        const { connected, engineLoop, ends, publish } = yield* world
        const closing = connected()
        closing.answer = () => notSent()
        publish("a")
        publish("b")
        yield* settle
        assert.deepStrictEqual(ends, [])
        // Turns between the refusal and the end of the connection lose nothing either.
        publish("c")
        yield* settle
        publish("d")
        yield* settle
        assert.deepStrictEqual(ends, [])
        assert.deepStrictEqual(closing.asked, [["PUBLISH0 0 a", "PUBLISH0 0 b"]])
        engineLoop.detach()
        yield* settle
        assert.strictEqual(engineLoop.stats.queuedMessages, 4)
        const next = connected(true)
        yield* settle
        assert.deepStrictEqual(next.asked, [["a", "b", "c", "d"].map((topic) => `PUBLISH0 0 ${topic}`)])
        assert.deepStrictEqual(ends, ["a", "b", "c", "d"])
        assert.strictEqual(engineLoop.stats.queuedMessages, 0)
      }))

    it.effect("of a batch that was sent in part, what left is settled and the rest is queued again", () =>
      Effect.gen(function*() {
        const { connected, engineLoop, ends, publish } = yield* world
        const closing = connected()
        closing.answer = () => notSent(3)
        publish("a")
        publish("b", 1)
        publish("c")
        publish("d")
        publish("e", 1)
        yield* settle
        assert.deepStrictEqual(ends, ["a", "c"])
        engineLoop.detach()
        const next = connected(true)
        yield* settle
        // QoS 1 has a packet identifier that the server may know; QoS 0 goes out for the first time.
        assert.deepStrictEqual(next.asked, [["PUBLISH*1 1 b", "PUBLISH*1 2 e", "PUBLISH0 0 d"]])
        assert.deepStrictEqual(ends, ["a", "c", "d"])
        engineLoop.receive([ack("Puback", 1), ack("Puback", 2)])
        yield* settle
        assert.deepStrictEqual(ends, ["a", "c", "d", "b", "e"])
      }))

    for (const qos of [0, 1, 2] as const) {
      it.effect(`a QoS ${qos} message that cannot be encoded fails, and ends no other connection`, () =>
        Effect.gen(function*() {
          const { connected, engineLoop, ends, publish } = yield* world
          const closing = connected()
          closing.answer = () => ({ _tag: "NotSent", sent: 1, failure: { packet: "Publish", detail: "no topic" } })
          publish("a")
          publish("b", qos)
          publish("c")
          yield* settle
          engineLoop.detach()
          yield* settle
          assert.deepStrictEqual(ends, ["a", "b Unexpected"])
          assert.strictEqual(engineLoop.stats.inflight, 0)
          const next = connected(true)
          yield* settle
          assert.deepStrictEqual(next.asked, [["PUBLISH0 0 c"]])
          assert.deepStrictEqual(ends.slice(2), ["c"])
        }))
    }

    it.effect("what a congested network has taken is settled, and new messages wait until it is writable", () =>
      Effect.gen(function*() {
        const { connected, engineLoop, ends, publish } = yield* world
        const connection = connected()
        connection.answer = () => ({ _tag: "Congested" })
        publish("a")
        yield* settle
        assert.deepStrictEqual(ends, ["a"])
        publish("b")
        yield* settle
        assert.deepStrictEqual(ends, ["a"])
        engineLoop.writable()
        yield* settle
        assert.deepStrictEqual(connection.asked, [["PUBLISH0 0 a"], ["PUBLISH0 0 b"]])
        assert.deepStrictEqual(ends, ["a", "b"])
      }))

    it.effect("what was not sent and never will be fails when the session ends", () =>
      Effect.gen(function*() {
        const { connected, engineLoop, ends, publish } = yield* world
        connected().answer = () => notSent()
        publish("a")
        yield* settle
        publish("b")
        engineLoop.end(new Closed())
        yield* settle
        engineLoop.detach()
        yield* settle
        assert.sameMembers(ends, ["a Closed", "b Closed"])
      }))
  }
)

it.effect("a queued QoS 0 message that waits for a commit fails when the session ends", () =>
  Effect.gen(function*() {
    const store = yield* openStore
    let hangs = false
    const { connected, engineLoop, ends, publish } = yield* make(5, {
      ...store,
      commit: (changes) => hangs ? Effect.never : store.commit(changes)
    })
    publish("a")
    yield* settle
    hangs = true
    publish("b", 1)
    yield* settle
    const connection = connected()
    yield* settle
    engineLoop.end(new Closed())
    yield* settle
    assert.deepStrictEqual(connection.asked, [])
    assert.sameMembers(ends.filter((end) => end.startsWith("a")), ["a Closed"])
  }))

describe("an attempt to connect that ended without CONNACK", () => {
  const counters = { bytesSent: 0, bytesReceived: 0, packetsSent: 0, packetsReceived: 0 }
  const attempts = (bytesSent: number) =>
    Effect.gen(function*() {
      const { connected, engineLoop } = yield* make(5)
      const queue = { purgeStale: () => {} } as unknown as ConsumerQueue
      engineLoop.addConsumer(consumerRequest("t", { retained: "none" }), queue)
      const first = connected()
      yield* settle
      assert.deepStrictEqual(first.asked, [["SUBSCRIBE 1 t:2"]])
      engineLoop.receive([suback(1, 2)])
      engineLoop.detach()
      engineLoop.opening(connect)
      engineLoop.current.gone({ ...counters, bytesSent })
      engineLoop.detach()
      const second = connected(true)
      yield* settle
      return second.asked
    })

  it.effect("may have begun a new session at the server if it sent something: subscriptions are asked for again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* attempts(20), [["SUBSCRIBE 2 t:2"]])
    }))

  it.effect("changes nothing if the server was not reached", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* attempts(0), [])
    }))
})
