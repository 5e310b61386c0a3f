/**
 * A server side for tests: it records what arrives and sends what it is told, over any transport.
 */
import { encode, makeDecoder } from "@effect-mqttx/core/Codec"
import type { Connack, Packet } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import type * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type { ByteStream, ByteStreamHandlers, Transport, WriteResult } from "@effect-mqttx/core/Transport"
import { Deferred, Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { type WebSocket, WebSocketServer } from "ws"
import { listenFree } from "./freePort.ts"

export const connack = (fields: Partial<Connack> = {}): Connack => ({
  _tag: "Connack",
  sessionPresent: false,
  reasonCode: 0,
  properties: Properties.none,
  ...fields
})

/** What a peer needs of its side of a connection. */
export interface PeerWire {
  readonly write: (bytes: Uint8Array) => void
  readonly end: () => void
  readonly destroy: () => void
  readonly pause: () => void
  readonly resume: () => void
}

/** One accepted connection. */
export class Peer {
  readonly packets: Array<Packet> = []
  /** What arrived in one piece: a chunk of TCP, a frame of a WebSocket, a write of the in-memory network. */
  readonly chunks: Array<Uint8Array> = []
  ended = false
  closed = false
  violation: string | undefined
  readonly #wire: PeerWire
  readonly #decoder
  readonly #waiting = new Set<() => void>()

  constructor(wire: PeerWire, protocolVersion?: ProtocolVersion) {
    this.#wire = wire
    this.#decoder = makeDecoder({ role: "server", protocolVersion, maximumPacketSize: 268_435_460 })
  }

  get version(): ProtocolVersion {
    return this.#decoder.protocolVersion ?? 4
  }

  send(...packets: ReadonlyArray<Packet>): void {
    this.sendBytes(Buffer.concat(packets.map((packet) => encode(packet, this.version))))
  }

  sendBytes(bytes: Uint8Array | ReadonlyArray<number>): void {
    this.#wire.write(bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes))
  }

  end(): void {
    this.#wire.end()
  }

  destroy(): void {
    this.#wire.destroy()
  }

  pause(): void {
    this.#wire.pause()
  }

  resume(): void {
    this.#wire.resume()
  }

  /** Succeeds as soon as the condition holds, which is looked at after every event of this connection. */
  until(condition: (peer: Peer) => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const check = (): void => {
        if (condition(this)) {
          this.#waiting.delete(check)
          resume(Effect.void)
        }
      }
      this.#waiting.add(check)
      check()
      return Effect.sync(() => this.#waiting.delete(check))
    })
  }

  /** The first packet of a type, as soon as it is there. */
  received<T extends Packet["_tag"]>(tag: T): Effect.Effect<Extract<Packet, { readonly _tag: T }>> {
    const find = () =>
      this.packets.find((packet): packet is Extract<Packet, { readonly _tag: T }> => packet._tag === tag)
    return Effect.map(this.until(() => find() !== undefined), () => find()!)
  }

  get gone(): Effect.Effect<void> {
    return this.until(() => this.closed)
  }

  onBytes(bytes: Uint8Array): void {
    this.chunks.push(bytes.slice())
    this.violation ??= this.#decoder.push(bytes, this.packets)?.detail
    this.#changed()
  }

  onEnd(): void {
    this.ended = true
    this.#changed()
  }

  onClose(): void {
    this.ended = true
    this.closed = true
    this.#changed()
  }

  #changed(): void {
    for (const check of [...this.#waiting]) {
      check()
    }
  }
}

/** Accepts every CONNECT. */
export const accepting = (fields: Partial<Connack> = {}) => (peer: Peer): Effect.Effect<void> =>
  Effect.map(peer.received("Connect"), () => peer.send(connack(fields)))

export interface Listener {
  readonly address: ServerAddress.ServerAddress
  readonly peers: ReadonlyArray<Peer>
  /** Sockets that are open now, upgraded or not. */
  readonly sockets: ReadonlySet<Net.Socket>
  readonly tlsSockets: ReadonlyArray<TlsView>
  readonly webSockets: ReadonlyArray<WebSocket>
  /** The codes of the close frames that clients sent. */
  readonly closeCodes: ReadonlyArray<number>
  readonly upgrades: ReadonlyArray<Http.IncomingMessage>
  /** The n-th connection, 0 by default, as soon as it is there. */
  readonly peer: (index?: number) => Effect.Effect<Peer>
}

