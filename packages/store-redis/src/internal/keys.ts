/**
 * The names of a session's keys in Redis, and of the fields of its hash.
 */

/**
 * All keys of one session. Redis Cluster puts them into one slot, because their only braces hold the session's name.
 */
export interface SessionKeys {
  /** A string: the epoch of the newest owner, `:`, and its token, which is empty once it has released the session. */
  readonly owner: string
  /** A string that lives as long as the lease; the same as in `owner`. */
  readonly lease: string
  /**
   * A hash: from the keys of the records to their bytes, and from the empty field to the number of the newest commit.
   */
  readonly records: string
  /** A hash: a commit that is too large for one script, until it is applied in full, see `internal/scripts.ts`. */
  readonly staged: string
  /** The next `records` while it is being written, see `internal/lossRepair.ts`. */
  readonly rewrite: string
}

// Characters that would end the hash tag, that UTF-8 cannot encode, or that a terminal should not show. The escape
// itself is included, so that different names have different keys.
const special = /[%{}\p{Cc}\p{Cs}]/gu

const escape = (character: string): string => `%${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * The keys of a session. No two names share a key. The tag of an empty name is not empty, because Redis ignores an
 * empty tag.
 */
export const keysOf = (prefix: string, session: string): SessionKeys => {
  const base = `${prefix}{${session === "" ? "%" : session.replace(special, escape)}}:`
  return {
    owner: `${base}owner`,
    lease: `${base}lease`,
    records: `${base}records`,
    staged: `${base}staged`,
    rewrite: `${base}rewrite`
  }
}

// A session may have any name, and the key of an origin record contains it. UTF-8 would make all lone surrogates equal.
const specialInField = /[%\p{Cs}]/gu
const escaped = /%([0-9a-f]{4})/g

/**
 * The field that holds the record of a key. Nearly every key is its field. A loop finds that in a tenth of the time of
 * the expression.
 */
export const fieldOf = (key: string): string => {
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i)
    if (unit === 0x25 || (unit >= 0xd800 && unit <= 0xdfff)) return key.replace(specialInField, escape)
  }
  return key
}

/**
 * The key of the record that a field holds.
 */
export const keyOfField = (field: string): string =>
  !field.includes("%")
    ? field
    : field.replace(escaped, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
