import { assert, it } from "@effect/vitest"
import { encode } from "../../src/internal/codec/encoder.ts"
import { makeDecoder } from "../../src/internal/codec/decoder.ts"
import { sizeOf } from "../../src/internal/codec/size.ts"
import type { Packet } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
it("smoke", () => {
  const packets: Array<Packet> = [
    { _tag: "Publish", topic: "a/b", payload: new Uint8Array([1,2,3]), qos: 1, retain: true, dup: true, packetIdentifier: 77, properties: { userProperties: [["a","b"],["a","c"]], subscriptionIdentifiers: [1, 300000], contentType: "héllo", responseTopic: "x/y", correlationData: new Uint8Array([9]) } },
    { _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: { receiveMaximum: 10, maximumQoS: 1, retainAvailable: false, assignedClientIdentifier: "abc" } },
    { _tag: "Puback", packetIdentifier: 5, reasonCode: 0x10, properties: Properties.none },
    { _tag: "Suback", packetIdentifier: 5, reasonCodes: [0x0, 0x80], properties: { reasonString: "no" } },
    { _tag: "Disconnect", reasonCode: 0x8e, properties: Properties.none }
  ]
  for (const p of packets) {
    const bytes = encode(p, 5)
    assert.strictEqual(bytes.length, sizeOf(p, 5))
    for (let n = 1; n < bytes.length; n++) {
      const d = makeDecoder({ role: "client", protocolVersion: 5, maximumPacketSize: 1000 })
      const out: Array<Packet> = []
      for (let i = 0; i < bytes.length; i += n) assert.isUndefined(d.push(bytes.subarray(i, i + n), out))
      assert.deepStrictEqual(out, [p])
    }
  }
})
