/**
 * A source of bytes: a file that is read in pieces, or bytes in memory. A log may be larger than what Node reads at
 * once, and than the memory of the process.
 */
import * as Fs from "node:fs"
import { openFile } from "./directory.ts"

/** A source of bytes. */
export interface Source {
  readonly length: number
  /**
   * The bytes from `position` on; fewer where the source ends before. Only the file's own writers may overwrite them.
   */
  readonly read: (position: number, size: number) => Uint8Array
}

export const bytesSource = (bytes: Uint8Array): Source => ({
  length: bytes.length,
  read: (position, size) => bytes.subarray(position, position + size)
})

export const sourceOf = (bytes: Uint8Array | Source): Source => bytes instanceof Uint8Array ? bytesSource(bytes) : bytes

/** Reads from a descriptor until `size` bytes are read, or the file ends. */
export const readAt = (descriptor: number, position: number, size: number): Uint8Array => {
  const bytes = Buffer.allocUnsafe(size)
  let filled = 0
  while (filled < size) {
    const count = Fs.readSync(descriptor, bytes, filled, size - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/** Uses a file as a source. */
export const withFile = <A>(path: string, use: (source: Source) => A): A => {
  const descriptor = openFile(path, Fs.constants.O_RDONLY)
  try {
    const { size } = Fs.fstatSync(descriptor)
    return use({
      length: size,
      read: (position, wanted) => readAt(descriptor, position, Math.max(0, Math.min(wanted, size - position)))
    })
  } finally {
    Fs.closeSync(descriptor)
  }
}