/** A server's TLS socket, with what its types leave out. */
type TlsView = Tls.TLSSocket & {
  readonly servername: string | false
  readonly alpn: string | false
  readonly client: string | undefined
}

export interface ListenOptions {
  readonly host?: string
  /** Default: a free one. */
  readonly port?: number
  readonly protocol?: ServerAddress.ServerProtocol
  readonly tls?: Tls.TlsOptions
  readonly path?: string
  /** Runs for every connection. */
  readonly serve?: (peer: Peer) => Effect.Effect<void>
  /** The server leaves its half of the connection open when the client ends. */
  readonly halfOpen?: boolean
  /** False: the upgrade names no subprotocol. */
  readonly subprotocol?: false
  /** The HTTP status that answers upgrades. */
  readonly refuseUpgrade?: number
}

export const listen = (options: ListenOptions = {}): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.gen(function*() {
    const protocol = options.protocol ?? "tcp"
    const peers: Array<Peer> = []
    const sockets = new Set<Net.Socket>()
    const tlsSockets: Array<TlsView> = []
    const webSockets: Array<WebSocket> = []
    const closeCodes: Array<number> = []
    const upgrades: Array<Http.IncomingMessage> = []
    const host = options.host ?? "localhost"
    const arrivals: Array<Deferred.Deferred<Peer>> = []
    const arrival = (index: number) => arrivals[index] ??= Deferred.makeUnsafe<Peer>()
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const accept = (peer: Peer): void => {
      peers.push(peer)
      Deferred.doneUnsafe(arrival(peers.length - 1), Effect.succeed(peer))
      if (options.serve !== undefined) {
        runFork(options.serve(peer))
      }
    }
    const track = (socket: Net.Socket): void => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
      socket.on("error", () => {})
    }
    const onSocket = (socket: Net.Socket): void => {
      const peer = new Peer({
        write: (bytes) => socket.write(bytes),
        end: () => socket.end(),
        destroy: () => socket.destroy(),
        pause: () => socket.pause(),
        resume: () => socket.resume()
      })
      socket.on("data", (bytes: Uint8Array) => peer.onBytes(bytes))
      socket.on("end", () => peer.onEnd())
      socket.on("close", () => peer.onClose())
      socket.on("error", () => {})
      accept(peer)
    }
    const isWebSocket = protocol === "ws" || protocol === "wss"
    const server: Net.Server = isWebSocket
      ? protocol === "wss" ? Https.createServer(options.tls ?? {}) : Http.createServer()
      : protocol === "tls"
      ? Tls.createServer(options.tls ?? {}, onSocket)
      : Net.createServer({ allowHalfOpen: options.halfOpen === true }, onSocket)
    server.on("connection", track)
    server.on("tlsClientError", () => {})
    server.on("secureConnection", (socket: Tls.TLSSocket) => {
      const client = socket.getPeerCertificate()?.subject?.CN
      tlsSockets.push(Object.assign(socket, { alpn: socket.alpnProtocol ?? false, client }) as TlsView)
    })
    if (isWebSocket) {
      const status = options.refuseUpgrade
      const webSocketServer = new WebSocketServer({
        server: server as Http.Server,
        handleProtocols: (protocols) => options.subprotocol !== false && protocols.has("mqtt") ? "mqtt" : false,
        ...(status === undefined ? undefined : {
          verifyClient: (_info: unknown, answer: (ok: boolean, code: number) => void) => answer(false, status)
        })
      })
      // It repeats the errors of the HTTP server, which are handled there.
      webSocketServer.on("error", () => {})
      webSocketServer.on("connection", (socket, upgrade) => {
        webSockets.push(socket)
        upgrades.push(upgrade)
        const peer = new Peer({
          write: (bytes) => socket.send(bytes),
          end: () => socket.close(),
          destroy: () => socket.terminate(),
          pause: () => socket.pause(),
          resume: () => socket.resume()
        })
        socket.on("message", (data: Buffer, isBinary) => {
          if (!isBinary) {
            peer.violation ??= "text frame"
          }
          peer.onBytes(data)
        })
        socket.on("close", (code) => {
          closeCodes.push(code)
          peer.onClose()
        })
        socket.on("error", () => {})
        accept(peer)
      })
    }
    const listenAt = (where: Net.ListenOptions): Effect.Effect<number> =>
      Effect.callback((resume) => void server.listen(where, () => resume(Effect.succeed(where.port ?? 0))))
    const port = protocol === "unix"
      ? yield* listenAt({ path: options.path! })
      : options.port === undefined
      ? yield* listenFree(server, host)
      : yield* listenAt({ port: options.port, host })
    const address: ServerAddress.ServerAddress = {
      protocol,
      host: protocol === "unix" ? "" : host,
      port,
      path: options.path ?? (isWebSocket ? "/mqtt" : ""),
      username: undefined,
      password: undefined
    }
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) {
          socket.destroy()
        }
      })
    )
    return {
      address,
      peers,
      sockets,
      tlsSockets,
      webSockets,
      closeCodes,
      upgrades,
      peer: (index = 0) => Deferred.await(arrival(index))
    }
  })

