import * as StoreRecord from "@effect-mqttx/core/StoreRecord"
import { assert, describe, it } from "@effect/vitest"
import { RecordChecksums } from "../src/internal/recordChecksums.ts"

const keys = [
  StoreRecord.outboundKey(0),
  StoreRecord.outboundKey(1),
  StoreRecord.outboundKey(Number.MAX_SAFE_INTEGER),
  // Keys that resemble those of outbound records, or would be the same number.
  "outbound/1",
  "outbound/00000000000000001",
  "outbound/000000000000000a",
  "outbound/9007199254740992",
  "outbound/9007199254740993",
  "outbound/-000000000000001",
  "inbound/0000000000000001",
  StoreRecord.inboundKey(1),
  StoreRecord.subscriptionKey("a/#"),
  "identity",
  ""
]

describe("the checksums of records", () => {
  it("are those of a Map, under any keys and for any checksum of 32 bits", () => {
    const checksums = new RecordChecksums()
    const model = new Map<string, number>()
    const values = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]
    const compare = () => {
      for (const key of keys) assert.strictEqual(checksums.get(key), model.get(key), key)
      assert.strictEqual(checksums.size, model.size)
      const found: Array<number> = []
      checksums.forEach((checksum) => found.push(checksum))
      assert.deepStrictEqual(found.sort(), Array.from(model.values()).sort())
    }
    keys.forEach((key, index) => {
      checksums.set(key, values[index % values.length]!)
      model.set(key, values[index % values.length]!)
      compare()
    })
    for (const key of keys) {
      checksums.set(key, 5)
      model.set(key, 5)
    }
    compare()
    for (const key of keys) {
      checksums.delete(key)
      model.delete(key)
      compare()
    }
  })
})
