/**
 * The rules between options: credentials, TLS, protocol versions, expiry, memory.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as ServerAddress from "../../ServerAddress.ts"
import { credentialsFault, formatProxy, parseNoProxy, parseProxy } from "../proxyUrl.ts"
import type { Fields } from "./fields.ts"

/** One problem, and its place. */
export interface Issue {
  readonly path: ReadonlyArray<PropertyKey>
  readonly issue: string
}

/** The addresses of the servers, or the issues of invalid ones. */
export const parseServers = (options: Fields): ReadonlyArray<ServerAddress.ServerAddress | Issue> =>
  options.servers.map((server, index) => {
    const parsed = ServerAddress.parse(server, { secure: options.secure })
    return Result.isSuccess(parsed)
      ? parsed.success
      : { path: ["servers", index], issue: parsed.failure.issues.map((issue) => issue.message).join("; ") }
  })

const isIssue = (parsed: ServerAddress.ServerAddress | Issue): parsed is Issue => "issue" in parsed

/** Whether a server has an address. */
export const isAddress = (parsed: ServerAddress.ServerAddress | Issue): parsed is ServerAddress.ServerAddress =>
  !isIssue(parsed)

const passwordOf = (value: Redacted.Redacted<string> | undefined): string | undefined =>
  value === undefined ? undefined : Redacted.value(value)

/**
 * The user name and password, from the options or from the URLs of the servers. An issue when they differ: all servers
 * of a session hold the same session, so that one identity must be valid for all.
 */
export const credentialsOf = (
  options: Fields,
  addresses: ReadonlyArray<ServerAddress.ServerAddress>
): { readonly username: Fields["username"] | undefined; readonly password: Fields["password"] | undefined } | Issue => {
  let { password, username } = options
  for (const [index, address] of addresses.entries()) {
    username ??= address.username
    password ??= address.password
    if (
      (address.username !== undefined && address.username !== username) ||
      (address.password !== undefined && passwordOf(address.password) !== passwordOf(password))
    ) {
      return {
        path: ["servers", index],
        issue: "the user name or password differs from that of the options or of another server"
      }
    }
  }
  return { username, password }
}

const credentialsIssues = (
  options: Fields,
  addresses: ReadonlyArray<ServerAddress.ServerAddress>
): ReadonlyArray<Issue> => {
  const credentials = credentialsOf(options, addresses)
  if ("issue" in credentials) {
    return [credentials]
  }
  // [MQTT3-3.1.2-22]
  return options.protocolVersion === 4 && credentials.password !== undefined && credentials.username === undefined
    ? [{ path: ["password"], issue: "MQTT 3.1.1 has no password without a user name" }]
    : []
}

const mqtt5Issues = (options: Fields): ReadonlyArray<Issue> => {
  const issues: Array<Issue> = []
  const needs5 = "only MQTT 5 has this"
  if (options.connectUserProperties.length > 0) {
    issues.push({ path: ["connectUserProperties"], issue: needs5 })
  }
  if (options.will !== undefined && !Duration.isZero(options.will.delay)) {
    issues.push({ path: ["will", "delay"], issue: needs5 })
  }
  if (options.will !== undefined && Object.keys(options.will.properties).length > 0) {
    issues.push({ path: ["will", "properties"], issue: needs5 })
  }
  return issues
}

/**
 * All servers of a session use TLS, or none does. With a mixed list, an attacker who breaks off the TLS connection
 * would obtain the user name, the password and the messages in clear text at the next attempt.
 */
const downgradeIssues = (addresses: ReadonlyArray<ServerAddress.ServerAddress>): ReadonlyArray<Issue> => {
  const plain = addresses.findIndex((address) => !ServerAddress.isSecure(address))
  return plain === -1 || !addresses.some(ServerAddress.isSecure)
    ? []
    : [{
      path: ["servers", plain],
      issue: "does not use TLS, and other servers of the list do: all of them have to, or none"
    }]
}

const clientIdIssues = ({ assignedClientId, clientId, persistence, protocolVersion }: Fields): ReadonlyArray<Issue> => {
  if (!assignedClientId) return []
  if (clientId !== undefined) {
    return [{ path: ["assignedClientId"], issue: "clientId gives one: the server assigns none" }]
  }
  // [MQTT3-3.1.3-7]
  return protocolVersion === 4 && persistence !== "none"
    ? [{
      path: ["assignedClientId"],
      issue:
        "the session could not be resumed, because MQTT 3.1.1 does not tell the identifier: expected persistence none"
    }]
    : []
}

const tlsIssues = ({ tls }: Fields): ReadonlyArray<Issue> => {
  const issues: Array<Issue> = []
  if (tls !== undefined && (tls.cert === undefined) !== (tls.key === undefined)) {
    issues.push({ path: ["tls"], issue: "cert and key belong together" })
  }
  if (tls?.pfx !== undefined && tls.cert !== undefined) {
    issues.push({ path: ["tls", "pfx"], issue: "pfx stands in place of cert and key" })
  }
  // An empty list would allow no server, or every one.
  if (tls?.pins?.length === 0) {
    issues.push({ path: ["tls", "pins"], issue: "expected at least one pin" })
  }
  for (const [index, pin] of (tls?.pins ?? []).entries()) {
    if (!/^sha256\/[A-Za-z0-9+/]{43}=$/.test(pin)) {
      issues.push({ path: ["tls", "pins", index], issue: "expected sha256/ and 32 bytes in base64" })
    }
  }
  return issues
}

