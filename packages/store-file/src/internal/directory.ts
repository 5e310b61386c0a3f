/**
 * The directory of a store: what lies where, who may read it, and that names in it are safe.
 *
 * Modes are those of POSIX; on Windows they mean nothing, and the access control list of the directory decides.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** The paths of a store. */
export interface Paths {
  readonly root: string
  /** A LevelDB database that holds nothing: its lock is the store's. */
  readonly lock: string
  readonly records: string
  /** The records after a repair, until they take the place of the damaged ones. */
  readonly rebuilt: string
  readonly tally: string
}

export const pathsOf = (directory: string): Paths => {
  const root = Path.resolve(directory)
  return {
    root,
    lock: Path.join(root, "lock"),
    records: Path.join(root, "records"),
    rebuilt: Path.join(root, "rebuilt"),
    tally: Path.join(root, "tally")
  }
}

/** Makes a directory that is only its owner's, whatever the umask says. An existing one keeps its mode when it is `shared`. */
export const makePrivate = (path: string, options?: { readonly shared?: boolean }): void => {
  const first = Fs.mkdirSync(path, { recursive: true, mode: 0o700 })
  if (first !== undefined) syncDirectory(Path.dirname(first))
  const mode = Fs.statSync(path).mode & 0o777
  if ((first !== undefined || options?.shared !== true) && mode !== 0o700) Fs.chmodSync(path, 0o700)
}

/** Takes the files of a directory from everybody but their owner: LevelDB makes them with what the umask leaves of 0666. */
export const makeFilesPrivate = (path: string): void => {
  if (process.platform === "win32") return
  for (const name of Fs.readdirSync(path)) {
    const file = Path.join(path, name)
    try {
      const { mode } = Fs.lstatSync(file)
      if ((mode & 0o170000) === 0o100000 && (mode & 0o777) !== 0o600) Fs.chmodSync(file, 0o600)
    } catch (error) {
      // LevelDB deletes files at any time.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error
    }
  }
}

/** Makes the names in a directory safe; Windows has no such call, and its file systems keep a journal of names. */
export const syncDirectory = (path: string): void => {
  if (process.platform === "win32") return
  const descriptor = Fs.openSync(path, "r")
  try {
    Fs.fsyncSync(descriptor)
  } finally {
    Fs.closeSync(descriptor)
  }
}

/** The next free name for what is set aside. */
export const asidePath = (root: string): string => {
  let number = 1
  while (Fs.existsSync(Path.join(root, `damaged-${number}`))) number++
  return Path.join(root, `damaged-${number}`)
}

/** Identifies a directory by whatever path it is reached. */
export const identityOf = (path: string): string => {
  const { dev, ino } = Fs.statSync(path, { bigint: true })
  return `${dev}:${ino}`
}

/**
 * Watches for new files, whose names and modes are not safe until someone sees to it.
 */
export class NewFiles {
  readonly #path: string
  #seen = -1n

  constructor(path: string) {
    this.#path = path
  }

  /** Cheap when there are none: the time of the directory's last change tells. */
  secure(): void {
    if (process.platform === "win32") return
    const changed = Fs.statSync(this.#path, { bigint: true }).mtimeNs
    if (changed === this.#seen) return
    makeFilesPrivate(this.#path)
    syncDirectory(this.#path)
    // Two changes within one tick of the system's clock have the same time: a time of just now is not to be trusted.
    const now = BigInt(Math.trunc(performance.timeOrigin + performance.now())) * 1_000_000n
    this.#seen = now - changed > 20_000_000n ? changed : -1n
  }
}
