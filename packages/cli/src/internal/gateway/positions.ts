/**
 * Finds the line and the column of each value in a TOML, YAML or JSON text that a parser has accepted. It never parses
 * values: Effect's modules do, and they keep no positions. A path that it does not find, for example of a YAML alias,
 * has the position of the nearest part above it. `document.ts` calls it.
 */
import { FlowScanner } from "./flowPositions.ts"
import { tomlPositions } from "./tomlPositions.ts"
import { yamlPositions } from "./yamlPositions.ts"

export type Format = "toml" | "yaml" | "json"

/** Where something stands; both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** The parts of a path: keys, and indices as digits. */
export type Path = ReadonlyArray<string>

const offsetsOf = (text: string, format: Format): ReadonlyMap<string, number> => {
  switch (format) {
    case "json": {
      const scanner = new FlowScanner(text, ":")
      scanner.value(scanner.skip(0), [])
      return scanner.offsets
    }
    case "toml":
      return tomlPositions(text)
    case "yaml":
      return yamlPositions(text)
  }
}

const positionAt = (text: string, offset: number): Position => {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf("\n") + 1
  return { line: before.split("\n").length, column: offset - start + 1 }
}

/** The positions of a text. Undefined: not even the text has one. */
export const positionsOf = (text: string, format: Format): (path: Path) => Position | undefined => {
  const offsets = offsetsOf(text, format)
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const offset = offsets.get(JSON.stringify(path.slice(0, length)))
      if (offset !== undefined) return positionAt(text, offset)
    }
    return undefined
  }
}
