/**
 * Buffers for encoders. An encoder holds one from its first packet until its bytes are taken; what is left of it then
 * serves the next encoder, so that an idle session holds none. Bytes that were handed out are never written again.
 */

/** The size of a pooled buffer. */
export const poolBufferSize = 65_536

// Less than this is not worth coming back to.
const smallestRest = 2048
const keptBuffers = 8

export interface PoolBuffer {
  readonly bytes: Uint8Array
  /** Everything before was handed out. */
  position: number
}

const rests: Array<PoolBuffer> = []

/**
 * A buffer with room for some bytes at least.
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
 * Gives the rest of a buffer back.
 */
export const releaseBuffer = (buffer: PoolBuffer): void => {
  if (buffer.bytes.length - buffer.position >= smallestRest && rests.length < keptBuffers) {
    rests.push(buffer)
  }
}
