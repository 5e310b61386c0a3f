/**
 * The differences from a database: deleted keys, changed values, and values of which a few bytes changed. Most of the
 * keys are those of outbound records, which end in consecutive numbers, so deleted keys are kept and written as runs.
 * The differences stay small, however many messages are sent and deleted, and however large they are.
 */
import type { Operation } from "./level.ts"

/** Keys that end in a number of 16 digits, as those of outbound records do. */
const numbered = /^(.*\/)(\d{16})$/s
const digits = 16

/** A value of the database with changed bytes near its beginning, and another checksum at its end. */
export interface Patch {
  readonly type: "patch"
  readonly key: string
  readonly at: number
  readonly bytes: Uint8Array
  readonly tail: number
}

export type Difference = Operation | Patch

/** Applies a patch to the value of the database. */
export const patched = (value: Uint8Array, { at, bytes, tail }: Patch): Uint8Array => {
  const result = Buffer.from(value)
  result.set(bytes, at)
  result.writeUInt32BE(tail, result.length - 4)
  return result
}

/** Whether a key belongs to a kind of which there may be any number. */
export const isNumbered = (key: string): boolean => split(key) !== undefined

const split = (key: string): readonly [prefix: string, number: number] | undefined => {
  const [, prefix, text] = numbered.exec(key) ?? []
  const number = Number(text)
  return prefix !== undefined && Number.isSafeInteger(number) ? [prefix, number] : undefined
}

/** Sets of numbers as runs, in order. */
class Runs {
  readonly #runs: Array<{ first: number; end: number }> = []

  get runs(): ReadonlyArray<{ readonly first: number; readonly end: number }> {
    return this.#runs
  }

  add(number: number): void {
    const at = this.#after(number)
    const [before, next] = [this.#runs[at - 1], this.#runs[at]]
    if (before !== undefined && number < before.end) return
    const joinsBefore = before?.end === number
    const joinsNext = next?.first === number + 1
    if (joinsBefore && joinsNext) {
      before.end = next.end
      this.#runs.splice(at, 1)
    } else if (joinsBefore) {
      before.end = number + 1
    } else if (joinsNext) {
      next.first = number
    } else {
      this.#runs.splice(at, 0, { first: number, end: number + 1 })
    }
  }

  remove(number: number): void {
    const at = this.#after(number) - 1
    const run = this.#runs[at]
    if (run === undefined || number >= run.end) return
    const parts = [{ first: run.first, end: number }, { first: number + 1, end: run.end }]
    this.#runs.splice(at, 1, ...parts.filter(({ end, first }) => first < end))
  }

  /** The index of the first run that begins after a number. */
  #after(number: number): number {
    let [low, high] = [0, this.#runs.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#runs[middle]!.first <= number) low = middle + 1
      else high = middle
    }
    return low
  }
}

/**
 * Differences from a database.
 */
export class Differences {
  readonly #values = new Map<string, Uint8Array>()
  readonly #patches = new Map<string, Patch>()
  readonly #deleted = new Set<string>()
  readonly #runs = new Map<string, Runs>()
  #valueBytes = 0

  /** Bytes of all values and their keys. */
  get valueBytes(): number {
    return this.#valueBytes
  }

  get isEmpty(): boolean {
    return this.#values.size === 0 && this.#patches.size === 0 && this.#deleted.size === 0 && this.#runs.size === 0
  }

  /** The values that differ from those of the database. */
  get values(): ReadonlyMap<string, Uint8Array> {
    return this.#values
  }

  /** Patches by key; only numbered records have them. */
  get patches(): ReadonlyMap<string, Patch> {
    return this.#patches
  }

  apply(differences: Iterable<Difference>): void {
    for (const difference of differences) {
      if (difference.type === "put") this.#put(difference.key, difference.value)
      else if (difference.type === "del") this.#delete(difference.key)
      else this.#patch(difference)
    }
  }

  clear(): void {
    this.#values.clear()
    this.#valueBytes = 0
    this.#patches.clear()
    this.#deleted.clear()
    this.#runs.clear()
  }

