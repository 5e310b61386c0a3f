/**
 * The tasks of a file store, one at a time and in order. Writes that wait meanwhile are joined into one, so that they
 * share one sync. The file engine makes one queue for all sessions.
 */
import type { PreparedChanges, SessionState } from "./sessionState.ts"

export interface Write {
  readonly state: SessionState
  readonly prepared: PreparedChanges
  /** Called once: with the error, or undefined once the changes are safe. */
  readonly settle: (error: unknown) => void
}

/** A task must not reject. */
export type Task = Write | (() => Promise<void>)

/** Waiting writes are joined up to this number of bytes, because LevelDB keeps all of them in memory. */
const groupBytes = 67_108_864

export class WriteQueue {
  readonly #write: (writes: ReadonlyArray<Write>) => Promise<void>
  #tasks: Array<Task> = []
  #isRunning = false

  /** `write` writes the joined changes, and settles each of them. */
  constructor(write: (writes: ReadonlyArray<Write>) => Promise<void>) {
    this.#write = write
  }

  add(task: Task): void {
    this.#tasks.push(task)
    if (this.#isRunning) return
    this.#isRunning = true
    // Commits of the same turn are part of the first write.
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#tasks.length > 0) {
      const writes: Array<Write> = []
      let task: Task | undefined
      let bytes = 0
      while ((task = this.#tasks[writes.length]) !== undefined && typeof task !== "function") {
        bytes += task.prepared.bytes
        if (writes.length > 0 && bytes > groupBytes) break
        writes.push(task)
      }
      this.#tasks = this.#tasks.slice(Math.max(1, writes.length))
      if (writes.length > 0) await this.#write(writes)
      else if (typeof task === "function") await task()
    }
    this.#isRunning = false
  }
}
