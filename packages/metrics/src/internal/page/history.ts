/**
 * The values of the last minutes, for the plots of a newly opened page: rings of numbers, one place for each interval.
 */
import type { PageHistory, PageSnapshot } from "./model.ts"

/** A ring that keeps the newest numbers. Its memory grows only as far as it is filled. */
class Ring {
  readonly #capacity: number
  readonly #values: Array<number> = []
  #next = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  push(value: number): void {
    this.#values[this.#next] = value
    this.#next = (this.#next + 1) % this.#capacity
  }

  /** The values, oldest first. */
  get values(): Array<number> {
    return this.#values.length < this.#capacity
      ? this.#values.slice()
      : [...this.#values.slice(this.#next), ...this.#values.slice(0, this.#next)]
  }
}

interface SessionRings {
  readonly received: Ring
  readonly sent: Ring
}

export class History {
  readonly #capacity: number
  readonly #at: Ring
  readonly #totals: Readonly<Record<keyof PageHistory["totals"], Ring>>
  readonly #sessions = new Map<string, SessionRings>()

  constructor(capacity: number) {
    const ring = (): Ring => new Ring(capacity)
    this.#capacity = capacity
    this.#at = ring()
    this.#totals = {
      received: ring(),
      sent: ring(),
      bytesReceived: ring(),
      bytesSent: ring(),
      inflight: ring(),
      queued: ring()
    }
  }

  push({ at, sessions, totals }: PageSnapshot): void {
    this.#at.push(at)
    this.#totals.received.push(totals.rates.received)
    this.#totals.sent.push(totals.rates.sent)
    this.#totals.bytesReceived.push(totals.rates.bytesReceived)
    this.#totals.bytesSent.push(totals.rates.bytesSent)
    this.#totals.inflight.push(totals.inflight)
    this.#totals.queued.push(totals.queued)
    const gone = new Set(this.#sessions.keys())
    for (const { name, rates } of sessions) {
      gone.delete(name)
      let rings = this.#sessions.get(name)
      if (rings === undefined) {
        rings = { received: new Ring(this.#capacity), sent: new Ring(this.#capacity) }
        this.#sessions.set(name, rings)
      }
      rings.received.push(rates.received)
      rings.sent.push(rates.sent)
    }
    for (const name of gone) this.#sessions.delete(name)
  }

  get past(): PageHistory {
    return {
      at: this.#at.values,
      totals: {
        received: this.#totals.received.values,
        sent: this.#totals.sent.values,
        bytesReceived: this.#totals.bytesReceived.values,
        bytesSent: this.#totals.bytesSent.values,
        inflight: this.#totals.inflight.values,
        queued: this.#totals.queued.values
      },
      sessions: Array.from(this.#sessions, ([name, { received, sent }]) => ({
        name,
        received: received.values,
        sent: sent.values
      }))
    }
  }
}
