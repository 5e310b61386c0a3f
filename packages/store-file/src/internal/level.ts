/**
 * LevelDB, opened as this package wants it.
 */
import type * as ClassicLevelModule from "classic-level"
import { StoreFailure } from "./failure.ts"

/** A database of texts and bytes. */
export type Level = ClassicLevelModule.ClassicLevel<string, Uint8Array>

/** One write of a batch. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: string }

/** What `classic-level` exports; loading it fails where its binary is missing. */
export type Engine = typeof ClassicLevelModule

/** Loads the engine. Fails with the kind `unavailable` and the cause when it cannot be, for example on a platform without a binary. */
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
 * Opens a database. Without compression: a reader that trusts no byte has to understand every block, and most records are deleted
 * before they ever get into a table.
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

/** Bytes above which a batch is given to LevelDB in one call. */
const large = 65_536

/**
 * Writes a batch, all or nothing. Collecting it at LevelDB costs a third of the time of one call with everything, but keeps it in
 * memory until the next garbage collection, which for large batches would be too much.
 */
export const writeBatch = async (
  level: Level,
  operations: Array<Operation>,
  options: { readonly sync: boolean }
): Promise<void> => {
  let bytes = 0
  for (const operation of operations) if (operation.type === "put") bytes += operation.value.length
  if (bytes > large) return level.batch(operations, options)
  const batch = level.batch()
  for (const operation of operations) {
    if (operation.type === "put") batch.put(operation.key, operation.value)
    else batch.del(operation.key)
  }
  return batch.write(options)
}

/** All entries of a range of keys, in their order. */
export const readRange = async (
  level: Level,
  from: string,
  to: string,
  visit: (key: string, value: Uint8Array) => void
): Promise<void> => {
  const iterator = level.iterator({ gte: from, lt: to, fillCache: false })
  try {
    for (;;) {
      const entries = await iterator.nextv(1000)
      if (entries.length === 0) return
      for (const [key, value] of entries) visit(key, value)
    }
  } finally {
    await iterator.close()
  }
}
