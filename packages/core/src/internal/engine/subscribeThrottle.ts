/**
 * Repeats the SUBSCRIBE and UNSUBSCRIBE of topic filters that the server refused because a quota is exceeded (0x97),
 * with increasing delays and for a limited time. It sends nothing: entries whose delay is over are due again.
 * `subscriptionFlow.ts` calls it.
 */
import type { SubscriptionEntry } from "./subscriptionEntry.ts"
import type { SubscriptionTable } from "./subscriptionTable.ts"

/** The delays after refusals in a row, in milliseconds: the first, doubled up to the longest. */
const firstDelay = 1000
const longestDelay = 30_000

interface Throttled {
  /** The time of the first refusal. */
  readonly since: number
  readonly delay: number
  /** Number of requests that the server had accepted when it refused this one. */
  readonly accepted: number
}

export class SubscribeThrottle {
  readonly #table: SubscriptionTable
  /** How long after the first refusal a filter may be requested again, in milliseconds. */
  readonly #limit: number
  #throttled: Map<SubscriptionEntry, Throttled> | undefined
  #accepted = 0

  constructor(table: SubscriptionTable, limit: number) {
    this.#table = table
    this.#limit = limit
  }

  /** The next connection requests everything that is due. */
  disconnected(): void {
    for (const entry of this.#throttled?.keys() ?? []) entry.retryAt = 0
    this.#throttled = undefined
  }

  /** The server accepted a request. The delays of the others begin with the first again: the quota admits some. */
  accepted(entry: SubscriptionEntry): void {
    this.#accepted++
    this.forget(entry)
  }

  /** The request of this filter has ended. */
  forget(entry: SubscriptionEntry): void {
    entry.retryAt = 0
    this.#throttled?.delete(entry)
  }

  /** The server refused the request over a quota. Answers whether it is repeated later. */
  postpone(entry: SubscriptionEntry, now: number): boolean {
    const before = this.#throttled?.get(entry)
    const since = before?.since ?? now
    const delay = before?.accepted === this.#accepted ? Math.min(before.delay * 2, longestDelay) : firstDelay
    if (now + delay - since > this.#limit) {
      this.forget(entry)
      return false
    }
    this.#throttled ??= new Map()
    this.#throttled.set(entry, { since, delay, accepted: this.#accepted })
    entry.retryAt = now + delay
    return true
  }

  nextDeadline(): number | undefined {
    let next: number | undefined
    for (const { retryAt } of this.#throttled?.keys() ?? []) {
      if (retryAt !== 0 && (next === undefined || retryAt < next)) next = retryAt
    }
    return next
  }

  tick(now: number): void {
    for (const entry of this.#throttled?.keys() ?? []) {
      if (entry.retryAt === 0 || entry.retryAt > now) continue
      // Its consumers may have left.
      if (!entry.isDue) this.forget(entry)
      entry.retryAt = 0
      this.#table.mark(entry)
    }
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { throttled: this.#throttled, accepted: this.#accepted }
  }

  set privateState(state) {
    this.#throttled = state.throttled
    this.#accepted = state.accepted
  }
}
