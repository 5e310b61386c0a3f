/**
 * A file system whose files are their owner's only, for a key-value store of files: Effect's own makes them with what
 * the umask leaves of 0666, and follows links.
 *
 * A value is written to a new file beside the one that it is for, and then takes its place: a crash leaves the old or
 * the new one, and a symbolic link in that place is replaced, never followed. Reading refuses links and what is no
 * file. On Windows the modes mean nothing, and links are followed.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { type PlatformError, systemError } from "effect/PlatformError"

const fileMode = 0o600
const directoryMode = 0o700
/** What was begun and not finished has the name of its file and this. */
const unfinished = ".tmp"

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder()

const isTag = (error: PlatformError, tag: string): boolean => error.reason._tag === tag

/**
 * The same file system for private files. Only what `KeyValueStore.layerFileSystem` uses is changed.
 */
export const privateFiles = (fs: FileSystem.FileSystem): FileSystem.FileSystem => {
  const open = (path: string): ReturnType<typeof fs.open> =>
    Effect.catchIf(
      fs.open(path, { flag: "r", noFollow: true }),
      // A platform that cannot tell a link from what it leads to.
      (error) => isTag(error, "BadArgument"),
      () => fs.open(path, { flag: "r" })
    )

  const readFile = (path: string): Effect.Effect<Uint8Array, PlatformError> =>
    Effect.gen(function*() {
      // A pipe would keep the reader waiting for its other end.
      const { type } = yield* fs.stat(path)
      if (type !== "File") {
        return yield* Effect.fail(systemError({
          _tag: "PermissionDenied",
          module: "FileSystem",
          method: "readFile",
          description: "it is no file",
          pathOrDescriptor: path
        }))
      }
      const file = yield* open(path)
      const { size } = yield* file.stat
      const bytes = new Uint8Array(Number(size))
      let filled = 0
      while (filled < bytes.length) {
        const chunk = yield* file.readAlloc(bytes.length - filled)
        if (Option.isNone(chunk)) break
        bytes.set(chunk.value, filled)
        filled += chunk.value.length
      }
      return bytes.subarray(0, filled)
    }).pipe(Effect.scoped)

  const writeFile = (path: string, bytes: Uint8Array): Effect.Effect<void, PlatformError> => {
    const temporary = `${path}${unfinished}`
    // Fails when anything is there, also a link.
    const write = fs.writeFile(temporary, bytes, { flag: "wx", mode: fileMode })
    return write.pipe(
      Effect.catchIf(
        (error) => isTag(error, "AlreadyExists"),
        () => Effect.andThen(fs.remove(temporary, { force: true }), write)
      ),
      Effect.andThen(fs.rename(temporary, path)),
      // A full disk has room for nothing that is not finished.
      Effect.tapError(() => Effect.ignore(fs.remove(temporary, { force: true })))
    )
  }

  return {
    ...fs,
    makeDirectory: (path, options) => fs.makeDirectory(path, { ...options, mode: directoryMode }),
    readFile,
    readFileString: (path) => Effect.map(readFile(path), (bytes) => textDecoder.decode(bytes)),
    writeFile,
    writeFileString: (path, text) => writeFile(path, textEncoder.encode(text))
  }
}
