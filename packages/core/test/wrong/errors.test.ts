/**
 * What errors look like and what they tell: names, texts, records of JSON, fields with their paths, and never a value.
 */
import {
  Message,
  PayloadCodec,
  RequestResponse,
  RouteTransformer,
  SessionManager,
  TopicTemplate
} from "@effect-mqttx/core"
import * as MqttError from "@effect-mqttx/core/MqttError"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, References, Schema, Stream } from "effect"
import { inspect } from "node:util"
import { makeSession, settle } from "../session/support.ts"

const socketError = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1883"), { code: "ECONNREFUSED" })

const refused = new MqttError.MqttError({
  reason: new MqttError.ConnectionRefused({ server: "mqtt://a:1883", code: "ECONNREFUSED", cause: socketError }),
  session: "plant",
  method: "publish",
  topic: "a/b"
})

const full = new MqttError.MqttError({ reason: new MqttError.QueueFull({ messages: 5, bytes: 6 }), session: "plant" })

const text = "plant.publish a/b: no connection to mqtt://a:1883: connect ECONNREFUSED 127.0.0.1:1883"

describe("an error prints", () => {
  it("under its own name, as a text and on its stack", () => {
    assert.strictEqual(refused.name, "MqttError")
    assert.strictEqual(String(refused), `MqttError: ${text}`)
    assert.isTrue(refused.stack!.startsWith(`MqttError: ${text}\n`))
    assert.strictEqual(String(full.reason), "QueueFull: the queue is full with 5 messages and 6 bytes")
    assert.strictEqual(
      String(full.withSession("other")),
      "MqttError: other: the queue is full with 5 messages and 6 bytes"
    )
  })

  it("with its message and its fields on the console, nested too", () => {
    for (const shown of [inspect(refused), inspect({ error: refused }), inspect([refused])]) {
      assert.include(shown, `MqttError: ${text}\n`)
      assert.include(shown, "_tag: 'ConnectionRefused'")
      assert.include(shown, "server: 'mqtt://a:1883'")
      assert.include(shown, "[cause]': Error: connect ECONNREFUSED")
      assert.notInclude(shown, "~effect-mqttx")
      // Once, and not again for the reason.
      assert.lengthOf(shown.split("Error: connect ECONNREFUSED"), 2)
    }
    assert.match(
      inspect(full.reason),
      /^QueueFull: the queue is full with 5 messages and 6 bytes\n[^]*\{ messages: 5, bytes: 6 \}$/
    )
  })

  it("in a Cause, with the cause below it", () => {
    const pretty = Cause.pretty(Cause.fail(refused))
    assert.isTrue(pretty.startsWith(`MqttError: ${text}\n`))
    assert.include(pretty, "[cause]: Error: connect ECONNREFUSED")
    assert.isTrue(Cause.pretty(Cause.fail(full.reason)).startsWith("QueueFull: the queue is full"))
  })

  it("as JSON with its message", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(refused)), {
      _tag: "MqttError",
      message: text,
      reason: { _tag: "ConnectionRefused", server: "mqtt://a:1883", code: "ECONNREFUSED" },
      session: "plant",
      method: "publish",
      topic: "a/b",
      cause: "Error: connect ECONNREFUSED 127.0.0.1:1883"
    })
    assert.deepStrictEqual(JSON.parse(JSON.stringify(full.reason)), {
      _tag: "QueueFull",
      message: "the queue is full with 5 messages and 6 bytes",
      messages: 5,
      bytes: 6
    })
  })

  it.effect("in logs of every form", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const formats = [Logger.formatSimple, Logger.formatLogFmt, Logger.formatJson]
      const loggers = formats.map((format) => Logger.map(format, (line) => lines.push(line)))
      yield* Effect.logError("failed", refused).pipe(Effect.provide(Logger.layer(loggers)))
      assert.lengthOf(lines, 3)
      for (const line of lines) {
        assert.include(line, "no connection to mqtt://a:1883")
        assert.notInclude(line, "~effect-mqttx")
      }
    }))

  it.each(MqttError.MqttErrorReason.members.map((reason) => [reason.identifier.split("/").at(-1)!, reason] as const))(
    "under the tag of its reason, here %s",
    (tag, reason) => {
      assert.strictEqual((reason.prototype as Error).name, tag)
    }
  )

  it("that says which sessions are not ready", () => {
    const error = new SessionManager.SessionsNotReady({
      failures: [{ session: "plant", state: "connecting", error: refused }]
    })
    assert.strictEqual(
      String(error),
      "SessionsNotReady: sessions that are not ready: plant (connecting): " +
        "no connection to mqtt://a:1883: connect ECONNREFUSED 127.0.0.1:1883"
    )
  })
})

