/**
 * The directory of a store: the paths of its files, their permissions, the durability of file names, and the refusal of
 * links.
 *
 * Modes and owners are those of POSIX. On Windows they have no effect, and the access control list of the directory
 * decides.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { StoreFailure } from "./failure.ts"

/** The paths of a store. */
export interface Paths {
  readonly root: string
  /** A LevelDB database without content. Its lock is the store's lock. */
  readonly lock: string
  readonly records: string
  /** The records after a repair, until they replace the damaged ones. */
  readonly rebuilt: string
  /** The old records of a replacement that needed their room, until they are deleted. */
  readonly replaced: string
  readonly commitCounts: string
  readonly reserve: string
}

export const pathsOf = (directory: string): Paths => {
  const root = Path.resolve(directory)
  return {
    root,
    lock: Path.join(root, "lock"),
    records: Path.join(root, "records"),
    rebuilt: Path.join(root, "rebuilt"),
    replaced: Path.join(root, "replaced"),
    commitCounts: Path.join(root, "tally"),
    reserve: Path.join(root, "reserve")
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT"

const statsOf = (path: string): Fs.Stats | undefined => Fs.lstatSync(path, { throwIfNoEntry: false })

const isOurs = ({ uid }: Fs.Stats): boolean => process.geteuid === undefined || uid === process.geteuid()

/** Whether other users may write in it. */
const isShared = ({ mode }: Fs.Stats): boolean => (mode & 0o022) !== 0

/**
 * Refuses a store whose directory contains anything but its own directories and files: a symbolic link, which would
 * lead elsewhere; another kind of file, such as a pipe, which would block; and, where others may write in the
 * directory, anything that another user has made. The directory itself may be reached by a link, but not by one that
 * another user has made.
 */
export const refuseForeignFiles = (paths: Paths): void => {
  if (process.platform === "win32") return
  const link = Fs.lstatSync(paths.root)
  if (link.isSymbolicLink() && !isOurs(link) && link.uid !== 0) {
    throw new StoreFailure("refused", `${paths.root} is a symbolic link of another user`)
  }
  const root = Fs.statSync(paths.root)
  const directories = [paths.lock, paths.records, paths.rebuilt, paths.replaced]
  for (const path of [...directories, paths.commitCounts, paths.reserve]) {
    const stats = statsOf(path)
    if (stats === undefined) continue
    const expected = directories.includes(path) ? "directory" : "file"
    if (stats.isSymbolicLink()) throw linkFailure(path)
    if (!(expected === "directory" ? stats.isDirectory() : stats.isFile())) {
      throw new StoreFailure("refused", `${path} is no ${expected}`)
    }
    if (isShared(root) && !isOurs(stats)) {
      throw new StoreFailure("refused", `${path} belongs to another user, and others may write in ${paths.root}`)
    }
    if (expected === "directory") refuseLinks(path)
  }
}

/** LevelDB follows links under the names of its files. */
const refuseLinks = (path: string): void => {
  for (const entry of Fs.readdirSync(path, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) throw linkFailure(Path.join(path, entry.name))
  }
}

const linkFailure = (path: string): StoreFailure =>
  new StoreFailure("refused", `${path} is a symbolic link, which a store does not follow`)

/** Opens a file of the store with permissions for its owner only from the start. Fails when it is a link. */
export const openFile = (path: string, flags: number): number => {
  // Windows has no such flag. A pipe must not block the program until its other end is opened.
  const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = Fs.constants as Partial<typeof Fs.constants>
  try {
    return Fs.openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ELOOP") throw linkFailure(path)
    throw error
  }
}

/**
 * Makes a directory with permissions for its owner only, independent of the umask. An existing one keeps its mode when
 * it is `shared`.
 */
export const makePrivate = (path: string, options?: { readonly shared?: boolean }): void => {
  const first = Fs.mkdirSync(path, { recursive: true, mode: 0o700 })
  if (first !== undefined) syncDirectory(Path.dirname(first))
  const mode = Fs.statSync(path).mode & 0o777
  if ((first !== undefined || options?.shared !== true) && mode !== 0o700) Fs.chmodSync(path, 0o700)
}

/** The files that LevelDB makes. Other files are not examined. */
const levelFile = /^(\d+\.(log|ldb|sst|dbtmp)|MANIFEST-\d+|CURRENT|LOCK|LOG(\.old)?)$/

/**
 * Restricts the files of a directory to their owner: LevelDB makes them with 0666 minus the umask.
 */
export const makeFilesPrivate = (path: string): void => {
  if (process.platform === "win32") return
  for (const name of Fs.readdirSync(path)) {
    if (!levelFile.test(name)) continue
    const file = Path.join(path, name)
    try {
      const { mode } = Fs.lstatSync(file)
      if ((mode & 0o170000) === 0o100000 && (mode & 0o777) !== 0o600) Fs.chmodSync(file, 0o600)
    } catch (error) {
      // LevelDB may delete files at any time.
      if (!isMissing(error)) throw error
    }
  }
}

/** Makes the names in a directory durable. Windows has no such call, and its file systems journal names. */
export const syncDirectory = (path: string): void => {
  if (process.platform === "win32") return
  const descriptor = Fs.openSync(path, "r")
  try {
    Fs.fsyncSync(descriptor)
  } finally {
    Fs.closeSync(descriptor)
  }
}

/** The next free name for a damaged database that is set aside. */
export const asidePath = (root: string): string => {
  let number = 1
  // A dangling link exists too.
  while (statsOf(Path.join(root, `damaged-${number}`)) !== undefined) number++
  return Path.join(root, `damaged-${number}`)
}

/** Identifies a directory independent of the path by which it is reached. */
export const identityOf = (path: string): string => {
  const { dev, ino } = Fs.statSync(path, { bigint: true })
  return `${dev}:${ino}`
}

/** A tick of a system's clock has at most this many milliseconds. */
const tick = 20

/**
 * Watches for new files, whose names and modes are not safe until `secure` runs.
 */
export class NewFiles {
  readonly #path: string
  readonly #now: () => number
  #seen = -1n
  /** When this modification time was first seen, by a monotonic clock. */
  #since = 0
  #isFinal = false

  /** `now` are the milliseconds of a monotonic clock. */
  constructor(path: string, now: () => number = () => performance.now()) {
    this.#path = path
    this.#now = now
  }

  /** Cheap when there are no new files: the modification time of the directory shows it. */
  secure(): void {
    if (process.platform === "win32") return
    const changed = Fs.statSync(this.#path, { bigint: true }).mtimeNs
    if (changed === this.#seen && this.#isFinal) return
    const now = this.#now()
    if (changed !== this.#seen) {
      this.#seen = changed
      this.#since = now
    }
    makeFilesPrivate(this.#path)
    syncDirectory(this.#path)
    // Two changes within one tick of the system's clock have the same time, so the time is not trusted before a tick
    // has passed.
    this.#isFinal = now - this.#since > tick
  }
}
