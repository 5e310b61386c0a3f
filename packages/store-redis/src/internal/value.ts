/**
 * Bytes as the texts that drivers send and receive, which travel as UTF-8.
 *
 * A byte becomes the character of its number (Latin-1): ASCII stays one byte in Redis, other bytes become two. Measured with Node 24 beside
 * base64, bytes in Redis and nanoseconds to encode and to decode: 4096 bytes of JSON 4096 (1240, 1210) instead of 5464 (2130, 1590), 4096
 * random bytes 6095 (5560, 32020) instead of 5464 (2210, 2530). What MQTT carries is text for the most part, and `redis-cli` shows it.
 */
import { Buffer } from "node:buffer"

/** The text of bytes. */
export const toText = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

/** The bytes of a text; of one that was altered into something else than Latin-1 others, which their checksum tells. */
export const toBytes = (text: string): Uint8Array => Buffer.from(text, "latin1")
