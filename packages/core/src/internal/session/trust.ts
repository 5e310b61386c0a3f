/**
 * Reports weak protection and unexpected identifiers of servers: a field of the status, and log lines. The session, its
 * supervisor and the manager call it.
 */
import * as Effect from "effect/Effect"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import { quoted } from "../peerText.ts"

/**
 * How the connections with these options are protected. The options ensure that either all servers use TLS or none
 * does.
 */
export const protectionOf = ({ servers, tls }: SessionOptions): SessionStatus["tls"] =>
  !servers.some((server) => server.startsWith("mqtts:") || server.startsWith("wss:"))
    ? "none"
    // A pinned key verifies the server too.
    : tls?.insecureSkipVerify === true && tls.pins === undefined
    ? "unverified"
    : "verified"

const warn = (session: string, server: string | undefined, text: string): Effect.Effect<void> =>
  Effect.logWarning(text).pipe(
    Effect.annotateLogs({ session, ...(server === undefined ? undefined : { server }) })
  )

/** `insecureSkipVerify` always logs a warning. */
export const warnUnverified = (session: string, server: string): Effect.Effect<void> =>
  warn(
    session,
    server,
    "the certificate of the server is not verified (tls.insecureSkipVerify): anyone on the way can pose as the server " +
      "and read the user name, the password and all messages"
  )

/** The server assigned a client identifier although CONNECT carried one (MQTT 3.2.2.3.7). */
export const warnAssigned = (session: string, server: string | undefined, assigned: string): Effect.Effect<void> =>
  warn(
    session,
    server,
    `the server assigned the client identifier ${quoted(assigned)}, which was not asked for: it is not used`
  )
