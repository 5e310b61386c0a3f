import { Message, MqttError } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"

const Reading = Schema.fromJsonString(Schema.Struct({ celsius: Schema.Finite }))

const make = (payload: Uint8Array, acknowledger?: Message.Acknowledger) =>
  new Message.Message({
    topic: "sensors/room1",
    payload,
    qos: 1,
    retain: false,
    dup: true,
    properties: { correlationData: new Uint8Array([1, 2]), contentType: "application/json" },
    session: "plant",
    receivedAt: 17
  }, acknowledger)

const bytes = (text: string) => new TextEncoder().encode(text)

describe("Message", () => {
  it("gives the payload as text, and a replacement character where it is not UTF-8", () => {
    assert.strictEqual(make(bytes("grün")).text, "grün")
    assert.strictEqual(make(new Uint8Array([0x61, 0xff])).text, "a\ufffd")
  })

  it("keeps a byte order mark, which is part of the payload", () => {
    assert.strictEqual(make(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).text, "\ufeffa")
  })

  it.effect("decodes the payload through a schema", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* make(bytes("{\"celsius\":23.5}")).decode(Reading), { celsius: 23.5 })
    }))

  it.effect("fails with InvalidPayload for a payload that does not fit, and names session and topic", () =>
    Effect.gen(function*() {
      for (const payload of [bytes("{\"celsius\":\"warm\"}"), bytes("{"), new Uint8Array([0xff])]) {
        const error = yield* Effect.flip(make(payload).decode(Reading))
        assert.instanceOf(error, MqttError.MqttError)
        assert.strictEqual(error.reason._tag, "InvalidPayload")
        assert.strictEqual(error.session, "plant")
        assert.strictEqual(error.topic, "sensors/room1")
      }
    }))

  it("copies payload and correlation data away from the network's buffer", () => {
    const buffer = bytes("....23.5....")
    const message = make(buffer.subarray(4, 8))
    const copy = message.copy()
    buffer.fill(0)
    assert.strictEqual(copy.text, "23.5")
    assert.strictEqual(copy.payload.buffer.byteLength, 4)
    assert.notStrictEqual(copy.properties.correlationData, message.properties.correlationData)
    assert.deepStrictEqual(
      { ...copy.properties },
      { correlationData: new Uint8Array([1, 2]), contentType: "application/json" }
    )
    assert.deepStrictEqual([copy.topic, copy.qos, copy.dup, copy.session, copy.receivedAt], [
      "sensors/room1",
      1,
      true,
      "plant",
      17
    ])
  })

  it.effect("hands its acknowledgement to the consumer that takes it, also as a copy, and does nothing without one", () =>
    Effect.gen(function*() {
      const acknowledged: Array<Message.Message> = []
      const message = make(bytes("1"), { acknowledge: (each) => acknowledged.push(each) })
      yield* message.ack
      yield* message.copy().ack
      assert.strictEqual(acknowledged.length, 2)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(make(bytes("1")).ack)))
    }))
})
