/**
 * Buffers for encoders. An encoder holds one from its first packet until its bytes are taken. The rest of the buffer
 * then serves the next encoder, so an idle session holds none. Bytes that were handed out are never written again.
 */

/** The size of a pooled buffer. */
export const poolBufferSize = 65_536

/**
 * Payloads of at least this many bytes are handed out without a copy, unless the options say otherwise. Measured on a
 * TCP socket of Node with 64 packets per write: at 2 KiB, copying is cheaper than two more chunks per packet; at 4 KiB
 * it is not.
 */
export const separatePayload = 4096

// A smaller rest is not reused.
const smallestRest = 2048
const keptBuffers = 8

export interface PoolBuffer {
  readonly bytes: Uint8Array
  /** All bytes before it were handed out. */
  position: number
}

const rests: Array<PoolBuffer> = []

/**
 * Takes a buffer with at least this much space.
 */
export const acquireBuffer = (atLeast: number): PoolBuffer => {
  const rest = rests.length > 0 ? rests[rests.length - 1] : undefined
  if (rest !== undefined && rest.bytes.length - rest.position >= atLeast) {
    rests.pop()
    return rest
  }
  return { bytes: new Uint8Array(Math.max(poolBufferSize, atLeast)), position: 0 }
}

/**
 * Returns the rest of a buffer to the pool.
 */
export const releaseBuffer = (buffer: PoolBuffer): void => {
  if (buffer.bytes.length - buffer.position >= smallestRest && rests.length < keptBuffers) {
    rests.push(buffer)
  }
}
