/**
 * How a process ends that has drained. A signal interrupts the main fiber, which would end with 130 whatever the
 * command has done about it. `program.ts` ends with this module's `teardown`.
 */
import * as Runtime from "effect/Runtime"
import type { ExitCode } from "./failure.ts"

let exitCode: ExitCode | undefined

/** The exit code of a command that has ended in order after a signal. */
export const endWith = (code: ExitCode): void => {
  exitCode = code
}

/** Ends with the code of `endWith`, if there is one, in place of 130. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  Runtime.defaultTeardown(exit, (code) => onExit(code === 130 && exitCode !== undefined ? exitCode : code))
