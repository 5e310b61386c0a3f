/**
 * Reads and replaces values in JSON by a path, in the syntax of JSONPath (RFC 9535) without filters, slices and
 * recursion: `$.readings[0].value`, `$['a.b']`, `$.readings[-1]`, `$.readings[*].value`. The `$` may be left out, and
 * an index may be written as a key, as in `readings.0.value`. It changes no value in place. The transforms of a gateway
 * and `sub` call it.
 */

/** Stands for every value of an array or object. */
export const every: unique symbol = Symbol("*")

/** A key, or an index from the begin or, below zero, from the end. A text of digits is a key or an index. */
export type Segment = string | number | typeof every

export type JsonPath = ReadonlyArray<Segment>

const segment = /\.(?:(\*)|([^.[\]*]+))|\[(?:(\*)|(0|-?[1-9]\d*)|'((?:[^'\\]|\\['\\])*)'|"((?:[^"\\]|\\["\\])*)")\]/y

/** The segments of a path; undefined: it is none. The text `$` is the whole value. */
export const parsePath = (text: string): JsonPath | undefined => {
  const source = /^\$(?=$|[.[])/.test(text) ? text.slice(1) : text.startsWith("[") ? text : `.${text}`
  const path: Array<Segment> = []
  segment.lastIndex = 0
  while (segment.lastIndex < source.length) {
    const match = segment.exec(source)
    if (match === null) {
      segment.lastIndex = 0
      return undefined
    }
    const [, star, name, bracketStar, index, single, double] = match
    if (star !== undefined || bracketStar !== undefined) path.push(every)
    else if (index !== undefined) path.push(Number(index))
    else path.push(name ?? (single ?? double!).replaceAll(/\\(.)/g, "$1"))
  }
  return path
}

/** Whether a path may stand for several values. */
export const isMultiple = (path: JsonPath): boolean => path.includes(every)

/** The key of an object or the index of an array that a segment stands for; undefined: there is none. */
const keyIn = (value: unknown, segment: string | number): string | number | undefined => {
  if (Array.isArray(value)) {
    if (typeof segment === "string" && !/^(0|[1-9]\d*)$/.test(segment)) return undefined
    const index = Number(segment)
    const place = index < 0 ? value.length + index : index
    return place >= 0 && place < value.length ? place : undefined
  }
  // A payload may have a key such as `__proto__`; what every object inherits is no value of it.
  const isKey = typeof segment === "string" && typeof value === "object" && value !== null
  return isKey && Object.hasOwn(value, segment) ? segment : undefined
}

const childrenOf = (value: unknown): ReadonlyArray<unknown> =>
  Array.isArray(value) ? value : typeof value === "object" && value !== null ? Object.values(value) : []

/** All values at a path. */
export const valuesAt = (value: unknown, path: JsonPath): ReadonlyArray<unknown> => {
  let found: ReadonlyArray<unknown> = [value]
  for (const segment of path) {
    found = found.flatMap((each) => {
      if (segment === every) return childrenOf(each)
      const key = keyIn(each, segment)
      return key === undefined ? [] : [(each as Readonly<Record<string | number, unknown>>)[key]]
    })
  }
  return found
}

/** The value at a path, or the array of values where it stands for several; undefined: there is none. */
export const valueAt = (value: unknown, path: JsonPath): unknown => {
  const found = valuesAt(value, path)
  return isMultiple(path) ? (found.length === 0 ? undefined : found) : found[0]
}

/** The same value with each one at a path replaced. */
export const replaceAt = (value: unknown, path: JsonPath, change: (found: unknown) => unknown): unknown => {
  const [segment, ...rest] = path
  if (segment === undefined) return change(value)
  const key = segment === every ? undefined : keyIn(value, segment)
  if (segment !== every && key === undefined) return value
  const replaced = (name: string | number, each: unknown): unknown =>
    segment === every || name === key ? replaceAt(each, rest, change) : each
  if (Array.isArray(value)) return value.map((each: unknown, index) => replaced(index, each))
  if (typeof value !== "object" || value === null) return value
  // By entries, because an assignment to `__proto__` would be none.
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, replaced(name, each)]))
}
