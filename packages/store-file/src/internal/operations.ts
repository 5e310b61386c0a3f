/**
 * Operations on a database as few bytes: most of them delete keys that end in numbers, many of which follow one another.
 */
import type { Operation } from "./level.ts"

const types = { delete: 1, put: 2, deleteRuns: 3 } as const

/** Keys that end in a number of 16 digits, as those of outbound records do. */
const numbered = /^(.*\/)(\d{16})$/s
const digits = 16

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

const runsOf = (numbers: Array<number>): ReadonlyArray<readonly [first: number, count: number]> => {
  const runs: Array<[number, number]> = []
  for (const number of numbers.sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && last[0] + last[1] === number) last[1]++
    else if (last === undefined || last[0] + last[1] < number) runs.push([number, 1])
  }
  return runs
}

/** The bytes of operations of which the last one for each key counts. */
export const encodeOperations = (operations: ReadonlyArray<Operation>): Uint8Array => {
  const last = new Map<string, Operation>()
  for (const operation of operations) last.set(operation.key, operation)
  const writer = new Writer()
  const deleted = new Map<string, Array<number>>()
  for (const operation of last.values()) {
    const { key } = operation
    if (operation.type === "put") {
      writer.byte(types.put)
      writer.text(key)
      writer.bytes(operation.value)
      continue
    }
    const [, prefix, number] = numbered.exec(key) ?? []
    if (prefix === undefined || !Number.isSafeInteger(Number(number))) {
      writer.byte(types.delete)
      writer.text(key)
      continue
    }
    const numbers = deleted.get(prefix) ?? []
    numbers.push(Number(number))
    deleted.set(prefix, numbers)
  }
  for (const [prefix, numbers] of deleted) {
    const runs = runsOf(numbers)
    writer.byte(types.deleteRuns)
    writer.text(prefix)
    writer.size(runs.length)
    for (const [first, count] of runs) {
      writer.number(first)
      writer.size(count)
    }
  }
  return writer.all()
}

/** The operations again. Only for bytes whose checksum is right. */
export function* decodeOperations(encoded: Uint8Array): Generator<Operation> {
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
      yield { type: "put", key, value: part() }
    } else if (type === types.delete) {
      yield { type: "del", key }
    } else {
      for (let runs = size(); runs > 0; runs--) {
        const first = number()
        const end = first + size()
        for (let n = first; n < end; n++) yield { type: "del", key: key + n.toString().padStart(digits, "0") }
      }
    }
  }
}
