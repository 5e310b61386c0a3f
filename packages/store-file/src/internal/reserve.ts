/**
 * The reserve: a file whose room on the disk is taken while there is some, so that a full disk can still take what
 * makes room.
 *
 * Its first part is a journal, which is overwritten in place and so needs no room: what is deleted while LevelDB, which
 * writes before it frees, can do nothing at all. The rest is spare: it is given back to the disk when opening or
 * rebuilding the store needs some blocks.
 *
 * The journal has two halves. Each is a head of 32 bytes (magic, generation, checksum) and entries: 4 bytes of size, 4
 * of checksum, the differences. The half with the larger generation counts, up to its last whole entry. When a half is
 * full, all that is known is written to the other one in a compact form, and then that one's head.
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
/** Of the whole file. */
const reserveSize = journalSize + 3 * halfSize
const lockBytes = 65_536
const headSize = 32
const frameSize = 8
const magic = Buffer.from("effect-mqttx reserve")

/** Room that others may use, in bytes; of a file system that does not tell, as much as one likes. */
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

/** Undefined when it is none. */
const decodeHead = (head: Uint8Array): number | undefined => {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length)
  return bytes.length === headSize && bytes.readUInt32LE(28) === crc32(bytes.subarray(0, 28)) &&
      bytes.subarray(0, magic.length).equals(magic)
    ? bytes.readDoubleLE(20)
    : undefined
}

/** An entry of an older generation in the same place must not be taken for one of this. */
const seal = (operations: Uint8Array, generation: number, position: number): number =>
  crc32(operations, crc32(Buffer.from(`${generation} ${position}`)))

/** Whether one entry has room in a half. */
const fits = (encoded: Uint8Array): boolean => headSize + frameSize + encoded.length <= halfSize

/** Without what later operations make void. */
const merged = (encoded: Uint8Array): Uint8Array => {
  const differences = new Differences()
  differences.decode(encoded)
  return differences.encode()
}

/** Cuts a file; false when it is not longer. */
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
  /** Undefined: there was no room for a file, not even for an empty one. */
  readonly #descriptor: number | undefined
  #generation = 0
  /** In which half, and where in it the next entry goes. */
  #half = 0
  #position = headSize
  readonly #differences = new Differences()

  private constructor(root: string, descriptor: number | undefined) {
    this.#root = root
    this.#descriptor = descriptor
  }

  /** Opens the reserve, and takes its room when there is enough; without room it opens all the same. */
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
   * Gives a few blocks back, which the lock of a store needs before anything else can be opened; false when there are
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

  /** What the journal says, on top of the database. */
  get differences(): Pick<Differences, "isEmpty" | "operations" | "patches" | "values"> {
    return this.#differences
  }

  /**
   * Whether there is so much room that small messages may have some of it: states of messages and deletions need the
   * rest.
   */
  get isRoomy(): boolean {
    return this.#differences.valueBytes < halfSize / 4
  }

  /** Whether a full disk can still take deletions. */
  get isHeld(): boolean {
    return this.#descriptor !== undefined && Fs.fstatSync(this.#descriptor).size >= journalSize
  }

  /** Gives the spare part back but for the blocks of the lock; false when there is none. */
  releaseSpare(): boolean {
    return this.#descriptor !== undefined && cut(this.#descriptor, journalSize + lockBytes)
  }

  /** Takes the room of the whole file, if that leaves much more to others. */
  hold(): void {
    const descriptor = this.#descriptor
    if (descriptor === undefined) return
    const { size } = Fs.fstatSync(descriptor)
    if (size >= reserveSize || freeRoom(this.#root) < 4 * reserveSize) return
    // Zeros might take no room: file systems compress them, or leave holes.
    const bytes = randomFillSync(Buffer.alloc(reserveSize - size))
    try {
      this.#put(descriptor, bytes, size)
      Fs.fsyncSync(descriptor)
      syncDirectory(this.#root)
    } catch {
      // Somebody else was faster: without a reserve the store works until the disk is full.
      Fs.ftruncateSync(descriptor, size)
    }
  }

  /** Writes differences, safe when it returns. Fails with the kind `full` when the journal has no room for them. */
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

  /** Forgets everything, safe when it returns: the database has it. */
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
    frame.writeUInt32LE(seal(encoded, this.#generation, this.#position), 4)
    this.#put(descriptor, Buffer.concat([frame, encoded]), this.#half * halfSize + this.#position)
    this.#position += frameSize + encoded.length
  }

  /** A new generation in the other half; its head last. */
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
      // Were the new head damaged one day, the old half would tell of what is long over.
      this.#put(descriptor, Buffer.alloc(headSize), half * halfSize)
    } catch (error) {
      // The new head may be there or not: what comes next is a generation that is newer than both.
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
      if (seal(encoded, this.#generation, this.#position) !== bytes.readUInt32LE(this.#position + 4)) break
      this.#differences.decode(encoded)
      this.#position = end
    }
  }
}
