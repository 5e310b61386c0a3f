/**
 * Reads and prints the URLs of proxies, and checks the rules about servers that are reached without one. Pure, for
 * options and transports. Its messages never quote the input, which may hold a password.
 */
import * as Redacted from "effect/Redacted"

/**
 * How to speak to a proxy. `http` and `https` use the method CONNECT (RFC 9110, 9.3.6), `https` inside TLS. `socks5`
 * and `socks5h` are SOCKS 5 (RFC 1928). With `socks5` this client resolves the server's name, with `socks5h` the proxy
 * does.
 */
export type ProxyProtocol = "http" | "https" | "socks5" | "socks5h"

export interface ProxyAddress {
  readonly protocol: ProxyProtocol
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
}

// Those of curl and Go, but for the port of http://, for which curl has 1080.
const defaultPorts: Readonly<Record<ProxyProtocol, number>> = { http: 80, https: 443, socks5: 1080, socks5h: 1080 }

const isProtocol = (text: string): text is ProxyProtocol => Object.hasOwn(defaultPorts, text)

/**
 * Reads a URL such as `http://user:password@proxy.example:3128`, or `proxy.example:3128` for `http://`. Answers what is
 * wrong as a text.
 */
export const parseProxy = (input: string): ProxyAddress | string => {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(input)?.[1]?.toLowerCase() ?? "http"
  if (!isProtocol(scheme)) {
    return "unknown protocol of the proxy, expected http://, https://, socks5:// or socks5h://"
  }
  let url: URL
  try {
    url = new URL(input.includes("://") ? input : `http://${input}`)
  } catch {
    return "the address of the proxy is not a valid URL"
  }
  if (url.hostname === "") {
    return "the address of the proxy has no host"
  }
  if ((url.pathname !== "" && url.pathname !== "/") || url.search !== "" || url.hash !== "") {
    return "the address of a proxy has no path, query or fragment"
  }
  let username: string
  let password: string
  try {
    username = decodeURIComponent(url.username)
    password = decodeURIComponent(url.password)
  } catch {
    return "the user name or password in the address of the proxy is not percent-encoded correctly"
  }
  const address: ProxyAddress = {
    protocol: scheme,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? defaultPorts[scheme] : Number(url.port),
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : Redacted.make(password, { label: "password" })
  }
  return address.port === 0 ? "the port of the proxy is not a number from 1 to 65535" : address
}

/** Prints a proxy as a URL with its port and without credentials. */
export const formatProxy = ({ host, port, protocol }: ProxyAddress): string =>
  `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}`

const encoder = new TextEncoder()

/** What is wrong with credentials for a proxy; undefined: nothing. */
export const credentialsFault = ({ password, protocol, username }: ProxyAddress): string | undefined => {
  if (username === undefined) {
    return password === undefined ? undefined : "the password of a proxy needs a user name"
  }
  const secret = password === undefined ? "" : Redacted.value(password)
  // RFC 7617, section 2.
  if (
    (protocol === "http" || protocol === "https") && (username.includes(":") || /\p{Cc}/u.test(username + secret))
  ) {
    return "the user name of an HTTP proxy has no colon, and neither it nor the password a control character"
  }
  // RFC 1929, section 2.
  if (
    (protocol === "socks5" || protocol === "socks5h") &&
    (encoder.encode(username).length > 255 || encoder.encode(secret).length > 255 || secret === "")
  ) {
    return "SOCKS 5 has user names and passwords of 1 to 255 bytes, and both of them"
  }
  return undefined
}

/** A rule about servers that are reached without a proxy. */
export type NoProxyRule =
  | { readonly _tag: "All" }
  | { readonly _tag: "Name"; readonly name: string; readonly port: number | undefined }
  | { readonly _tag: "Subnet"; readonly address: string; readonly prefix: number }

/**
 * Reads `*`, `name`, `.name`, `*.name`, `address`, each also with `:port`, or `address/prefix`. Undefined: no rule.
 */
export const parseNoProxy = (input: string): NoProxyRule | undefined => {
  const text = input.trim().toLowerCase()
  if (text === "*") return { _tag: "All" }
  const subnet = /^([0-9a-f]*[:.][0-9a-f:.]+)\/(\d{1,3})$/.exec(text)
  if (subnet !== null) {
    const [, address, prefix] = subnet
    return Number(prefix) <= (address!.includes(":") ? 128 : 32)
      ? { _tag: "Subnet", address: address!, prefix: Number(prefix) }
      : undefined
  }
  // More than one colon without brackets is an IPv6 address.
  const match = /^\[([0-9a-f:.]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^()([0-9a-f.]*:[0-9a-f:.]*:[0-9a-f:.]*)$/.exec(text)
  if (match !== null) {
    const [, bracketed, rest] = match
    return bracketed === ""
      ? { _tag: "Name", name: rest!, port: undefined }
      : { _tag: "Name", name: bracketed!, port: rest === undefined ? undefined : Number(rest) }
  }
  const named = /^(?:\*?\.)?([^\s*/:@[\]]+?)\.?(?::(\d{1,5}))?$/.exec(text)
  if (named === null) return undefined
  const [, name, port] = named
  return { _tag: "Name", name: name!, port: port === undefined ? undefined : Number(port) }
}
