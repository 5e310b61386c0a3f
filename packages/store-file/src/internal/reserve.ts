/**
 * The reserve: a file that allocates room on the disk in advance, so that a full disk can still take the writes that
 * free room.
 *
 * Its first part is a journal, which is overwritten in place and so needs no further room. It takes deletions while
 * LevelDB, which writes before it frees, cannot work at all. The rest is spare: it is given back to the disk when
 * opening or rebuilding the store needs some blocks.
 *
 * The journal has two halves. Each is a head of 32 bytes (magic, generation, checksum) and entries: 4 bytes of size, 4
 * of checksum, the differences. The half with the larger generation counts, up to its last whole entry. When a half is
 * full, all differences are written to the other one in a compact form, and then the head of that half.
 */
import { randomFillSync } from "node:crypto"
import * as Fs from "node:fs"
import { crc32 } from "node:zlib"
import { type Difference, Differences } from "./differences.ts"
import { openFile, syncDirectory } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { readAt } from "./source.ts"

const halfSize = 131_072
const journalSize = 2 * halfSize
/** Bytes of the whole file. */
const reserveSize = journalSize + 3 * halfSize
const lockBytes = 65_536
const headSize = 32
const frameSize = 8
const magic = Buffer.from("effect-mqttx reserve")

/** Free room for other files, in bytes; unlimited for a file system that does not report it. */
export const freeRoom = (path: string): number => {
  try {
    const { bavail, bsize } = Fs.statfsSync(path)
    return bavail * bsize
  } catch {
    return Infinity
  }
}

const encodeHead = (generation: number): Buffer => {
  const head = Buffer.alloc(headSize)
  magic.copy(head)
  head.writeDoubleLE(generation, 20)
  head.writeUInt32LE(crc32(head.subarray(0, 28)), 28)
  return head
}

/** Undefined for an invalid head. */
const decodeHead = (head: Uint8Array): number | undefined => {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length)
  return bytes.length === headSize && bytes.readUInt32LE(28) === crc32(bytes.subarray(0, 28)) &&
      bytes.subarray(0, magic.length).equals(magic)
    ? bytes.readDoubleLE(20)
    : undefined
}

/** The checksum includes the generation, so that an entry of an older generation in the same place is not accepted. */
const checksumOf = (operations: Uint8Array, generation: number, position: number): number =>
  crc32(operations, crc32(Buffer.from(`${generation} ${position}`)))

/** Whether one entry fits into a half. */
const fits = (encoded: Uint8Array): boolean => headSize + frameSize + encoded.length <= halfSize

/** Without what later operations supersede. */
const merged = (encoded: Uint8Array): Uint8Array => {
  const differences = new Differences()
  differences.decode(encoded)
  return differences.encode()
}

/** Shortens a file; false when it is not longer. */
const cut = (descriptor: number, size: number): boolean => {
  if (Fs.fstatSync(descriptor).size <= size) return false
  Fs.ftruncateSync(descriptor, size)
  return true
}

/**
 * The reserve of an open store.
 */
export class Reserve {
  readonly #root: string
  /** Undefined: there was no room even for an empty file. */
  readonly #descriptor: number | undefined
  #generation = 0
  /** The half in use, and the position of the next entry in it. */
  #half = 0
  #position = headSize
  readonly #differences = new Differences()

  private constructor(root: string, descriptor: number | undefined) {
    this.#root = root
    this.#descriptor = descriptor
  }

  /** Opens the reserve, and allocates its room if there is enough. Without room it still opens. */
  static open(path: string, root: string): Reserve {
    const { O_CREAT, O_RDWR } = Fs.constants
    let descriptor: number
    try {
      descriptor = openFile(path, O_RDWR | O_CREAT)
    } catch (error) {
      if (kindOf(error) === "full") return new Reserve(root, undefined)
      throw error
    }
    try {
      Fs.fchmodSync(descriptor, 0o600)
      const reserve = new Reserve(root, descriptor)
      reserve.#read(descriptor)
      reserve.hold()
      return reserve
    } catch (error) {
      Fs.closeSync(descriptor)
      throw error
    }
  }

  /**
   * Gives back a few blocks, which the lock of a store needs before anything else can be opened; false when there are
   * none.
   */
  static releaseBlocks(path: string): boolean {
    let descriptor: number | undefined
    try {
      descriptor = openFile(path, Fs.constants.O_RDWR)
      return cut(descriptor, Math.max(journalSize, Fs.fstatSync(descriptor).size - lockBytes))
    } catch {
      return false
    } finally {
      if (descriptor !== undefined) Fs.closeSync(descriptor)
    }
  }

  /** The differences in the journal, relative to the database. */
  get differences(): Pick<Differences, "isEmpty" | "operations" | "patches" | "values"> {
    return this.#differences
  }

