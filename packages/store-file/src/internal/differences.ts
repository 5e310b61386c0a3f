/**
 * What differs from a database: keys that are deleted, and values that are other ones. Most of the keys are those of outbound records, which
 * end in numbers that follow one another, and are kept and written as runs of them: however many messages are drained, it is little.
 */
import type { Operation } from "./level.ts"

/** Keys that end in a number of 16 digits, as those of outbound records do. */
const numbered = /^(.*\/)(\d{16})$/s
const digits = 16

const split = (key: string): readonly [prefix: string, number: number] | undefined => {
  const [, prefix, text] = numbered.exec(key) ?? []
  const number = Number(text)
  return prefix !== undefined && Number.isSafeInteger(number) ? [prefix, number] : undefined
}

/** Numbers as runs, in their order. */
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

  /** The index of the first run that begins behind a number. */
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
  readonly #deleted = new Set<string>()
  readonly #runs = new Map<string, Runs>()

  get isEmpty(): boolean {
    return this.#values.size === 0 && this.#deleted.size === 0 && this.#runs.size === 0
  }

  /** The values that are other ones than in the database. */
  get values(): ReadonlyMap<string, Uint8Array> {
    return this.#values
  }

  apply(operations: Iterable<Operation>): void {
    for (const operation of operations) {
      if (operation.type === "put") this.#put(operation.key, operation.value)
      else this.#delete(operation.key)
    }
  }

  clear(): void {
    this.#values.clear()
    this.#deleted.clear()
    this.#runs.clear()
  }

  /** What makes them, as operations. */
  *operations(): Generator<Operation> {
    for (const key of this.#deleted) yield { type: "del", key }
    for (const [prefix, { runs }] of this.#runs) {
      for (const { end, first } of runs) {
        for (let n = first; n < end; n++) yield { type: "del", key: prefix + n.toString().padStart(digits, "0") }
      }
    }
    for (const [key, value] of this.#values) yield { type: "put", key, value }
  }

  /** Bytes from which `decode` makes them again. */
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
    return writer.all()
  }

  /** Adds what bytes say. Only for bytes whose checksum is right. */
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
      } else {
        for (let runs = size(); runs > 0; runs--) {
          const first = number()
          const end = number()
          for (let n = first; n < end; n++) this.#delete(key + n.toString().padStart(digits, "0"))
        }
      }
    }
  }

  #put(key: string, value: Uint8Array): void {
    this.#values.set(key, value)
    const parts = split(key)
    if (parts === undefined) this.#deleted.delete(key)
    else this.#runs.get(parts[0])?.remove(parts[1])
  }

  #delete(key: string): void {
    this.#values.delete(key)
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

const types = { delete: 1, put: 2, deleteRuns: 3 } as const

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
  text(value: string): void {
    this.bytes(Buffer.from(value, "utf8"))
  }
  all(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