const Reading = Schema.Struct({
  celsius: Schema.Finite,
  unit: Schema.Literals(["C", "F"]),
  key: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(20))),
  membership: Schema.Struct({ room: Schema.String.check(Schema.isPattern(/^[a-z]+$/)) }),
  tags: Schema.Array(Schema.String)
})

// Everything that is wrong says what it is, so that no text may have it.
const wrong = {
  celsius: "hunter2-celsius",
  unit: "hunter2-unit",
  key: "hunter2-key",
  membership: { room: "hunter2 room" },
  tags: ["ok", { hunter2: true }]
}

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const message = (payload: Uint8Array): Message.Message =>
  new Message.Message({
    topic: "a",
    payload,
    qos: 1,
    retain: false,
    dup: false,
    properties: {},
    session: "plant",
    receivedAt: 0
  })

/** Every form in which an error may end up somewhere. */
const allFormsOf = (error: unknown): string =>
  [
    inspect(error, { depth: 20 }),
    String(error),
    JSON.stringify(error),
    Cause.pretty(Cause.fail(error)),
    MqttError.isMqttError(error)
      ? JSON.stringify(Schema.encodeSync(Schema.toCodecJson(MqttError.MqttError))(error))
      : ""
  ].join("\n")

describe("a payload that does not fit its schema", () => {
  const codec = PayloadCodec.json(Reading)
  const readings = TopicTemplate.make("a", codec)

  const failures: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "a codec": codec.decode(bytes(wrong)),
    "a codec that encodes": codec.encode(wrong as never),
    "a template": readings.decode(message(bytes(wrong))),
    "Message.decode": message(bytes(wrong)).decode(Schema.fromJsonString(Reading))
  }

  it.effect.each(Object.entries(failures))(
    "names its field and what is expected there, by %s",
    ([name, failure]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(failure)
        const reason = MqttError.isMqttError(error) ? error.reason : error
        if (!(reason instanceof MqttError.InvalidPayload)) return assert.fail(String(reason))
        assert.strictEqual(reason.direction, name === "a codec that encodes" ? "sent" : "received")
        const [first] = reason.issues!
        assert.strictEqual(first!.path, "celsius")
        assert.match(first!.message, /^Expected/)
        assert.include(reason.message, "celsius: Expected")
        assert.notInclude(allFormsOf(error), "hunter2")
      })
  )

  it.effect("that is no JSON at all shows nothing of it", () =>
    Effect.gen(function*() {
      const texts = [
        "hunter2",
        "{\"password\": hunter2}",
        "{\"password\": \"hunter2",
        "hunter2hunter2hunter2hunter2",
        ""
      ]
      for (const given of texts) {
        const payload = new TextEncoder().encode(given)
        const transform = RouteTransformer.json("unit", "x").transform(message(payload))
        const all: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          codec.decode(payload),
          readings.decode(message(payload)),
          transform
        ]
        for (const failure of all) {
          const error = yield* Effect.flip(failure)
          assert.include(allFormsOf(error), "invalid payload")
          assert.notInclude(allFormsOf(error), "hunter2")
        }
      }
    }))

  it.effect("names every field where all are wanted, and no more than can be read", () =>
    Effect.gen(function*() {
      const many = PayloadCodec.json(Schema.Record(Schema.String, Schema.Number))
      const evil = `${"x".repeat(200)}\n\u001b[31mred`
      const error = yield* Effect.flip(many.decode(bytes({ [evil]: "hunter2" })))
      assert.lengthOf(error.issues!, 1)
      assert.isBelow(error.message.length, 250)
      assert.notInclude(error.message, "\n")
      assert.notInclude(error.message, "\u001b")
    }))

  it.effect("of a request is reported to the requester, by its field and without its values", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker)
      const strict = RequestResponse.template("read", { request: codec, response: PayloadCodec.json(Reading) })
      const loose = RequestResponse.template("read", {
        request: PayloadCodec.json(Schema.Unknown),
        response: PayloadCodec.json(Reading)
      })
      yield* Effect.forkScoped(strict.respond(session, ({ value }) => Effect.succeed(value)))
      yield* settle
      const asked = yield* Effect.flip(strict.request(session, {}, wrong as never))
      assert.include(asked.message, "celsius: Expected")
      const answered = yield* Effect.flip(loose.request(session, {}, wrong))
      assert.strictEqual(answered.reason._tag, "RequestFailed")
      assert.include(answered.message, "the responder could not read the request: invalid payload")
      assert.include(answered.message, "celsius: Expected")
      for (const error of [asked, answered]) assert.notInclude(allFormsOf(error), "hunter2")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
})

