import { assert, describe, it } from "@effect/vitest"
import { encode, makeEncoder } from "../../src/internal/codec/encoder.ts"
import type { Publish } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import { decode, hex } from "./support.ts"

const publish: Publish = {
  _tag: "Publish",
  topic: "a",
  payload: new Uint8Array(0),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: Properties.none
}

// What no test of a part of the codec says in so many words.
describe("statements of the specification", () => {
  it("carries a topic name as UTF-8 of one to four bytes a character [MQTT3-3.3.2-1] [MQTT5-3.3.2-1]", () => {
    const topic = "a/\u00e9/\u20ac/\u{1f600}"
    const bytes = hex("00 0d  61 2f c3a9 2f e282ac 2f f09f9880")
    for (const version of [4, 5] as const) {
      const packet = { ...publish, topic }
      assert.deepStrictEqual(encode(packet, version).subarray(2, 17), bytes)
      assert.deepStrictEqual(decode(encode(packet, version), "client", version).packets, [packet])
    }
  })

  it("refuses to encode a response topic or content type that is not well-formed [MQTT5-3.3.2-13] [MQTT5-3.3.2-19]", () => {
    for (const bad of ["\ud800", "a/\udc00", "a\0"]) {
      for (const properties of [{ responseTopic: bad }, { contentType: bad }]) {
        const encoder = makeEncoder(5)
        assert.match(encoder.write({ ...publish, properties })?.detail ?? "nothing", /lone surrogate|U\+0000/)
        assert.deepStrictEqual(encoder.take(), [])
      }
    }
  })
})
