/**
 * Rates over a moving window, from counters that are sampled once per turn of the event loop. It does no work per
 * message and runs no timer.
 */

/** Length of the window, in milliseconds. */
export const rateWindow = 10_000

/** Milliseconds between two samples while there is traffic. */
const interval = 1000

/** The counters before the turn at this time. */
interface Sample {
  readonly at: number
  readonly messages: number
  readonly bytes: number
}

export class Rates {
  /** From the latest sample that is at least as old as the window. */
  #samples: Array<Sample> | undefined
  #sampledAt = -Infinity
  #messages = 0
  #bytes = 0

  /** Records the counters at the end of a turn. */
  note(now: number, messages: number, bytes: number): void {
    // The clock was set back: old samples are useless.
    if (now < this.#sampledAt) this.#samples = undefined
    if (this.#samples === undefined || now - this.#sampledAt >= interval) this.#sample(now)
    this.#messages = messages
    this.#bytes = bytes
  }

  /** Rates per second over the last `window` milliseconds. Call `note` with the same time before. */
  perSecond(now: number, window: number): { readonly messages: number; readonly bytes: number } {
    const before = this.#at(now, now - window)
    return {
      messages: (this.#messages - before.messages) * 1000 / window,
      bytes: (this.#bytes - before.bytes) * 1000 / window
    }
  }

  #sample(now: number): void {
    const sample = { at: now, messages: this.#messages, bytes: this.#bytes }
    this.#sampledAt = now
    const samples = this.#samples
    if (samples === undefined) {
      // Not pushed into an empty array, which would get space for sixteen more in every idle session.
      this.#samples = [sample]
      return
    }
    samples.push(sample)
    while (samples.length > 1 && samples[1]!.at <= now - rateWindow) samples.shift()
  }

  /** The counters at a time in the past. */
  #at(now: number, time: number): Omit<Sample, "at"> {
    const current: Sample = { at: now, messages: this.#messages, bytes: this.#bytes }
    const samples = this.#samples ?? []
    let index = samples.length - 1
    while (index >= 0 && samples[index]!.at > time) index--
    const next = samples[index + 1] ?? current
    const sample = samples[index]
    if (sample === undefined) return next
    // Without a sample there was no turn: all changes belong to the first interval after one.
    const part = (time - sample.at) / Math.max(1, Math.min(next.at - sample.at, interval))
    if (part >= 1) return next
    return {
      messages: sample.messages + (next.messages - sample.messages) * part,
      bytes: sample.bytes + (next.bytes - sample.bytes) * part
    }
  }
}
