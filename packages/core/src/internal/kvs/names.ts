/**
 * Session names as parts of keys, for stores that make file names of keys and take neither every character nor every length, nor know
 * upper from lower case.
 */
import { sha256 } from "../sha256.ts"

/** File names have 255 bytes, and key-value stores may write a character as three. */
const longest = 100

/**
 * Lower case letters, digits and hyphens stand for themselves, everything else as `_` and the four digits of each UTF-16 unit. What would
 * be too long is `__`, which appears nowhere else, and its digest. Neither contains `/`.
 */
export const encodeName = (name: string): string => {
  let encoded = ""
  for (let i = 0; i < name.length && encoded.length <= longest; i++) {
    const unit = name[i]!
    encoded += /[-0-9a-z]/.test(unit) ? unit : `_${name.charCodeAt(i).toString(16).padStart(4, "0")}`
  }
  return encoded.length <= longest ? encoded : `__${sha256(unitsOf(name))}`
}

// UTF-8 has no halves of characters, but any string is a name.
const unitsOf = (name: string): Uint8Array => {
  const bytes = new Uint8Array(name.length * 2)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < name.length; i++) view.setUint16(2 * i, name.charCodeAt(i))
  return bytes
}