describe("a receipt", () => {
  it.effect("has what it says it has, and nothing of the machine behind it", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker)
      const codes: Array<number> = []
      for (const qos of [0, 1, 2] as const) {
        const receipt = yield* session.publish("a", "1", { qos })
        assert.hasAllKeys(receipt, ["reasonCode", "reasonString"])
        codes.push(receipt.reasonCode)
        const { acknowledged } = yield* session.enqueue("a", "1", { qos })
        assert.hasAllKeys(yield* acknowledged, ["reasonCode", "reasonString"])
      }
      // Nobody subscribes: the server says so.
      assert.deepStrictEqual(codes, [0, 0x10, 0x10])
    }))
})

describe("refused messages", () => {
  it.effect("are all counted, whatever refused them", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker, { maximumPacketSize: 100 })
      yield* session.awaitReady
      const attempts: ReadonlyArray<Effect.Effect<unknown, MqttError.MqttError>> = [
        session.publish("a/#", "1"),
        session.publish("", "1"),
        session.publish(5 as never, "1"),
        session.publish("a", {} as never),
        session.publish("a", "1", { qos: 3 } as never),
        session.enqueue("a/+", "1"),
        session.enqueue("a", null as never)
      ]
      for (const attempt of attempts) yield* Effect.flip(attempt)
      const { accepted, refused: counted } = (yield* session.metrics).published
      assert.deepStrictEqual(counted, { InvalidTopic: 4, InvalidPayload: 2, InvalidOptions: 1 })
      assert.strictEqual(accepted, 0)
      yield* session.drain
      yield* Effect.flip(session.publish("a", "1"))
      yield* Effect.flip(session.enqueue("a", "1"))
      assert.strictEqual((yield* session.metrics).published.refused.Closed, 2)
    }))

  it.effect("of a bulk are counted, and those that wait for room when the session ends", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { queue: { messages: 1 } })
      yield* Effect.flip(session.publishAll(Stream.make({ topic: "a/#", payload: "1" })))
      yield* Effect.flip(session.publishAll(Stream.make(null as never)))
      yield* Effect.flip(session.publishAll(Stream.make({ topic: "a", payload: "1", qos: 1 } as never)))
      yield* session.enqueue("a", "1")
      const waiting = yield* Effect.forkScoped(Effect.exit(session.publish("a", "2")), { startImmediately: true })
      yield* session.drain
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
      assert.deepStrictEqual((yield* session.metrics).published.refused, {
        InvalidTopic: 1,
        InvalidOptions: 2,
        Closed: 1
      })
    }))
})
