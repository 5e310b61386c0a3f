/**
 * A prototype for decision 8: a file store over `node:sqlite`, with one transaction for all commits that wait. Its
 * calls are synchronous: the event loop waits for every sync.
 */
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Prototype, PrototypeOptions, PrototypeSession } from "./contract.ts"

/** What this prototype uses of `node:sqlite`, which Node 20 has not. */
interface Statement {
  readonly run: (...values: ReadonlyArray<string | number | Uint8Array>) => unknown
  readonly iterate: (...values: ReadonlyArray<string>) => Iterable<{ readonly key: string; readonly value: Uint8Array }>
}

interface Database {
  readonly exec: (sql: string) => void
  readonly prepare: (sql: string) => Statement
  readonly close: () => void
}

interface Waiting {
  readonly apply: () => void
  readonly settle: (error: unknown) => void
}

export const openSqlite = async ({ directory, sync }: PrototypeOptions): Promise<Prototype> => {
  const name = "node:sqlite"
  const { DatabaseSync } = await import(name) as { readonly DatabaseSync: new(path: string) => Database }
  Fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(Path.join(directory, "records.sqlite"))
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA synchronous = ${sync ? "FULL" : "OFF"};
    CREATE TABLE IF NOT EXISTS records (session TEXT, key TEXT, value BLOB, PRIMARY KEY (session, key)) WITHOUT ROWID`)
  const put = database.prepare("INSERT OR REPLACE INTO records VALUES (?, ?, ?)")
  const remove = database.prepare("DELETE FROM records WHERE session = ? AND key = ?")
  const removeAll = database.prepare("DELETE FROM records WHERE session = ?")
  const select = database.prepare("SELECT key, value FROM records WHERE session = ? ORDER BY key")
  let waiting: Array<Waiting> = []

  const run = (): void => {
    const group = waiting
    waiting = []
    let error: unknown
    try {
      database.exec("BEGIN IMMEDIATE")
      for (const { apply } of group) apply()
      database.exec("COMMIT")
    } catch (cause) {
      error = cause
      try {
        database.exec("ROLLBACK")
      } catch {
        // The transaction had not begun.
      }
    }
    for (const { settle } of group) settle(error)
  }
  const add = (task: Waiting): void => {
    waiting.push(task)
    // Not a microtask: the event loop would have no turn between two transactions.
    if (waiting.length === 1) setImmediate(run)
  }
  // Names need not be well-formed, and SQLite keeps UTF-8.
  const idOf = (text: string): string => Buffer.from(text, "utf16le").toString("base64url")

  const parts = new Map<string, PrototypeSession>()
  return {
    session: (session) => {
      const known = parts.get(session)
      if (known !== undefined) return known
      const id = idOf(session)
      const part: PrototypeSession = {
        load: () => {
          const records: Array<StoreRecord> = []
          let lost = 0
          for (const { key, value } of select.iterate(id)) {
            const decoded = StoreRecordCodec.decode(key, value)
            if (Result.isSuccess(decoded)) records.push(decoded.success)
            else lost++
          }
          return { records, lost }
        },
        commit: (changes: ReadonlyArray<StoreChange>, settle) => {
          try {
            const writes = changes.map((change) =>
              change._tag === "Delete"
                ? [change.key, undefined] as const
                : [keyOf(change.record), StoreRecordCodec.encode(change.record)] as const
            )
            add({
              apply: () => {
                for (const [key, value] of writes) {
                  if (value === undefined) remove.run(id, key)
                  else put.run(id, key, value)
                }
              },
              settle
            })
          } catch (error) {
            settle(error)
          }
        },
        clear: (settle) => add({ apply: () => removeAll.run(id), settle })
      }
      parts.set(session, part)
      return part
    },
    close: () => {
      database.close()
      return Promise.resolve()
    }
  }
}
