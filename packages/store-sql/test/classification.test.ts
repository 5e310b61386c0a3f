import { assert, describe, it } from "@effect/vitest"
import { SqlError } from "effect/sql"
import { isTransient, toReason } from "../src/internal/classification.ts"

/** An error of the driver around one of the server or of a socket. */
const errorOf = (code: string | undefined, message = "the server's words") =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({
      message: "the driver's words",
      cause: Object.assign(new Error(message), code === undefined ? {} : { code })
    })
  })

describe("classification", () => {
  for (
    const [kind, isMendable, codes] of [
      ["unavailable", true, [undefined, "EPIPE", "ECONNREFUSED", "08006", "57P01", "57P03", "40001", "40P01", "53300"]],
      ["unavailable", false, ["57014", "53200", "58030", "XX000", "P0001"]],
      ["full", false, ["53100"]],
      ["readOnly", false, ["25006"]],
      ["refused", false, ["28P01", "28000", "3D000", "3F000", "42501", "42P01"]],
      ["invalid", false, ["54000"]],
      ["corrupt", false, ["XX001", "XX002"]]
    ] as const
  ) {
    it.each(codes.map((code) => ({ code })))(
      `${kind}${isMendable ? ", tried again at once" : ""}: $code`,
      ({ code }) => {
        const error = errorOf(code)
        assert.strictEqual(toReason(error).kind, kind)
        assert.strictEqual(isTransient(error), isMendable)
      }
    )
  }

  for (
    const [kind, isMendable, errcodes] of [
      // With the reason in the upper bits: SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_FSYNC.
      ["unavailable", true, [5, 517, 6, 10, 1034, 14]],
      ["unavailable", false, [2, 7, 19]],
      ["full", false, [13]],
      ["readOnly", false, [8, 264]],
      ["refused", false, [1, 3, 23]],
      ["invalid", false, [18]],
      ["corrupt", false, [11, 26]]
    ] as const
  ) {
    it.each(errcodes.map((errcode) => ({ errcode })))(
      `${kind}${isMendable ? ", tried again at once" : ""}: $errcode of SQLite`,
      ({ errcode }) => {
        const cause = Object.assign(new Error("its words"), { code: "ERR_SQLITE_ERROR", errcode })
        const error = new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause) })
        assert.strictEqual(toReason(error).kind, kind)
        assert.strictEqual(isTransient(error), isMendable)
      }
    )
  }

  it("the detail is what the server has said, and the cause is the driver's error", () => {
    const error = errorOf("53100", "could not extend file: No space left on device")
    const reason = toReason(error)
    assert.strictEqual(reason.detail, "could not extend file: No space left on device")
    assert.strictEqual(reason.cause, error)
  })

  it("a chain of causes may be circular", () => {
    const error = new Error("circular")
    error.cause = error
    assert.strictEqual(toReason(error).kind, "unavailable")
  })
})