/** An in-memory network: bytes arrive synchronously, no timers, so that `TestClock` is the only time. */
export interface MemoryNetwork {
  readonly transport: Transport
  readonly peers: Array<Peer>
  readonly streams: Array<MemoryStream>
}

export class MemoryStream implements ByteStream {
  readonly written: Array<Uint8Array> = []
  /** While true, nothing that is written leaves. */
  stuck = false
  /** What is wrong with the n-th write, if anything is; may throw. */
  fault: ((index: number) => "closed" | undefined) | undefined
  /** Whether the server ends its side when the client does. */
  obliging = true
  paused = false
  ended = false
  destroyed = false
  pending = 0
  peer: Peer
  readonly #handlers: ByteStreamHandlers

  constructor(handlers: ByteStreamHandlers, protocolVersion: ProtocolVersion | undefined) {
    this.#handlers = handlers
    this.peer = new Peer({
      write: (bytes) => {
        if (!this.destroyed) {
          handlers.onData(bytes)
        }
      },
      end: () => this.#over(undefined),
      destroy: () => this.#over(Object.assign(new Error("reset"), { code: "ECONNRESET" })),
      pause: () => {},
      resume: () => {}
    }, protocolVersion)
  }

  write(bytes: Uint8Array): WriteResult {
    const fault = this.fault?.(this.written.length)
    if (this.destroyed || this.ended || fault === "closed") {
      return "closed"
    }
    this.written.push(bytes)
    if (this.stuck) {
      this.pending += bytes.length
      return "congested"
    }
    this.peer.onBytes(bytes)
    return "taken"
  }

  pendingBytes(): number {
    return this.pending
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  end(): void {
    this.ended = true
    this.peer.onEnd()
    if (this.obliging) {
      this.#over(undefined)
    }
  }

  destroy(): void {
    this.#over(undefined)
  }

  drain(): void {
    this.stuck = false
    this.pending = 0
    this.#handlers.onDrain()
  }

  #over(cause: unknown): void {
    if (!this.destroyed) {
      this.destroyed = true
      this.peer.onClose()
      this.#handlers.onClose(cause)
    }
  }
}

export const memoryNetwork = (serve: (peer: Peer, stream: MemoryStream) => void = () => {}): MemoryNetwork => {
  const peers: Array<Peer> = []
  const streams: Array<MemoryStream> = []
  return {
    peers,
    streams,
    transport: {
      open: (_request, handlers) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const stream = new MemoryStream(handlers, undefined)
            peers.push(stream.peer)
            streams.push(stream)
            serve(stream.peer, stream)
            return stream
          }),
          (stream) => Effect.sync(() => stream.destroy())
        )
    }
  }
}
