/**
 * The commit counts: a small file next to the database that counts the commits of every session.
 *
 * A database whose log lost its end is a whole database of an earlier time: nothing in it shows the loss. The counts
 * show it. A commit is counted after it is safe, so the file never claims more than was committed. Its writes are not
 * synced, which makes them cheap.
 *
 * The file is a header of 32 bytes (magic, format of the store, checksum) and slots of 32 bytes: session, commits,
 * records, checksum. A slot lies in one sector, so it is old or new after a crash. All zeros: free. A session gets its
 * slot, synced, before its first commit. A session without a slot, and a slot that is neither free nor whole, are
 * damage.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { crc32 } from "node:zlib"
import { openFile, syncDirectory } from "./directory.ts"
import { StoreFailure } from "./failure.ts"

/** The newest store format that this version of the library reads, and the format that it writes. */
export const format = 1

/** What the file records of a session. `commits` are known to be safe; 0 claims nothing. */
export interface Claim {
  readonly commits: number
  readonly records: number
}

const magic = Buffer.from("effect-mqttx\0")
const slotSize = 32
const checked = 28
const growth = 4096

const writeChecksum = (slot: Buffer): void => {
  slot.writeUInt32LE(crc32(slot.subarray(0, checked)), checked)
}

const isWhole = (slot: Buffer): boolean =>
  slot.length === slotSize && slot.readUInt32LE(checked) === crc32(slot.subarray(0, checked))

const isFree = (slot: Buffer): boolean => slot.every((byte) => byte === 0)

/**
 * Reads the format of the store without changing anything. Fails with the kind `newerFormat` when a later version of
 * the library wrote it.
 */
export const checkFormat = (path: string): void => {
  const header = contentsOf(path).subarray(0, slotSize)
  if (!isWhole(header) || !header.subarray(0, magic.length).equals(magic)) return
  const found = header.readUInt32LE(magic.length)
  if (found > format) {
    throw new StoreFailure("newerFormat", `the store has the format ${found}, and this version reads up to ${format}`)
  }
}

/** Empty when there is no such file. */
const contentsOf = (path: string): Buffer => {
  try {
    const descriptor = openFile(path, Fs.constants.O_RDONLY)
    try {
      return Fs.readFileSync(descriptor)
    } finally {
      Fs.closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0)
    throw error
  }
}

/**
 * The commit counts of an open store.
 */
export class CommitCounts {
  /**
   * Whether the file, or one of its slots, could not be read when it was opened. A session without a slot may then have
   * had one.
   */
  readonly isDamaged: boolean
  readonly #descriptor: number
  readonly #slots = new Map<string, number>()
  readonly #free: Array<number> = []
  #file: Buffer
  #firstDirty = Infinity
  #lastDirty = -1

  private constructor(descriptor: number, file: Buffer, damaged: boolean) {
    this.#descriptor = descriptor
    this.#file = file
    let broken = damaged
    for (let position = slotSize; position < file.length; position += slotSize) {
      const slot = this.#slotAt(position)
      if (isFree(slot)) {
        this.#free.push(position)
      } else if (isWhole(slot)) {
        this.#slots.set(slot.toString("base64url", 0, 16), position)
      } else {
        broken = true
        slot.fill(0)
        this.#free.push(position)
      }
    }
    this.#free.reverse()
    this.isDamaged = broken
  }

  /** Opens the file, or creates it. A store that is not new must have one. */
  static open(path: string, isNew: boolean): CommitCounts {
    const file = contentsOf(path)
    const damaged = file.length === 0
      ? !isNew
      : !isWhole(file.subarray(0, slotSize)) || file.length % growth !== 0
    const whole = Buffer.alloc(Math.max(growth, Math.ceil(file.length / growth) * growth))
    file.copy(whole)
    whole.fill(0, 0, slotSize)
    magic.copy(whole)
    whole.writeUInt32LE(format, magic.length)
    writeChecksum(whole.subarray(0, slotSize))
    const { O_CREAT, O_RDWR } = Fs.constants
    const descriptor = openFile(path, O_RDWR | O_CREAT)
    try {
      Fs.fchmodSync(descriptor, 0o600)
      const commitCounts = new CommitCounts(descriptor, whole, damaged)
      if (commitCounts.isDamaged || file.length === 0) {
        commitCounts.#write(0, whole.length)
        commitCounts.sync()
        syncDirectory(Path.dirname(path))
      }
      return commitCounts
    } catch (error) {
      Fs.closeSync(descriptor)
      throw error
    }
  }

  /** The claim for a session; undefined when it has no slot. */
  claim(id: string): Claim | undefined {
    const position = this.#slots.get(id)
    if (position === undefined) return undefined
    const slot = this.#slotAt(position)
    return { commits: slot.readUIntLE(16, 6), records: slot.readUInt32LE(22) }
  }

  /** Allocates slots for sessions. They are on disk when it returns. */
  reserve(ids: ReadonlyArray<string>): void {
    const missing = ids.filter((id) => !this.#slots.has(id))
    if (missing.length === 0) return
    while (this.#free.length < missing.length) this.#grow()
    for (const id of missing) {
      const position = this.#free.pop()!
      this.#slots.set(id, position)
      this.note(id, 0, 0)
    }
    try {
      this.flush()
      this.sync()
    } catch (error) {
      for (const id of missing) this.free(id)
      throw error
    }
  }

  /** Records what is safe now. The next `flush` writes it. */
  note(id: string, commits: number, records: number): void {
    const position = this.#slots.get(id)
    if (position === undefined) return
    const slot = this.#slotAt(position)
    slot.write(id, 0, 16, "base64url")
    slot.writeUIntLE(commits, 16, 6)
    slot.writeUInt32LE(records, 22)
    writeChecksum(slot)
    this.#touch(position)
  }

  /** Frees the slot of a session that has been deleted. */
  free(id: string): void {
    const position = this.#slots.get(id)
    if (position === undefined) return
    this.#slots.delete(id)
    this.#slotAt(position).fill(0)
    this.#free.push(position)
    this.#touch(position)
  }

  /** Writes the recorded counts in one write. */
  flush(): void {
    if (this.#lastDirty < 0) return
    this.#write(this.#firstDirty, this.#lastDirty + slotSize)
    this.#firstDirty = Infinity
    this.#lastDirty = -1
  }

  sync(): void {
    Fs.fdatasyncSync(this.#descriptor)
  }

  close(): void {
    try {
      this.flush()
      this.sync()
    } finally {
      Fs.closeSync(this.#descriptor)
    }
  }

  #slotAt(position: number): Buffer {
    return this.#file.subarray(position, position + slotSize)
  }

  #touch(position: number): void {
    this.#firstDirty = Math.min(this.#firstDirty, position)
    this.#lastDirty = Math.max(this.#lastDirty, position)
  }

  #write(from: number, to: number): void {
    for (let position = from; position < to;) {
      position += Fs.writeSync(this.#descriptor, this.#file, position, to - position, position)
    }
  }

  // New slots are written as zeros on the disk, so that no later write of a slot needs room.
  #grow(): void {
    const from = this.#file.length
    const file = Buffer.concat([this.#file, Buffer.alloc(growth)])
    let position = from
    while (position < file.length) {
      position += Fs.writeSync(this.#descriptor, file, position, file.length - position, position)
    }
    Fs.fsyncSync(this.#descriptor)
    this.#file = file
    for (let slot = file.length - slotSize; slot >= from; slot -= slotSize) this.#free.push(slot)
  }
}
