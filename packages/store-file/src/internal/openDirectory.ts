/**
 * Takes a directory as its only owner: checks its format and its files, locks it, repairs its database when it is
 * damaged, and opens the files beside the database. `FileEngine.open` calls it.
 */
import * as Fs from "node:fs"
import { checkFormat, CommitCounts } from "./commitCounts.ts"
import { identityOf, makePrivate, type Paths, pathsOf, refuseForeignFiles } from "./directory.ts"
import { kindOf, StoreFailure } from "./failure.ts"
import { type Engine, loadEngine } from "./level.ts"
import { holdLock } from "./lock.ts"
import { finishReplacement, inspect, rebuild } from "./repair.ts"
import { Reserve } from "./reserve.ts"

/** A directory with its owner's files open. */
export interface OwnedDirectory {
  readonly engine: Engine
  readonly paths: Paths
  readonly commitCounts: CommitCounts
  readonly reserve: Reserve
  /** The damage found in the files, described; undefined: none. */
  readonly incident: string | undefined
  /** Closes the files, and gives the directory back. Never rejects. */
  readonly release: () => Promise<void>
}

/**
 * The directories that this process owns. LevelDB's lock works between processes only, and a second attempt would even
 * release it.
 */
const owned = new Set<string>()

/**
 * Runs `use` while nobody else can have the store open, on a directory that is not changed but for the files of its
 * lock. Fails with the kind `unavailable` when there is no store.
 */
export const whileOwned = async <A>(directory: string, use: (paths: Paths) => A): Promise<A> => {
  const paths = pathsOf(directory)
  if (!Fs.existsSync(paths.records) && !Fs.existsSync(paths.rebuilt)) {
    throw new StoreFailure("unavailable", `there is no store in ${paths.root}`)
  }
  checkFormat(paths.commitCounts)
  const engine = await loadEngine()
  refuseForeignFiles(paths)
  const identity = identityOf(paths.root)
  if (owned.has(identity)) throw ownedHere(paths)
  owned.add(identity)
  try {
    const lock = await holdLock(engine, paths.lock)
    try {
      return use(paths)
    } finally {
      await lock.close()
    }
  } finally {
    owned.delete(identity)
  }
}

const ownedHere = ({ root }: Paths): StoreFailure =>
  new StoreFailure("owned", `this process has the store in ${root} open already`)

export const openDirectory = async (directory: string): Promise<OwnedDirectory> => {
  const paths = pathsOf(directory)
  checkFormat(paths.commitCounts)
  const engine = await loadEngine()
  makePrivate(paths.root, { shared: true })
  refuseForeignFiles(paths)
  const identity = identityOf(paths.root)
  if (owned.has(identity)) throw ownedHere(paths)
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
    const damage = inspect(paths.records)
    const incident = damage.length === 0 ? undefined : describeDamage(damage, await rebuild(engine, paths))
    const commitCounts = CommitCounts.open(paths.commitCounts, isNew)
    releases.push(() => commitCounts.close())
    const reserve = Reserve.open(paths.reserve, paths.root)
    releases.push(() => reserve.close())
    return { engine, paths, commitCounts, reserve, incident, release }
  } catch (error) {
    await release()
    throw error
  }
}

/** Describes damaged files that were set aside. */
export const describeDamage = (damage: ReadonlyArray<string>, aside: string): string => {
  const first = damage.slice(0, 3).join(", ")
  const more = damage.length > 3 ? ` and ${damage.length - 3} more` : ""
  return `the files of the store were damaged (${first}${more}) and are set aside in ${aside}`
}
