/**
 * Converts bytes to the strings that drivers send and receive, which are transmitted as UTF-8.
 *
 * A byte becomes the character of its number (Latin-1): ASCII stays one byte in Redis, other bytes become two. Measured
 * with Node 24 against base64, bytes in Redis and nanoseconds to encode and to decode: 4096 bytes of JSON 4096 (1240,
 * 1210) instead of 5464 (2130, 1590), 4096 random bytes 6095 (5560, 32020) instead of 5464 (2210, 2530). Most MQTT
 * payloads are text, and `redis-cli` shows it. Only a value that would exceed Redis's limit for one value (512 MB) is
 * base64 after a `=`, which no record begins with: the largest message of MQTT has 256 MB.
 */
import { Buffer } from "node:buffer"

const large = 400 * 1_048_576
const base64Mark = "="

/** The bytes as a string; base64 when that would take more than `limit` bytes. */
export const toText = (bytes: Uint8Array, limit: number = large): string => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString("latin1")
  // A character takes at most two bytes.
  return buffer.length * 2 > limit && Buffer.byteLength(text) > limit ? base64Mark + buffer.toString("base64") : text
}

/**
 * The bytes of a string. A string that was altered into something else than Latin-1 gives wrong bytes, which the
 * record's checksum detects.
 */
export const toBytes = (text: string): Uint8Array =>
  text.startsWith(base64Mark) ? Buffer.from(text.slice(1), "base64") : Buffer.from(text, "latin1")
