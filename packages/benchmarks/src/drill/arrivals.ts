/**
 * Counts what arrives in a drill: what comes for the first time, what comes again, and what comes too late. It knows
 * nothing of gateways. `reload.ts` feeds it.
 */

/** What has arrived. Payloads are numbers in the order of their publication; a negative one is no message that counts. */
export class Arrivals {
  readonly #seen = new Set<number>()
  #last = -1
  #at: number | undefined
  /** The forwarder has subscribed. */
  isThere = false
  arrived = 0
  disordered = 0
  longestGap = 0

  see(number: number, now: number): void {
    this.isThere = true
    if (number < 0) return
    this.arrived++
    if (this.#at !== undefined) this.longestGap = Math.max(this.longestGap, now - this.#at)
    this.#at = now
    // A duplicate is counted as one, and is no disorder.
    if (!this.#seen.has(number) && number < this.#last) this.disordered++
    this.#last = Math.max(this.#last, number)
    this.#seen.add(number)
  }

  get distinct(): number {
    return this.#seen.size
  }
}
