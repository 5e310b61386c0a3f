import { assert, describe, it } from "@effect/vitest"
import * as ReasonCode from "../src/ReasonCode.ts"

const codes = (text: string): ReadonlyArray<number> => text.split(" ").map((code) => Number.parseInt(code, 16))

// The tables of MQTT 5.0 sections 3.2.2.2, 3.4.2.1, 3.6.2.1, 3.9.3, 3.11.3, 3.14.2.1 (and 0x8C of 2.4), 3.15.2.1.
const tables: Record<ReasonCode.PacketTag, ReadonlyArray<number>> = {
  Connack: codes("00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"),
  Puback: codes("00 10 80 83 87 90 91 97 99"),
  Pubrec: codes("00 10 80 83 87 90 91 97 99"),
  Pubrel: codes("00 92"),
  Pubcomp: codes("00 92"),
  Suback: codes("00 01 02 80 83 87 8f 91 97 9e a1 a2"),
  Unsuback: codes("00 11 80 83 87 8f 91"),
  Disconnect: codes(
    "00 04 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"
  ),
  Auth: codes("00 18 19")
}

const allowedIn = (tag: ReasonCode.PacketTag, version?: 4 | 5) =>
  Array.from({ length: 300 }, (_, code) => code).filter((code) => ReasonCode.isAllowed(tag, code, version))

describe("ReasonCode", () => {
  it.each(Object.entries(tables))("allows in %s exactly the codes of its table", (tag, expected) => {
    assert.deepEqual(allowedIn(tag as ReasonCode.PacketTag), expected)
  })

  it("allows on 3.1.1 the return codes of CONNACK and the return codes of SUBACK only", () => {
    assert.deepEqual(allowedIn("Connack", 4), [0, 1, 2, 3, 4, 5])
    assert.deepEqual(allowedIn("Suback", 4), [0, 1, 2, 0x80])
    assert.deepEqual(allowedIn("Puback", 4), [0])
  })

  it("lists each code once, with its flags consistent", () => {
    assert.strictEqual(new Set(ReasonCode.all.map((reason) => reason.code)).size, ReasonCode.all.length)
    assert.strictEqual(ReasonCode.all.length, 43)
    for (const reason of ReasonCode.all) {
      assert.strictEqual(reason.isError, ReasonCode.isError(reason.code))
      assert.strictEqual(ReasonCode.get(reason.code), reason)
      if (!reason.isError) {
        assert.isTrue(reason.isRetryable)
      }
    }
  })

  it("calls code 0 what the packet type calls it", () => {
    assert.strictEqual(ReasonCode.describe(0, "Puback"), "Success (0x00)")
    assert.strictEqual(ReasonCode.describe(0, "Disconnect"), "Normal disconnection (0x00)")
    assert.strictEqual(ReasonCode.describe(0, "Suback"), "Granted QoS 0 (0x00)")
  })

  it("takes 1 to 5 as return codes in CONNACK only", () => {
    assert.strictEqual(
      ReasonCode.describe(5, "Connack"),
      "Connection Refused, not authorized (0x05)"
    )
    assert.strictEqual(ReasonCode.describe(1, "Suback"), "Granted QoS 1 (0x01)")
    assert.isTrue(ReasonCode.isRetryable(3, "Connack"))
    assert.isFalse(ReasonCode.isRetryable(4, "Connack"))
  })

  it("describes a code that is not defined", () => {
    assert.strictEqual(ReasonCode.describe(0xee), "Unknown reason code (0xee)")
    assert.isTrue(ReasonCode.isRetryable(0xee))
  })

  it("translates return codes of 3.1.1 to reason codes of 5", () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6].map(ReasonCode.fromReturnCode), [0, 0x84, 0x85, 0x88, 0x86, 0x87, 0x80])
  })

  it("agrees between a return code and the reason code it translates to", () => {
    for (const { code, isRetryable } of ReasonCode.allReturnCodes) {
      assert.strictEqual(isRetryable, ReasonCode.isRetryable(ReasonCode.fromReturnCode(code)))
    }
  })
})
