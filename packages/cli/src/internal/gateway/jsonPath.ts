/**
 * Reads and replaces values in JSON by a path: keys and indices with points between them, as in `readings.0.value`. A
 * `$.` at the begin is allowed. It changes no value in place. `transforms.ts` calls it.
 */

export type JsonPath = ReadonlyArray<string>

/** The keys of a path; undefined: a key is empty. The text `$` is the whole value. */
export const parsePath = (text: string): JsonPath | undefined => {
  if (text === "$") return []
  const keys = (text.startsWith("$.") ? text.slice(2) : text).split(".")
  return keys.includes("") ? undefined : keys
}

const isIndex = (array: ReadonlyArray<unknown>, key: string): boolean =>
  /^(0|[1-9]\d*)$/.test(key) && Number(key) < array.length

const hasKey = (value: unknown, key: string): value is Readonly<Record<string, unknown>> =>
  Array.isArray(value)
    ? isIndex(value, key)
    // A payload may have a key such as `__proto__`; what every object inherits is no value of it.
    : typeof value === "object" && value !== null && Object.hasOwn(value, key)

/** The value at a path; undefined: there is none. JSON has no undefined values. */
export const valueAt = (value: unknown, path: JsonPath): unknown => {
  let current = value
  for (const key of path) {
    if (!hasKey(current, key)) return undefined
    current = current[key]
  }
  return current
}

/** The same value with another one at a path that exists. */
export const withValueAt = (value: unknown, path: JsonPath, replacement: unknown): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return replacement
  if (!hasKey(value, key)) return value
  const inner = withValueAt(value[key], rest, replacement)
  if (Array.isArray(value)) return value.map((each: unknown, index) => String(index) === key ? inner : each)
  // By entries, because an assignment to `__proto__` would be none.
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, name === key ? inner : each]))
}
