/**
 * Opens a way to a server through a proxy: connects to the proxy, and leads the handshake. What comes out is a stream
 * on which the server speaks, as on a socket of its own. Loaded at the first connection with a proxy; called by the
 * transport.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { MqttError, ProxyFailed } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ProxyOptions } from "../../SessionOptions.ts"
import { fromNetworkError } from "../classification.ts"
import { errorCodeOf } from "../networkErrors.ts"
import { cleanCause } from "../peerText.ts"
import { formatProxy, type ProxyAddress } from "../proxyUrl.ts"
import { addressesOf, race } from "./dial.ts"
import { httpConnect } from "./httpConnect.ts"
import { chooseProxy, credentialsOf } from "./proxyChoice.ts"
import type { Outcome, ProxyHandshake, Target } from "./proxyHandshake.ts"
import { socks5 } from "./socks5.ts"
import { serverName } from "./tlsOptions.ts"

// RFC 1928, section 5.
const maximumName = 255

/**
 * A stream to the server through the proxy that is responsible for it. Undefined: none is.
 */
export const openTunnel = Effect.fnUntraced(function*(
  server: ServerAddress.ServerAddress,
  options: ProxyOptions
): Effect.fn.Return<Net.Socket | undefined, MqttError, Scope.Scope> {
  const proxy = chooseProxy(options, server)
  if (proxy === undefined) return undefined
  if ("_tag" in proxy) return yield* new MqttError({ reason: proxy })
  const { host, port } = server
  if (proxy.protocol.startsWith("socks") && Buffer.byteLength(host) > maximumName) {
    const cause = Object.assign(new Error("SOCKS 5 has no names of more than 255 bytes"), { code: "ENAMETOOLONG" })
    return yield* new MqttError({ reason: fromNetworkError(cause, "connect", ServerAddress.format(server)) })
  }
  if (proxy.protocol !== "socks5") return yield* tunnel(proxy, options, { host, port }, server)
  const addresses = yield* Effect.mapError(
    addressesOf(host),
    (error) => new MqttError({ reason: fromNetworkError(error, "connect", ServerAddress.format(server)) })
  )
  // The proxy gets one address, so all of them are tried here.
  let failure: MqttError | undefined
  for (const address of addresses) {
    const result = yield* Effect.result(tunnel(proxy, options, { host: address, port }, server))
    if (result._tag === "Success") return result.success
    failure ??= result.failure
    const { reason } = result.failure
    if (reason._tag !== "ProxyFailed" || reason.failure !== "refused") break
  }
  return yield* Effect.fail(failure!)
})

const tunnel = Effect.fnUntraced(function*(
  proxy: ProxyAddress,
  options: ProxyOptions,
  target: Target,
  server: ServerAddress.ServerAddress
): Effect.fn.Return<Net.Socket, MqttError, Scope.Scope> {
  const names = { proxy: formatProxy(proxy), server: ServerAddress.format(server) }
  const unreachable = (error: unknown): MqttError => {
    const code = errorCodeOf(error)
    return new MqttError({
      reason: new ProxyFailed({
        ...names,
        failure: "unreachable",
        cause: cleanCause(error),
        ...(code === undefined ? undefined : { code })
      })
    })
  }
  const plain = yield* addressesOf(proxy.host).pipe(
    Effect.flatMap((addresses) => race(addresses, proxy.port)),
    Effect.mapError(unreachable)
  )
  const socket = proxy.protocol === "https"
    ? yield* Effect.mapError(secured(plain, proxy.host, options.ca), unreachable)
    : plain
  const handshake = proxy.protocol === "http" || proxy.protocol === "https"
    ? httpConnect(target, credentialsOf(proxy))
    : socks5(target, credentialsOf(proxy))
  const outcome = yield* Effect.mapError(lead(handshake, socket), unreachable)
  if (outcome._tag === "Open") return socket
  const { _tag, ...failed } = outcome
  return yield* new MqttError({ reason: new ProxyFailed({ ...names, ...failed }) })
})

/** Encrypts the connection to a proxy. The options of the server's TLS are not for the proxy. */
const secured = (
  plain: Net.Socket,
  host: string,
  ca: ReadonlyArray<string> | undefined
): Effect.Effect<Net.Socket, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = Tls.connect({
        socket: plain,
        ...serverName(host),
        rejectUnauthorized: true,
        ...(ca === undefined ? undefined : { ca: [...ca] })
      })
      // Stays for the life of the socket: an 'error' event without a listener is an uncaught exception.
      socket.on("error", () => {})
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(
    Effect.tap((socket) =>
      until<void>(socket, (done) => {
        socket.once("secureConnect", () => done(Effect.void))
      })
    )
  )

/** Leads a handshake to its outcome. */
const lead = (handshake: ProxyHandshake, socket: Net.Socket): Effect.Effect<Outcome, Error> =>
  until<Outcome>(socket, (done) => {
    const onReadable = (): void => {
      for (let bytes = read(socket); bytes !== null; bytes = read(socket)) {
        const { outcome, send } = handshake.push(bytes)
        if (send !== undefined) socket.write(send)
        if (outcome !== undefined) {
          socket.off("readable", onReadable)
          if (outcome._tag === "Open" && outcome.rest.length > 0) socket.unshift(outcome.rest)
          done(Effect.succeed(outcome))
          return
        }
      }
    }
    socket.on("readable", onReadable)
    socket.write(handshake.hello)
  })

const read = (socket: Net.Socket): Uint8Array | null => socket.read() as Uint8Array | null

/** Waits for an event of a socket, and fails when the socket fails or ends before it. */
const until = <A>(
  socket: Net.Socket,
  listen: (done: (result: Effect.Effect<A>) => void) => void
): Effect.Effect<A, Error> =>
  Effect.callback<A, Error>((resume) => {
    let failure: Error | undefined
    const onError = (error: Error): void => {
      failure ??= error
    }
    const onClose = (): void => {
      stop()
      resume(Effect.fail(failure ?? new Error("the proxy closed the connection")))
    }
    const onEnd = (): void => {
      socket.destroy()
    }
    const stop = (): void => {
      socket.off("error", onError)
      socket.off("close", onClose)
      socket.off("end", onEnd)
    }
    socket.on("error", onError)
    socket.on("close", onClose)
    socket.on("end", onEnd)
    if (socket.destroyed) onClose()
    else {
      listen((result) => {
        stop()
        resume(result)
      })
    }
    return Effect.sync(stop)
  })
