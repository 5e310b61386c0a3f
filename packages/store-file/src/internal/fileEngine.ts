/**
 * The engine of a file store: one LevelDB database and one write at a time. All commits that wait meanwhile go into the
 * next write.
 *
 * A failed write leaves LevelDB in an unreliable state: a partly written record makes all later ones of its log
 * unreadable. So the database is closed after every failure, and the next operation opens it again.
 */
import type { LoadedRecords } from "@effect-mqttx/core/SessionStore"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import * as Fs from "node:fs"
import { checkFormat, CommitCounts } from "./commitCounts.ts"
import { checkDamage } from "./damageCheck.ts"
import { patched } from "./differences.ts"
import { identityOf, makePrivate, NewFiles, type Paths, pathsOf, refuseStrangers } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { FullDisk, type FullDiskDatabase } from "./fullDisk.ts"
import {
  type Database,
  type Engine,
  type Level,
  levelDatabase,
  loadEngine,
  openLevel,
  type Operation
} from "./level.ts"
import { holdLock } from "./lock.ts"
import { finishReplacement, inspect, rebuild } from "./repair.ts"
import { Reserve } from "./reserve.ts"
import { prepare, type PreparedChanges, SessionState } from "./sessionState.ts"

interface Write {
  readonly state: SessionState
  readonly prepared: PreparedChanges
  /** Called once: with the error, or undefined once the changes are safe. */
  readonly settle: (error: unknown) => void
}

type Task = Write | (() => Promise<void>)

/** Waiting writes are joined up to this number of bytes, because LevelDB keeps all of them in memory. */
const groupBytes = 67_108_864
const takenOver = 10_000
const takenOverBytes = 1_048_576

/**
 * The stores that this process has open. LevelDB's lock works between processes only, and a second attempt would even
 * release it.
 */
const owned = new Set<string>()

const closedFailure = (): StoreFailure => new StoreFailure("closed", "the store is closed")

const fullFailure = (): StoreFailure =>
  new StoreFailure("full", "the disk is full, and there is no room in the reserve for more")

/**
 * An open store.
 */
export class FileEngine {
  readonly #engine: Engine
  readonly #paths: Paths
  readonly #sync: boolean
  readonly #release: () => Promise<void>
  readonly #commitCounts: CommitCounts
  readonly #reserve: Reserve
  readonly #newFiles: NewFiles
  readonly #fullDisk: FullDisk
  readonly #sessions = new Map<string, SessionState>()
  /** LevelDB; undefined before the first use, after a failure, and while the disk is full. */
  #level: Database | undefined
  /** The damage found when the store was opened. */
  #incident: string | undefined
  #queue: Array<Task> = []
  #running = false
  #closed = false

  private constructor(
    engine: Engine,
    paths: Paths,
    sync: boolean,
    commitCounts: CommitCounts,
    reserve: Reserve,
    incident: string | undefined,
    release: () => Promise<void>
  ) {
    this.#engine = engine
    this.#paths = paths
    this.#sync = sync
    this.#commitCounts = commitCounts
    this.#reserve = reserve
    this.#fullDisk = new FullDisk(engine, paths, reserve)
    this.#incident = incident
    this.#release = release
    this.#newFiles = new NewFiles(paths.records)
  }

  /** Opens the store in a directory as its only owner, and repairs it if it is damaged. */
  static async open(directory: string, sync: boolean): Promise<FileEngine> {
    const paths = pathsOf(directory)
    checkFormat(paths.commitCounts)
    const engine = await loadEngine()
    makePrivate(paths.root, { shared: true })
    refuseStrangers(paths)
    const identity = identityOf(paths.root)
    if (owned.has(identity)) throw new StoreFailure("owned", `this process has the store in ${paths.root} open already`)
    owned.add(identity)
    const releases: Array<() => unknown> = [() => owned.delete(identity)]
    const release = async () => {
      for (const step of releases.reverse()) {
        try {
          await step()
        } catch {
          // The released resource holds only data that is already safe, and the other steps have to run.
        }
      }
    }
    try {
      const lock = await holdLock(engine, paths.lock).catch((error: unknown) => {
        if (kindOf(error) !== "full" || !Reserve.releaseBlocks(paths.reserve)) throw error
        return holdLock(engine, paths.lock)
      })
      releases.push(() => lock.close())
      finishReplacement(paths)
      makePrivate(paths.records)
      const isNew = Fs.readdirSync(paths.records).length === 0
      const incident = await repairIfDamaged(engine, paths)
      const commitCounts = CommitCounts.open(paths.commitCounts, isNew)
      releases.push(() => commitCounts.close())
      const reserve = Reserve.open(paths.reserve, paths.root)
      releases.push(() => reserve.close())
      const opened = new FileEngine(engine, paths, sync, commitCounts, reserve, incident, release)
      await opened.#open()
      return opened
    } catch (error) {
      await release()
      throw error
    }
  }

