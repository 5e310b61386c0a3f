/**
 * Finds damaged files of a database before LevelDB opens them, and builds a new database from the undamaged parts.
 *
 * LevelDB's own repair is not used: it reads damaged tables without their checksums, and does not report what it drops.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Differences, patched } from "./differences.ts"
import { asidePath, makePrivate, type Paths, syncDirectory } from "./directory.ts"
import { type Engine, openLevel, type Operation } from "./level.ts"
import { type Manifest, readLog, readManifest, readTable, type Visit } from "./levelFormat.ts"
import { withFile } from "./source.ts"

interface Files {
  readonly manifest: Manifest | undefined
  readonly logs: ReadonlyArray<string>
  readonly tables: ReadonlyArray<string>
  readonly damage: ReadonlyArray<string>
}

const numberOf = (name: string): number => Number.parseInt(name, 10)

const currentManifest = (directory: string): Manifest | undefined => {
  try {
    const name = Fs.readFileSync(Path.join(directory, "CURRENT"), "latin1")
    // A damaged name must not lead out of the directory.
    if (!/^MANIFEST-\d+\n$/.test(name)) return undefined
    return withFile(
      Path.join(directory, name.trim()),
      (source) => readManifest(source.read(0, source.length))
    )
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}

/** The files of a database that are in use; without a manifest, all files. */
const filesOf = (directory: string): Files => {
  const names = Fs.readdirSync(directory)
  const logs = names.filter((name) => /^\d+\.log$/.test(name)).sort((a, b) => numberOf(a) - numberOf(b))
  const tables = names.filter((name) => /^\d+\.(ldb|sst)$/.test(name))
  const isNew = !names.some((name) => name === "CURRENT" || name.startsWith("MANIFEST-")) && tables.length === 0 &&
    logs.length === 0
  if (isNew) return { manifest: undefined, logs, tables, damage: [] }
  const manifest = currentManifest(directory)
  if (manifest === undefined) return { manifest, logs, tables, damage: ["its list of files is damaged"] }
  const damage: Array<string> = []
  const present = new Set(tables.map(numberOf))
  for (const number of manifest.tables.keys()) if (!present.has(number)) damage.push(`the table ${number} is missing`)
  return {
    manifest,
    logs: logs.filter((name) => numberOf(name) >= manifest.logNumber),
    tables: tables.filter((name) => manifest.tables.has(numberOf(name))),
    damage
  }
}

/** Reads all files in use and returns the damage; without `visit` it only checks them. */
export const readAll = (directory: string, visit: Visit | undefined): ReadonlyArray<string> => {
  const { damage, logs, tables } = filesOf(directory)
  const found = [...damage]
  for (const name of tables) {
    for (const what of withFile(Path.join(directory, name), (source) => readTable(source, visit))) {
      found.push(`${what} in ${name} is damaged`)
    }
  }
  for (const name of logs) {
    for (const what of withFile(Path.join(directory, name), (source) => readLog(source, visit))) {
      found.push(`${what} in ${name}`)
    }
  }
  return found
}

/** The damage of a database; empty for one that LevelDB may open. */
export const inspect = (directory: string): ReadonlyArray<string> => readAll(directory, undefined)

/** Bytes of the logs, which LevelDB turns into tables when it opens a database. */
export const logBytes = (directory: string): number => {
  let bytes = 0
  for (const name of filesOf(directory).logs) bytes += Fs.statSync(Path.join(directory, name)).size
  return bytes
}

/**
 * Deletes the files of a closed database that are not in use. LevelDB leaves them after work that it could not finish,
 * and deletes them only when it opens.
 */
export const removeLeftovers = (directory: string): void => {
  const { logs, manifest, tables } = filesOf(directory)
  if (manifest === undefined) return
  const current = Fs.readFileSync(Path.join(directory, "CURRENT"), "latin1").trim()
  const counting = new Set([...logs, ...tables, current])
  for (const name of Fs.readdirSync(directory)) {
    if (/^(\d+\.(log|ldb|sst|dbtmp)|MANIFEST-\d+)$/.test(name) && !counting.has(name)) {
      Fs.rmSync(Path.join(directory, name), { force: true })
    }
  }
}

const remove = (path: string): void => Fs.rmSync(path, { recursive: true, force: true })

/** Finishes an interrupted replacement. */
export const finishReplacement = (paths: Paths): void => {
  const [isRebuilt, isReplaced] = [Fs.existsSync(paths.rebuilt), Fs.existsSync(paths.replaced)]
  if (!isRebuilt && !isReplaced) return
  if (isRebuilt && Fs.existsSync(paths.records)) remove(paths.rebuilt)
  else if (isRebuilt) Fs.renameSync(paths.rebuilt, paths.records)
  syncDirectory(paths.root)
  if (isReplaced) remove(paths.replaced)
}

type Changes = Pick<Differences, "patches" | "values">

const none: Changes = { patches: new Map(), values: new Map() }

/**
 * Replaces a damaged database by one with all its undamaged content, and returns where the damaged one was set aside. A
 * key that was deleted or overwritten in a lost part of a log returns with its older value.
 */
export const rebuild = async (engine: Engine, paths: Paths): Promise<string> => {
  await build(engine, paths, none, () => true)
  const aside = asidePath(paths.root)
  replace(paths, aside)
  return aside
}

/**
 * Replaces a database by one with only the live keys, with these changes of their values, which frees the room of the
 * old one. If it fails, nothing has changed.
 */
export const shrink = async (
  engine: Engine,
  paths: Paths,
  changes: Changes,
  isLive: (key: string) => boolean
): Promise<void> => {
  try {
    await build(engine, paths, changes, isLive)
  } catch (error) {
    remove(paths.rebuilt)
    throw error
  }
  replace(paths, paths.replaced)
  remove(paths.replaced)
}

/** Builds a new database next to the old one. */
const build = async (
  engine: Engine,
  paths: Paths,
  changes: Changes,
  isLive: (key: string) => boolean
): Promise<void> => {
  const newest = new Map<string, { readonly sequence: number; readonly value: Uint8Array | undefined }>()
  readAll(paths.records, (key, sequence, value) => {
    const known = newest.get(key)
    if (isLive(key) && (known === undefined || known.sequence < sequence)) newest.set(key, { sequence, value })
  })
  for (const [key, value] of changes.values) newest.set(key, { sequence: Infinity, value })
  for (const [key, patch] of changes.patches) {
    const value = newest.get(key)?.value
    if (value !== undefined) newest.set(key, { sequence: Infinity, value: patched(value, patch) })
  }
  makePrivate(paths.rebuilt)
  const level = await openLevel(engine, paths.rebuilt)
  try {
    let operations: Array<Operation> = []
    let bytes = 0
    for (const [key, { value }] of newest) {
      if (value === undefined) continue
      operations.push({ type: "put", key, value })
      bytes += value.length
      if (bytes > 1_000_000) {
        await level.batch(operations)
        operations = []
        bytes = 0
      }
    }
    await level.batch(operations, { sync: true })
    // Moves the records into tables, whose directory entries LevelDB syncs.
    await level.compactRange("", "\u{10ffff}")
  } finally {
    await level.close()
  }
  syncDirectory(paths.rebuilt)
}

const replace = (paths: Paths, aside: string): void => {
  Fs.renameSync(paths.records, aside)
  Fs.renameSync(paths.rebuilt, paths.records)
  syncDirectory(paths.root)
}
