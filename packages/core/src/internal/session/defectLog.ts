/**
 * Logs unexpected exceptions inside a session.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../time.ts"

/**
 * Logs at most one defect per minute, with the number of defects in between, because one may come with every message.
 */
export const makeDefectLog = (session: string, clock: Clock.Clock): (cause: unknown) => Effect.Effect<void> => {
  let quietUntil = -Infinity
  let unsaid = 0
  return (cause) =>
    Effect.suspend(() => {
      const now = monotonicMillis(clock)
      if (now < quietUntil) {
        unsaid++
        return Effect.void
      }
      const log = Effect.logError("a defect was caught in the session, which goes on", Cause.die(cause)).pipe(
        Effect.annotateLogs({ session, ...(unsaid === 0 ? undefined : { unsaid }) })
      )
      quietUntil = now + 60_000
      unsaid = 0
      return log
    })
}
