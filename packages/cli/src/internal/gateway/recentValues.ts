/**
 * The texts that were seen in the last time, a bounded number of them. It keeps digests, so that long texts take no
 * more memory than short ones. `transformHooks.ts` calls it.
 */
import * as Crypto from "node:crypto"

export class RecentValues {
  readonly #entries: number
  readonly #within: number
  /** Times, in their order. */
  readonly #seen = new Map<string, number>()

  /** `within` in milliseconds. */
  constructor(entries: number, within: number) {
    this.#entries = entries
    this.#within = within
  }

  /** Notes a text; false: it was noted within the time. */
  add(text: string, now: number): boolean {
    const key = Crypto.createHash("sha256").update(text).digest("base64")
    const before = this.#seen.get(key)
    if (before !== undefined && now - before < this.#within) return false
    this.#seen.delete(key)
    this.#seen.set(key, now)
    if (this.#seen.size > this.#entries) this.#seen.delete(this.#seen.keys().next().value!)
    return true
  }
}
