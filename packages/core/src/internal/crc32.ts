/**
 * The checksum CRC-32 (ISO 3309). It detects every burst of errors up to 32 bits.
 */
const table = new Int32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1
  table[byte] = remainder
}

/**
 * The checksum of the bytes, continued from the checksum of the bytes before them. A plain loop, because it runs over
 * every stored payload.
 */
export const crc32 = (bytes: Uint8Array, end: number = bytes.length, previous = 0): number => {
  let crc = ~previous
  for (let i = 0; i < end; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!
  return ~crc >>> 0
}
