/**
 * Opens LevelDB with the settings of this package.
 */
import type * as ClassicLevelModule from "classic-level"
import { StoreFailure } from "./failure.ts"

/** A database with strings as keys and bytes as values. */
export type Level = ClassicLevelModule.ClassicLevel<string, Uint8Array>

/** One write of a batch. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: string }

/** The exports of `classic-level`. Loading it fails where its binary is missing. */
export type Engine = typeof ClassicLevelModule

/**
 * Loads the engine. Fails with the kind `unavailable` and the cause when it cannot be loaded, for example on a platform
 * without a binary.
 */
export const loadEngine = async (): Promise<Engine> => {
  try {
    return await import("classic-level")
  } catch (cause) {
    throw new StoreFailure(
      "unavailable",
      `the engine classic-level cannot be loaded: ${cause instanceof Error ? cause.message.trim() : String(cause)}`,
      cause
    )
  }
}

/**
 * Opens a database without compression. A reader that verifies every byte must understand every block, and most records
 * are deleted before they reach a table.
 */
export const openLevel = async (engine: Engine, location: string): Promise<Level> => {
  const level: Level = new engine.ClassicLevel<string, Uint8Array>(location, {
    keyEncoding: "utf8",
    valueEncoding: "view",
    compression: false
  })
  await level.open()
  return level
}

/** The database operations that the store needs: LevelDB, or its replacement while the disk is full. */
export interface Database {
  readonly get: (key: string) => Promise<Uint8Array | undefined>
  /** All entries of a range of keys, in order. */
  readonly range: (from: string, to: string, visit: (key: string, value: Uint8Array) => void) => Promise<void>
  readonly keys: (from: string, to: string) => Promise<ReadonlyArray<string>>
  /**
   * Present where it needs no reading of values: the last four bytes of each value, which are the checksum of a record.
   */
  readonly tails?: (from: string, to: string) => ReadonlyMap<string, number>
  /** Writes all operations or none. */
  readonly write: (operations: Array<Operation>, options: { readonly sync: boolean }) => Promise<void>
  readonly close: () => Promise<void>
}

/** The last four bytes of a value as a number. */
export const tailOf = (bytes: Uint8Array): number => {
  const end = bytes.length
  return ((bytes[end - 4]! << 24) | (bytes[end - 3]! << 16) | (bytes[end - 2]! << 8) | bytes[end - 1]!) >>> 0
}

/** Bytes that are read at once. LevelDB's default is 16 KiB, so that most of the time goes to its threads. */
const pageBytes = 262_144

/** LevelDB as the database of a store. */
export const levelDatabase = (level: Level): Database => ({
  get: (key) => level.get(key),
  range: async (from, to, visit) => {
    const iterator = level.iterator({ gte: from, lt: to, fillCache: false, highWaterMarkBytes: pageBytes })
    try {
      for (;;) {
        const entries = await iterator.nextv(1000)
        if (entries.length === 0) return
        for (const [key, value] of entries) visit(key, value)
      }
    } finally {
      await iterator.close()
    }
  },
  keys: async (from, to) => {
    const found: Array<string> = []
    const iterator = level.keys({ gte: from, lt: to, fillCache: false })
    try {
      for (;;) {
        const keys = await iterator.nextv(1000)
        if (keys.length === 0) return found
        for (const key of keys) found.push(key)
      }
    } finally {
      await iterator.close()
    }
  },
  write: (operations, options) => writeBatch(level, operations, options),
  close: () => level.close()
})

/** A batch above this number of bytes is passed to LevelDB in one call, unless its operations are small. */
const large = 65_536
const largeOfSmall = 1_048_576
/** Bytes of a small operation, on average. */
const small = 1024

/**
 * Whether LevelDB collects a batch of so many operations and bytes. Collecting it takes a third of the time of one call
 * with everything, but the batch stays in memory until the next garbage collection, and V8 does not know its size. Many
 * small operations make enough garbage of their own that this comes soon; a few large ones do not.
 */
export const isCollected = (operations: number, bytes: number): boolean =>
  bytes <= large || (bytes <= largeOfSmall && bytes <= operations * small)

const writeBatch = async (
  level: Level,
  operations: Array<Operation>,
  options: { readonly sync: boolean }
): Promise<void> => {
  let bytes = 0
  for (const operation of operations) if (operation.type === "put") bytes += operation.value.length
  if (!isCollected(operations.length, bytes)) return level.batch(operations, options)
  const batch = level.batch()
  for (const operation of operations) {
    if (operation.type === "put") batch.put(operation.key, operation.value)
    else batch.del(operation.key)
  }
  return batch.write(options)
}
