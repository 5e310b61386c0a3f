/**
 * Converts values to payload bytes.
 *
 * Every payload of a user passes here before it is published, so that the engine, the stores and the codec only ever
 * see a `Uint8Array`. Nothing is copied: the result is a view of the memory of the value.
 */
import { InvalidPayload, PacketTooLarge } from "../MqttError.ts"
import { kindOf } from "./valueNames.ts"

/** The largest remaining length of a packet (MQTT 2.1.4): no payload is larger. */
export const largestRemaining = 268_435_455

/** The largest packet: 5 bytes of fixed header, and the largest remaining length. */
export const largestPacket = 268_435_460

const encoder = new TextEncoder()

/**
 * The bytes of a payload: of a string in UTF-8, of a view or a buffer its whole extent. Otherwise the reason why it is
 * no payload.
 */
export const payloadBytes = (payload: unknown): Uint8Array | InvalidPayload | PacketTooLarge => {
  // A code unit takes at least one byte, so a string that is too long need not be encoded.
  if (typeof payload === "string") {
    return payload.length > largestRemaining ? tooLarge(payload.length) : bounded(encoder.encode(payload))
  }
  const bytes = viewBytes(payload)
  if (bytes === undefined) {
    return new InvalidPayload({
      detail: `expected text or bytes, got ${kindOf(payload)}${hint(payload)}`,
      direction: "sent"
    })
  }
  return bytes === "gone" ? new InvalidPayload({ detail: bufferGone, direction: "sent" }) : bounded(bytes)
}

/** The error text for a view whose buffer cannot be read any more. */
export const bufferGone = "its buffer is detached, or has become too small for it"

/**
 * The bytes of a view or a buffer; undefined for any other value, and `gone` for one whose buffer was detached or has
 * shrunk.
 */
export const viewBytes = (value: unknown): Uint8Array | "gone" | undefined => {
  // The most frequent case first. Only an array of another realm (a vm context, a frame) fails the second test.
  if (ArrayBuffer.isView(value)) {
    if (value instanceof Uint8Array) return value.length === 0 && isGone(value) ? "gone" : value
    return attempt(() => {
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      return bytes.length === 0 && isGone(value) ? "gone" : bytes
    })
  }
  return isBuffer(value) ? attempt(() => new Uint8Array(value)) : undefined
}

// Making a view of a value throws exactly when its buffer is gone.
const attempt = (make: () => Uint8Array | "gone"): Uint8Array | "gone" => {
  try {
    return make()
  } catch {
    return "gone"
  }
}

/** Whether the buffer of an empty view is gone. */
const isGone = (view: ArrayBufferView): boolean => {
  // The length of a DataView throws by itself. Iterating over a typed array requires an attached buffer.
  if (!("BYTES_PER_ELEMENT" in view)) return false
  try {
    Uint8Array.prototype.values.call(view)
    return false
  } catch {
    return true
  }
}

// Uses the getters, which require a genuine buffer: a tag can be forged, and a class has another identity in another
// realm.
const lengths: ReadonlyArray<object> = typeof SharedArrayBuffer === "undefined"
  ? [ArrayBuffer.prototype]
  : [ArrayBuffer.prototype, SharedArrayBuffer.prototype]

const isBuffer = (value: unknown): value is ArrayBufferLike =>
  typeof value === "object" && value !== null && lengths.some((prototype) => {
    try {
      return typeof Reflect.get(prototype, "byteLength", value) === "number"
    } catch {
      return false
    }
  })

const hint = (payload: unknown): string =>
  typeof payload === "object" && payload !== null
    ? ": encode it first, for example with PayloadCodec.json or JSON.stringify"
    : ""

const bounded = (bytes: Uint8Array): Uint8Array | PacketTooLarge =>
  bytes.length > largestRemaining ? tooLarge(bytes.length) : bytes

const tooLarge = (size: number): PacketTooLarge => new PacketTooLarge({ size, maximum: largestPacket })
