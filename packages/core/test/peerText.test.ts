/**
 * The words of a peer where people and terminals read them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Schema } from "effect"
import { cleanCause, cleanText, maximumLength, quoted } from "../src/internal/peerText.ts"

/**
 * What must not reach a terminal or a log, by its use and not by the function's own expressions: control characters
 * (with the C1 ones, of which 0x9B begins a terminal sequence), line and paragraph separators, bidirectional controls,
 * invisible spaces and operators, interlinear marks, tags, unpaired surrogates.
 */
const isDangerous = (codePoint: number): boolean =>
  codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f) || codePoint === 0xad || codePoint === 0x61c ||
  codePoint === 0x200b || codePoint === 0x200e || codePoint === 0x200f ||
  (codePoint >= 0x2028 && codePoint <= 0x202e) || (codePoint >= 0x2060 && codePoint <= 0x206f) ||
  (codePoint >= 0xd800 && codePoint <= 0xdfff) || codePoint === 0xfeff ||
  (codePoint >= 0xfff9 && codePoint <= 0xfffb) ||
  (codePoint >= 0xe0000 && codePoint <= 0xe007f)

const dangersIn = (text: string): ReadonlyArray<string> =>
  Array.from(text).filter((character) => isDangerous(character.codePointAt(0)!)).map((character) =>
    character.codePointAt(0)!.toString(16)
  )

const nasty = [
  "\n2026-01-01 level=ERROR forged=true",
  "\r\n",
  "\u001b[2J\u001b]0;title\u0007",
  "\u009b31m",
  "\u0085",
  "\u2028",
  "\u202egnp.exe",
  "\u2066\u2069",
  "\u200b",
  "\ud800",
  "\udc00",
  "\u{e0041}\u{e0042}",
  "\u0000",
  "\t",
  "x".repeat(300),
  "\ud83d\ude80".repeat(127),
  "größe 温度 🌡️ \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
  "'\"\\`$(reboot)<script>",
  ""
] as const

const texts = Schema.Array(Schema.Union([Schema.Literals(nasty), Schema.String]))

describe("cleanText", () => {
  it("takes out every code point that is dangerous, wherever it stands", () => {
    const left: Array<number> = []
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
      const text = `a${String.fromCodePoint(codePoint)}b`
      if (isDangerous(codePoint) && dangersIn(cleanText(text)).length > 0) left.push(codePoint)
    }
    assert.deepStrictEqual(left, [])
  })

  it("does not change ordinary text", () => {
    for (const text of ["not authorized", "größe 温度 🌡️", "a/b/+/#", "می‌خواهم", "👩‍🚀", "\"quoted\" \\ <b>", ""]) {
      assert.strictEqual(cleanText(text), text)
    }
  })

  it.prop(
    "is one line without anything dangerous, of at most 256 code units, and clean text stays as it is",
    [texts],
    ([parts]) => {
      const clean = cleanText(parts.join(""))
      assert.deepStrictEqual(dangersIn(clean), [])
      assert.isAtMost(clean.length, maximumLength)
      assert.strictEqual(cleanText(clean), clean)
      return true
    }
  )

  it.prop("quotes in one line too", [texts], ([parts]) => {
    const text = quoted(parts.join(""))
    assert.deepStrictEqual(dangersIn(text), [])
    assert.match(text, /^".*"$/u)
    return true
  })

  it("says that there was more", () => {
    assert.strictEqual(cleanText("x".repeat(257)), `${"x".repeat(253)}...`)
    assert.strictEqual(cleanText("x".repeat(256)), "x".repeat(256))
  })
})

describe("cleanCause", () => {
  it("gives a clean error back as it is", () => {
    const cause = Object.assign(new TypeError("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
    assert.strictEqual(cleanCause(cause), cause)
    assert.strictEqual(cleanCause(undefined), undefined)
  })

  it.prop("leaves nothing dangerous in what a logger prints of a cause, its causes included", [texts], ([parts]) => {
    const text = parts.join("")
    const error = new Error(`outer ${text}`, { cause: Object.assign(new SyntaxError(text), { code: "EBAD" }) })
    const clean = cleanCause(error)
    const printed = Cause.pretty(Cause.fail(new Error("failed", { cause: clean })))
    for (const line of printed.split("\n")) assert.deepStrictEqual(dangersIn(line), [])
    // As many lines as frames: a forged line would be one more.
    assert.isFalse(/^2026/m.test(printed))
    return true
  })

  it("keeps name and code, and ends with a circle", () => {
    const circular: Error & { code?: string } = new RangeError("bad\u001b[0m")
    circular.code = "EBAD"
    circular.cause = circular
    const clean = cleanCause(circular) as Error & { code?: string }
    assert.deepStrictEqual([clean.name, clean.code, clean.message], ["RangeError", "EBAD", "bad\ufffd[0m"])
  })
})
