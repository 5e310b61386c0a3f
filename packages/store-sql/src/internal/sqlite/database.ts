/**
 * One connection to a file of SQLite by `node:sqlite`, as a connection of `effect/sql`. It waits for locks of other
 * processes without blocking this one, and for a bounded time. `SqliteClient` opens it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue } from "node:sqlite"

const firstPause = 1
const longestPause = 50

const codeOf = (cause: unknown): number | undefined =>
  typeof cause === "object" && cause !== null && "errcode" in cause ? Number(cause.errcode) : undefined

/** SQLITE_BUSY, with the reasons in its upper bits. */
const isBusy = (cause: unknown): boolean => ((codeOf(cause) ?? 0) & 0xff) === 5

const failureOf = (cause: unknown): SqlError => {
  const code = codeOf(cause)
  // Effect knows the codes of other drivers, which have them as `errno`.
  const known = code === undefined ? cause : Object.assign(cause as object, { errno: code })
  return new SqlError({ reason: classifySqliteError(known, { message: "SQLite has refused a statement" }) })
}

/**
 * Opens a file. Fails where this Node has no `node:sqlite`, and where the file cannot be opened or is no database. Each
 * commit is synced to the disk (WAL, `synchronous=FULL`).
 */
export const open = (
  filename: string,
  busyTimeout: Duration.Duration
): Effect.Effect<{ readonly connection: Connection; readonly database: DatabaseSync }, SqlError> =>
  Effect.gen(function*() {
    const { DatabaseSync } = yield* Effect.tryPromise({
      try: () => import("node:sqlite"),
      catch: (cause) =>
        new SqlError({
          reason: new ConnectionError({
            message: `this version of Node (${process.versions.node}) has no node:sqlite: it needs 22.19 or newer`,
            operation: "open",
            cause
          })
        })
    })
    const database = yield* Effect.try({
      // Statements do not wait for locks by themselves: that would block the whole process.
      try: () => new DatabaseSync(filename, { timeout: 0 }),
      catch: (cause) =>
        new SqlError({
          reason: new ConnectionError({ message: `${filename} cannot be opened`, operation: "open", cause })
        })
    })
    const connection = connectionOf(database, Duration.toMillis(busyTimeout))
    // `fullfsync` is for macOS, where a sync alone does not reach the disk.
    const settings = ["journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"]
    yield* Effect.forEach(settings, (setting) => connection.executeRaw(`PRAGMA ${setting}`, []), { discard: true })
      .pipe(
        Effect.onError(() => Effect.sync(() => database.close()))
      )
    return { connection, database }
  })

const connectionOf = (database: DatabaseSync, busyTimeout: number): Connection => {
  const run = (sql: string, params: ReadonlyArray<unknown>): ReadonlyArray<Record<string, unknown>> =>
    database.prepare(sql).all(...params as ReadonlyArray<SQLInputValue>) as ReadonlyArray<Record<string, unknown>>
  /** A statement that finds the file locked has done nothing, so it runs again; not amid a transaction. */
  const attempt = <A>(execute: () => A): Effect.Effect<A, SqlError> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(execute())
      } catch (cause) {
        return isBusy(cause) && !database.isTransaction ? again(execute, cause) : Effect.fail(failureOf(cause))
      }
    })
  const again = <A>(execute: () => A, first: unknown): Effect.Effect<A, SqlError> =>
    Effect.gen(function*() {
      const begin = yield* Clock.currentTimeMillis
      let cause = first
      for (let pause = firstPause; isBusy(cause); pause = Math.min(pause * 2, longestPause)) {
        if ((yield* Clock.currentTimeMillis) - begin >= busyTimeout) break
        yield* Effect.sleep(pause)
        try {
          return execute()
        } catch (error) {
          cause = error
        }
      }
      return yield* Effect.fail(failureOf(cause))
    })
  const execute: Connection["execute"] = (sql, params, transformRows) =>
    Effect.map(attempt(() => run(sql, params)), (rows) => transformRows === undefined ? rows : transformRows(rows))
  const executeValues: Connection["executeValues"] = (sql, params) =>
    Effect.map(attempt(() => run(sql, params)), (rows) => rows.map((row) => Object.values(row)))
  return {
    execute,
    executeRaw: (sql, params) => attempt(() => run(sql, params)),
    executeStream: (sql, params, transformRows) =>
      Stream.unwrap(Effect.map(execute(sql, params, transformRows), (rows) => Stream.fromIterable(rows))),
    executeValues,
    executeValuesUnprepared: executeValues,
    executeUnprepared: execute
  }
}
