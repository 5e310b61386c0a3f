/**
 * Expectations without a test runner. A failed one throws an `Error` that describes it.
 */
import type { LoadedRecords } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreRecord } from "@effect-mqttx/core/StoreRecord"

export const expect = (holds: boolean, message: string): void => {
  if (!holds) throw new Error(message)
}

const entriesOf = (value: object): ReadonlyArray<readonly [string, unknown]> =>
  Object.entries(value).filter(([, part]) => part !== undefined)

/** Equality as far as a session can observe it: an undefined property equals an absent one. */
export const isSame = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length &&
      a.every((byte, i) => byte === b[i])
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => isSame(item, b[i]))
  }
  const entries = entriesOf(a)
  const others = new Map(entriesOf(b))
  return entries.length === others.size && entries.every(([name, value]) => isSame(value, others.get(name)))
}

const show = (value: unknown): string => {
  const text = JSON.stringify(
    value,
    (_, part: unknown) =>
      part instanceof Uint8Array ? `<${part.length} bytes: ${part.subarray(0, 16).join(" ")}>` : part
  ) ?? "nothing"
  return text.length > 500 ? `${text.slice(0, 500)}…` : text
}

const excerpt = (key: string): string => JSON.stringify(key.length > 100 ? `${key.slice(0, 100)}…` : key)

/**
 * Expects exactly these records: outbound ones in the order of their sequence, the others in any order, and no loss.
 */
export const expectRecords = (loaded: LoadedRecords, expected: Iterable<StoreRecord>, when: string): void => {
  const rest = new Map(Array.from(expected, (record) => [keyOf(record), record] as const))
  let sequence = -1
  for (const record of loaded.records) {
    const key = keyOf(record)
    const counterpart = rest.get(key)
    expect(counterpart !== undefined, `${when}: a record that should not be there, or twice: ${excerpt(key)}`)
    expect(isSame(record, counterpart), `${when}: expected ${show(counterpart)}, loaded ${show(record)}`)
    rest.delete(key)
    if (record._tag === "Outbound") {
      expect(record.sequence > sequence, `${when}: sequence ${record.sequence} was loaded after ${sequence}`)
      sequence = record.sequence
    }
  }
  for (const key of rest.keys()) expect(false, `${when}: the record is missing: ${excerpt(key)}`)
  expect(loaded.damage === undefined, `${when}: a healthy store reports damage: ${show(loaded.damage)}`)
}
