/**
 * A file system with private files, for a key-value store of files. Effect's own makes them with 0666 minus the umask,
 * and follows links.
 *
 * A value is written to a new file next to its own, which then replaces it. A crash leaves the old or the new value,
 * and a symbolic link in that place is replaced, never followed. Reading refuses links and everything that is no file.
 * On Windows the modes have no effect, and links are followed.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { type PlatformError, systemError } from "effect/PlatformError"

const fileMode = 0o600
const directoryMode = 0o700
/** The suffix of an unfinished file. */
const unfinished = ".tmp"

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder()

const isTag = (error: PlatformError, tag: string): boolean => error.reason._tag === tag

/**
 * The same file system with private files. Only the operations that `KeyValueStore.layerFileSystem` uses are changed.
 */
export const privateFiles = (fs: FileSystem.FileSystem): FileSystem.FileSystem => {
  const open = (path: string): ReturnType<typeof fs.open> =>
    Effect.catchIf(
      fs.open(path, { flag: "r", noFollow: true }),
      // The platform cannot distinguish a link from its target.
      (error) => isTag(error, "BadArgument"),
      () => fs.open(path, { flag: "r" })
    )

  const readFile = (path: string): Effect.Effect<Uint8Array, PlatformError> =>
    Effect.gen(function*() {
      // A pipe would block the reader until its other end is opened.
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
    // Fails when anything exists there, also a link.
    const write = fs.writeFile(temporary, bytes, { flag: "wx", mode: fileMode })
    return write.pipe(
      Effect.catchIf(
        (error) => isTag(error, "AlreadyExists"),
        () => Effect.andThen(fs.remove(temporary, { force: true }), write)
      ),
      Effect.andThen(fs.rename(temporary, path)),
      // Frees the room of the unfinished file, because the disk may be full.
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
