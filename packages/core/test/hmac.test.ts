import { assert, describe, it } from "@effect/vitest"
import { createHmac } from "node:crypto"
import { hex, Hmac } from "../src/internal/sha256.ts"
import { seeded } from "./session/seeded.ts"

describe("HMAC with SHA-256", () => {
  const next = seeded(1)
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(next() * 256))

  it("is what Node makes of every length of key and message, in however many parts it comes", () => {
    for (const keyLength of [0, 1, 16, 63, 64, 65, 127, 128, 200]) {
      const key = bytes(keyLength)
      const hmac = new Hmac(key)
      for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 70_000]) {
        const message = bytes(length)
        const expected = createHmac("sha256", key).update(message).digest("hex")
        assert.strictEqual(hex(hmac.sign(message)), expected, `key of ${keyLength}, message of ${length} bytes`)
        for (let cuts = 1; cuts < 5; cuts++) {
          const places = Array.from({ length: cuts }, () => Math.floor(next() * (length + 1))).toSorted((a, b) => a - b)
          const parts = [0, ...places].map((from, index) => message.subarray(from, places[index] ?? length))
          assert.strictEqual(hex(hmac.sign(...parts)), expected, `key of ${keyLength}, parts at ${places.join(", ")}`)
        }
      }
    }
  })

  it("has the answer of RFC 4231, test case 2", () => {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value)
    assert.strictEqual(
      hex(new Hmac(text("Jefe")).sign(text("what do ya want for nothing?"))),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
  })
})