  /** Opens the part of a session as its only owner. */
  openSession(session: string): SessionState {
    if (this.#closed) throw closedFailure()
    if (this.#sessions.has(session)) {
      throw new StoreFailure("owned", "another owner has the store of this session open")
    }
    const state = new SessionState(session)
    this.#sessions.set(session, state)
    return state
  }

  closeSession(state: SessionState): void {
    this.#sessions.delete(state.session)
  }

  /** Reads a session, and repairs damage in it. */
  load(state: SessionState): Promise<LoadedRecords> {
    return this.#exclusively(async (database) => {
      const found = await state.read(database)
      const claim = this.#commitCounts.claim(state.id)
      const damage = checkDamage(found, {
        claim,
        isTallyDamaged: this.#commitCounts.damaged,
        isSynced: this.#sync,
        incident: this.#incident
      })
      if (damage === undefined) {
        state.resume(found)
        return { records: found.records, damage }
      }
      this.#commitCounts.reserve([state.id])
      state.adopt(found, Math.max(found.summary?.commits ?? 0, claim?.commits ?? 0))
      const batch: Array<Operation> = found.unreadable.map((key) => ({ type: "del", key }))
      state.write([], batch)
      await this.#apply(database, batch, true)
      this.#commitCounts.note(state.id, state.commits, state.records)
      this.#commitCounts.flush()
      return { records: found.records, damage }
    }, state)
  }

  /** Applies changes. `settle` is called once: with the error, or without one when they are safe. */
  commit(state: SessionState, changes: ReadonlyArray<StoreChange>, settle: (error: unknown) => void): void {
    if (this.#closed) return settle(closedFailure())
    if (changes.length === 0) return settle(undefined)
    let prepared: PreparedChanges
    try {
      prepared = prepare(changes)
    } catch (error) {
      return settle(error)
    }
    let isSettled = false
    this.#enqueue({
      state,
      prepared,
      settle: (error) => {
        if (isSettled) return
        isSettled = true
        settle(error)
      }
    })
  }

  /** Deletes a session. The tally removes its claim first, so that a crash in between does not count as a loss. */
  clear(state: SessionState): Promise<void> {
    return this.#exclusively(async (database) => {
      if (this.#commitCounts.claim(state.id) !== undefined) {
        this.#commitCounts.note(state.id, 0, 0)
        this.#commitCounts.flush()
        this.#commitCounts.sync()
      }
      const batch: Array<Operation> = []
      await state.erase(database, batch)
      await this.#apply(database, batch, true)
      this.#commitCounts.free(state.id)
      this.#commitCounts.flush()
      state.resume({ records: [], checksums: new Map(), unreadable: [], summary: undefined, isSummaryDamaged: false })
    }, state)
  }

  /** Closes the store after the running operations. Later calls fail. */
  close(): Promise<void> {
    this.#closed = true
    return new Promise((resolve) =>
      this.#enqueue(async () => {
        await this.#closeLevel()
        try {
          this.#newFiles.secure()
        } catch {
          // The directory already denies access to others; the modes of its files are a second protection.
        }
        await this.#release()
        resolve()
      })
    )
  }

  #enqueue(task: Task): void {
    this.#queue.push(task)
    if (this.#running) return
    this.#running = true
    // Commits of the same turn are part of the first write.
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const writes: Array<Write> = []
      let task: Task | undefined
      let bytes = 0
      while ((task = this.#queue[writes.length]) !== undefined && typeof task !== "function") {
        bytes += task.prepared.bytes
        if (writes.length > 0 && bytes > groupBytes) break
        writes.push(task)
      }
      this.#queue = this.#queue.slice(Math.max(1, writes.length))
      if (writes.length > 0) await this.#write(writes)
      else if (typeof task === "function") await task()
    }
    this.#running = false
  }

  #exclusively<A>(use: (database: Database) => Promise<A>, state: SessionState): Promise<A> {
    if (this.#closed) return Promise.reject(closedFailure())
    return new Promise((resolve, reject) =>
      this.#enqueue(async () => {
        try {
          resolve(await use(await this.#open()))
        } catch (error) {
          state.checksums = undefined
          reject(error)
        }
      })
    )
  }

  /**
   * One write for all waiting commits. When the disk is full, those that need no room of it proceed without the others.
   */
  async #write(writes: ReadonlyArray<Write>): Promise<void> {
    const fullDisk = this.#fullDisk
    try {
      const database = await this.#open()
      const wasFull = fullDisk.database
      return await this.#commit(database, wasFull === undefined ? writes : admitted(wasFull, writes))
    } catch (error) {
      if (kindOf(error) !== "full" || fullDisk.database !== undefined || !fullDisk.canTake) return fail(writes, error)
    }
    try {
      const database = fullDisk.enter()
      await this.#commit(database, admitted(database, writes))
    } catch (error) {
      fail(writes, error)
    }
  }

  /** Settles all writes. When it throws, it has settled only those of sessions that cannot be read. */
  async #commit(database: Database, writes: ReadonlyArray<Write>): Promise<void> {
    if (writes.length === 0) return
    const accepted = await this.#resumeAll(database, writes)
    const states = new Set<SessionState>()
    try {
      const batch: Array<Operation> = []
      for (const { state } of accepted) states.add(state)
      this.#commitCounts.reserve(Array.from(states, (state) => state.id))
      for (const { prepared, state } of accepted) state.write(prepared.changes, batch)
      if (batch.length > 0) await this.#apply(database, batch, this.#sync)
    } catch (error) {
      for (const state of states) state.checksums = undefined
      throw error
    }
    try {
      for (const state of states) this.#commitCounts.note(state.id, state.commits, state.records)
      this.#commitCounts.flush()
    } catch {
      // The commits are safe even so; the tally catches up with the next ones.
    }
    for (const { settle } of accepted) settle(undefined)
  }

  /**
   * Reads sessions whose records are not known yet, or not any more. The writes of sessions that cannot be read fail.
   */
  async #resumeAll(database: Database, writes: ReadonlyArray<Write>): Promise<ReadonlyArray<Write>> {
    const accepted: Array<Write> = []
    for (const write of writes) {
      try {
        if (write.state.checksums === undefined) await write.state.recall(database)
        accepted.push(write)
      } catch (error) {
        write.settle(error)
      }
    }
    return accepted
  }

  async #apply(database: Database, batch: Array<Operation>, sync: boolean): Promise<void> {
    try {
      await database.write(batch, { sync })
      if (database === this.#level) this.#newFiles.secure()
    } catch (error) {
      await this.#closeLevel()
      throw error
    }
  }

  /** The database that is usable now: LevelDB, or its replacement on a full disk. */
  async #open(): Promise<Database> {
    if (this.#level !== undefined) return this.#level
    if (this.#fullDisk.database !== undefined && !await this.#fullDisk.isWorthLeaving()) return this.#fullDisk.enter()
    try {
      this.#level = await this.#openLevel()
      this.#fullDisk.leave()
      return this.#level
    } catch (error) {
      if (kindOf(error) !== "full" || !this.#fullDisk.canTake) throw error
      return this.#fullDisk.enter()
    }
  }

  async #openLevel(): Promise<Database> {
    let level: Level
    try {
      level = await openLevel(this.#engine, this.#paths.records)
    } catch (error) {
      if (kindOf(error) !== "corrupt") throw error
      this.#incident = describe([String(error)], await rebuild(this.#engine, this.#paths))
      level = await openLevel(this.#engine, this.#paths.records)
    }
    try {
      this.#newFiles.secure()
      const database = levelDatabase(level)
      await this.#takeOver(database)
      return database
    } catch (error) {
      await level.close()
      throw error
    }
  }

  /** Writes to LevelDB what was written while the disk was full. In parts: an interrupted part is repeated. */
  async #takeOver(database: Database): Promise<void> {
    const { differences } = this.#reserve
    if (differences.isEmpty) return
    let part: Array<Operation> = []
    let bytes = 0
    const add = async (operation: Operation) => {
      part.push(operation)
      bytes += operation.type === "put" ? operation.value.length : 0
      if (part.length < takenOver && bytes < takenOverBytes) return
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
    this.#reserve.clear()
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

/** Returns the writes that are possible while the disk is full; the others fail. */
const admitted = (database: FullDiskDatabase, writes: ReadonlyArray<Write>): ReadonlyArray<Write> =>
  writes.filter(({ prepared, settle, state }) => {
    const isAdmitted = prepared.changes.every(({ key, value }) =>
      value === undefined || database.admits(state.storedKey(key), value)
    )
    if (!isAdmitted) settle(fullFailure())
    return isAdmitted
  })

const describe = (damage: ReadonlyArray<string>, aside: string): string => {
  const first = damage.slice(0, 3).join(", ")
  const more = damage.length > 3 ? ` and ${damage.length - 3} more` : ""
  return `the files of the store were damaged (${first}${more}) and are set aside in ${aside}`
}

const repairIfDamaged = async (engine: Engine, paths: Paths): Promise<string | undefined> => {
  const damage = inspect(paths.records)
  return damage.length === 0 ? undefined : describe(damage, await rebuild(engine, paths))
}
