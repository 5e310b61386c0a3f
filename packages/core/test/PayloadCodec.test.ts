import { PayloadCodec } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Schema, SchemaGetter } from "effect"

const Reading = Schema.Struct({ celsius: Schema.Finite, at: Schema.DateFromString })
const reading = { celsius: 21.5, at: new Date(0) }

const bytesOf = (text: string) => new TextEncoder().encode(text)
const refusal = <A, R>(effect: Effect.Effect<A, { readonly _tag: string; readonly detail: string }, R>) =>
  Effect.map(Effect.flip(effect), ({ _tag, detail }) => [_tag, detail])

describe("PayloadCodec", () => {
  it.effect("json goes through the schema in both directions", () =>
    Effect.gen(function*() {
      const codec = PayloadCodec.json(Reading)
      const payload = yield* codec.encode(reading)
      assert.strictEqual(payload, `{"celsius":21.5,"at":"1970-01-01T00:00:00.000Z"}`)
      assert.deepStrictEqual(yield* codec.decode(bytesOf(payload as string)), reading)
    }))

  it.effect("json refuses what is not UTF-8, not JSON, or not of the schema, and values that are not of the schema", () =>
    Effect.gen(function*() {
      const codec = PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
      const notTheFormat = ["InvalidPayload", "the payload is not UTF-8, or not of the format"]
      assert.deepStrictEqual(yield* refusal(codec.decode(new Uint8Array([0x22, 0xff, 0x22]))), notTheFormat)
      assert.deepStrictEqual(yield* refusal(codec.decode(bytesOf("{"))), notTheFormat)
      assert.deepStrictEqual(yield* refusal(codec.decode(new Uint8Array())), notTheFormat)
      assert.deepStrictEqual(yield* refusal(codec.decode(bytesOf(`{"celsius":"hot"}`))), [
        "InvalidPayload",
        "the payload does not fit the schema"
      ])
      assert.deepStrictEqual(yield* refusal(codec.encode({ celsius: Number.NaN })), [
        "InvalidPayload",
        "the value does not fit the schema"
      ])
    }))

  it.effect("json refuses a value that has no JSON", () =>
    Effect.gen(function*() {
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const codec = PayloadCodec.json(Schema.Unknown)
      assert.deepStrictEqual(yield* refusal(codec.encode(circular)), ["InvalidPayload", "the value cannot be written"])
      assert.deepStrictEqual(yield* refusal(codec.encode(undefined)), ["InvalidPayload", "the value cannot be written"])
    }))

  it.effect("text is the text itself, or what a schema makes of it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* PayloadCodec.text().encode("naïve"), "naïve")
      assert.strictEqual(yield* PayloadCodec.text().decode(bytesOf("\ufeffnaïve")), "\ufeffnaïve")
      const degrees = PayloadCodec.text(Schema.FiniteFromString)
      assert.strictEqual(yield* degrees.encode(21.5), "21.5")
      assert.strictEqual(yield* degrees.decode(bytesOf("21.5")), 21.5)
      assert.strictEqual((yield* refusal(degrees.decode(bytesOf("warm"))))[0], "InvalidPayload")
      assert.strictEqual((yield* refusal(PayloadCodec.text().decode(new Uint8Array([0xff]))))[0], "InvalidPayload")
    }))

  it.effect("bytes are the payload itself", () =>
    Effect.gen(function*() {
      const payload = new Uint8Array([0, 255])
      assert.strictEqual(yield* PayloadCodec.bytes.encode(payload), payload)
      assert.strictEqual(yield* PayloadCodec.bytes.decode(payload), payload)
    }))

  it.effect("a custom format may throw", () =>
    Effect.gen(function*() {
      const codec = PayloadCodec.make(Schema.Struct({ celsius: Schema.Finite }), {
        contentType: "application/x-celsius",
        encode: ({ celsius }) => new Uint8Array([celsius]),
        decode: (payload) => {
          if (payload.length !== 1) throw new Error("not one byte")
          return { celsius: payload[0] }
        }
      })
      assert.deepStrictEqual(yield* codec.encode({ celsius: 21 }), new Uint8Array([21]))
      assert.deepStrictEqual(yield* codec.decode(new Uint8Array([21])), { celsius: 21 })
      const error = yield* Effect.flip(codec.decode(new Uint8Array(2)))
      assert.strictEqual(error.detail, "the payload is not of the format")
      assert.strictEqual((error.cause as Error).message, "not one byte")
    }))

  it.effect("a schema may need services", () =>
    Effect.gen(function*() {
      class Offset extends Context.Service<Offset, number>()("test/Offset") {}
      const Shifted = Schema.Finite.pipe(Schema.decodeTo(Schema.Finite, {
        decode: SchemaGetter.transformEffect((value: number) => Effect.map(Effect.service(Offset), (by) => value + by)),
        encode: SchemaGetter.transformEffect((value: number) => Effect.map(Effect.service(Offset), (by) => value - by))
      }))
      const codec = PayloadCodec.json(Shifted)
      // @ts-expect-error the service is missing
      const incomplete: Effect.Effect<number, unknown> = codec.decode(bytesOf("1"))
      assert.isTrue(Effect.isEffect(incomplete))
      assert.strictEqual(yield* Effect.provideService(codec.decode(bytesOf("1")), Offset, 10), 11)
      assert.strictEqual(yield* Effect.provideService(codec.encode(11), Offset, 10), "1")
    }))

  it("says the content type and the payload format, for MQTT 5", () => {
    assert.deepStrictEqual(PayloadCodec.properties(PayloadCodec.json(Reading)), {
      payloadFormatIndicator: 1,
      contentType: "application/json"
    })
    assert.deepStrictEqual(PayloadCodec.properties(PayloadCodec.text()), {
      payloadFormatIndicator: 1,
      contentType: "text/plain"
    })
    assert.deepStrictEqual(PayloadCodec.properties(PayloadCodec.fromSchema(Schema.String)), {
      payloadFormatIndicator: 1
    })
    assert.deepStrictEqual(PayloadCodec.properties(PayloadCodec.bytes), {})
  })

  it("compares content types without their parameters and the case of letters", () => {
    const json = PayloadCodec.json(Reading)
    for (const type of ["application/json", "Application/JSON; charset=utf-8", "application/senml+json", "text/json"]) {
      assert.isUndefined(PayloadCodec.mismatch(json, { contentType: type }), type)
    }
    assert.strictEqual(
      PayloadCodec.mismatch(json, { contentType: "application/cbor" })?.detail,
      `the content type is "application/cbor", not "application/json"`
    )
    assert.isUndefined(PayloadCodec.mismatch(PayloadCodec.text(), { contentType: "text/csv" }))
    assert.isDefined(PayloadCodec.mismatch(PayloadCodec.text(), { contentType: "application/json" }))
    assert.isUndefined(PayloadCodec.mismatch(PayloadCodec.bytes, { contentType: "image/png" }))
  })

  it("a missing content type is refused only where it is required, and none is looked at where it is ignored", () => {
    const json = PayloadCodec.json(Reading)
    assert.isUndefined(PayloadCodec.mismatch(json, {}))
    assert.strictEqual(PayloadCodec.mismatch(json, {}, "required")?.detail, "the message has no content type")
    assert.isUndefined(PayloadCodec.mismatch(json, { contentType: "application/cbor" }, "ignore"))
  })

  it("a binary format refuses a payload that says it is text", () => {
    const binary = PayloadCodec.make(Schema.Unknown, {
      contentType: "application/cbor",
      encode: () => new Uint8Array(),
      decode: () => undefined
    })
    assert.isDefined(PayloadCodec.mismatch(binary, { payloadFormatIndicator: 1 }))
    assert.isUndefined(PayloadCodec.mismatch(binary, { payloadFormatIndicator: 0 }))
    assert.isUndefined(PayloadCodec.mismatch(PayloadCodec.bytes, { payloadFormatIndicator: 1 }))
    assert.isUndefined(PayloadCodec.mismatch(PayloadCodec.json(Reading), { payloadFormatIndicator: 0 }))
  })
})
