import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { createHash } from "node:crypto"
import { encodeName } from "../src/internal/kvs/names.ts"
import { sha256 } from "../src/internal/sha256.ts"
import { storageFailureKind } from "../src/internal/storageFailure.ts"

describe("sha256", () => {
  it("agrees with the platform's at every length around its blocks, and for a long text", () => {
    for (const length of [...Array.from({ length: 200 }, (_, i) => i), 20_000]) {
      const bytes = new Uint8Array(length).map((_, i) => i * 31)
      assert.strictEqual(sha256(bytes), createHash("sha256").update(bytes).digest("hex"), `${length} bytes`)
    }
  })
})

describe("encodeName", () => {
  it("leaves what every storage takes, and writes the rest as its UTF-16 units", () => {
    assert.strictEqual(encodeName("plant-1"), "plant-1")
    assert.strictEqual(encodeName("Plant_1/é"), "_0050lant_005f1_002f_00e9")
    assert.strictEqual(encodeName(""), "")
    assert.strictEqual(encodeName("\ud800"), "_d800")
  })

  it("is never long, and different for names that differ at their very end", () => {
    const names = ["a".repeat(100), "a".repeat(101), `${"é".repeat(5000)}a`, `${"é".repeat(5000)}b`]
    const encoded = names.map(encodeName)
    assert.strictEqual(new Set(encoded).size, names.length)
    for (const name of encoded) assert.match(name, /^[-_0-9a-z]{0,100}$/)
  })

  it.prop(
    "gives names that differ encodings that differ",
    [Schema.String.check(Schema.isMaxLength(30)), Schema.String.check(Schema.isMaxLength(30))],
    ([a, b]) => {
      assert.strictEqual(encodeName(a) === encodeName(b), a === b)
    }
  )
})

describe("storageFailureKind", () => {
  const coded = (code: string, fields?: object) => Object.assign(new Error("from the system"), { code, ...fields })

  it("is told by the code or name of an error", () => {
    assert.strictEqual(storageFailureKind(coded("ENOSPC")), "full")
    assert.strictEqual(storageFailureKind(coded("EDQUOT")), "full")
    assert.strictEqual(storageFailureKind(coded("EROFS")), "readOnly")
    assert.strictEqual(storageFailureKind(coded("EACCES")), "refused")
    assert.strictEqual(storageFailureKind(coded("SQLITE_FULL")), "full")
    assert.strictEqual(storageFailureKind(new DOMException("", "QuotaExceededError")), "full")
  })

  it("is found below other errors, as their cause or reason", () => {
    assert.strictEqual(
      storageFailureKind(new Error("outer", { cause: { reason: { cause: coded("ENOSPC") } } })),
      "full"
    )
    assert.strictEqual(storageFailureKind({ cause: coded("EIO", { cause: coded("EROFS") }) }), "readOnly")
  })

  it("is unavailable for anything else, a cycle and a name of every object too", () => {
    const cycle: { cause?: unknown } = {}
    cycle.cause = cycle
    for (const cause of [undefined, null, "ENOSPC", new Error("x"), coded("toString"), cycle]) {
      assert.strictEqual(storageFailureKind(cause), "unavailable")
    }
  })
})
