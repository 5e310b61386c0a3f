/**
 * Copies inbound bytes for the decoder, whose payloads are views of these copies. Copies topics and payloads into the
 * buffers of encoders.
 */

/**
 * The place of a copy.
 */
export interface Copy {
  readonly bytes: Uint8Array
  readonly dataView: DataView
  readonly offset: number
}

// Small chunks share a buffer, as the small buffers of Node do: a separate allocation costs more than all other work on
// one short message. A message that is kept for long keeps at most this many bytes alive.
const sharedSize = 8192
const largestShared = 2048

let shared: Uint8Array = new Uint8Array(0)
let sharedView: DataView = new DataView(shared.buffer)
let sharedPosition = 0

/**
 * Copies a chunk.
 */
export const copyOf = (chunk: Uint8Array): Copy => {
  const length = chunk.length
  if (length > largestShared) {
    const bytes = new Uint8Array(length)
    bytes.set(chunk)
    return { bytes, dataView: new DataView(bytes.buffer), offset: 0 }
  }
  if (length > shared.length - sharedPosition) {
    shared = new Uint8Array(sharedSize)
    sharedView = new DataView(shared.buffer)
    sharedPosition = 0
  }
  const offset = sharedPosition
  shared.set(chunk, offset)
  sharedPosition = offset + length
  return { bytes: shared, dataView: sharedView, offset }
}

// Read once, because V8 looks it up again in each call: 15 ns for a copy of 8 to 64 bytes, 11 ns in this way.
const { set } = Uint8Array.prototype

/** Copies `source` to `position` in `target`, where there must be room for it. */
export const copyInto = (target: Uint8Array, source: Uint8Array, position: number): void => {
  set.call(target, source, position)
}
