/**
 * The flags that say what one payload is, of `pub` and `request`.
 */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type CommandFailed, usage } from "./failure.ts"

export const payloadFlags = {
  message: Flag.String("message").pipe(
    Flag.withAlias("m"),
    Flag.withDescription("Payload; one that begins with - is written as -m=-5x"),
    Flag.optional
  ),
  file: Flag.String("file").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("The bytes of this file are the payload"),
    Flag.optional
  ),
  stdin: Flag.Boolean("stdin-file").pipe(
    Flag.withAlias("s"),
    Flag.withAlias("stdin"),
    Flag.withDescription("All of the standard input is the payload"),
    Flag.withDefault(false)
  ),
  empty: Flag.Boolean("null-message").pipe(
    Flag.withAlias("n"),
    Flag.withDescription("An empty payload; with -r it removes the retained message"),
    Flag.withDefault(false)
  )
}

/** What these flags say. */
export interface PayloadInput {
  readonly message: Option.Option<string>
  readonly file: Option.Option<string>
  readonly stdin: boolean
  readonly empty: boolean
}

/** How many payloads the flags give. */
export const payloadCount = (input: PayloadInput): number =>
  [Option.isSome(input.message), Option.isSome(input.file), input.stdin, input.empty].filter(Boolean).length

/** There is not exactly one payload. */
export const onePayload = (given: number, advice: string): CommandFailed =>
  usage(given === 0 ? "there is nothing to publish" : "there is more than one payload", advice)

const readAll = (stream: Stream.Stream<Uint8Array, unknown>): Effect.Effect<Uint8Array, unknown> =>
  Effect.map(Stream.runCollect(stream), (parts) => {
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  })

/** The one payload of `-m`, `-f`, `-s` or `-n`. */
export const payloadOf = (
  input: PayloadInput
): Effect.Effect<string | Uint8Array, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> => {
  const { file, message } = input
  if (Option.isSome(message)) return Effect.succeed(message.value)
  if (Option.isSome(file)) {
    return Effect.flatMap(FileSystem.FileSystem, (files) => files.readFile(file.value)).pipe(
      Effect.mapError((error) => usage(`-f cannot be read: ${error.message}`, "Check the path of the file."))
    )
  }
  if (input.empty) return Effect.succeed("")
  return Effect.flatMap(Stdio.Stdio, ({ stdin }) => readAll(stdin)).pipe(
    Effect.mapError(() => usage("the standard input cannot be read"))
  )
}
