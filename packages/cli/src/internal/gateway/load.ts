/**
 * Reads a gateway's file: its text, the variables and files that it names, and its values. It answers the configuration
 * or every mistake in it. The command and the reload call it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import { type Configuration, type ConfigurationIssue, decodeConfiguration } from "./configuration.ts"
import { formatOf, parseDocument } from "./document.ts"
import type { Mistake } from "./mistake.ts"
import type { StoreOptions } from "./schema.ts"
import { type Environment, readFiles, substitute, type Substitution } from "./substitution.ts"

/** What a look at the file has found. */
export interface Loaded {
  readonly outcome: Result.Result<Configuration, ReadonlyArray<Mistake>>
  /** Equal for equal contents of the file and of the files that it names. */
  readonly contents: string
  /** The text of the file; undefined: it could not be read. */
  readonly text: string | undefined
  /** The files that it names, with their texts. */
  readonly files: Substitution["files"]
}

const failed = (text: string | undefined, ...mistakes: ReadonlyArray<Mistake>): Loaded => ({
  outcome: Result.fail(mistakes),
  contents: contentsOf(text, new Map()),
  text,
  files: new Map()
})

const contentsOf = (text: string | undefined, files: Substitution["files"]): string =>
  text === undefined ? "" : JSON.stringify([text, Array.from(files)])

/** Directories of stores are relative to the folder of the file. */
const withDirectories = (configuration: Configuration, resolve: (path: string) => string): Configuration => ({
  ...configuration,
  stores: new Map(
    Array.from(configuration.stores, ([name, store]): [string, StoreOptions] => [
      name,
      store.directory === undefined ? store : { ...store, directory: resolve(store.directory) }
    ])
  )
})

/** Reads the file. It never fails: a file that cannot be read is a mistake. */
export const load = (
  file: string,
  environment: Environment
): Effect.Effect<Loaded, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const mistake = (message: string): Mistake => ({ path: [], message, position: undefined })
    const format = formatOf(file)
    if (format === undefined) {
      return failed(undefined, mistake("expected a file that ends with .toml, .yaml, .yml or .json"))
    }
    const read = yield* Effect.result(files.readFileString(file))
    if (Result.isFailure(read)) {
      return failed(undefined, mistake(`cannot be read: ${read.failure.reason._tag}`))
    }
    const text = read.success
    const document = yield* parseDocument(text, format)
    if (Result.isFailure(document)) return failed(text, document.failure)
    const folder = path.dirname(path.resolve(file))
    const resolve = (each: string): string => path.resolve(folder, each)
    const { files: secrets, mistakes, value } = yield* substitute(document.success.value, environment, resolve)
    const known = { contents: contentsOf(text, secrets), text, files: secrets }
    const placed = ({ message, path: at }: ConfigurationIssue): Mistake => ({
      path: at,
      message,
      position: document.success.positionOf(at)
    })
    const decoded = decodeConfiguration(value)
    const all = [...mistakes, ...Result.isFailure(decoded) ? decoded.failure : []].map(placed)
    if (Result.isFailure(decoded) || all.length > 0) {
      return { ...known, outcome: Result.fail(inOrder(all)) }
    }
    return { ...known, outcome: Result.succeed(withDirectories(decoded.success, resolve)) }
  })

/** Loads the file again if its text has changed; otherwise it reads the files that it names, and decodes nothing. */
export const lookAgain = (
  file: string,
  environment: Environment,
  last: Loaded
): Effect.Effect<Loaded, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const text = yield* FileSystem.FileSystem.pipe(
      Effect.flatMap((files) => files.readFileString(file)),
      Effect.catch(() => Effect.undefined)
    )
    if (text !== last.text) return yield* load(file, environment)
    const files = yield* readFiles(last.files.keys())
    return { ...last, files, contents: contentsOf(text, files) }
  })

/** The order of the file, each path once. */
const inOrder = (mistakes: ReadonlyArray<Mistake>): ReadonlyArray<Mistake> => {
  const seen = new Set<string>()
  return mistakes
    .filter(({ path }) => {
      const key = path.join("\0")
      return seen.has(key) ? false : seen.add(key) !== undefined
    })
    .sort((a, b) =>
      (a.position?.line ?? 0) - (b.position?.line ?? 0) || (a.position?.column ?? 0) - (b.position?.column ?? 0)
    )
}
