/**
 * The UTF-8 encoded strings of MQTT (MQTT 1.5.4): at most 65,535 bytes, no null character, no lone surrogate. Control
 * characters and non-characters, which MQTT advises against, are allowed.
 */

/** The first invalid place of a string. `offset` counts UTF-16 code units. */
export interface Fault {
  readonly offset: number
  readonly detail: string
}

const maximumBytes = 65_535

/**
 * Finds the first fault of a string. The empty string has none.
 *
 * One pass over the code units, because it runs for every publish. It allocates nothing for a valid string, and checks
 * the wildcards of topic names in the same pass.
 */
export const findFault = (text: string, wildcards: "allowed" | "forbidden"): Fault | undefined => {
  const length = text.length
  const forbidden = wildcards === "forbidden"
  let bytes = 0
  for (let i = 0; i < length; i++) {
    const offset = i
    const unit = text.charCodeAt(i)
    if (unit < 0x80) {
      if (unit === 0) {
        return { offset, detail: "null character" }
      }
      if (forbidden && (unit === 0x2b || unit === 0x23)) {
        return { offset, detail: "wildcard" }
      }
      bytes += 1
    } else if (unit < 0x800) {
      bytes += 2
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 3
    } else {
      const next = i + 1 < length ? text.charCodeAt(i + 1) : 0
      if (unit > 0xdbff || next < 0xdc00 || next > 0xdfff) {
        return { offset, detail: "lone surrogate" }
      }
      i++
      bytes += 4
    }
    if (bytes > maximumBytes) {
      return { offset, detail: "more than 65,535 bytes" }
    }
  }
  return undefined
}
