/**
 * What becomes of a command when its standard output takes no more.
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import { CommandFailed, exitCodes } from "./failure.ts"

const codeOf = (error: PlatformError): unknown => {
  const { cause } = error.reason
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
}

/** The standard output takes no more. */
export const outputFailed = (error: PlatformError): Effect.Effect<void, CommandFailed> =>
  // `sub | head -1`: the reader has what it wants.
  codeOf(error) === "EPIPE" ? Effect.void : Effect.fail(
    new CommandFailed({
      what: `the standard output takes no more: ${error.message}`,
      advice: undefined,
      exitCode: exitCodes.failed
    })
  )
