import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { findFault, isUtf8String, measureUtf8 } from "../src/internal/utf8String.ts"

const encoder = new TextEncoder()

/** Strings of ASCII, of two, three and four bytes, with wildcards, null characters and lone surrogates. */
const strings = Schema.Array(Schema.Literals(["a", "é", "€", "😀", "+", "#", "\0", "\ud800", "\udc00"]))

const invalid = /\0|[\ud800-\udfff]/u

describe("UTF-8 strings", () => {
  it.prop("are measured as they are encoded, up to the first character that MQTT forbids", [strings], ([parts]) => {
    const text = parts.join("")
    const first = text.search(invalid)
    assert.strictEqual(measureUtf8(text), first === -1 ? encoder.encode(text).length : ~first)
    assert.strictEqual(isUtf8String(text), first === -1)
  })

  it.prop("have the first of their faults", [strings], ([parts]) => {
    const text = parts.join("")
    const first = text.search(invalid)
    const wildcard = text.search(/[+#]/)
    assert.strictEqual(findFault(text, "allowed")?.offset ?? -1, first)
    assert.strictEqual(
      findFault(text, "forbidden")?.offset ?? -1,
      first === -1 || (wildcard !== -1 && wildcard < first) ? wildcard : first
    )
  })

  it("name the fault", () => {
    const long = "€".repeat(21_845)
    const faults = ["a\0", "a\ud83d", "\udc00", `${long}a`, `${long}+`, `+${long}a`, long, ""].map((text) =>
      findFault(text, "forbidden")
    )
    assert.deepStrictEqual(faults, [
      { offset: 1, detail: "null character" },
      { offset: 1, detail: "lone surrogate" },
      { offset: 0, detail: "lone surrogate" },
      { offset: 21_845, detail: "more than 65,535 bytes" },
      { offset: 21_845, detail: "wildcard" },
      { offset: 0, detail: "wildcard" },
      undefined,
      undefined
    ])
    assert.isFalse(isUtf8String(`${long}a`))
    assert.isTrue(isUtf8String(long))
    assert.isFalse(isUtf8String(undefined))
  })
})
