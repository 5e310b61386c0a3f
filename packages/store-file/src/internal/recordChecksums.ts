/**
 * The checksums of a session's records by their keys. `SessionState` keeps them as long as the session is open, for
 * each record that is stored.
 *
 * Nearly all records are outbound messages. They are kept by the number in their key, which takes a fourth of the
 * memory of the key itself.
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

export class RecordChecksums {
  // Checksums are kept as signed numbers, which V8 holds without an object for each.
  readonly #outbound = new Map<number, number>()
  readonly #others = new Map<string, number>()

  get size(): number {
    return this.#outbound.size + this.#others.size
  }

  /** The checksum under a key; undefined: there is none. */
  get(key: string): number | undefined {
    const sequence = sequenceOf(key)
    const checksum = sequence < 0 ? this.#others.get(key) : this.#outbound.get(sequence)
    return checksum === undefined ? undefined : checksum >>> 0
  }

  set(key: string, checksum: number): void {
    const sequence = sequenceOf(key)
    if (sequence < 0) this.#others.set(key, checksum | 0)
    else this.#outbound.set(sequence, checksum | 0)
  }

  delete(key: string): void {
    const sequence = sequenceOf(key)
    if (sequence < 0) this.#others.delete(key)
    else this.#outbound.delete(sequence)
  }

  /** Passes every checksum to `visit`. */
  forEach(visit: (checksum: number) => void): void {
    for (const checksum of this.#outbound.values()) visit(checksum >>> 0)
    for (const checksum of this.#others.values()) visit(checksum >>> 0)
  }
}
