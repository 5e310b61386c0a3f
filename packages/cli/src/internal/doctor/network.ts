/**
 * The way to a server below MQTT: its name, its port, its certificate, and its WebSockets. These sockets are opened to
 * look at them, and are closed at once; the session opens its own.
 */
import * as Address from "@effect-mqttx/core/ServerAddress"
import type { SessionOptions, TlsOptions } from "@effect-mqttx/core/SessionOptions"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { lookup } from "node:dns/promises"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { type Check, check, timed } from "./check.ts"

const limit = "10 seconds"
const day = 86_400_000
// A certificate that ends sooner is worth a word.
const soon = 14

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const inTime = (name: string, effect: Effect.Effect<Check>): Effect.Effect<Check> =>
  timed(Effect.timeoutOrElse(effect, {
    duration: limit,
    orElse: () =>
      Effect.succeed(check(name, "failed", `no answer in ${limit}`, "A firewall may drop the packets on the way."))
  }))

/** The addresses of a name. */
export const dns = (host: string): Effect.Effect<Check> =>
  inTime(
    "dns",
    Net.isIP(host) !== 0
      ? Effect.succeed(check("dns", "ok", `${host} is an address`))
      : Effect.tryPromise(() => lookup(host, { all: true })).pipe(
        Effect.match({
          onFailure: ({ cause }) =>
            check("dns", "failed", messageOf(cause), "The name is not known. Is it written right?"),
          onSuccess: (found) => check("dns", "ok", found.map(({ address }) => address).join(", "))
        })
      )
  )

/** Whether the port takes connections. */
export const tcp = ({ host, port }: Address.ServerAddress): Effect.Effect<Check> =>
  inTime(
    "tcp",
    Effect.callback<Check>((resume) => {
      const socket = Net.connect({ host, port })
      const done = (found: Check): void => {
        socket.destroy()
        resume(Effect.succeed(found))
      }
      socket.once("connect", () => done(check("tcp", "ok", `port ${port} takes connections`)))
      socket.on("error", (error) =>
        done(check(
          "tcp",
          "failed",
          messageOf(error),
          "Nothing listens there. Is the server running, and is the port right?"
        )))
      return Effect.sync(() => socket.destroy())
    })
  )

/** What the certificate of an open connection says. */
const describe = (socket: Tls.TLSSocket, now: number): Check => {
  const certificate = socket.getPeerCertificate()
  const name = certificate.subject?.CN ?? certificate.subjectaltname ?? "a certificate without a name"
  const days = Math.floor((Date.parse(certificate.valid_to) - now) / day)
  const what = `${socket.getProtocol()}, ${name} of ${certificate.issuer?.CN ?? "?"}, ${
    days < 0 ? "expired" : `valid for ${days} more days`
  }`
  if (!socket.authorized) {
    return check(
      "tls",
      "failed",
      `${what}: ${messageOf(socket.authorizationError)}`,
      days < 0
        ? "Renew the certificate at the server."
        : "Give the authority of the certificate with --ca FILE, and use a name that the certificate has."
    )
  }
  return days < soon
    ? check("tls", "ok", what, "The certificate ends soon. Renew it at the server.")
    : check("tls", "ok", what)
}

const tlsOptions = (host: string, options: TlsOptions | undefined): Tls.ConnectionOptions => {
  const { ca, cert, key, passphrase, servername = Net.isIP(host) === 0 ? host : undefined } = options ?? {}
  return {
    ...(ca !== undefined && { ca: [...ca] }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key: Redacted.value(key) }),
    ...(passphrase !== undefined && { passphrase: Redacted.value(passphrase) }),
    ...(servername !== undefined && { servername })
  }
}

/** The certificate of the server, and whether it is trusted. */
export const tls = ({ host, port }: Address.ServerAddress, options: TlsOptions | undefined): Effect.Effect<Check> =>
  inTime(
    "tls",
    Effect.clockWith((clock) =>
      Effect.callback<Check>((resume) => {
        let socket: Tls.TLSSocket | undefined
        const done = (found: Check): void => {
          socket?.destroy()
          resume(Effect.succeed(found))
        }
        try {
          socket = Tls.connect({
            host,
            port,
            // What is wrong with a certificate can be read only from one that was let in. Nothing is sent to it.
            rejectUnauthorized: false,
            ...tlsOptions(host, options)
          })
        } catch (error) {
          return done(check("tls", "failed", messageOf(error), "Check the files of --ca, --cert and --key."))
        }
        const opened = socket
        opened.once("secureConnect", () => done(describe(opened, clock.currentTimeMillisUnsafe())))
        opened.on("error", (error) => done(check("tls", "failed", messageOf(error), "Is this a port for TLS?")))
        return Effect.sync(() => opened.destroy())
      })
    )
  )

const upgradeHeaders = ({ webSocket }: SessionOptions): Record<string, string> => ({
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
  "Sec-WebSocket-Protocol": webSocket.subprotocol,
  ...Object.fromEntries(Object.entries(webSocket.headers).map(([name, value]) => [name, Redacted.value(value)]))
})

/** Whether the server speaks MQTT over WebSockets at the path of the address. */
export const webSocket = (address: Address.ServerAddress, options: SessionOptions): Effect.Effect<Check> => {
  const name = "websocket"
  const { subprotocol } = options.webSocket
  return inTime(
    name,
    Effect.callback<Check>((resume) => {
      const done = (found: Check): void => {
        request.destroy()
        resume(Effect.succeed(found))
      }
      const url = new URL(Address.webSocketUrl(address).replace(/^ws/, "http"))
      const request = (url.protocol === "https:" ? Https : Http).request(url, {
        headers: upgradeHeaders(options),
        ...(url.protocol === "https:" && {
          ...tlsOptions(address.host, options.tls),
          rejectUnauthorized: options.tls?.insecureSkipVerify !== true
        })
      })
      request.once("upgrade", ({ headers }, socket) => {
        socket.destroy()
        const chosen = headers["sec-websocket-protocol"]
        done(
          chosen === subprotocol
            ? check(name, "ok", `the server takes the subprotocol ${subprotocol} at ${address.path}`)
            : check(name, "failed", `the server does not choose the subprotocol ${subprotocol}`, "Is this MQTT?")
        )
      })
      request.once("response", ({ statusCode }) =>
        done(check(
          name,
          "failed",
          `the server answers HTTP status ${statusCode} at ${address.path}`,
          "Check the path of the address: many servers take WebSockets at /mqtt only."
        )))
      request.on("error", (error) => done(check(name, "failed", messageOf(error), "Is this a port for WebSockets?")))
      request.end()
      return Effect.sync(() => request.destroy())
    })
  )
}
