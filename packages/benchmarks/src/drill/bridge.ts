/**
 * What a drill asks of the bridge between its brokers.
 */
import type * as Effect from "effect/Effect"

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
