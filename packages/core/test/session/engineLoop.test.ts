/**
 * What a session makes of the answers of `Connection.send`: a message is reported as sent only when the network has it.
 */
import { layerMemory, SessionStore } from "@effect-mqttx/core/SessionStore"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Layer } from "effect"
import type { Appender, Connection, SendResult } from "../../src/internal/connection/contract.ts"
import type { Outbound, PublishRequest } from "../../src/internal/engine/contract.ts"
import { makeEngine } from "../../src/internal/engine/engine.ts"
import type { ConsumerQueue } from "../../src/internal/session/consumerQueue.ts"
import { EngineLoop } from "../../src/internal/session/engineLoop.ts"
import type { SessionFailures } from "../../src/internal/session/failureLedger.ts"
import type { Lifecycle } from "../../src/internal/session/lifecycle.ts"
import { Closed } from "../../src/MqttError.ts"
import type { Connack, Connect, Packet, Publish } from "../../src/Packet.ts"
import type { ConnackProperties } from "../../src/Properties.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"
import type { PublishedMessages } from "../../src/SessionStatus.ts"
import type { SessionStoreHandle } from "../../src/SessionStore.ts"
import { ack, bytes, connack, consumerRequest, engineOptions, request, suback, word } from "../engine/harness.ts"
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
  /** Appended packets that no `send` has taken. */
  appended: Array<Publish> = []
  canAppend = true
  answer: (packets: ReadonlyArray<Packet>) => SendResult = () => ({ _tag: "Sent" })

  send(packets: ReadonlyArray<Packet>): SendResult {
    this.asked.push([...this.appended, ...packets].map(word))
    const answer = this.answer(packets)
    if (answer._tag !== "NotSent") this.appended = []
    return answer
  }

  readonly sender: Appender = new FakeAppender(this)

  reauthenticate(): Effect.Effect<void> {
    return Effect.void
  }

  pause(): void {}
  resume(): void {}
  close(): Effect.Effect<void> {
    return Effect.void
  }
}

class FakeAppender implements Appender {
  readonly #connection: FakeConnection

  constructor(connection: FakeConnection) {
    this.#connection = connection
  }

  append(packet: Publish): boolean {
    if (this.#connection.canAppend) this.#connection.appended.push(packet)
    return this.#connection.canAppend
  }

  get appendedBytes(): number {
    return this.#connection.appended.reduce((bytes, { payload }) => bytes + payload.length, 0)
  }

  get unsent(): ReadonlyArray<Publish> {
    return this.#connection.appended
  }
}

interface World {
  readonly engineLoop: EngineLoop
  /** How messages ended: the topic, and the reason if they failed. */
  readonly ends: Array<string>
  readonly connected: (sessionPresent?: boolean, limits?: ConnackProperties) => FakeConnection
  readonly publish: (topic: string, qos?: QoS) => void
  /** Whether the message needs no outcome. */
  readonly direct: (topic: string, options?: Partial<PublishRequest>) => boolean
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
      onEvent: (event) => {
        if (event._tag === "OrphanFailed") ends.push(`${event.topic} ${event.reason._tag} without an owner`)
      },
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
    connected: (sessionPresent = false, limits) => {
      engineLoop.opening({ ...connect, protocolVersion: version })
      engineLoop.receive([connack(sessionPresent, limits)])
      const connection = new FakeConnection()
      engineLoop.attach(connection)
      return connection
    },
    publish: (topic, qos = 0) => {
      const admission = engineLoop.publish(request(topic, qos))
      if (admission._tag === "Accepted") admission.outbound.owner = owner
    },
    direct: (topic, options) => engineLoop.directWrites.publish(request(topic, options?.qos ?? 0, options))
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

