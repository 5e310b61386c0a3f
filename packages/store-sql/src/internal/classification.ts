/**
 * Maps an error of PostgreSQL, of SQLite, or of their drivers to a failure of the store.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"

/** By SQLSTATE, or by its class of two characters. Those that are not listed are temporary or unknown. */
const kinds: ReadonlyMap<string, StorageFailed["kind"]> = new Map([
  // Insufficient resources, without out of memory and too many connections, which pass.
  ["53100", "full"],
  ["25006", "readOnly"],
  ["28", "refused"],
  // The database does not exist.
  ["3D", "refused"],
  // The schema does not exist.
  ["3F", "refused"],
  // Missing privileges, and tables that are not as expected. An administrator can mend both.
  ["42", "refused"],
  // A value is larger than PostgreSQL takes.
  ["54", "invalid"],
  // A page of a table or of an index is damaged.
  ["XX001", "corrupt"],
  ["XX002", "corrupt"]
])

/** By the primary result code of SQLite. Those that are not listed are temporary or unknown. */
const sqliteKinds: ReadonlyMap<number, StorageFailed["kind"]> = new Map([
  // SQLITE_ERROR: tables that are missing or not as expected.
  [1, "refused"],
  // SQLITE_PERM and SQLITE_AUTH.
  [3, "refused"],
  [23, "refused"],
  [8, "readOnly"],
  // SQLITE_CORRUPT and SQLITE_NOTADB.
  [11, "corrupt"],
  [26, "corrupt"],
  [13, "full"],
  // SQLITE_TOOBIG.
  [18, "invalid"]
])

/** SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR and SQLITE_CANTOPEN. */
const sqliteTransient: ReadonlySet<number> = new Set([5, 6, 10, 14])

/** What a repetition over another connection can mend, by SQLSTATE or its class. */
const transient: ReadonlySet<string> = new Set(["08", "40", "57P01", "57P02", "57P03", "55P03", "53300"])

// A chain of causes can be circular.
const depth = 8

/** The error and its causes: drivers wrap the error of the server. */
const chainOf = (error: unknown): ReadonlyArray<object> => {
  const chain: Array<object> = []
  let current = error
  while (typeof current === "object" && current !== null && chain.length < depth) {
    chain.push(current)
    current = "reason" in current ? current.reason : "cause" in current ? current.cause : undefined
  }
  return chain
}

/** The SQLSTATE of an error; undefined when the server has not answered. */
export const sqlStateOf = (error: unknown): string | undefined => {
  for (const cause of chainOf(error)) {
    if ("code" in cause && typeof cause.code === "string" && /^[0-9A-Z]{5}$/.test(cause.code)) return cause.code
  }
  return undefined
}

/** The primary result code of SQLite, as `node:sqlite` has it; undefined: the error is none of SQLite. */
const sqliteCodeOf = (error: unknown): number | undefined => {
  for (const cause of chainOf(error)) {
    if ("errcode" in cause && typeof cause.errcode === "number") return cause.errcode & 0xff
  }
  return undefined
}

// Errors of sockets have codes of five letters too: EPIPE.
const isSystem = (code: string): boolean => /^E[A-Z]{4}$/.test(code)

/** Whether the same statement may succeed over another connection. */
export const isTransient = (error: unknown): boolean => {
  const sqliteCode = sqliteCodeOf(error)
  if (sqliteCode !== undefined) return sqliteTransient.has(sqliteCode)
  const code = sqlStateOf(error)
  return code === undefined || isSystem(code) || transient.has(code) || transient.has(code.slice(0, 2))
}

/** The reason of a failed operation. */
export const toReason = (error: unknown): StorageFailed => {
  const code = sqlStateOf(error)
  const sqliteCode = sqliteCodeOf(error)
  const kind = sqliteCode !== undefined
    ? sqliteKinds.get(sqliteCode)
    : code === undefined
    ? undefined
    : kinds.get(code) ?? kinds.get(code.slice(0, 2))
  let detail: string | undefined
  // The innermost message is that of the server or of the socket.
  for (const cause of chainOf(error)) {
    if ("message" in cause && typeof cause.message === "string" && cause.message !== "") detail = cause.message
  }
  return new StorageFailed({
    cause: error,
    ...(kind !== undefined && { kind }),
    ...(detail !== undefined && { detail })
  })
}
