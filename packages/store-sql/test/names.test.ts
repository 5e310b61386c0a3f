import { assert, describe, it } from "@effect/vitest"
import { hashOf, nameOf, textOf } from "../src/internal/names.ts"

describe("names", () => {
  it("every UTF-16 code unit has a text of its own, in ASCII without NUL, and comes back", () => {
    const texts = new Set<string>()
    for (let unit = 0; unit <= 0xffff; unit++) {
      const name = String.fromCharCode(unit)
      const text = textOf(name)
      texts.add(text)
      assert.isTrue(Array.from(text).every((character) => character > "\0" && character <= "\x7f"), text)
      assert.strictEqual(nameOf(text), name)
    }
    assert.strictEqual(texts.size, 65_536)
  })

  it("lone surrogates, and what looks like an escape, differ", () => {
    const names = ["\ud800", "\udc00", "\ufffd", "%", "%d800", "%0025", "\0", "%0000"]
    assert.strictEqual(new Set(names.map(textOf)).size, names.length)
    for (const name of names) assert.strictEqual(nameOf(textOf(name)), name)
  })

  it("a hash has 32 bytes, however long the text is", () => {
    assert.strictEqual(hashOf("x".repeat(100_000)).length, 32)
    assert.notDeepEqual(hashOf("a"), hashOf("b"))
  })
})
