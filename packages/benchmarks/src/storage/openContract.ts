/**
 * What the rows `storage.open` and `storage.flat` ask their processes for, and what these answer.
 */

export const openedStores = ["file", "redis"] as const

export type OpenedStore = typeof openedStores[number]

export interface OpenRequest {
  readonly store: OpenedStore
  /** `engine`: the database under the store reads all that the store has, without the store. */
  readonly side: "fill" | "store" | "engine"
  /** A directory, or the address of a Redis server. */
  readonly place: string
  /** Queued messages of one session. */
  readonly records: number
}

/** One step of the process. */
export interface Step {
  readonly millis: number
  /** Milliseconds of processor time. */
  readonly cpu: number
  /** The most that the process had resident until the end of the step, in MiB. */
  readonly peak: number
}

export interface OpenResult {
  /** The store, without a session. */
  readonly open: Step
  /** The records of the session. */
  readonly load: Step
  /**
   * A session with the records, after a collection: MiB of heap and buffers. Of the engine: MiB of the keys and values
   * that it has read.
   */
  readonly held: number
  readonly records: number
}

export interface FlatRequest {
  readonly store: "file" | "memory"
  /** A directory. */
  readonly place: string
  readonly messages: number
}

/** After so many messages. */
export interface FlatSample {
  readonly messages: number
  /** Heap and buffers after a collection, MiB. */
  readonly heap: number
  /** Resident memory, MiB. */
  readonly resident: number
  /** The files of the store, MiB. */
  readonly disk: number
  readonly seconds: number
}

export interface FlatResult {
  readonly samples: ReadonlyArray<FlatSample>
  /** The largest size of the store's files that was seen, MiB. */
  readonly largestDisk: number
}
