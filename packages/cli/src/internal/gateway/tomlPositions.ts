/**
 * Finds where the keys of a TOML text stand. It assumes that the text is valid. `positions.ts` calls it.
 */
import { FlowScanner } from "./flowPositions.ts"

/** The offset of each key and item, by its path as JSON. */
export const tomlPositions = (text: string): ReadonlyMap<string, number> => {
  const scanner = new FlowScanner(text, "=")
  /** How many tables each array of tables has so far. */
  const counts = new Map<string, number>()
  /** A header that names an array of tables means the last of them. */
  const resolve = (keys: ReadonlyArray<string>): ReadonlyArray<string> => {
    const path: Array<string> = []
    for (const key of keys) {
      path.push(key)
      const count = counts.get(JSON.stringify(path))
      if (count !== undefined) path.push(String(count - 1))
    }
    return path
  }
  let table: ReadonlyArray<string> = []
  let at = scanner.skip(0)
  while (at < text.length) {
    if (text[at] === "[") {
      const isArray = text[at + 1] === "["
      const names = new FlowScanner(text, "=")
      const { path: keys } = names.keys(names.skip(at + (isArray ? 2 : 1)), [])
      if (isArray) {
        const parent = [...resolve(keys.slice(0, -1)), keys.at(-1)!]
        const count = counts.get(JSON.stringify(parent)) ?? 0
        counts.set(JSON.stringify(parent), count + 1)
        scanner.note(parent, at)
        table = [...parent, String(count)]
      } else {
        table = resolve(keys)
      }
      // The tables above have the position of the first header that names them.
      for (let length = 1; length <= table.length; length++) scanner.note(table.slice(0, length), at)
      at = scanner.lineEnd(at)
    } else {
      const key = scanner.keys(at, table)
      at = scanner.value(scanner.skip(key.end + 1), key.path)
      at = scanner.lineEnd(at)
    }
    at = scanner.skip(at)
  }
  return scanner.offsets
}
