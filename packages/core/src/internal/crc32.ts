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

const textEncoder = new TextEncoder()

/**
 * The checksum of a text in UTF-8. Keys of records are ASCII nearly always: their units are their bytes, and encoding
 * them first would take as long as the rest of reading a record.
 */
export const crc32OfText = (text: string): number => {
  let crc = ~0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return crc32(textEncoder.encode(text))
    crc = (crc >>> 8) ^ table[(crc ^ unit) & 0xff]!
  }
  return ~crc >>> 0
}
