/**
 * Lifetimes of tokens.
 */
import { CredentialsError } from "@effect-mqttx/core/Credentials"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** A moment and the end of a lifetime that begins there, in milliseconds since the epoch and whole seconds. */
export interface Lifetime {
  readonly issuedAt: number
  readonly expiresAt: number
}

/** The lifetime that begins now. */
export const lifetimeOf = (
  lifetime: Duration.Input | undefined,
  standard: Duration.Input
): Effect.Effect<Lifetime, CredentialsError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const duration = Duration.fromInput(lifetime ?? standard)
    const millis = duration._tag === "Some" ? Duration.toMillis(duration.value) : Number.NaN
    if (!(millis >= 1000 && Number.isFinite(millis))) {
      return Effect.fail(
        new CredentialsError({ detail: "the lifetime must be at least a second, and finite", isRetryable: false })
      )
    }
    return Effect.succeed({ issuedAt: now, expiresAt: (Math.floor(now / 1000) + Math.floor(millis / 1000)) * 1000 })
  })
