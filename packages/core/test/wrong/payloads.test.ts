/**
 * Payloads that are neither text nor a `Uint8Array`, at every door through which a payload comes in: bytes are sent as
 * they lie in memory, anything else is refused with `InvalidPayload`, and the session goes on.
 */
import {
  type MqttSession,
  PayloadCodec,
  Publication,
  RequestResponse,
  SessionManager,
  TopicTemplate
} from "@effect-mqttx/core"
import { isMqttError, type MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, References, Result, Schema, Stream } from "effect"
import { runInNewContext } from "node:vm"
import { makeSession, settle } from "../session/support.ts"

const buffer = (): ArrayBuffer => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer

const detached = <A extends ArrayBuffer>(given: A): A => {
  structuredClone(given, { transfer: [given] })
  return given
}

const detachedBytes = (): Uint8Array => {
  const bytes = new Uint8Array(buffer())
  detached(bytes.buffer as ArrayBuffer)
  return bytes
}

const detachedView = (): DataView => {
  const view = new DataView(buffer())
  detached(view.buffer as ArrayBuffer)
  return view
}

class Subclass extends Uint8Array {}

const shared = (): SharedArrayBuffer => {
  const memory = new SharedArrayBuffer(3)
  new Uint8Array(memory).set([7, 8, 9])
  return memory
}

/** What each value is sent as. */
const bytes: ReadonlyArray<readonly [string, () => unknown, ReadonlyArray<number>]> = [
  ["a text", () => "aü", [97, 195, 188]],
  ["an empty text", () => "", []],
  ["a Uint8Array", () => Uint8Array.of(1, 2), [1, 2]],
  ["an empty Uint8Array", () => new Uint8Array(0), []],
  ["a part of a Uint8Array", () => new Uint8Array(buffer(), 2, 3), [3, 4, 5]],
  ["a Buffer", () => Buffer.from([5, 6]), [5, 6]],
  ["a subclass", () => Subclass.of(1, 9), [1, 9]],
  ["a Uint8Array of another realm", () => runInNewContext("Uint8Array.of(4, 2)"), [4, 2]],
  ["a Uint8ClampedArray", () => Uint8ClampedArray.of(255, 1), [255, 1]],
  ["an Int8Array", () => Int8Array.of(-1, 1), [255, 1]],
  ["a Uint16Array", () => Uint16Array.of(0x0201, 0x0403), [1, 2, 3, 4]],
  ["a part of a Uint16Array", () => new Uint16Array(buffer(), 2, 2), [3, 4, 5, 6]],
  ["a Float64Array", () => Float64Array.of(1), [0, 0, 0, 0, 0, 0, 240, 63]],
  ["a BigInt64Array", () => BigInt64Array.of(-1n), [255, 255, 255, 255, 255, 255, 255, 255]],
  ["a DataView", () => new DataView(buffer(), 1, 3), [2, 3, 4]],
  ["an empty DataView", () => new DataView(new ArrayBuffer(0)), []],
  ["an ArrayBuffer", () => buffer(), [1, 2, 3, 4, 5, 6, 7, 8]],
  ["an ArrayBuffer of another realm", () => runInNewContext("Uint8Array.of(4, 2).buffer"), [4, 2]],
  ["a SharedArrayBuffer", shared, [7, 8, 9]],
  ["a Uint8Array of a SharedArrayBuffer", () => new Uint8Array(shared()), [7, 8, 9]]
]

