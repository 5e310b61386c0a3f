/**
 * Reads the Server Reference with which a server sends a client elsewhere (MQTT 4.11), and decides whether the client
 * may go there. Pure; called by `servers.ts`.
 */
import * as Result from "effect/Result"
import * as ServerAddress from "../../ServerAddress.ts"

/**
 * The addresses of a reference, in its order, or why the session does not go there. A name without a scheme is reached
 * as the server that gave it. An address is for a session with TLS only if it has TLS, and for one without only if it
 * has none, as for the list of its servers: who breaks a connection off must not choose the protection of the next.
 */
export const readServerReference = (
  reference: string | undefined,
  from: ServerAddress.ServerAddress
): ReadonlyArray<ServerAddress.ServerAddress> | string => {
  const names = (reference ?? "").split(" ").filter((name) => name !== "")
  if (names.length === 0) return "the server names no other one"
  const targets: Array<ServerAddress.ServerAddress> = []
  let refusal: string | undefined
  for (const name of names) {
    const target = readName(name, from)
    if (typeof target === "string") refusal ??= target
    else targets.push(target)
  }
  return targets.length === 0 ? refusal! : targets
}

const readName = (name: string, from: ServerAddress.ServerAddress): ServerAddress.ServerAddress | string => {
  if (from.protocol === "unix") return "a Unix socket has no other server"
  const hasScheme = name.includes("://")
  const parsed = ServerAddress.parse(hasScheme ? name : `${schemeOf(from)}://${name}`)
  if (Result.isFailure(parsed)) return "the server reference is not valid"
  const target = parsed.success
  if (target.protocol === "unix") return "the server reference is a Unix socket"
  if (ServerAddress.isSecure(target) !== ServerAddress.isSecure(from)) {
    return ServerAddress.isSecure(from)
      ? "the other server does not use TLS, and this one does"
      : "the other server uses TLS, and the options of the session are without it"
  }
  // Credentials are those of the session, and a query may be a secret for one server.
  return {
    ...target,
    path: !hasScheme && target.path === "/" ? from.path : target.path,
    username: undefined,
    password: undefined
  }
}

const schemeOf = ({ protocol }: ServerAddress.ServerAddress): string =>
  protocol === "tcp" ? "mqtt" : protocol === "tls" ? "mqtts" : protocol
