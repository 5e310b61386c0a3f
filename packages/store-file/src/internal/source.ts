/**
 * Bytes to read from: those of a file, a piece at a time, or such that are in memory. A log may be larger than what
 * Node reads at once, and than what the process has as memory.
 */
import * as Fs from "node:fs"
import { openFile } from "./directory.ts"

/** Something to read from. */
export interface Source {
  readonly length: number
  /**
   * The bytes from `position` on; fewer where it ends before. They may be overwritten by nothing but the file's own
   * writers.
   */
  readonly read: (position: number, size: number) => Uint8Array
}

export const bytesSource = (bytes: Uint8Array): Source => ({
  length: bytes.length,
  read: (position, size) => bytes.subarray(position, position + size)
})

export const sourceOf = (bytes: Uint8Array | Source): Source => bytes instanceof Uint8Array ? bytesSource(bytes) : bytes

/** Reads from a descriptor until there is enough, or no more. */
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