const wrong: ReadonlyArray<readonly [string, () => unknown]> = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["a number", () => 5],
  ["NaN", () => Number.NaN],
  ["a bigint", () => 5n],
  ["a boolean", () => true],
  ["a symbol", () => Symbol("payload")],
  ["a function", () => () => "text"],
  ["an object", () => ({ celsius: 21.5 })],
  ["an object that says it has a length", () => ({ length: 3, 0: 1, 1: 2, 2: 3 })],
  ["an object without a prototype", () => Object.create(null)],
  ["an object that claims to be an ArrayBuffer", () => ({ [Symbol.toStringTag]: "ArrayBuffer", byteLength: 4 })],
  ["an object with the prototype of a Uint8Array", () => Object.create(Uint8Array.prototype)],
  ["an array", () => [1, 2, 3]],
  ["a Date", () => new Date(0)],
  ["a Map", () => new Map()],
  ["a boxed text", () => Object("text")],
  ["a promise", () => Promise.resolve("text")],
  ["an Effect", () => Effect.succeed("text")],
  ["a detached Uint8Array", detachedBytes],
  ["a detached DataView", detachedView],
  ["a detached ArrayBuffer", () => detached(buffer())],
  ["a Uint8Array whose buffer was moved to another thread", () => {
    const moved = new Uint8Array(buffer())
    structuredClone(moved.buffer, { transfer: [moved.buffer as ArrayBuffer] })
    return moved
  }]
]

type Door = (session: MqttSession.Session, payload: never) => Effect.Effect<unknown, MqttError>

/** A codec that does no work of its own: what is published is the value itself. */
const asIs: PayloadCodec.PayloadCodec<never> = {
  ...PayloadCodec.bytes,
  encode: Effect.succeed,
  decode: (payload) => Effect.succeed(payload as never)
}
const anything = TopicTemplate.make("door", asIs)

const doors: Readonly<Record<string, Door>> = {
  "publish QoS 0": (session, payload) => session.publish("door", payload, { qos: 0 }),
  "publish QoS 1": (session, payload) => session.publish("door", payload, { qos: 1 }),
  "publish QoS 2": (session, payload) => session.publish("door", payload, { qos: 2, properties: {} }),
  "enqueue": (session, payload) =>
    Effect.flatMap(session.enqueue("door", payload, { qos: 1 }), ({ acknowledged }) => acknowledged),
  "publishAll": (session, payload) => session.publishAll(Stream.make({ topic: "door", payload })),
  "sink": (session, payload) => Stream.run(Stream.make({ topic: "door", payload }), session.sink),
  "template.publish": (session, payload) => anything.publish(session, {}, payload),
  "template.enqueue": (session, payload) =>
    Effect.flatMap(anything.enqueue(session, {}, payload), ({ acknowledged }) => acknowledged),
  "template.outgoing": (session, payload) =>
    Effect.flatMap(anything.outgoing(session, {}, payload), (message) => session.publishAll(Stream.make(message))),
  "a template of bytes": (session, payload) =>
    TopicTemplate.make("door", PayloadCodec.bytes).publish(session, {}, payload)
}

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** What the broker got at the door. */
const arrived = (broker: ScriptedBroker.Service): ReadonlyArray<ReadonlyArray<number>> =>
  broker.published.filter(({ topic }) => topic === "door").map(({ payload }) => Array.from(payload))

const goesOn = (session: MqttSession.Session) =>
  Effect.gen(function*() {
    yield* session.publish("after", "1", { qos: 1 })
    assert.strictEqual((yield* session.status).state, "connected")
    assert.strictEqual((yield* session.metrics).reconnects, 0)
  })

