import { MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
import * as MessagePack from "@effect-mqttx/msgpack/MessagePack"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"

const Reading = Schema.Struct({ celsius: Schema.Finite, at: Schema.DateFromString, raw: Schema.Uint8Array })
const reading: typeof Reading.Type = { celsius: 23.5, at: new Date(17), raw: new Uint8Array([0, 255]) }
const codec = MessagePack.codec(Reading)

describe("MessagePack", () => {
  it.effect("writes values through a schema and reads them back, bytes as bytes", () =>
    Effect.gen(function*() {
      const payload = yield* codec.encode(reading)
      assert.instanceOf(payload, Uint8Array)
      assert.deepStrictEqual(yield* codec.decode(payload as Uint8Array), reading)
    }))

  it.effect("says InvalidPayload for bytes that are no MessagePack, and for values that do not fit", () =>
    Effect.gen(function*() {
      const other = MessagePack.codec(Schema.Struct({ celsius: Schema.String }))
      const foreign = (yield* other.encode({ celsius: "warm" })) as Uint8Array
      for (const payload of [new Uint8Array([0xc1]), new Uint8Array(), foreign]) {
        assert.strictEqual((yield* Effect.flip(codec.decode(payload)))._tag, "InvalidPayload")
      }
    }))

  it("takes the content types that MessagePack goes by", () => {
    for (const type of ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack; v=1"]) {
      assert.isTrue(codec.accepts(type), type)
    }
    assert.isFalse(codec.accepts("application/json"))
  })

  it.effect("is announced on MQTT 5 by a typed topic", () =>
    Effect.gen(function*() {
      const session = yield* MqttSession.MqttSession
      const broker = yield* ScriptedBroker.ScriptedBroker
      const template = TopicTemplate.make("sensors/:room", codec)
      const { messages } = yield* template.subscription(session, { qos: 1 })
      yield* template.publish(session, { room: "kitchen" }, reading, { qos: 1 })
      const [received] = yield* messages.pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(received!.value, reading)
      const [published] = broker.published
      assert.strictEqual(published!.properties.contentType, "application/msgpack")
      assert.strictEqual(PayloadCodec.mismatch(codec, published!.properties, "required"), undefined)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] }).pipe(
          Layer.provideMerge(ScriptedBroker.layerMemory())
        )
      )
    ))
})
