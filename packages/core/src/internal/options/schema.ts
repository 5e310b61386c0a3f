/**
 * The schema of `SessionOptions`: from JSON, or strings, to checked options with every default filled in.
 */
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as ServerAddress from "../../ServerAddress.ts"
import { type Fields, FieldsSchema, type SessionOptions, type SessionOptionsEncoded } from "./fields.ts"
import { withoutUndefined } from "./plain.ts"
import { credentialsOf, isAddress, issuesBetween, memoryOf, parseServers, proxyOf } from "./rules.ts"

const defaultExpiry = {
  none: Duration.zero,
  process: Duration.hours(1),
  durable: Duration.days(7)
}

/** A WebSocket URL without a path gets the path of the options, which may have a query. */
const withPath = (address: ServerAddress.ServerAddress, path: string | undefined): ServerAddress.ServerAddress => {
  if (path === undefined || address.path !== "/" || address.query !== undefined) return address
  const parsed = ServerAddress.parse(ServerAddress.webSocketUrl({ ...address, path }))
  return Result.isSuccess(parsed) ? parsed.success : address
}

/** Checked options from valid fields. */
export const resolve = (options: Fields): SessionOptions => {
  const addresses = parseServers(options).filter(isAddress)
  const credentials = credentialsOf(options, addresses)
  const { path, queries: given, ...webSocket } = options.webSocket
  const { name, ...others } = options
  const memory = memoryOf(options)
  const proxy = proxyOf(options)
  const servers: Array<string> = []
  const queries: Record<string, Redacted.Redacted<string>> = {}
  for (const address of addresses) {
    const { query, ...server } = withPath(address, path)
    const url = ServerAddress.format(server)
    servers.push(url)
    const secretQuery = query ?? given?.[url]
    if (secretQuery !== undefined) queries[url] = secretQuery
  }
  return {
    // Not a spread first: V8 gives each such copy a hidden class of its own, which is larger than the options.
    name,
    ...others,
    ...("issue" in credentials || credentials.username === undefined ? undefined : { username: credentials.username }),
    ...("issue" in credentials || credentials.password === undefined ? undefined : { password: credentials.password }),
    ...(proxy === undefined || "issue" in proxy ? undefined : { proxy }),
    // The check has ensured at least one server, and that each can be parsed. Lists that were built one by one are
    // copied, because V8 gave them space for sixteen more.
    servers: [...servers] as [string, ...Array<string>],
    certificateThresholds: [...options.certificateThresholds],
    sessionExpiry: options.sessionExpiry ?? defaultExpiry[options.persistence],
    queue: { ...options.queue, bytes: memory.queue },
    memoryLimit: memory.limit,
    webSocket: Object.keys(queries).length === 0 ? webSocket : { ...webSocket, queries }
  }
}

/**
 * Options from JSON: durations in milliseconds or as strings, bytes as `{ "base64": "..." }`, secrets as plain strings.
 * Secrets are never encoded: options that hold one cannot be converted back to JSON.
 */
export const SessionOptionsSchema: Schema.Codec<SessionOptions, SessionOptionsEncoded> = FieldsSchema.check(
  Schema.makeFilter((options: Fields) => issuesBetween(options))
).pipe(
  Schema.decodeTo(
    Schema.declare((value): value is SessionOptions => typeof value === "object" && value !== null),
    SchemaTransformation.transform({
      decode: resolve,
      encode: (options): Fields => withoutUndefined(options)
    })
  )
)
