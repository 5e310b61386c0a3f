/**
 * LevelDB, opened as this package wants it.
 */
import type { ClassicLevel } from "classic-level"
import { StoreFailure } from "./failure.ts"

/** A database of texts and bytes. */
export type Level = ClassicLevel<string, Uint8Array>

/** One write of a batch. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: string }

/** What `classic-level` exports; loading it fails where its binary is missing. */
export type Engine = typeof import("classic-level")

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
