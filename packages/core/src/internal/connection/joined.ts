/**
 * Joins the chunks of an encoder into few writes, because each write to a WebSocket is a frame. It keeps no state. The
 * sender calls it.
 */

// Beyond this size in bytes, copying costs more than another write.
const joinUpTo = 65_536

/**
 * The chunks of one turn, joined into one write where that is cheaper.
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
