/**
 * The database that a file store can use now: LevelDB, or its replacement while the disk is full.
 *
 * A failed write leaves LevelDB in an unreliable state: a partly written record makes all later ones of its log
 * unreadable. So the database is closed after every failure, and the next operation opens it again. The file engine
 * runs one operation at a time.
 */
import { patched } from "./differences.ts"
import { NewFiles } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { FullDisk, type FullDiskDatabase } from "./fullDisk.ts"
import { type Database, type Level, levelDatabase, openLevel, type Operation } from "./level.ts"
import { describeDamage, type OwnedDirectory } from "./openDirectory.ts"
import { rebuild } from "./repair.ts"
import type { Write } from "./writeQueue.ts"

/** What was written while the disk was full is written to LevelDB in parts of this many operations or bytes. */
const partCount = 10_000
const partBytes = 1_048_576

export class OpenDatabase {
  readonly #directory: OwnedDirectory
  readonly #newFiles: NewFiles
  readonly #fullDisk: FullDisk
  /** LevelDB; undefined before the first use, after a failure, and while the disk is full. */
  #level: Database | undefined
  #incident: string | undefined

  constructor(directory: OwnedDirectory) {
    this.#directory = directory
    this.#newFiles = new NewFiles(directory.paths.records)
    this.#fullDisk = new FullDisk(directory.engine, directory.paths, directory.reserve)
    this.#incident = directory.incident
  }

  /** The damage found when the files were last opened. */
  get incident(): string | undefined {
    return this.#incident
  }

  /** Opens LevelDB where that is possible. */
  async get(): Promise<Database> {
    if (this.#level !== undefined) return this.#level
    const fullDisk = this.#fullDisk
    if (fullDisk.database !== undefined && !await fullDisk.hasRoomAgain()) return fullDisk.enter()
    try {
      this.#level = await this.#openLevel()
      fullDisk.leave()
      return this.#level
    } catch (error) {
      if (kindOf(error) !== "full" || !fullDisk.canAccept) throw error
      return fullDisk.enter()
    }
  }

  async write(database: Database, batch: Array<Operation>, sync: boolean): Promise<void> {
    try {
      await database.write(batch, { sync })
      if (database === this.#level) this.#newFiles.secure()
    } catch (error) {
      await this.#closeLevel()
      throw error
    }
  }

  /**
   * Passes writes to `commit` with the database. When the disk is full, those that need no room of it proceed without
   * the others, which fail.
   */
  async commit(
    writes: ReadonlyArray<Write>,
    commit: (database: Database, writes: ReadonlyArray<Write>) => Promise<void>
  ): Promise<void> {
    const fullDisk = this.#fullDisk
    try {
      const database = await this.get()
      const wasFull = fullDisk.database
      return await commit(database, wasFull === undefined ? writes : admitted(wasFull, writes))
    } catch (error) {
      if (kindOf(error) !== "full" || fullDisk.database !== undefined || !fullDisk.canAccept) return fail(writes, error)
    }
    try {
      const database = fullDisk.enter()
      await commit(database, admitted(database, writes))
    } catch (error) {
      fail(writes, error)
    }
  }

  /** Closes LevelDB. Never rejects. */
  async close(): Promise<void> {
    await this.#closeLevel()
    try {
      this.#newFiles.secure()
    } catch {
      // The directory already denies access to others; the modes of its files are a second protection.
    }
  }

  async #openLevel(): Promise<Database> {
    const { engine, paths } = this.#directory
    let level: Level
    try {
      level = await openLevel(engine, paths.records)
    } catch (error) {
      if (kindOf(error) !== "corrupt") throw error
      this.#incident = describeDamage([String(error)], await rebuild(engine, paths))
      level = await openLevel(engine, paths.records)
    }
    try {
      this.#newFiles.secure()
      const database = levelDatabase(level)
      await this.#applyDifferences(database)
      return database
    } catch (error) {
      await level.close()
      throw error
    }
  }

  /** Writes to LevelDB what was written while the disk was full. In parts: an interrupted part is repeated. */
  async #applyDifferences(database: Database): Promise<void> {
    const { reserve } = this.#directory
    const { differences } = reserve
    if (differences.isEmpty) return
    let part: Array<Operation> = []
    let bytes = 0
    const add = async (operation: Operation) => {
      part.push(operation)
      bytes += operation.type === "put" ? operation.value.length : 0
      if (part.length < partCount && bytes < partBytes) return
      await database.write(part, { sync: true })
      part = []
      bytes = 0
    }
    for (const operation of differences.operations()) await add(operation)
    for (const [key, patch] of differences.patches) {
      const value = await database.get(key)
      if (value !== undefined) await add({ type: "put", key, value: patched(value, patch) })
    }
    await database.write(part, { sync: true })
    reserve.clear()
  }

  async #closeLevel(): Promise<void> {
    const level = this.#level
    this.#level = undefined
    try {
      await level?.close()
    } catch {
      // The database was closed after a failure that is already reported, or at the end. Nothing depends on it any
      // more.
    }
  }
}

const fail = (writes: ReadonlyArray<Write>, error: unknown): void => {
  for (const { settle } of writes) settle(error)
}

const fullFailure = (): StoreFailure =>
  new StoreFailure("full", "the disk is full, and there is no room in the reserve for more")

/** Returns the writes that are possible while the disk is full; the others fail. */
const admitted = (database: FullDiskDatabase, writes: ReadonlyArray<Write>): ReadonlyArray<Write> =>
  writes.filter(({ prepared, settle, state }) => {
    const isAdmitted = prepared.changes.every(({ key, value }) =>
      value === undefined || database.admits(state.storedKey(key), value)
    )
    if (!isAdmitted) settle(fullFailure())
    return isAdmitted
  })