  /** The differences without the patches, as operations. */
  *operations(): Generator<Operation> {
    for (const key of this.#deleted) yield { type: "del", key }
    for (const [prefix, { runs }] of this.#runs) {
      for (const { end, first } of runs) {
        for (let n = first; n < end; n++) yield { type: "del", key: prefix + n.toString().padStart(digits, "0") }
      }
    }
    for (const [key, value] of this.#values) yield { type: "put", key, value }
  }

  /** The differences as bytes, for `decode`. */
  encode(): Uint8Array {
    const writer = new Writer()
    for (const key of this.#deleted) {
      writer.byte(types.delete)
      writer.text(key)
    }
    for (const [prefix, { runs }] of this.#runs) {
      writer.byte(types.deleteRuns)
      writer.text(prefix)
      writer.size(runs.length)
      for (const { end, first } of runs) {
        writer.number(first)
        writer.number(end)
      }
    }
    for (const [key, value] of this.#values) {
      writer.byte(types.put)
      writer.text(key)
      writer.bytes(value)
    }
    const patches = new Map<string, Array<readonly [number: number, patch: Patch]>>()
    for (const patch of this.#patches.values()) {
      const [prefix, number] = split(patch.key)!
      const group = patches.get(prefix)
      if (group === undefined) patches.set(prefix, [[number, patch]])
      else group.push([number, patch])
    }
    for (const [prefix, group] of patches) {
      writer.byte(types.patches)
      writer.text(prefix)
      writer.size(group.length)
      for (const [number, { at, bytes, tail }] of group) {
        writer.number(number)
        writer.byte(at)
        writer.byte(bytes.length)
        writer.raw(bytes)
        writer.size(tail)
      }
    }
    return writer.all()
  }

  /** Adds encoded differences. The caller must have verified their checksum. */
  decode(encoded: Uint8Array): void {
    const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length)
    let position = 0
    const size = () => bytes.readUInt32LE((position += 4) - 4)
    const number = () => bytes.readDoubleLE((position += 8) - 8)
    const part = () => {
      const length = size()
      return bytes.subarray(position, position += length)
    }
    while (position < bytes.length) {
      const type = bytes[position++]!
      const key = part().toString("utf8")
      if (type === types.put) {
        this.#put(key, part())
      } else if (type === types.delete) {
        this.#delete(key)
      } else if (type === types.patches) {
        for (let count = size(); count > 0; count--) {
          const name = key + number().toString().padStart(digits, "0")
          const at = bytes[position++]!
          const length = bytes[position++]!
          const changed = bytes.subarray(position, position += length)
          this.#patch({ type: "patch", key: name, at, bytes: changed, tail: size() })
        }
      } else {
        for (let runs = size(); runs > 0; runs--) {
          const first = number()
          const end = number()
          for (let n = first; n < end; n++) this.#delete(key + n.toString().padStart(digits, "0"))
        }
      }
    }
  }

  #patch(patch: Patch): void {
    this.#forget(patch.key)
    this.#restore(patch.key)
    this.#patches.set(patch.key, patch)
  }

  /** The key is not deleted any more. */
  #restore(key: string): void {
    const parts = split(key)
    if (parts === undefined) this.#deleted.delete(key)
    else this.#runs.get(parts[0])?.remove(parts[1])
  }

  #forget(key: string): void {
    const value = this.#values.get(key)
    if (value === undefined) return
    this.#valueBytes -= key.length + value.length
    this.#values.delete(key)
  }

  #put(key: string, value: Uint8Array): void {
    this.#forget(key)
    this.#values.set(key, value)
    this.#valueBytes += key.length + value.length
    this.#patches.delete(key)
    this.#restore(key)
  }

  #delete(key: string): void {
    this.#forget(key)
    this.#patches.delete(key)
    const parts = split(key)
    if (parts === undefined) {
      this.#deleted.add(key)
      return
    }
    const runs = this.#runs.get(parts[0]) ?? new Runs()
    runs.add(parts[1])
    this.#runs.set(parts[0], runs)
  }
}

const types = { delete: 1, put: 2, deleteRuns: 3, patches: 4 } as const

class Writer {
  readonly #parts: Array<Buffer> = []

  byte(value: number): void {
    this.#parts.push(Buffer.from([value]))
  }
  size(value: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    this.#parts.push(bytes)
  }
  number(value: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(bytes)
  }
  bytes(value: Uint8Array): void {
    this.size(value.length)
    this.#parts.push(Buffer.from(value.buffer, value.byteOffset, value.length))
  }
  raw(value: Uint8Array): void {
    this.#parts.push(Buffer.from(value.buffer, value.byteOffset, value.length))
  }
  text(value: string): void {
    this.bytes(Buffer.from(value, "utf8"))
  }
  all(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
