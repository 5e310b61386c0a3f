/**
 * The lock of a store: that of a database which holds nothing. LevelDB's is the only lock of the system's kernel that
 * Node programs reach without native code of their own, and the records' own one is released while they are repaired or
 * opened again. It ends with its process.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeFilesPrivate, makePrivate } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { type Engine, type Level, openLevel } from "./level.ts"

/** Takes the lock; closing the database releases it. Fails with the kind `owned` when another process has it. */
export const holdLock = async (engine: Engine, path: string): Promise<Level> => {
  makePrivate(path)
  const level = await openLevel(engine, path).catch(async (error: unknown) => {
    const kind = kindOf(error)
    if (kind === "owned") {
      throw new StoreFailure("owned", `another process has the store in ${Path.dirname(path)} open`, error)
    }
    if (kind === "full" || kind === "readOnly") throw error
    // Damaged: there is nothing in it. LOCK stays, for somebody may have it by now.
    for (const name of Fs.readdirSync(path)) if (name !== "LOCK") Fs.rmSync(Path.join(path, name), { recursive: true })
    return openLevel(engine, path)
  })
  makeFilesPrivate(path)
  return level
}
