/**
 * Reads the files of LevelDB, and trusts no byte without its checksum.
 *
 * LevelDB itself silently skips damaged parts of a log, and parses damaged tables as if they were whole. So this module
 * reads the files before LevelDB opens them. Formats: log_format.md and table_format.md of LevelDB 1.20. Tables are
 * never compressed by this package.
 */
import { crc32c } from "./crc32c.ts"
import { type Source, sourceOf } from "./source.ts"

/** One write of a key. The newest sequence number decides; undefined is a deletion. */
export type Visit = (key: string, sequence: number, value: Uint8Array | undefined) => void

/** The files that belong to a database, from its manifest. */
export interface Manifest {
  /** Logs with this number or a higher one are in use. */
  readonly logNumber: number
  readonly tables: ReadonlyMap<number, { readonly size: number }>
}

const blockSize = 32_768
/** The number of log blocks that are read at a time. */
const windowSize = 32 * blockSize
const headerSize = 7
const tableMagic = 0xdb4775248b80fb57n
const footerSize = 48

class Malformed extends Error {}

class Cursor {
  readonly bytes: Uint8Array
  position: number
  end: number

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes
    this.position = position
    this.end = end
  }

  get isAtEnd(): boolean {
    return this.position >= this.end
  }
  byte(): number {
    if (this.position >= this.end) throw new Malformed()
    return this.bytes[this.position++]!
  }
  varint(): number {
    let value = 0
    for (let factor = 1; factor < 2 ** 53; factor *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
    throw new Malformed()
  }
  take(size: number): Uint8Array {
    if (size > this.end - this.position) throw new Malformed()
    const position = this.position
    this.position += size
    return this.bytes.subarray(position, this.position)
  }
  slice(): Uint8Array {
    return this.take(this.varint())
  }
  skip(): void {
    this.skipBytes(this.varint())
  }
  skipBytes(size: number): void {
    if (size > this.end - this.position) throw new Malformed()
    this.position += size
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8")

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

const unmask = (masked: number): number => {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** Sequence numbers have 56 bits. No store of this package exceeds 2^53. */
const uint64 = (view: DataView, position: number): number => Number(view.getBigUint64(position, true))

/**
 * Passes all whole records of a log to `visit`, and returns the damage before the last of them. An incomplete record at
 * the end is the result of a crash during a write, and no damage.
 */
export const readRecords = (log: Uint8Array | Source, visit: (record: Uint8Array) => void): ReadonlyArray<string> => {
  const source = sourceOf(log)
  const damage: Array<string> = []
  let suspicions: Array<string> = []
  let fragments: Array<Uint8Array> = []
  const suspect = (position: number, what: string) => {
    suspicions.push(`${what} at offset ${position}`)
    fragments = []
  }
  const emit = (record: Uint8Array) => {
    damage.push(...suspicions)
    suspicions = []
    visit(record)
  }
  // No record crosses the end of its block, and a window has whole blocks.
  let bytes: Uint8Array = new Uint8Array(0)
  let view = viewOf(bytes)
  let start = 0
  let position = 0
  while (position + headerSize <= source.length) {
    const left = blockSize - (position % blockSize)
    if (left < headerSize) {
      position += left
      continue
    }
    if (position >= start + bytes.length) {
      start = position - (position % blockSize)
      bytes = source.read(start, windowSize)
      view = viewOf(bytes)
      if (position + headerSize > start + bytes.length) break
    }
    const at = position - start
    const length = view.getUint16(at + 4, true)
    const type = bytes[at + 6]!
    const end = at + headerSize + length
    if (headerSize + length > left) {
      suspect(position, "a record that leaves its block")
      position += left
    } else if (end > bytes.length) {
      break
    } else if (unmask(view.getUint32(at, true)) !== crc32c(bytes, at + 6, end)) {
      suspect(position, "a record with a wrong checksum")
      // The length itself may be damaged, and a payload may look like a record. Only the start of the next block is
      // certain.
      position += left
    } else {
      const fragment = bytes.subarray(at + headerSize, end)
      if (type === 1) {
        if (fragments.length > 0) suspect(position, "a record without its end")
        emit(fragment)
      } else if (type === 2) {
        if (fragments.length > 0) suspect(position, "a record without its end")
        fragments = [fragment]
      } else if ((type === 3 || type === 4) && fragments.length > 0) {
        fragments.push(fragment)
        if (type === 4) {
          const record = Buffer.concat(fragments)
          fragments = []
          emit(record)
        }
      } else {
        suspect(position, "a record without its beginning")
      }
      position = start + end
    }
  }
  return damage
}

/** Reads a log of writes; without `visit` it only checks it. */
export const readLog = (bytes: Uint8Array | Source, visit: Visit | undefined): ReadonlyArray<string> => {
  const damage: Array<string> = []
  const records = readRecords(bytes, (record) => {
    try {
      const view = viewOf(record)
      const cursor = new Cursor(record, 12)
      let sequence = uint64(view, 0)
      for (let count = view.getUint32(8, true); count > 0; count--) {
        const type = cursor.byte()
        if (type > 1) throw new Malformed()
        if (visit === undefined) {
          cursor.skip()
          if (type === 1) cursor.skip()
        } else {
          visit(text(cursor.slice()), sequence++, type === 1 ? cursor.slice() : undefined)
        }
      }
    } catch {
      damage.push("a record that is no write")
    }
  })
  return [...records, ...damage]
}

/** Reads a manifest; undefined when it is damaged. */
export const readManifest = (bytes: Uint8Array): Manifest | undefined => {
  let logNumber: number | undefined
  const tables = new Map<number, { readonly size: number }>()
  try {
    const damage = readRecords(bytes, (record) => {
      const cursor = new Cursor(record)
      while (!cursor.isAtEnd) {
        switch (cursor.varint()) {
          case 1:
            cursor.slice()
            break
          case 2:
            logNumber = cursor.varint()
            break
          case 3:
          case 4:
          case 9:
            cursor.varint()
            break
          case 5:
            cursor.varint()
            cursor.slice()
            break
          case 6:
            cursor.varint()
            tables.delete(cursor.varint())
            break
          case 7: {
            cursor.varint()
            const number = cursor.varint()
            tables.set(number, { size: cursor.varint() })
            cursor.slice()
            cursor.slice()
            break
          }
          default:
            throw new Malformed()
        }
      }
    })
    return damage.length > 0 || logNumber === undefined ? undefined : { logNumber, tables }
  } catch {
    return undefined
  }
}

const readBlock = (source: Source, handle: Cursor): Uint8Array => {
  const offset = handle.varint()
  const size = handle.varint()
  if (offset + size + 5 > source.length) throw new Malformed()
  // The trailer is the type of compression, 0 for none, and the checksum over block and type.
  const bytes = source.read(offset, size + 5)
  if (
    bytes.length < size + 5 || bytes[size] !== 0 ||
    unmask(viewOf(bytes).getUint32(size + 1, true)) !== crc32c(bytes, 0, size + 1)
  ) {
    throw new Malformed()
  }
  return bytes.subarray(0, size)
}

const readEntries = (block: Uint8Array, visit: (key: Uint8Array, value: Uint8Array) => void): void => {
  const restarts = viewOf(block).getUint32(block.length - 4, true)
  const cursor = new Cursor(block, 0, block.length - 4 - restarts * 4)
  let key = new Uint8Array(0)
  while (!cursor.isAtEnd) {
    const shared = cursor.varint()
    const unshared = cursor.varint()
    const size = cursor.varint()
    if (shared > key.length) throw new Malformed()
    const next = new Uint8Array(shared + unshared)
    next.set(key.subarray(0, shared))
    next.set(cursor.take(unshared), shared)
    key = next
    visit(key, cursor.take(size))
  }
}

/** The size of the sequence number and the type behind each key of a table. */
const tagSize = 8

/** Checks what `readEntries` would read for a table, without a key or a value for each entry. */
const checkEntries = (block: Uint8Array): void => {
  const restarts = viewOf(block).getUint32(block.length - 4, true)
  const cursor = new Cursor(block, 0, block.length - 4 - restarts * 4)
  let keyLength = 0
  while (!cursor.isAtEnd) {
    const shared = cursor.varint()
    const unshared = cursor.varint()
    const size = cursor.varint()
    if (shared > keyLength) throw new Malformed()
    keyLength = shared + unshared
    if (keyLength < tagSize) throw new Malformed()
    cursor.skipBytes(unshared)
    cursor.skipBytes(size)
  }
}

/** Reads the whole parts of a table, and returns the damaged ones; without `visit` it only checks them. */
export const readTable = (table: Uint8Array | Source, visit: Visit | undefined): ReadonlyArray<string> => {
  const source = sourceOf(table)
  const damage: Array<string> = []
  try {
    const start = source.length - footerSize
    if (start < 0) throw new Malformed()
    const bytes = source.read(start, footerSize)
    if (bytes.length < footerSize || viewOf(bytes).getBigUint64(footerSize - 8, true) !== tableMagic) {
      throw new Malformed()
    }
    const footer = new Cursor(bytes)
    try {
      // LevelDB reads the filters that this block lists. Damaged ones could hide keys.
      readEntries(readBlock(source, footer), (_, handle) => readBlock(source, new Cursor(handle)))
    } catch (error) {
      if (!isOfBytes(error)) throw error
      damage.push("its filter")
      footer.position = 0
      footer.varint()
      footer.varint()
    }
    readEntries(readBlock(source, footer), (_, handle) => {
      try {
        const block = readBlock(source, new Cursor(handle))
        if (visit === undefined) return checkEntries(block)
        readEntries(block, (key, value) => {
          if (key.length < tagSize) throw new Malformed()
          const tag = viewOf(key).getBigUint64(key.length - tagSize, true)
          visit(text(key.subarray(0, -tagSize)), Number(tag >> 8n), (tag & 0xffn) === 1n ? value : undefined)
        })
      } catch (error) {
        if (!isOfBytes(error)) throw error
        damage.push("a block")
      }
    })
  } catch (error) {
    if (!isOfBytes(error)) throw error
    damage.push("its index")
  }
  return damage
}

/** Whether an error comes from the content of the bytes, not from reading them. */
const isOfBytes = (error: unknown): boolean => error instanceof Malformed || error instanceof RangeError
