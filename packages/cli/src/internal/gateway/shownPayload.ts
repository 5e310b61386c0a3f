/**
 * The beginning of a payload, for the admin interface: as text, or in base64 where it is no UTF-8.
 */

/** How many bytes are shown. */
export const shownBytes = 1024

/** `length` is that of the whole payload. */
export const shownPayload = (payload: Uint8Array, length: number = payload.length): string => {
  const part = payload.subarray(0, shownBytes)
  try {
    // A character at the end of the part may be incomplete, which `stream` forgives.
    return new TextDecoder("utf-8", { fatal: true }).decode(part, { stream: part.length < length })
  } catch {
    return `base64:${Buffer.from(part).toString("base64")}`
  }
}
