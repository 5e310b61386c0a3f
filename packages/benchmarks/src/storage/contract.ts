/**
 * What the storage benchmark measures, and how its processes tell.
 */

/** A store, and how sure it is before it answers. */
export const setups = {
  "file, fsync": { engine: "LevelDB", sync: true },
  "file, os": { engine: "LevelDB", sync: false },
  "redis, always": { engine: "Redis", sync: true },
  "redis, no AOF": { engine: "Redis", sync: false }
} as const

export type Setup = keyof typeof setups

/** Publishers that enqueue one message after the other, at the same time. */
export const crowds = [1, 64, 1000] as const

export const payloadBytes = 64

export interface SideRequest {
  readonly setup: Setup
  /** A directory, or the address of a Redis server. */
  readonly place: string
  readonly millis: number
  /**
   * `session`: so many publishers. `engine`: so many records in each write, LevelDB in one call with an array, Redis in
   * a transaction with a command for each. `fastest`: the same in the fastest way of the engine. LevelDB collects a
   * batch record by record, and Redis takes all in one command.
   */
  readonly side: "session" | "engine" | "fastest"
  readonly size: number
}

export interface SideResult {
  /** Accepted messages, or written records, in a second. */
  readonly rate: number
  /** Microseconds of processor time of the process for each of them. */
  readonly cpu: number
  /** Records in a write, on average. */
  readonly batch: number
}