    it.effect("of a batch that was sent in part, the sent messages are settled and the others queued again", () =>
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

describe.each([4, 5] as const)("a read, version %s", (version) => {
  /** A world with one message on its way, and nothing else to do. */
  const waiting = (store?: SessionStoreHandle, onSettled?: (created: World) => void) =>
    Effect.gen(function*() {
      const created = yield* make(version, store)
      const connection = created.connected()
      const admission = created.engineLoop.publish(request("a", 1))
      assert(admission._tag === "Accepted")
      admission.outbound.owner = {
        onAccepted: undefined,
        onSettled: () => {
          created.ends.push("a")
          onSettled?.(created)
        }
      }
      yield* settle
      connection.asked.length = 0
      return { ...created, connection }
    })

  it.effect("is reported at once when it needs no write, and the turn's write has what follows from it", () =>
    Effect.gen(function*() {
      const { connection, ends, engineLoop } = yield* waiting(undefined, ({ publish }) => publish("b", 1))
      const before = engineLoop.flushes
      engineLoop.receive([ack("Puback", 1)])
      assert.deepStrictEqual(ends, ["a"])
      assert.deepStrictEqual(connection.asked, [])
      yield* settle
      assert.deepStrictEqual(connection.asked, [["PUBLISH1 2 b"]])
      assert.strictEqual(engineLoop.flushes, before + 1)
    }))

  it.effect("is followed by the fibers that it wakes, before the turn's write", () =>
    Effect.gen(function*() {
      const { connection, engineLoop } = yield* waiting(undefined, ({ publish }) => {
        publish("b", 1)
        // As the scheduler of fibers does.
        setImmediate(() => publish("c", 1))
      })
      engineLoop.receive([ack("Puback", 1)])
      yield* settle
      assert.deepStrictEqual(connection.asked, [["PUBLISH1 2 b", "PUBLISH1 3 c"]])
    }))

  it.effect("is reported after its write when it has one", () =>
    Effect.gen(function*() {
      const { connection, ends, engineLoop } = yield* waiting()
      // The answer to PUBREC is PUBREL.
      const admission = engineLoop.publish(request("b", 2))
      assert(admission._tag === "Accepted")
      yield* settle
      connection.asked.length = 0
      const order: Array<string> = []
      connection.answer = () => {
        order.push(`written after ${ends.length}`)
        return { _tag: "Sent" }
      }
      engineLoop.receive([ack("Pubrec", 2), ack("Puback", 1)])
      assert.deepStrictEqual(ends, [])
      yield* settle
      assert.deepStrictEqual(connection.asked, [["PUBREL 2"]])
      assert.deepStrictEqual(order, ["written after 0"])
      assert.deepStrictEqual(ends, ["a"])
    }))

  it.effect("of a durable session is reported after its commit", () =>
    Effect.gen(function*() {
      const { ends, engineLoop } = yield* waiting(yield* openStore)
      const before = engineLoop.commits
      engineLoop.receive([ack("Puback", 1)])
      assert.deepStrictEqual(ends, [])
      yield* settle
      assert.deepStrictEqual(ends, ["a"])
      assert.isAbove(engineLoop.commits, before)
    }))
})

const noLifecycle = { counts: {} } as unknown as Lifecycle
const noFailures = {} as SessionFailures

const accepted = ({ engineLoop }: World): PublishedMessages =>
  engineLoop.counters.metrics(engineLoop, noLifecycle, noFailures, 0).published

describe.each([[4, false], [4, true], [5, false], [5, true]] as const)(
  "direct publishes, version %s, durable: %s",
  (version, durable) => {
    const world = Effect.suspend(() =>
      durable ? Effect.flatMap(openStore, (store) => make(version, store)) : make(version)
    )

    /** A world whose connection has settled, so that nothing precedes what is published next. */
    const ready = Effect.gen(function*() {
      const created = yield* world
      const connection = created.connected()
      created.publish("first")
      yield* settle
      connection.asked.length = 0
      created.ends.length = 0
      return { ...created, connection }
    })

    it.effect("leave in the write of their turn, before what is published after them", () =>
      Effect.gen(function*() {
        const created = yield* ready
        const { connection, direct, ends, publish } = created
        assert.isTrue(direct("a"))
        assert.isTrue(direct("b"))
        publish("c", 1)
        // Behind the PUBLISH of QoS 1 it waits like every other message.
        assert.isFalse(direct("d"))
        publish("d")
        assert.deepStrictEqual(connection.asked, [])
        assert.strictEqual(accepted(created).pending, 4)
        yield* settle
        assert.deepStrictEqual(
          connection.asked.flat(),
          ["PUBLISH0 0 a", "PUBLISH0 0 b", "PUBLISH1 1 c", "PUBLISH0 0 d"]
        )
        // The changes of a durable session precede the packets that depend on them.
        assert.lengthOf(connection.asked, durable ? 2 : 1)
        assert.deepStrictEqual(ends, ["d"])
        assert.deepInclude(accepted(created), { accepted: 5, acknowledged: 4, pending: 1 })
      }))

    it.effect("are queued again when no write has taken them, and leave once, in their order, by the next connection", () =>
      Effect.gen(function*() {
        const created = yield* ready
        const { connected, connection, direct, ends, engineLoop, publish } = created
        connection.answer = () => notSent()
        assert.isTrue(direct("a", { payload: bytes("1") }))
        assert.isTrue(direct("b", { retain: true }))
        publish("c")
        yield* settle
        // The connection is broken: nothing is published on it.
        assert.isFalse(direct("d"))
        publish("d")
        yield* settle
        assert.deepStrictEqual(ends, [])
        engineLoop.detach()
        yield* settle
        assert.strictEqual(engineLoop.stats.queuedMessages, 4)
        assert.strictEqual(accepted(created).pending, 4)
        const next = connected(true)
        const sent: Array<Packet> = []
        next.answer = (packets) => {
          sent.push(...packets)
          return { _tag: "Sent" }
        }
        yield* settle
        assert.deepStrictEqual(next.asked, [["a", "b", "c", "d"].map((topic) => `PUBLISH0 0 ${topic}`)])
        assert.deepInclude(sent[0], { payload: bytes("1"), retain: false })
        assert.deepInclude(sent[1], { retain: true })
        assert.deepStrictEqual(ends, ["c", "d"])
        assert.deepInclude(accepted(created), { accepted: 5, acknowledged: 5, pending: 0 })
      }))

    it.effect("are queued again when the connection ends before the end of their turn", () =>
      Effect.gen(function*() {
        const { connected, connection, direct, engineLoop } = yield* ready
        direct("a")
        engineLoop.detach()
        yield* settle
        assert.deepStrictEqual(connection.asked, [])
        const next = connected(true)
        yield* settle
        assert.deepStrictEqual(next.asked, [["PUBLISH0 0 a"]])
      }))

    it.effect("of which a part has left: only the rest is queued again", () =>
      Effect.gen(function*() {
        const created = yield* ready
        const { connected, connection, direct, engineLoop } = created
        for (const topic of ["a", "b", "c"]) direct(topic)
        connection.answer = () => {
          connection.appended = connection.appended.slice(2)
          return notSent()
        }
        yield* settle
        engineLoop.detach()
        const next = connected(true)
        yield* settle
        assert.deepStrictEqual(next.asked, [["PUBLISH0 0 c"]])
        assert.deepInclude(accepted(created), { accepted: 4, acknowledged: 4, pending: 0 })
      }))

    it.effect("that are never sent are reported and counted as failed when the session ends", () =>
      Effect.gen(function*() {
        const created = yield* ready
        const { connection, direct, ends, engineLoop } = created
        connection.answer = () => notSent()
        direct("a")
        yield* settle
        engineLoop.end(new Closed())
        yield* settle
        engineLoop.detach()
        yield* settle
        assert.deepStrictEqual(ends, ["a Closed without an owner"])
        assert.deepInclude(accepted(created), { failed: { Closed: 1 }, pending: 0 })
      }))

    it.effect("leave before a connection is closed in order", () =>
      Effect.gen(function*() {
        const { connection, direct, engineLoop } = yield* ready
        direct("a")
        engineLoop.end(new Closed())
        assert.deepStrictEqual(connection.asked, [["PUBLISH0 0 a"]])
      }))

    it.effect("a turn with many of them writes before its end", () =>
      Effect.gen(function*() {
        const { connection, direct } = yield* ready
        const payload = new Uint8Array(1000)
        for (let i = 0; i < 100; i++) assert.isTrue(direct(`t${i}`, { payload }))
        assert.isAbove(connection.asked.length, 1)
        yield* settle
        assert.deepStrictEqual(connection.asked.flat(), Array.from({ length: 100 }, (_, i) => `PUBLISH0 0 t${i}`))
      }))

    it.effect("what has to wait is not published directly", () =>
      Effect.gen(function*() {
        const { connected, direct, engineLoop, publish } = yield* world
        assert.isFalse(direct("offline"))
        const live = connected()
        publish("first")
        yield* settle
        assert.isFalse(direct("a", { qos: 1 }))
        assert.isFalse(direct("a", { payload: new Uint8Array(4096) }), "it would be sent without a copy")
        assert.isFalse(direct("a", { expiresAfter: 1000 }))
        live.canAppend = false
        assert.isFalse(direct("a"), "the connection is closing")
        live.canAppend = true
        live.answer = () => ({ _tag: "Congested" })
        assert.isTrue(direct("b"))
        yield* settle
        assert.isFalse(direct("c"), "the network is congested")
        publish("c")
        engineLoop.writable()
        yield* settle
        assert.deepStrictEqual(live.asked, [["PUBLISH0 0 first"], ["PUBLISH0 0 b"], ["PUBLISH0 0 c"]])
      }))
  }
)

it.effect("a direct publish does not overtake what waits for a commit", () =>
  Effect.gen(function*() {
    const store = yield* openStore
    const committed = yield* Deferred.make<void>()
    let isSlow = false
    const { connected, direct, publish } = yield* make(5, {
      ...store,
      commit: (changes) => Effect.andThen(isSlow ? Deferred.await(committed) : Effect.void, store.commit(changes))
    })
    const connection = connected()
    publish("first")
    yield* settle
    isSlow = true
    publish("a", 1)
    yield* settle
    assert.isFalse(direct("b"))
    publish("b")
    yield* settle
    yield* Deferred.succeed(committed, undefined)
    yield* settle
    assert.deepStrictEqual(connection.asked.flat(), ["PUBLISH0 0 first", "PUBLISH1 1 a", "PUBLISH0 0 b"])
  }))

it.effect("a direct publish that is queued again has its topic, though its packet had only an alias", () =>
  Effect.gen(function*() {
    const { connected, direct, engineLoop, publish } = yield* make(5)
    const topic = "a/topic/that/is/long/enough"
    const limits = { topicAliasMaximum: 10 }
    const connection = connected(false, limits)
    publish("first")
    yield* settle
    direct(topic)
    direct(topic)
    yield* settle
    connection.answer = () => notSent()
    direct(topic)
    yield* settle
    assert.deepStrictEqual(connection.asked.slice(1), [
      [`PUBLISH0 0 ${topic}`, `PUBLISH0 0 ${topic}`],
      ["PUBLISH0 0 "]
    ])
    engineLoop.detach()
    const next = connected(true)
    yield* settle
    assert.deepStrictEqual(next.asked, [[`PUBLISH0 0 ${topic}`]])
  }))

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
