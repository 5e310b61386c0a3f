/**
 * What the handshakes with proxies have in common. They are state machines without I/O: `tunnel.ts` writes what they
 * say and gives them what arrives, in chunks of any size.
 */
import type * as Redacted from "effect/Redacted"

/** The server that the proxy connects to. */
export interface Target {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

export interface Credentials {
  readonly username: string
  readonly password: Redacted.Redacted<string> | undefined
}

export type Outcome =
  /** The proxy passes everything on from here. `rest` has arrived from the server already. */
  | { readonly _tag: "Open"; readonly rest: Uint8Array }
  | {
    readonly _tag: "Failed"
    readonly failure: "authentication" | "refused" | "protocol"
    readonly httpStatus?: number
    readonly reply?: string
    readonly detail?: string
  }

/** What follows from bytes of the proxy. */
export interface Step {
  /** To be written now. */
  readonly send: Uint8Array | undefined
  /** Undefined: more bytes are needed. */
  readonly outcome: Outcome | undefined
}

export interface ProxyHandshake {
  /** What the client writes first. */
  readonly hello: Uint8Array
  /** Takes bytes of the proxy. Not called after an outcome. */
  readonly push: (bytes: Uint8Array) => Step
}

/** More bytes are needed. */
export const more: Step = { send: undefined, outcome: undefined }

export const failed = (outcome: Omit<Extract<Outcome, { readonly _tag: "Failed" }>, "_tag">): Step => ({
  send: undefined,
  outcome: { _tag: "Failed", ...outcome }
})

/** The proxy does not speak its protocol. */
export const violation = (detail: string): Step => failed({ failure: "protocol", detail })

/** Both in one piece. */
export const joinBytes = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  if (a.length === 0) return b
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
