/**
 * The handshake with an HTTP proxy: the method CONNECT of HTTP/1.1 (RFC 9110, 9.3.6), with Basic authentication (RFC
 * 7617). Pure; `tunnel.ts` does the I/O.
 */
import * as Redacted from "effect/Redacted"
import {
  type Credentials,
  failed,
  joinBytes,
  more,
  type ProxyHandshake,
  type Step,
  type Target,
  violation
} from "./proxyHandshake.ts"

/** The largest header of an answer, in bytes. */
export const maximumHeader = 16_384

const encoder = new TextEncoder()
// Every byte is a character: a header may contain any.
const decoder = new TextDecoder("latin1")

const lineFeed = 10
const carriageReturn = 13

export const httpConnect = (target: Target, credentials: Credentials | undefined): ProxyHandshake => {
  let buffered: Uint8Array = new Uint8Array(0)
  // Everything before it was searched for the end of the header.
  let searched = 0
  const push = (bytes: Uint8Array): Step => {
    buffered = joinBytes(buffered, bytes)
    while (true) {
      const end = endOfHeader(buffered, searched)
      if (end === -1 ? buffered.length > maximumHeader : end > maximumHeader) {
        return violation(`a header of more than ${maximumHeader} bytes`)
      }
      if (end === -1) {
        // The end may consist of the last three bytes and those that follow.
        searched = Math.max(0, buffered.length - 3)
        return mayBeHttp(buffered) ? more : violation("no answer of HTTP/1.1")
      }
      const answer = read(decoder.decode(buffered.subarray(0, end)))
      if (answer === undefined) return violation("no answer of HTTP/1.1")
      buffered = buffered.subarray(end)
      searched = 0
      // Interim answers come before the final one (RFC 9110, 15.2).
      if (answer.status < 200 && answer.status !== 101) continue
      if (answer.status >= 200 && answer.status < 300) {
        return { send: undefined, outcome: { _tag: "Open", rest: buffered } }
      }
      return answer.status === 407
        ? failed({ failure: "authentication", httpStatus: 407, ...schemesOf(answer.header) })
        : failed({ failure: "refused", httpStatus: answer.status })
    }
  }
  return { hello: encoder.encode(requestOf(target, credentials)), push }
}

const requestOf = ({ host, port }: Target, credentials: Credentials | undefined): string => {
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const authorization = credentials === undefined ? "" : `Proxy-Authorization: Basic ${basic(credentials)}\r\n`
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`
}

const basic = ({ password, username }: Credentials): string => {
  const bytes = encoder.encode(`${username}:${password === undefined ? "" : Redacted.value(password)}`)
  return btoa(String.fromCharCode(...bytes))
}

/** The index after the empty line that ends a header; -1: it has not arrived. Lines may end without CR. */
const endOfHeader = (bytes: Uint8Array, from: number): number => {
  for (let at = bytes.indexOf(lineFeed, from); at !== -1; at = bytes.indexOf(lineFeed, at + 1)) {
    const next = bytes[at + 1] === carriageReturn ? at + 2 : at + 1
    if (bytes[next] === lineFeed) return next + 1
  }
  return -1
}

// A peer of another protocol is noticed at its first bytes, although it may never send an empty line.
const mayBeHttp = (bytes: Uint8Array): boolean => {
  const expected = "HTTP/1."
  for (let i = 0; i < expected.length && i < bytes.length; i++) {
    if (bytes[i] !== expected.charCodeAt(i)) return false
  }
  return true
}

const read = (header: string): { readonly status: number; readonly header: string } | undefined => {
  const status = /^HTTP\/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n/.exec(header)?.[1]
  return status === undefined || Number(status) < 100 ? undefined : { status: Number(status), header }
}

/** The names of the authentication schemes that the proxy offers. */
const schemesOf = (header: string): { readonly detail?: string } => {
  const offered = Array.from(
    header.matchAll(/^proxy-authenticate:[ \t]*([a-z0-9_-]{1,20})/gim),
    ([, scheme]) => scheme!
  )
  return offered.length === 0 || offered.some((scheme) => scheme.toLowerCase() === "basic")
    ? {}
    : { detail: `it offers ${offered.slice(0, 4).join(", ")}, and not Basic` }
}
