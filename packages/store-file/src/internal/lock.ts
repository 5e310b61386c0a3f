/**
 * The lock of a store is the lock of an empty LevelDB database. It is the only kernel lock that Node programs reach
 * without native code of their own. The lock of the records' own database cannot serve, because it is released during a
 * repair or a reopening. The lock ends with its process.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeFilesPrivate, makePrivate } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { type Engine, type Level, openLevel } from "./level.ts"

/** Takes the lock. Closing the database releases it. Fails with the kind `owned` when another process has it. */
export const holdLock = async (engine: Engine, path: string): Promise<Level> => {
  makePrivate(path)
  const level = await openLevel(engine, path).catch(async (error: unknown) => {
    const kind = kindOf(error)
    if (kind === "owned") {
      throw new StoreFailure("owned", `another process has the store in ${Path.dirname(path)} open`, error)
    }
    if (kind === "full" || kind === "readOnly") throw error
    // A damaged lock database has no content to lose. LOCK stays, because another process may hold it by now.
    for (const name of Fs.readdirSync(path)) if (name !== "LOCK") Fs.rmSync(Path.join(path, name), { recursive: true })
    return openLevel(engine, path)
  })
  makeFilesPrivate(path)
  return level
}
