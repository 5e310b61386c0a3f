/**
 * What a drill asks of the bridge between its brokers.
 */
import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"

/** The URLs of the source and of the target. */
export interface Links {
  readonly a: string
  readonly b: string
}

export interface Bridge {
  readonly start: Effect.Effect<void>
  /** Applies the configuration of a round. */
  readonly reload: (round: number) => Effect.Effect<void>
  readonly end: (signal: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
}

/** Ends a process, and waits until it has ended. */
export const endProcess = (
  child: ChildProcess | undefined,
  signal: "SIGTERM" | "SIGKILL"
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill(signal)
  })