describe.each([4, 5] as const)("payloads on version %s", (protocolVersion) => {
  describe.each(Object.entries(doors))("by %s", (_, door) => {
    it.effect("are sent by their bytes", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        const session = yield* makeSession(broker, { protocolVersion })
        for (const [name, make, expected] of bytes) {
          yield* broker.clearRecord
          yield* door(session, make() as never)
          yield* broker.awaitUntil(() => arrived(broker).length > 0)
          assert.deepStrictEqual(arrived(broker), [expected], name)
        }
      }))

    it.effect("are refused when they are invalid, and the session continues", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        const session = yield* makeSession(broker, { protocolVersion })
        yield* session.awaitReady
        for (const [name, make] of wrong) {
          const error = yield* Effect.flip(door(session, make() as never))
          assert.isTrue(isMqttError(error), name)
          assert.strictEqual(error.reason._tag, "InvalidPayload", name)
        }
        assert.deepStrictEqual(arrived(broker), [])
        yield* goesOn(session)
      }))
  })

  it.effect("are refused without a connection too, and nothing of them stays in the queue", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { protocolVersion })
      for (const [name, make] of wrong) {
        for (const door of Object.values(doors)) {
          const error = yield* Effect.flip(door(session, make() as never))
          assert.strictEqual(error.reason._tag, "InvalidPayload", name)
        }
      }
      assert.strictEqual((yield* session.metrics).queuedMessages, 0)
    }))

  it.effect("of a durable session never reach its store", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { protocolVersion, persistence: "durable" })
      for (const [name, make] of wrong) {
        const error = yield* Effect.flip(session.enqueue("door", make() as never, { qos: 1 }))
        assert.strictEqual(error.reason._tag, "InvalidPayload", name)
      }
      for (const [name, make, expected] of bytes) {
        yield* broker.clearRecord
        const { acknowledged } = yield* session.enqueue("door", make() as never, { qos: 1 })
        yield* acknowledged
        assert.deepStrictEqual(arrived(broker), [expected], name)
      }
      yield* goesOn(session)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("that a manager publishes are checked as well", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const manager = yield* Effect.provideService(SessionManager.make(), Transport.Transport, broker.transport)
      yield* manager.add({ name: "a", servers: [broker.url], protocolVersion })
      for (const [name, make] of wrong) {
        const one = yield* Effect.flip(manager.publishTo("a", "door", make() as never))
        assert.strictEqual(one.reason._tag, "InvalidPayload", name)
        const all = (yield* manager.publishToAll("door", make() as never)).get("a")!
        assert.isTrue(Result.isFailure(all) && all.failure.reason._tag === "InvalidPayload", name)
      }
    }))

  it.effect("of requests and answers fail the request, and the responder continues", () =>
    quietly(Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { protocolVersion })
      const ask = RequestResponse.template("ask", { request: asIs, response: PayloadCodec.text() })
      const answer = RequestResponse.template("answer", { request: PayloadCodec.text(), response: asIs })
      let value: unknown
      yield* Effect.forkScoped(ask.respond(session, () => Effect.succeed("fine")))
      yield* Effect.forkScoped(answer.respond(session, () => Effect.sync(() => value as never)))
      yield* settle
      for (const [name, make] of wrong) {
        const asked = yield* Effect.flip(ask.request(session, {}, make() as never))
        assert.strictEqual(asked.reason._tag, "InvalidPayload", name)
        value = make()
        const answered = yield* Effect.flip(answer.request(session, {}, "?"))
        assert.strictEqual(answered.reason._tag, "RequestFailed", name)
      }
      for (const [name, make, expected] of bytes) {
        assert.strictEqual(yield* ask.request(session, {}, make() as never), "fine", name)
        value = make()
        const given: Uint8Array = yield* answer.request(session, {}, "?")
        assert.deepStrictEqual(Array.from(given), expected, name)
      }
      yield* goesOn(session)
    })))
})

