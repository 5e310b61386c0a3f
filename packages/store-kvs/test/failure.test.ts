import { assert, describe, it } from "@effect/vitest"
import { storageFailureKind } from "../src/internal/failure.ts"

describe("storageFailureKind", () => {
  const coded = (code: string, fields?: object) => Object.assign(new Error("from the system"), { code, ...fields })

  it("is recognised by the code or name of an error", () => {
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
