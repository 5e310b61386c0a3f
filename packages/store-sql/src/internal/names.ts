/**
 * The names of sessions and the keys of records as PostgreSQL stores them.
 */
import { createHash } from "node:crypto"

// A text of PostgreSQL has no NUL and no lone surrogate, and holds what the encoding of its database has. ASCII is in
// all of them.
const special = /[%\0]|[^\0-\x7f]/g
const escaped = /%([0-9a-f]{4})/g

/** The text of a name: ASCII, and different for different names. */
export const textOf = (name: string): string =>
  name.replace(special, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The name of a text. */
export const nameOf = (text: string): string =>
  text.replace(escaped, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))

/** The SHA-256 of a text. Names and keys may be longer than an index of PostgreSQL takes. */
export const hashOf = (text: string): Uint8Array => createHash("sha256").update(text).digest()
