/**
 * The addresses of MQTT servers: parsing, checking and printing URLs.
 *
 * | URL | protocol | default port |
 * | --- | --- | --- |
 * | `mqtt://host:port`, `tcp://host:port`, `host:port`, `host` | TCP | 1883 |
 * | `mqtts://host:port`, also `ssl`, `tls`, `tcps`, `mqtt+ssl` | TLS over TCP | 8883 |
 * | `ws://host:port/path` | WebSocket | 80 |
 * | `wss://host:port/path` | WebSocket over TLS | 443 |
 * | `mqtt+unix:///path`, `unix:///path` | Unix socket | none |
 *
 * The path of a WebSocket is `/` unless the URL has one; many servers expect `/mqtt`, which has to be written out. IPv6
 * addresses stand in brackets, or bare without scheme and port. User names and passwords may stand before the host,
 * percent-encoded where they contain `:`, `/`, `@`, `?` or `#`. The password and the query of a WebSocket are secrets:
 * they are Redacted, and `format` prints neither.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { kindOf } from "./internal/valueNames.ts"
import { InvalidOptions } from "./MqttError.ts"

/**
 * The protocol that carries the bytes to a server.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ServerProtocol = "tcp" | "tls" | "ws" | "wss" | "unix"

/**
 * The address at which a server listens.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ServerAddress {
  /** How the server is reached. */
  readonly protocol: ServerProtocol
  /** A name, an IPv4 address, or an IPv6 address without brackets; `""` for a Unix socket. */
  readonly host: string
  /** 1 to 65535; 0 for a Unix socket. */
  readonly port: number
  /** The path of a WebSocket without its query, the file of a Unix socket, `""` otherwise. */
  readonly path: string
  /** The query of a WebSocket without `?`, which often holds a token; absent: none. */
  readonly query?: Redacted.Redacted<string> | undefined
  /** The user name in the address; undefined: none. */
  readonly username: string | undefined
  /** The password in the address; undefined: none. */
  readonly password: Redacted.Redacted<string> | undefined
}

/**
 * Options for reading an address.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ParseOptions {
  /** An address without a scheme means TLS, and a scheme without TLS is refused; default `false`. */
  readonly secure?: boolean | undefined
}

const protocols: ReadonlyMap<string, ServerProtocol> = new Map([
  ["mqtt", "tcp"],
  ["tcp", "tcp"],
  ["mqtts", "tls"],
  ["ssl", "tls"],
  ["tls", "tls"],
  ["tcps", "tls"],
  ["mqtt+ssl", "tls"],
  ["ws", "ws"],
  ["wss", "wss"],
  ["mqtt+unix", "unix"],
  ["unix", "unix"]
])

const schemes: Readonly<Record<ServerProtocol, string>> = {
  tcp: "mqtt",
  tls: "mqtts",
  ws: "ws",
  wss: "wss",
  unix: "mqtt+unix"
}

const defaultPorts: Readonly<Record<ServerProtocol, number>> = { tcp: 1883, tls: 8883, ws: 80, wss: 443, unix: 0 }

const withScheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i
// eslint-disable-next-line no-control-regex
const unusable = /[\u0000-\u0020\u007f\\\p{Surrogate}]/u
const hostName = /^[^[\]<>"^`{|}%@:]+$/
const ipv6 = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*(?:%[0-9a-z._-]+)?$/i

/**
 * Whether the protocol encrypts.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isSecure = (address: ServerAddress): boolean => address.protocol === "tls" || address.protocol === "wss"

/**
 * Reads an address. Fails with `InvalidOptions`, whose text never contains a part of the address that may be a secret.
 *
 * **Example** (Reading a URL)
 *
 * ```ts
 * import { ServerAddress } from "@effect-mqttx/core"
 * import { Result } from "effect"
 *
 * const address = Result.getOrThrow(ServerAddress.parse("mqtts://broker.example"))
 *
 * address.port // => 8883
 * ServerAddress.isSecure(address) // => true
 * ServerAddress.format(address) // => "mqtts://broker.example:8883"
 * ```
 *
 * @stability stable
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: string, options?: ParseOptions): Result.Result<ServerAddress, InvalidOptions> => {
  if (typeof input !== "string") {
    return refuse(`the address of the server must be a text, got ${kindOf(input)}`)
  }
  if (input === "") {
    return refuse("the address of the server is empty")
  }
  if (unusable.test(input)) {
    return refuse(
      "the address of the server contains white space, a control character, a backslash or half a character"
    )
  }
  const match = withScheme.exec(input)
  const scheme = match?.[1]?.toLowerCase()
  const protocol = scheme === undefined ? options?.secure === true ? "tls" : "tcp" : protocols.get(scheme)
  if (protocol === undefined) {
    return refuse(`unknown protocol ${scheme}://, expected one of ${[...protocols.keys()].join(", ")}`)
  }
  if (options?.secure === true && protocol !== "tls" && protocol !== "wss") {
    return refuse(`${scheme}:// does not encrypt, expected mqtts:// or wss://`)
  }
  const rest = match?.[2] ?? input
  if (rest.includes("#")) {
    return refuse("the address of the server has a fragment (#)")
  }
  const end = rest.search(/[/?]/)
  const authority = end === -1 ? rest : rest.slice(0, end)
  const path = end === -1 ? "" : rest.slice(end)
  const at = authority.lastIndexOf("@")
  const credentials = parseCredentials(at === -1 ? "" : authority.slice(0, at))
  if (credentials === undefined) {
    return refuse("the user name or password in the address of the server is not percent-encoded correctly")
  }
  const place = authority.slice(at + 1)
  if (protocol === "unix") {
    return parseUnix(place, path, credentials)
  }
  const endpoint = parseEndpoint(place, scheme === undefined)
  if (typeof endpoint === "string") {
    return refuse(endpoint)
  }
  const isWebSocket = protocol === "ws" || protocol === "wss"
  if (!isWebSocket && path !== "" && path !== "/") {
    return refuse("only the address of a WebSocket has a path or query")
  }
  const mark = path.indexOf("?")
  const ownPath = mark === -1 ? path : path.slice(0, mark)
  const address: ServerAddress = {
    protocol,
    host: endpoint.host,
    port: endpoint.port ?? defaultPorts[protocol],
    path: !isWebSocket ? "" : ownPath === "" ? "/" : ownPath,
    query: mark === -1 || mark === path.length - 1
      ? undefined
      : Redacted.make(path.slice(mark + 1), { label: "query" }),
    ...credentials
  }
  // The constructor of the WebSocket would otherwise throw, and quote the address with its query.
  return isWebSocket && !URL.canParse(webSocketUrl(address))
    ? refuse("the address of the WebSocket is not a valid URL")
    : Result.succeed(address)
}

/**
 * Prints an address as a URL with its port and without credentials and query: for logs, errors and pages.
 *
 * @stability stable
 * @category formatting
 * @since 0.1.0
 */
export const format = (address: ServerAddress): string => {
  const scheme = schemes[address.protocol]
  if (address.protocol === "unix") {
    return `${scheme}://${address.path.split("/").map(encodeURIComponent).join("/")}`
  }
  const query = address.path.indexOf("?")
  // Joined, because a session keeps the text, and V8 keeps a template as a tree of its parts.
  return [
    scheme,
    "://",
    formatHost(address.host),
    ":",
    address.port,
    query === -1 ? address.path : address.path.slice(0, query)
  ].join("")
}

/**
 * The URL that opens a WebSocket, with the query and without credentials. The query may hold a secret: do not print it.
 *
 * @stability stable
 * @category formatting
 * @since 0.1.0
 */
export const webSocketUrl = (address: ServerAddress): string =>
  `${address.protocol === "wss" ? "wss" : "ws"}://${formatHost(address.host)}:${address.port}${address.path}${
    address.query === undefined ? "" : `?${Redacted.value(address.query)}`
  }`

const formatHost = (host: string): string => host.includes(":") ? `[${host}]` : host

const refuse = (message: string): Result.Result<never, InvalidOptions> =>
  Result.fail(new InvalidOptions({ issues: [{ path: "", message }] }))

type Credentials = Pick<ServerAddress, "username" | "password">

const parseCredentials = (text: string): Credentials | undefined => {
  if (text === "") {
    return { username: undefined, password: undefined }
  }
  const colon = text.indexOf(":")
  try {
    return {
      username: decodeURIComponent(colon === -1 ? text : text.slice(0, colon)),
      password: colon === -1
        ? undefined
        : Redacted.make(decodeURIComponent(text.slice(colon + 1)), { label: "password" })
    }
  } catch {
    return undefined
  }
}

const parseUnix = (
  place: string,
  path: string,
  credentials: Credentials
): Result.Result<ServerAddress, InvalidOptions> => {
  if (place !== "" || !path.startsWith("/") || path === "/" || path.includes("?")) {
    return refuse("the address of a Unix socket is mqtt+unix:// and an absolute path, without a query")
  }
  let file: string
  try {
    file = decodeURIComponent(path)
  } catch {
    return refuse("the path of the Unix socket is not percent-encoded correctly")
  }
  return file.includes("\u0000")
    ? refuse("the path of the Unix socket contains a null character")
    : Result.succeed({ protocol: "unix", host: "", port: 0, path: file, ...credentials })
}

// Messages here must not quote the input: with an unescaped "/" or "@" it may contain a part of a password.
const parseEndpoint = (
  place: string,
  bare: boolean
): { readonly host: string; readonly port: number | undefined } | string => {
  if (place.startsWith("[")) {
    const close = place.indexOf("]")
    const host = place.slice(1, close)
    if (close === -1 || !ipv6.test(host)) {
      return "the IPv6 address of the server is not valid"
    }
    return withPort(host, place.slice(close + 1))
  }
  if (ipv6.test(place)) {
    return bare ? { host: place, port: undefined } : "an IPv6 address behind a scheme needs brackets"
  }
  const colon = place.indexOf(":")
  const host = colon === -1 ? place : place.slice(0, colon)
  if (host === "") {
    return "the address of the server has no host"
  }
  if (!hostName.test(host)) {
    return "the host of the server contains a character that a host name cannot have"
  }
  return withPort(host, colon === -1 ? "" : place.slice(colon))
}

const withPort = (
  host: string,
  text: string
): { readonly host: string; readonly port: number | undefined } | string => {
  if (text === "") {
    return { host, port: undefined }
  }
  const port = /^:[0-9]{1,5}$/.test(text) ? Number(text.slice(1)) : 0
  return port >= 1 && port <= 65535 ? { host, port } : "the port of the server is not a number from 1 to 65535"
}
