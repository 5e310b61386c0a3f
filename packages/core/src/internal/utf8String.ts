/**
 * The UTF-8 encoded strings of MQTT (MQTT 1.5.4): at most 65,535 bytes, no null character, no lone surrogate. Control
 * characters and non-characters, which MQTT advises against, are allowed.
 *
 * This file is the only judge of them: codec, topics, options and messages ask it.
 */

/** Maximum bytes of a string or of binary data. */
export const maximumTextBytes = 65_535

/**
 * The number of UTF-8 bytes of a string, which may be more than `maximumTextBytes`. For a string with a null character
 * or a lone surrogate, the bitwise complement of the offset of the first one, which is negative.
 *
 * One pass over the code units without allocations, because it runs for every string that is sent.
 */
export const measureUtf8 = (text: string): number => {
  const length = text.length
  let bytes = length
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0) {
      return ~i
    }
    if (unit < 0x80) {
      continue
    }
    if (unit < 0x800) {
      bytes++
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 2
    } else {
      const next = i + 1 < length ? text.charCodeAt(i + 1) : 0
      if (unit > 0xdbff || next < 0xdc00 || next > 0xdfff) {
        return ~i
      }
      // Two code units become four bytes.
      bytes += 2
      i++
    }
  }
  return bytes
}

/** Whether a value is a string that MQTT can carry. */
export const isUtf8String = (value: unknown): value is string => {
  if (typeof value !== "string") return false
  const bytes = measureUtf8(value)
  return bytes >= 0 && bytes <= maximumTextBytes
}

/** The first invalid place of a string. `offset` counts UTF-16 code units. */
export interface Fault {
  readonly offset: number
  readonly detail: string
}

/**
 * Finds the first fault of a string. The empty string has none. It runs for every publish, and allocates nothing for a
 * valid string.
 */
export const findFault = (text: string, wildcards: "allowed" | "forbidden"): Fault | undefined => {
  const bytes = measureUtf8(text)
  const isPlain = wildcards === "allowed" || (!text.includes("+") && !text.includes("#"))
  return isPlain && bytes >= 0 && bytes <= maximumTextBytes ? undefined : firstFault(text, bytes, wildcards)
}

const firstFault = (text: string, bytes: number, wildcards: "allowed" | "forbidden"): Fault => {
  const faults: Array<Fault> = []
  if (wildcards === "forbidden") faults.push({ offset: text.search(/[+#]/), detail: "wildcard" })
  if (bytes < 0) {
    faults.push({ offset: ~bytes, detail: text.charCodeAt(~bytes) === 0 ? "null character" : "lone surrogate" })
  }
  faults.push({ offset: offsetBeyond(text), detail: "more than 65,535 bytes" })
  return faults.filter(({ offset }) => offset >= 0).reduce((first, fault) =>
    fault.offset < first.offset ? fault : first
  )
}

/** The offset of the character with which a string is too long; -1: none before the first that MQTT forbids. */
const offsetBeyond = (text: string): number => {
  let bytes = 0
  let offset = 0
  for (const character of text) {
    const size = measureUtf8(character)
    if (size < 0) return -1
    bytes += size
    if (bytes > maximumTextBytes) return offset
    offset += character.length
  }
  return -1
}