describe("a payload", () => {
  it.live("that enqueue has taken is its own copy, also of a Buffer and of correlation data", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker)
      const receipts = []
      for (const make of [(): Uint8Array => Uint8Array.of(1), (): Uint8Array => Buffer.from([1])]) {
        const payload = make()
        const correlationData = make()
        receipts.push(yield* session.enqueue("door", payload, { qos: 1, properties: { correlationData } }))
        receipts.push(yield* session.enqueue("door", payload.buffer.slice(0, 0), { qos: 1 }))
        payload[0] = correlationData[0] = 2
      }
      yield* broker.acceptNetwork
      const acknowledged = yield* Effect.forkScoped(Effect.forEach(receipts, (receipt) => receipt.acknowledged))
      yield* broker.awaitUntil(() => broker.published.length === 4)
      yield* Fiber.join(acknowledged)
      assert.deepStrictEqual(
        broker.published.map(({ payload, properties }) => [
          Array.from(payload),
          properties.correlationData && Array.from(properties.correlationData)
        ]),
        [[[1], [1]], [[], undefined], [[1], [1]], [[], undefined]]
      )
    }))

  it.effect("that is larger than a packet can be is refused, connected or not, in every form", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker)
      const most = 268_435_455
      const tooLarge = [new Uint8Array(most + 1), new ArrayBuffer(most + 1), "x".repeat(most + 1)]
      for (const payload of tooLarge) {
        const error = yield* Effect.flip(session.publish("a", payload))
        assert.strictEqual(error.reason._tag, "PacketTooLarge")
      }
      // The topic and the properties count: this is one byte too much.
      const full = new Uint8Array(most - 2 - 1 - 2 - 1)
      const exact = yield* Effect.exit(Effect.timeoutOption(session.publish("a", full, { qos: 1, timeout: 0 }), 0))
      assert.isTrue(Exit.isFailure(exact) || exact.value._tag === "None")
      const over = yield* Effect.flip(session.publish("ab", full, { qos: 1 }))
      assert.strictEqual(over.reason._tag, "PacketTooLarge")
      const withProperties = yield* Effect.flip(
        session.publish("a", full, { qos: 1, properties: { userProperties: [["a", "b"]] } })
      )
      assert.strictEqual(withProperties.reason._tag, "PacketTooLarge")
    }))

  it.effect("that a format makes of a value is checked where it is made", () =>
    Effect.gen(function*() {
      for (const [name, make] of wrong) {
        const codec = PayloadCodec.make(Schema.String, { encode: () => make() as never, decode: () => "" })
        assert.strictEqual((yield* Effect.flip(codec.encode("x")))._tag, "InvalidPayload", name)
      }
    }))

  it("is turned into bytes by a function of its own", () => {
    for (const [name, make, expected] of bytes) {
      assert.deepStrictEqual(Array.from(Result.getOrThrow(Publication.toBytes(make() as never))), expected, name)
    }
    for (const [name, make] of wrong) {
      const result = Publication.toBytes(make() as never)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidPayload", name)
    }
  })

  it("of a will is text or bytes, or an issue of the options", () => {
    const will = (payload: unknown) =>
      SessionOptions.decode({ name: "a", servers: "b", will: { topic: "gone", payload } })
    for (const [name, make, expected] of bytes) {
      const options = Result.getOrThrow(will(make()))
      assert.deepStrictEqual(Array.from(options.will!.payload), expected, name)
    }
    for (const [name, make] of wrong) {
      const result = will(make())
      if (Result.isSuccess(result) || result.failure.reason._tag !== "InvalidOptions") assert.fail(name)
      else for (const { path } of result.failure.reason.issues) assert.match(path, /^will\.payload(\.|$)/, name)
    }
  })

  it("that is refused is named by its kind, and never shown", () => {
    const message = (payload: unknown): string => {
      const result = Publication.toBytes(payload as never)
      return Result.isFailure(result) ? result.failure.message : ""
    }
    assert.include(message({ password: "hunter2" }), "expected text or bytes, got an object")
    assert.include(message(["hunter2"]), "got an array")
    assert.include(message(new Date()), "got a Date")
    assert.include(message(null), "got null")
    assert.include(message(detachedBytes()), "detached")
    assert.notInclude(message({ password: "hunter2" }) + message(["hunter2"]), "hunter2")
  })

  it.effect("that the broker itself shall publish is checked before anything happens to it", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      for (const [name, make, expected] of bytes) {
        const { message } = yield* broker.publish("door", make() as never)
        assert.deepStrictEqual(Array.from(message.payload), expected, name)
      }
      for (const [name, make] of wrong) {
        const exit = yield* Effect.exit(broker.publish("door", make() as never))
        assert.include(String(Exit.isFailure(exit) && exit.cause), "invalid payload", name)
      }
      const exit = yield* Effect.exit(broker.publish("a/#", "1"))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "invalid topic name")
    }))
})
