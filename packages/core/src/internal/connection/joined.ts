/**
 * Joins the chunks that an encoder gives to as few writes as pay: each write to a WebSocket is a frame. The sender
 * calls it; it keeps nothing.
 */

// Beyond this, copying costs more than another write.
const joinUpTo = 65_536

/**
 * The chunks of one turn as one write, where that is worth it.
 */
export const joined = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  if (chunks.length === 1) {
    return chunks
  }
  let length = 0
  for (const chunk of chunks) {
    length += chunk.length
  }
  if (length > joinUpTo) {
    return chunks
  }
  const bytes = new Uint8Array(length)
  let position = 0
  for (const chunk of chunks) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return [bytes]
}