/** The proxy with its URL and credentials apart, or the issue of an invalid one. Undefined: there is none. */
export const proxyOf = ({ proxy }: Fields): NonNullable<Fields["proxy"]> | Issue | undefined => {
  if (proxy?.url === undefined) {
    return proxy
  }
  const issue = (key: string, message: string): Issue => ({ path: ["proxy", key], issue: message })
  const address = parseProxy(proxy.url)
  if (typeof address === "string") {
    return issue("url", address)
  }
  const username = proxy.username ?? address.username
  const password = proxy.password ?? address.password
  if (
    (address.username !== undefined && address.username !== username) ||
    (address.password !== undefined && passwordOf(address.password) !== passwordOf(password))
  ) {
    return issue("url", "the user name or password differs from that of the options")
  }
  const fault = credentialsFault({ ...address, username, password })
  if (fault !== undefined) {
    return issue("username", fault)
  }
  return {
    ...proxy,
    url: formatProxy(address),
    ...(username === undefined ? undefined : { username }),
    ...(password === undefined ? undefined : { password })
  }
}

const proxyIssues = (options: Fields): ReadonlyArray<Issue> => {
  const issues: Array<Issue> = []
  const { proxy } = options
  const parsed = proxyOf(options)
  if (parsed !== undefined && "issue" in parsed) {
    issues.push(parsed)
  }
  if (proxy?.environment === true && proxy.url !== undefined) {
    issues.push({ path: ["proxy", "environment"], issue: "the proxy comes from url or from the environment, not both" })
  }
  if (proxy !== undefined && proxy.url === undefined && (proxy.username ?? proxy.password) !== undefined) {
    issues.push({ path: ["proxy", "username"], issue: "user name and password belong to a url" })
  }
  for (const [index, rule] of (proxy?.noProxy ?? []).entries()) {
    if (parseNoProxy(rule) === undefined) {
      issues.push({ path: ["proxy", "noProxy", index], issue: "expected a name, an address, address/prefix or *" })
    }
  }
  return issues
}

const mebibyte = 1024 * 1024

/** Bytes of a flight record that has room for the state of a session. */
const smallestRecord = 65_536

/** The limits in bytes. If one is absent, it follows from the other. */
export const memoryOf = (
  { maximumPacketSize, memoryLimit, queue: { bytes } }: Fields
): { readonly limit: number; readonly queue: number } => {
  const queue = bytes ?? (memoryLimit === undefined ? 32 * mebibyte : Math.ceil(memoryLimit / 2))
  return { limit: memoryLimit ?? queue + Math.max(32 * mebibyte, 2 * maximumPacketSize), queue }
}

/**
 * The problems between options that are each valid. `broken` are the paths of the invalid ones, which defaults replace:
 * no issue is reported about them.
 */
export const issuesBetween = (options: Fields, broken: ReadonlyArray<string> = []): ReadonlyArray<Issue> => {
  const issues: Array<Issue> = []
  const intact = (...paths: ReadonlyArray<string>): boolean =>
    !broken.some((path) => paths.some((wanted) => path === wanted || path.startsWith(`${wanted}.`)))
  const parsed = intact("servers") ? parseServers(options) : []
  const addresses = parsed.filter(isAddress)
  issues.push(...parsed.filter(isIssue))
  if (addresses.length > 0 && addresses.length === parsed.length) {
    if (intact("username", "password")) {
      issues.push(...credentialsIssues(options, addresses))
    }
    if (options.tls !== undefined && intact("secure") && !addresses.some(ServerAddress.isSecure)) {
      issues.push({ path: ["tls"], issue: "no server uses TLS: write mqtts:// or wss://, or set secure" })
    }
    issues.push(...downgradeIssues(addresses))
  }
  if (intact("tls")) {
    issues.push(...tlsIssues(options))
  }
  if (intact("proxy")) {
    issues.push(...proxyIssues(options))
  }
  if (intact("clientId", "persistence")) {
    issues.push(...clientIdIssues(options))
  }
  if (options.protocolVersion === 4) {
    issues.push(...mqtt5Issues(options))
  }
  if (
    intact("persistence", "sessionExpiry") && options.sessionExpiry !== undefined &&
    Duration.isZero(options.sessionExpiry) !== (options.persistence === "none")
  ) {
    issues.push({
      path: ["sessionExpiry"],
      issue: options.persistence === "none"
        ? "without persistence the session ends with its connection: expected 0"
        : "a session that expires with its connection cannot be resumed: expected more than 0, or persistence none"
    })
  }
  if (
    intact("reconnect.initialDelay", "reconnect.maxDelay") &&
    Duration.isGreaterThan(options.reconnect.initialDelay, options.reconnect.maxDelay)
  ) {
    issues.push({ path: ["reconnect", "maxDelay"], issue: "expected at least initialDelay" })
  }
  if (options.flightRecorder > 0 && options.flightRecorder < smallestRecord) {
    issues.push({ path: ["flightRecorder"], issue: `expected 0, or at least ${smallestRecord}` })
  }
  const { limit, queue } = memoryOf(options)
  if (intact("memoryLimit", "maximumPacketSize", "queue.bytes") && limit - queue < options.maximumPacketSize) {
    issues.push({
      path: ["memoryLimit"],
      issue: `expected at least ${
        queue + options.maximumPacketSize
      }, which is queue.bytes and maximumPacketSize together`
    })
  }
  return issues
}
