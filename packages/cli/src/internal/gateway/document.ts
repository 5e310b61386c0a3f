/**
 * Reads the text of a configuration file into values, with the position of each. The format follows from the extension
 * of the file. `load.ts` calls it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { jsonFault } from "./jsonFault.ts"
import type { Mistake } from "./mistake.ts"
import { type Format, type Path, type Position, positionsOf } from "./positions.ts"

/** The values of a text, and where they stand. */
export interface Document {
  readonly value: unknown
  readonly positionOf: (path: Path) => Position | undefined
}

const formats: Readonly<Record<string, Format>> = { toml: "toml", yaml: "yaml", yml: "yaml", json: "json" }

/** The format of a file by its extension. */
export const formatOf = (file: string): Format | undefined =>
  formats[/\.([^./\\]+)$/.exec(file)?.[1]?.toLowerCase() ?? ""]

const errorMessage = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Only the parser that a file needs is loaded. */
const parse = (text: string, format: Format): Effect.Effect<Result.Result<unknown, string>> => {
  switch (format) {
    case "toml":
      return Effect.map(
        Effect.promise(() => import("effect/encoding/Toml")),
        (Toml) => Result.mapError(Toml.parse(text), errorMessage)
      )
    case "yaml":
      return Effect.map(
        Effect.promise(() => import("effect/encoding/Yaml")),
        (Yaml) => Result.try({ try: () => Yaml.parse(text), catch: errorMessage })
      )
    case "json":
      return Effect.sync(() =>
        Result.try({
          try: () => JSON.parse(text) as unknown,
          catch: () => `not JSON at position ${jsonFault(text)}`
        })
      )
  }
}

const lineColumn = / at line (\d+)(?:, column (\d+))?$/
const offsetPattern = / at position (\d+)$/

/** The parsers say where in their messages. */
const syntaxMistake = (message: string, text: string): Mistake => {
  const line = lineColumn.exec(message)
  if (line !== null) {
    const position = { line: Number(line[1]), column: Number(line[2] ?? 1) }
    return { path: [], message: message.slice(0, line.index), position }
  }
  const offset = offsetPattern.exec(message)
  if (offset === null) return { path: [], message, position: undefined }
  const before = text.slice(0, Number(offset[1])).split("\n")
  const position = { line: before.length, column: before.at(-1)!.length + 1 }
  return { path: [], message: message.slice(0, offset.index), position }
}

/** Parses a text, or says what is wrong with its syntax. */
export const parseDocument = (text: string, format: Format): Effect.Effect<Result.Result<Document, Mistake>> =>
  Effect.map(
    parse(text, format),
    Result.match({
      onFailure: (message): Result.Result<Document, Mistake> => Result.fail(syntaxMistake(message, text)),
      onSuccess: (value) => Result.succeed({ value, positionOf: positionsOf(text, format) })
    })
  )
