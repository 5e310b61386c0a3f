/**
 * The engine of a file store: loads, commits and clears the sessions of one directory, one operation at a time. All
 * commits that wait meanwhile go into the next write.
 *
 * `FileStore` calls it for every session. The order in which a commit, its count and its summary reach the disk is
 * decided here.
 */
import type { LoadedRecords } from "@effect-mqttx/core/SessionStore"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import type { RecordCollector } from "@effect-mqttx/core/StoreRecordCodec"
import { checkDamage } from "./damageCheck.ts"
import { StoreFailure } from "./failure.ts"
import type { Database, Operation } from "./level.ts"
import { OpenDatabase } from "./openDatabase.ts"
import { openDirectory, type OwnedDirectory } from "./openDirectory.ts"
import { RecordChecksums } from "./recordChecksums.ts"
import { prepare, type PreparedChanges, SessionState } from "./sessionState.ts"
import { type Write, WriteQueue } from "./writeQueue.ts"

const closedFailure = (): StoreFailure => new StoreFailure("closed", "the store is closed")

/**
 * An open store.
 */
export class FileEngine {
  readonly #directory: OwnedDirectory
  readonly #sync: boolean
  readonly #database: OpenDatabase
  readonly #sessions = new Map<string, SessionState>()
  readonly #queue = new WriteQueue((writes) =>
    this.#database.commit(writes, (database, admitted) => this.#commit(database, admitted))
  )
  #isClosed = false

  private constructor(directory: OwnedDirectory, sync: boolean) {
    this.#directory = directory
    this.#sync = sync
    this.#database = new OpenDatabase(directory)
  }

  /** Opens the store in a directory as its only owner, and repairs it if it is damaged. */
  static async open(path: string, sync: boolean): Promise<FileEngine> {
    const directory = await openDirectory(path)
    try {
      const engine = new FileEngine(directory, sync)
      await engine.#database.get()
      return engine
    } catch (error) {
      await directory.release()
      throw error
    }
  }

  /** Opens the part of a session as its only owner. */
  openSession(session: string): SessionState {
    if (this.#isClosed) throw closedFailure()
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

  /** Reads a session into a collector, and repairs damage in it. */
  load(state: SessionState, collector: RecordCollector): Promise<LoadedRecords> {
    const { commitCounts } = this.#directory
    return this.#exclusively(async (database) => {
      const found = await state.read(database, (key, bytes) => collector.add(key, bytes))
      const claim = commitCounts.claim(state.id)
      const damage = checkDamage(found, {
        claim,
        areCountsDamaged: commitCounts.isDamaged,
        isSynced: this.#sync,
        incident: this.#database.incident
      })
      if (damage === undefined) {
        state.resume(found)
        return { records: collector.records, damage }
      }
      commitCounts.reserve([state.id])
      state.adopt(found, Math.max(found.summary?.commits ?? 0, claim?.commits ?? 0))
      const batch: Array<Operation> = found.unreadable.map((key) => ({ type: "del", key }))
      state.write([], batch)
      await this.#database.write(database, batch, true)
      commitCounts.note(state.id, state.commits, state.records)
      commitCounts.flush()
      return { records: collector.records, damage }
    }, state)
  }

  /** Applies changes. `settle` is called once: with the error, or without one when they are safe. */
  commit(state: SessionState, changes: ReadonlyArray<StoreChange>, settle: (error: unknown) => void): void {
    if (this.#isClosed) return settle(closedFailure())
    if (changes.length === 0) return settle(undefined)
    let prepared: PreparedChanges
    try {
      prepared = prepare(changes)
    } catch (error) {
      return settle(error)
    }
    let isSettled = false
    this.#queue.add({
      state,
      prepared,
      settle: (error) => {
        if (isSettled) return
        isSettled = true
        settle(error)
      }
    })
  }

  /** Deletes a session. Its count is removed first, so that a crash in between does not count as a loss. */
  clear(state: SessionState): Promise<void> {
    const { commitCounts } = this.#directory
    return this.#exclusively(async (database) => {
      if (commitCounts.claim(state.id) !== undefined) {
        commitCounts.note(state.id, 0, 0)
        commitCounts.flush()
        commitCounts.sync()
      }
      const batch: Array<Operation> = []
      await state.erase(database, batch)
      await this.#database.write(database, batch, true)
      commitCounts.free(state.id)
      commitCounts.flush()
      state.resume({
        checksums: new RecordChecksums(),
        unreadable: [],
        summary: undefined,
        isSummaryDamaged: false
      })
    }, state)
  }

  /** Closes the store after the running operations. Later calls fail. */
  close(): Promise<void> {
    this.#isClosed = true
    return new Promise((resolve) =>
      this.#queue.add(async () => {
        await this.#database.close()
        await this.#directory.release()
        resolve()
      })
    )
  }

  #exclusively<A>(use: (database: Database) => Promise<A>, state: SessionState): Promise<A> {
    if (this.#isClosed) return Promise.reject(closedFailure())
    return new Promise((resolve, reject) =>
      this.#queue.add(async () => {
        try {
          resolve(await use(await this.#database.get()))
        } catch (error) {
          state.checksums = undefined
          reject(error)
        }
      })
    )
  }

  /** Settles all writes. When it throws, it has settled only those of sessions that cannot be read. */
  async #commit(database: Database, writes: ReadonlyArray<Write>): Promise<void> {
    if (writes.length === 0) return
    const { commitCounts } = this.#directory
    const accepted = await this.#resumeAll(database, writes)
    const states = new Set<SessionState>()
    try {
      const batch: Array<Operation> = []
      for (const { state } of accepted) states.add(state)
      commitCounts.reserve(Array.from(states, (state) => state.id))
      for (const { prepared, state } of accepted) state.write(prepared.changes, batch)
      if (batch.length > 0) await this.#database.write(database, batch, this.#sync)
    } catch (error) {
      for (const state of states) state.checksums = undefined
      throw error
    }
    try {
      for (const state of states) commitCounts.note(state.id, state.commits, state.records)
      commitCounts.flush()
    } catch {
      // The commits are safe even so; the next ones bring their count up to date.
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
}