  /**
   * Whether there is enough room to admit small messages. States of messages and deletions need the rest.
   */
  get isRoomy(): boolean {
    return this.#differences.valueBytes < halfSize / 4
  }

  /** Whether a full disk can still take deletions. */
  get isHeld(): boolean {
    return this.#descriptor !== undefined && Fs.fstatSync(this.#descriptor).size >= journalSize
  }

  /** Gives back the spare part except the blocks of the lock; false when there is none. */
  releaseSpare(): boolean {
    return this.#descriptor !== undefined && cut(this.#descriptor, journalSize + lockBytes)
  }

  /** Allocates the whole file, if that leaves much more room to others. */
  hold(): void {
    const descriptor = this.#descriptor
    if (descriptor === undefined) return
    const { size } = Fs.fstatSync(descriptor)
    if (size >= reserveSize || freeRoom(this.#root) < 4 * reserveSize) return
    // Random bytes, because file systems may compress zeros or leave holes.
    const bytes = randomFillSync(Buffer.alloc(reserveSize - size))
    try {
      this.#put(descriptor, bytes, size)
      Fs.fsyncSync(descriptor)
      syncDirectory(this.#root)
    } catch {
      // Another process took the room first. Without a reserve the store works until the disk is full.
      Fs.ftruncateSync(descriptor, size)
    }
  }

  /**
   * Writes differences, which are safe when it returns. Fails with the kind `full` when the journal has no room for
   * them.
   */
  append(differences: ReadonlyArray<Difference>): void {
    const descriptor = this.#descriptor
    if (descriptor === undefined || !this.isHeld) {
      throw new StoreFailure("full", "the disk is full, and the store has no reserve on it")
    }
    const entry = new Differences()
    entry.apply(differences)
    const encoded = entry.encode()
    if (this.#generation > 0 && this.#position + frameSize + encoded.length <= halfSize) {
      this.#write(descriptor, encoded)
      Fs.fdatasyncSync(descriptor)
    } else {
      const both = Buffer.concat([this.#differences.encode(), encoded])
      this.#writeAll(descriptor, fits(both) ? both : merged(both))
    }
    this.#differences.apply(differences)
  }

  /** Removes all entries, because the database has them. Safe when it returns. */
  clear(): void {
    if (this.#descriptor === undefined || this.#differences.isEmpty) return
    this.#writeAll(this.#descriptor, new Differences().encode())
    this.#differences.clear()
  }

  close(): void {
    if (this.#descriptor !== undefined) Fs.closeSync(this.#descriptor)
  }

  #write(descriptor: number, encoded: Uint8Array): void {
    const frame = Buffer.alloc(frameSize)
    frame.writeUInt32LE(encoded.length, 0)
    frame.writeUInt32LE(checksumOf(encoded, this.#generation, this.#position), 4)
    this.#put(descriptor, Buffer.concat([frame, encoded]), this.#half * halfSize + this.#position)
    this.#position += frameSize + encoded.length
  }

  /** Writes a new generation to the other half, its head last. */
  #writeAll(descriptor: number, encoded: Uint8Array): void {
    if (!fits(encoded)) {
      throw new StoreFailure("full", "the disk is full, and so is the store's reserve on it")
    }
    const half = this.#half
    this.#generation++
    this.#half = 1 - half
    this.#position = headSize
    try {
      if (encoded.length > 0) this.#write(descriptor, encoded)
      Fs.fdatasyncSync(descriptor)
      this.#put(descriptor, encodeHead(this.#generation), this.#half * halfSize)
      Fs.fdatasyncSync(descriptor)
      // If the new head were damaged later, the old half would show an outdated state.
      this.#put(descriptor, Buffer.alloc(headSize), half * halfSize)
    } catch (error) {
      // It is unknown whether the new head is written, so the next generation is newer than both.
      this.#half = half
      this.#position = Infinity
      throw error
    }
  }

  #put(descriptor: number, bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.length;) at += Fs.writeSync(descriptor, bytes, at, bytes.length - at, position + at)
  }

  #read(descriptor: number): void {
    for (const half of [0, 1]) {
      const generation = decodeHead(readAt(descriptor, half * halfSize, headSize))
      if (generation !== undefined && generation > this.#generation) {
        this.#generation = generation
        this.#half = half
      }
    }
    if (this.#generation === 0) return
    const bytes = Buffer.from(readAt(descriptor, this.#half * halfSize, halfSize))
    while (this.#position + frameSize <= bytes.length) {
      const start = this.#position + frameSize
      const end = start + bytes.readUInt32LE(this.#position)
      if (end > bytes.length) break
      const encoded = bytes.subarray(start, end)
      if (checksumOf(encoded, this.#generation, this.#position) !== bytes.readUInt32LE(this.#position + 4)) break
      this.#differences.decode(encoded)
      this.#position = end
    }
  }
}
