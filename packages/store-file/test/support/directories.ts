import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const directoryIn = (parent: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(parent, "store-file-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )

/** A directory that lasts as long as the scope. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = directoryIn(Os.tmpdir())

/** One in memory where the system has such: for tests that do not need to wait for a disk some thousand times. */
export const memoryDirectory: Effect.Effect<string, never, Scope.Scope> = directoryIn(
  Fs.existsSync("/dev/shm") ? "/dev/shm" : Os.tmpdir()
)

/** All files below a directory with their bytes, by their paths. */
export const contents = (directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Fs.readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(
      (entry) => {
        const path = Path.join(entry.parentPath, entry.name)
        return [Path.relative(directory, path), Fs.readFileSync(path, "latin1")] as const
      }
    ).sort(([a], [b]) => a < b ? -1 : 1)
  )

/** The log that LevelDB writes at present. */
export const currentLog = (directory: string): string => {
  const records = Path.join(directory, "records")
  const logs = Fs.readdirSync(records).filter((name) => name.endsWith(".log")).sort((a, b) => parseInt(a) - parseInt(b))
  return Path.join(records, logs.at(-1)!)
}
