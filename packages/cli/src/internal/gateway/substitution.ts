/**
 * Replaces `${NAME}`, `${NAME:-default}` and `${file:PATH}` in the texts of a configuration, so that secrets stand in
 * variables and in files of their own. `$${` is a plain `${`. It never reads keys, and never puts a value into a
 * message. `load.ts` calls it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { Path } from "./positions.ts"

/** The names of variables, to their values. */
export type Environment = Readonly<Record<string, string | undefined>>

export interface Substitution {
  readonly value: unknown
  readonly mistakes: ReadonlyArray<{ readonly path: Path; readonly message: string }>
  /** The files that were read, with their texts. */
  readonly files: ReadonlyMap<string, string>
}

const placeholder = /\$\$\{|\$\{([^}]*)\}/g
const variable = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s
const filePrefix = "file:"
// Without what stands there, which may be a part of a password.
const misspelt = "a placeholder is ${NAME}, ${NAME:-default} or ${file:PATH}; a plain ${ is written $${"
/** The largest file that a placeholder may name. */
const maximumBytes = 1024 * 1024

const placeholdersIn = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(placeholder), (match) => match[1]).filter((name) => name !== undefined)

/** The paths that the texts of a value name. */
const filesIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") {
    return placeholdersIn(value).filter((name) => name.startsWith(filePrefix)).map((name) =>
      name.slice(filePrefix.length)
    )
  }
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(filesIn) : []
}

type Text = { readonly text: string } | { readonly issue: string }

const readSecret = (
  path: string,
  resolve: (path: string) => string
): Effect.Effect<Text, never, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const { size } = yield* files.stat(resolve(path))
    if (Number(size) > maximumBytes) return { issue: `the file ${path} has more than ${maximumBytes} bytes` }
    const text = yield* files.readFileString(resolve(path))
    // Editors end a file with a line feed, which belongs to no password.
    return { text: text.replace(/\r?\n$/, "") }
  }).pipe(
    Effect.catch((error) => Effect.succeed({ issue: `the file ${path} cannot be read: ${error.reason._tag}` }))
  )

/** The texts of files that were read before, as they are now. */
export const readFiles = (
  paths: Iterable<string>
): Effect.Effect<Substitution["files"], never, FileSystem.FileSystem> =>
  Effect.map(
    Effect.forEach(paths, (path) => Effect.map(readSecret(path, (same) => same), (found) => [path, found] as const)),
    (all) => new Map(all.map(([path, found]) => [path, "text" in found ? found.text : ""]))
  )

/**
 * Replaces the placeholders in all texts of a value. `resolve` makes a path absolute, from the folder of the
 * configuration.
 */
export const substitute = (
  value: unknown,
  environment: Environment,
  resolve: (path: string) => string
): Effect.Effect<Substitution, never, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const texts = new Map<string, Text>()
    for (const path of filesIn(value)) {
      if (!texts.has(path)) texts.set(path, yield* readSecret(path, resolve))
    }
    const mistakes: Array<{ readonly path: Path; readonly message: string }> = []
    const textOf = (name: string): Text => {
      if (name.startsWith(filePrefix)) return texts.get(name.slice(filePrefix.length))!
      const parts = variable.exec(name)
      if (parts === null) return { issue: misspelt }
      const found = environment[parts[1]!] ?? parts[2]
      return found === undefined ? { issue: `the variable ${parts[1]} is not set` } : { text: found }
    }
    const replace = (inner: unknown, path: Path): unknown => {
      if (typeof inner === "string") {
        return inner.replaceAll(placeholder, (whole, name: string | undefined) => {
          if (name === undefined) return "${"
          const found = textOf(name)
          if ("text" in found) return found.text
          mistakes.push({ path, message: found.issue })
          return whole
        })
      }
      if (Array.isArray(inner)) return inner.map((item, index) => replace(item, [...path, String(index)]))
      if (typeof inner !== "object" || inner === null || inner instanceof Date) return inner
      // Not by assignment: a text may contain the key `__proto__`.
      return Object.fromEntries(Object.entries(inner).map(([key, each]) => [key, replace(each, [...path, key])]))
    }
    return {
      value: replace(value, []),
      mistakes,
      files: new Map(Array.from(texts, ([path, found]) => [resolve(path), "text" in found ? found.text : ""]))
    }
  })
