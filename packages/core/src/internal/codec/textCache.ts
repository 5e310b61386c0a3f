/**
 * A bounded cache from the bytes of a string to the string, so that a repeated topic is not validated and decoded
 * again. A lookup allocates nothing.
 */

interface Entry {
  readonly hash: number
  readonly length: number
  readonly words: Int32Array
  readonly text: string
  /** Whether the entry was used since another string last tried to take its place. */
  used: boolean
}

const slotCount = 1024
const slotShift = 22
const seenCount = 4096
const seenShift = 20
const maximumLength = 128

/**
 * Two places for each hash value. A string is kept when it comes the second time. It replaces one that was not used
 * since the last attempt. So neither strings that never repeat nor a flood of new ones displace the frequent ones.
 */
export class TextCache {
  #slots: Array<Entry | undefined> | undefined = undefined
  // Hashes of strings that were unknown at their last lookup.
  #seen: Int32Array | undefined = undefined
  // The last lookup, for `add`. A length of 0 means that its string is not to be kept.
  #hash = 0
  #length = 0

  /**
   * The string of these bytes, if it is known.
   */
  get(view: DataView, start: number, end: number): string | undefined {
    const length = end - start
    if (length > maximumLength || length < 4) {
      this.#length = 0
      return undefined
    }
    // Reads words of four bytes, because every PUBLISH passes here. The last word may overlap the one before.
    // Multiplication mixes the high bits best, so they choose the place.
    const last = end - 4
    let hash = length
    for (let position = start; position < last; position += 4) {
      hash = Math.imul(hash ^ view.getInt32(position, true), 0x9e3779b1)
    }
    hash = Math.imul(hash ^ view.getInt32(last, true), 0x9e3779b1)
    this.#hash = hash
    this.#length = length
    const slots = this.#slots
    if (slots === undefined) {
      return undefined
    }
    const slot = hash >>> slotShift
    let entry = slots[slot]
    if (entry === undefined || entry.hash !== hash || entry.length !== length) {
      entry = slots[slot ^ 1]
      if (entry === undefined || entry.hash !== hash || entry.length !== length) {
        return undefined
      }
    }
    const known = entry.words
    let i = 0
    for (let position = start; position < last; position += 4) {
      if (known[i++] !== view.getInt32(position, true)) {
        return undefined
      }
    }
    if (known[i] !== view.getInt32(last, true)) {
      return undefined
    }
    entry.used = true
    return entry.text
  }

  /** Remembers the string of the last lookup, with these bytes, after it was decoded and validated. */
  add(view: DataView, start: number, end: number, text: string): void {
    if (this.#length === 0 || this.#length !== end - start) {
      return
    }
    const slots = this.#slots ??= Array.from({ length: slotCount }, () => undefined)
    const seen = this.#seen ??= new Int32Array(seenCount)
    const first = this.#hash >>> slotShift
    // Mixed again, so that two strings with the same place do not hide each other permanently.
    const mark = Math.imul(this.#hash, 0x85ebca6b) >>> seenShift
    if (seen[mark] !== this.#hash) {
      seen[mark] = this.#hash
      return
    }
    const second = first ^ 1
    const a = slots[first]
    const b = slots[second]
    if (a === undefined || (b !== undefined && !a.used)) {
      slots[first] = this.#entry(view, start, end, text)
    } else if (b === undefined || !b.used) {
      slots[second] = this.#entry(view, start, end, text)
    } else {
      a.used = false
      b.used = false
    }
  }

  #entry(view: DataView, start: number, end: number, text: string): Entry {
    const length = end - start
    const words = new Int32Array((length + 3) >> 2)
    for (let i = 0; i < words.length; i++) {
      words[i] = view.getInt32(Math.min(start + 4 * i, end - 4), true)
    }
    return { hash: this.#hash, length, words, text, used: false }
  }
}
