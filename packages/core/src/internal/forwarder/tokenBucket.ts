/**
 * A token bucket: a number of messages per time, and a burst after a pause. It reads no clock; every call passes the
 * time in milliseconds.
 */
import * as Duration from "effect/Duration"
import type { RateLimit } from "./options.ts"

export class TokenBucket {
  readonly #perMilli: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor({ burst, messages, per }: RateLimit, now: number) {
    this.#perMilli = messages / Duration.toMillis(per)
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Takes a token if there is one. */
  take(now: number): boolean {
    if (now > this.#at) this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMilli)
    this.#at = now
    // Slightly less than one counts as one, because the fractions of the milliseconds in between do not add up exactly.
    if (this.#tokens < 1 - 1e-9) return false
    this.#tokens -= 1
    return true
  }

  /** Milliseconds until the next token, at least one. */
  get wait(): number {
    return Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMilli))
  }
}
