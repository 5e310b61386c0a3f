/**
 * What a session says about servers that it has no reason to trust: a field of its status, and log lines. The session,
 * its supervisor and the manager call it.
 */
import * as Effect from "effect/Effect"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import { quoted } from "../peerText.ts"

/**
 * How the connections of these options are protected. Either all servers use TLS or none does: the options see to it.
 */
export const protectionOf = ({ servers, tls }: SessionOptions): SessionStatus["tls"] =>
  !servers.some((server) => server.startsWith("mqtts:") || server.startsWith("wss:"))
    ? "none"
    : tls?.insecureSkipVerify === true
    ? "unverified"
    : "verified"

const warn = (session: string, server: string | undefined, text: string): Effect.Effect<void> =>
  Effect.logWarning(text).pipe(
    Effect.annotateLogs({ session, ...(server === undefined ? undefined : { server }) })
  )

/** TLS with `insecureSkipVerify` is never silent. */
export const warnUnverified = (session: string, server: string): Effect.Effect<void> =>
  warn(
    session,
    server,
    "the certificate of the server is not verified (tls.insecureSkipVerify): anyone on the way can pose as the server " +
      "and read the user name, the password and all messages"
  )

/** The server names the session although it has a name (MQTT 3.2.2.3.7). */
export const warnAssigned = (session: string, server: string | undefined, assigned: string): Effect.Effect<void> =>
  warn(
    session,
    server,
    `the server assigned the client identifier ${quoted(assigned)}, which was not asked for: it is not used`
  )
