/**
 * The checksums of a session's records by their keys. `SessionState` keeps them as long as the session is open, for
 * each record that is stored.
 *
 * Nearly all records are outbound messages, whose keys have numbers that follow each other. So their checksums are kept
 * in pages by that number, which takes a fraction of the memory of a key, or of an entry of a map.
 */
const outboundPrefix = "outbound/"
const digits = 16
const keyLength = outboundPrefix.length + digits

/** The number in the key of an outbound record; -1 for every other key. No two keys have the same number. */
const sequenceOf = (key: string): number => {
  if (key.length !== keyLength || !key.startsWith(outboundPrefix)) return -1
  let sequence = 0
  for (let i = outboundPrefix.length; i < keyLength; i++) {
    const digit = key.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    sequence = sequence * 10 + digit
  }
  return Number.isSafeInteger(sequence) ? sequence : -1
}

const pageSize = 64

/** The checksums of outbound messages with following numbers; undefined: there is none of this number. */
interface Page {
  // Signed numbers, which V8 holds without an object for each.
  readonly checksums: Array<number | undefined>
  size: number
}

export class RecordChecksums {
  /** By the number of its first message divided by the size of a page. */
  readonly #pages = new Map<number, Page>()
  #outbound = 0
  readonly #others = new Map<string, number>()

  get size(): number {
    return this.#outbound + this.#others.size
  }

  /** The checksum under a key; undefined: there is none. */
  get(key: string): number | undefined {
    const sequence = sequenceOf(key)
    const checksum = sequence < 0
      ? this.#others.get(key)
      : this.#pages.get(Math.floor(sequence / pageSize))?.checksums[sequence % pageSize]
    return checksum === undefined ? undefined : checksum >>> 0
  }

  set(key: string, checksum: number): void {
    const sequence = sequenceOf(key)
    if (sequence < 0) {
      this.#others.set(key, checksum | 0)
      return
    }
    const number = Math.floor(sequence / pageSize)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = { checksums: Array.from({ length: pageSize }, () => undefined), size: 0 }
      this.#pages.set(number, page)
    }
    const index = sequence % pageSize
    if (page.checksums[index] === undefined) {
      page.size++
      this.#outbound++
    }
    page.checksums[index] = checksum | 0
  }

  delete(key: string): void {
    const sequence = sequenceOf(key)
    if (sequence < 0) {
      this.#others.delete(key)
      return
    }
    const number = Math.floor(sequence / pageSize)
    const page = this.#pages.get(number)
    const index = sequence % pageSize
    if (page?.checksums[index] === undefined) return
    page.checksums[index] = undefined
    this.#outbound--
    if (--page.size === 0) this.#pages.delete(number)
  }

  /** Passes every checksum to `visit`. */
  forEach(visit: (checksum: number) => void): void {
    for (const { checksums } of this.#pages.values()) {
      for (const checksum of checksums) if (checksum !== undefined) visit(checksum >>> 0)
    }
    for (const checksum of this.#others.values()) visit(checksum >>> 0)
  }
}
