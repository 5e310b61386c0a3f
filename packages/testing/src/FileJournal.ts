/**
 * A journal in a file, so that a broker in another process can be killed and started again. Needs Node.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs"
import { mistakeIn, orDie, text } from "./internal/checks.ts"
import type { Journal, JournalEntry } from "./Journal.ts"

/**
 * Opens the journal in this file, which is created if it does not exist. Closed with the scope.
 *
 * Appended entries survive `kill -9` of the process, because the operating system has them by then; they are not synced
 * to the disk. A partly written last line is ignored.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (path: string): Effect.Effect<Journal, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.andThen(
        orDie(() => mistakeIn("FileJournal.make", { path }, { path: text })),
        Effect.sync(() => ({ file: openSync(path, "a") }))
      ),
      (handle) => Effect.sync(() => closeSync(handle.file))
    ),
    (handle): Journal => ({
      append: (entries) => {
        writeSync(handle.file, toLines(entries))
      },
      load: () => existsSync(path) ? fromLines(readFileSync(path, "utf8")) : [],
      replace: (entries) => {
        const replacement = `${path}.new`
        writeFileSync(replacement, toLines(entries))
        closeSync(handle.file)
        renameSync(replacement, path)
        handle.file = openSync(path, "a")
      }
    })
  )

const toLines = (entries: ReadonlyArray<JournalEntry>): string =>
  entries.map((entry) => `${JSON.stringify(entry, replaceBytes)}\n`).join("")

// A function with `this`: JSON passes a Buffer already converted, so the original is read from its holder.
function replaceBytes(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const raw = this[key]
  return raw instanceof Uint8Array ? { $bytes: Buffer.from(raw).toString("base64") } : value
}

const reviveBytes = (_key: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && "$bytes" in value && typeof value.$bytes === "string"
    ? new Uint8Array(Buffer.from(value.$bytes, "base64"))
    : value

const fromLines = (text: string): ReadonlyArray<JournalEntry> =>
  text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line, reviveBytes) as JournalEntry
  )
