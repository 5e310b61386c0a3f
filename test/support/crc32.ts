/**
 * CRC-32 as its definition says, bit by bit, over one part after the other: what the fast one is compared with.
 */
export const reference = (...parts: ReadonlyArray<Uint8Array>): number => {
  let crc = 0xffffffff
  for (const part of parts) {
    for (const byte of part) {
      crc ^= byte
      for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    }
  }
  return ~crc >>> 0
}
