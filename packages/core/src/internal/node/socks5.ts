/**
 * The handshake with a SOCKS 5 proxy (RFC 1928), with user name and password where they are given (RFC 1929). Pure;
 * `tunnel.ts` does the I/O.
 */
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
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

const encoder = new TextEncoder()

const version = 5
const connectCommand = 1
const noAuthentication = 0
const usernamePassword = 2

const addressTypes = { ipv4: 1, name: 3, ipv6: 4 } as const

/** The names of the replies that refuse, by their number (RFC 1928, 6). */
const replies: ReadonlyArray<string> = [
  "succeeded",
  "generalFailure",
  "notAllowed",
  "networkUnreachable",
  "hostUnreachable",
  "connectionRefused",
  "ttlExpired",
  "commandNotSupported",
  "addressTypeNotSupported"
]

/**
 * The user name, the password and the name of the target are 255 bytes long at most: the options and `tunnel.ts` have
 * checked them.
 */
export const socks5 = (target: Target, credentials: Credentials | undefined): ProxyHandshake => {
  let buffered: Uint8Array = new Uint8Array(0)
  let state: "method" | "authentication" | "reply" = "method"

  /** Consumes one message of the proxy. Undefined: it has not arrived completely. */
  const next = (): Step | undefined => {
    switch (state) {
      case "method": {
        if (buffered.length < 2) return buffered.length === 1 && buffered[0] !== version ? noSocks : undefined
        if (buffered[0] !== version) return noSocks
        const method = buffered[1]
        buffered = buffered.subarray(2)
        if (method === noAuthentication) {
          state = "reply"
          return { send: requestOf(target), outcome: undefined }
        }
        if (method === usernamePassword && credentials !== undefined) {
          state = "authentication"
          return { send: authenticationOf(credentials), outcome: undefined }
        }
        return method === 0xff
          ? failed({
            failure: "authentication",
            detail: credentials === undefined ? "it demands authentication" : "it takes no user name and password"
          })
          : violation(`it chose the method ${method}, which was not offered`)
      }
      case "authentication": {
        if (buffered.length < 2) return undefined
        const status = buffered[1]
        buffered = buffered.subarray(2)
        if (status !== 0) return failed({ failure: "authentication" })
        state = "reply"
        return { send: requestOf(target), outcome: undefined }
      }
      case "reply": {
        if (buffered.length > 0 && buffered[0] !== version) return noSocks
        // A refusal may end after its second byte.
        if (buffered.length < 2) return undefined
        const reply = buffered[1]!
        if (reply !== 0) {
          return failed({ failure: "refused", reply: replies[reply] ?? `unassigned(${reply})` })
        }
        const length = replyLength(buffered)
        if (length === undefined) return undefined
        if (length === -1) return violation(`an address of the type ${buffered[3]}, which does not exist`)
        return buffered.length < length
          ? undefined
          : { send: undefined, outcome: { _tag: "Open", rest: buffered.subarray(length) } }
      }
    }
  }

  const push = (bytes: Uint8Array): Step => {
    buffered = joinBytes(buffered, bytes)
    let send: Uint8Array | undefined
    while (true) {
      const step = next()
      if (step === undefined) return send === undefined ? more : { send, outcome: undefined }
      if (step.send !== undefined) send = send === undefined ? step.send : joinBytes(send, step.send)
      if (step.outcome !== undefined) return { send, outcome: step.outcome }
    }
  }

  const methods = credentials === undefined ? [noAuthentication] : [noAuthentication, usernamePassword]
  return { hello: Uint8Array.of(version, methods.length, ...methods), push }
}

const noSocks: Step = violation("no answer of SOCKS 5")

/** The length of a reply; undefined: not known yet; -1: it has none. */
const replyLength = (reply: Uint8Array): number | undefined => {
  // Version, reply, reserved, address type, address, port.
  switch (reply[3]) {
    case undefined:
      return undefined
    case addressTypes.ipv4:
      return 4 + 4 + 2
    case addressTypes.ipv6:
      return 4 + 16 + 2
    case addressTypes.name:
      return reply.length < 5 ? undefined : 4 + 1 + reply[4]! + 2
    default:
      return -1
  }
}

const authenticationOf = ({ password, username }: Credentials): Uint8Array => {
  const name = encoder.encode(username)
  const secret = encoder.encode(password === undefined ? "" : Redacted.value(password))
  return Uint8Array.of(1, name.length, ...name, secret.length, ...secret)
}

const requestOf = ({ host, port }: Target): Uint8Array =>
  Uint8Array.of(version, connectCommand, 0, ...addressOf(host), port >> 8, port & 0xff)

const addressOf = (host: string): ReadonlyArray<number> => {
  switch (Net.isIP(host)) {
    case 4:
      return [addressTypes.ipv4, ...host.split(".").map(Number)]
    case 6:
      return [addressTypes.ipv6, ...ipv6Bytes(host)]
    default: {
      const name = encoder.encode(host)
      return [addressTypes.name, name.length, ...name]
    }
  }
}

/** The 16 bytes of a valid IPv6 address. A zone has a meaning on this machine only, and is left out. */
export const ipv6Bytes = (address: string): ReadonlyArray<number> => {
  const [plain] = address.split("%")
  // The last 32 bits may be written as an IPv4 address.
  const text = plain!.replace(/\d+\.\d+\.\d+\.\d+$/, (ipv4) => {
    const [a, b, c, d] = ipv4.split(".").map(Number)
    return `${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`
  })
  const [head, tail] = text.split("::")
  const words = (part: string | undefined): Array<number> =>
    part === undefined || part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16))
  const before = words(head)
  const after = words(tail)
  const zeros = Array<number>(8 - before.length - after.length).fill(0)
  return [...before, ...zeros, ...after].flatMap((word) => [word >> 8, word & 0xff])
}
