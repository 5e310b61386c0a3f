import * as Codec from "@effect-mqttx/core/Codec"
import type { Connect, Packet, Publish, SubscribeFilter, Tag } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import type { ByteStream, ByteStreamHandlers, Transport } from "@effect-mqttx/core/Transport"
import { Effect, type Scope } from "effect"
import * as Net from "node:net"
import { WebSocket } from "ws"

type Of<T extends Tag> = Extract<Packet, { readonly _tag: T }>

/** Opens a byte stream to the broker under test. */
export type Dial = (handlers: ByteStreamHandlers) => Effect.Effect<ByteStream, unknown, Scope.Scope>

export const dialMemory = (transport: Transport): Dial => (handlers) =>
  transport.open({
    address: {
      protocol: "tcp",
      host: "memory.invalid",
      port: 1883,
      path: "",
      username: undefined,
      password: undefined
    },
    tls: undefined,
    webSocket: undefined,
    maximumPacketSize: 268_435_460
  }, handlers)

export const dialTcp = (port: number): Dial => (handlers) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket, Error>((resume) => {
      const socket = Net.connect({ port, host: "127.0.0.1", noDelay: true })
      socket.once("error", (error) => resume(Effect.fail(error)))
      socket.once("connect", () => {
        socket.on("data", handlers.onData)
        socket.on("close", () => handlers.onClose())
        resume(Effect.succeed(socket))
      })
      return Effect.sync(() => socket.destroy())
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.map((socket): ByteStream => ({
    write: (bytes) => socket.write(bytes) ? "taken" : "congested",
    pendingBytes: () => socket.writableLength,
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy()
  })))

export const dialWebSocket = (url: string): Dial => (handlers) =>
  Effect.acquireRelease(
    Effect.callback<WebSocket, Error>((resume) => {
      const socket = new WebSocket(url, "mqtt")
      socket.once("error", (error) => resume(Effect.fail(error)))
      socket.once("open", () => {
        socket.on("message", (data) => handlers.onData(data as Buffer))
        socket.on("close", () => handlers.onClose())
        resume(Effect.succeed(socket))
      })
      return Effect.sync(() => socket.terminate())
    }),
    (socket) => Effect.sync(() => socket.terminate())
  ).pipe(Effect.map((socket): ByteStream => ({
    write: (bytes) => {
      socket.send(bytes)
      return "taken"
    },
    pendingBytes: () => socket.bufferedAmount,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.close(),
    destroy: () => socket.terminate()
  })))

export interface RawClient {
  readonly version: ProtocolVersion
  readonly stream: ByteStream
  readonly send: (...packets: ReadonlyArray<Packet>) => Effect.Effect<void>
  readonly sendRaw: (bytes: Uint8Array) => Effect.Effect<void>
  /** The next packet, which must be of this type. */
  readonly next: <T extends Tag>(tag: T) => Effect.Effect<Of<T>>
  /** Packets that arrived and were not taken by `next`. */
  readonly waiting: () => ReadonlyArray<Packet>
  readonly closed: Effect.Effect<void>
  readonly isClosed: () => boolean
}

export const open = (dial: Dial, version: ProtocolVersion): Effect.Effect<RawClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const decoder = Codec.makeDecoder({ role: "client", protocolVersion: version, maximumPacketSize: 268_435_460 })
    const inbox: Array<Packet> = []
    const listeners = new Set<() => void>()
    let isClosed = false
    const notify = (): void => {
      for (const listener of listeners) listener()
    }
    const stream = yield* Effect.orDie(dial({
      onData: (bytes) => {
        const violation = decoder.push(bytes, inbox)
        if (violation !== undefined) throw new Error(`the broker sent a malformed packet: ${violation.detail}`)
        notify()
      },
      onDrain: () => {},
      onClose: () => {
        isClosed = true
        notify()
      }
    }))
    const when = <A>(poll: () => Effect.Effect<A> | undefined): Effect.Effect<A> =>
      Effect.callback<A>((resume) => {
        const listener = (): void => {
          const result = poll()
          if (result === undefined) return
          listeners.delete(listener)
          resume(result)
        }
        listeners.add(listener)
        listener()
        return Effect.sync(() => listeners.delete(listener))
      })
    return {
      version,
      stream,
      send: (...packets) =>
        Effect.sync(() => {
          const bytes = packets.map((packet) => Codec.encode(packet, version))
          stream.write(Buffer.concat(bytes))
        }),
      sendRaw: (bytes) => Effect.sync(() => void stream.write(bytes)),
      next: <T extends Tag>(tag: T) =>
        when((): Effect.Effect<Of<T>> | undefined => {
          const packet = inbox.shift()
          if (packet === undefined) {
            return isClosed
              ? Effect.die(new Error(`closed while waiting for ${tag}`))
              : undefined
          }
          return packet._tag === tag
            ? Effect.succeed(packet as Of<T>)
            : Effect.die(new Error(`${packet._tag} in place of ${tag}: ${JSON.stringify(packet)}`))
        }),
      waiting: () => inbox,
      closed: when(() => isClosed ? Effect.void : undefined),
      isClosed: () => isClosed
    }
  })

export const connectPacket = (version: ProtocolVersion, clientId: string, fields?: Partial<Connect>): Connect => ({
  _tag: "Connect",
  protocolVersion: version,
  clientId,
  cleanStart: true,
  keepAlive: 0,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: Properties.none,
  ...fields
})

/** Opens a connection and gets its CONNACK. */
export const connect = (
  dial: Dial,
  version: ProtocolVersion,
  clientId: string,
  fields?: Partial<Connect>
) =>
  Effect.gen(function*() {
    const client = yield* open(dial, version)
    yield* client.send(connectPacket(version, clientId, fields))
    const connack = yield* client.next("Connack")
    return { ...client, connack }
  })

/** CONNECT fields for a session that outlives its connections. */
export const persistent = (version: ProtocolVersion): Partial<Connect> => ({
  cleanStart: false,
  properties: version === 5 ? { sessionExpiryInterval: 3600 } : Properties.none
})

export const publishPacket = (topic: string, payload: string, fields?: Partial<Publish>): Publish => ({
  _tag: "Publish",
  topic,
  payload: new TextEncoder().encode(payload),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: Properties.none,
  ...fields
})

export const subscribeFilter = (filter: string, fields?: Partial<SubscribeFilter>): SubscribeFilter => ({
  filter,
  qos: 2,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...fields
})

/** Subscribes and takes the SUBACK. */
export const subscribe = (
  client: RawClient,
  packetIdentifier: number,
  filters: ReadonlyArray<SubscribeFilter>,
  subscriptionIdentifier?: number
) =>
  Effect.gen(function*() {
    yield* client.send({
      _tag: "Subscribe",
      packetIdentifier,
      filters,
      properties: subscriptionIdentifier === undefined ? Properties.none : { subscriptionIdentifier }
    })
    return yield* client.next("Suback")
  })

export const acknowledge = <T extends "Puback" | "Pubrec" | "Pubrel" | "Pubcomp">(
  _tag: T,
  packetIdentifier: number,
  reasonCode = 0
): Of<T> => ({ _tag, packetIdentifier, reasonCode, properties: Properties.none } as Of<T>)

export const text = (packet: { readonly payload: Uint8Array }): string => new TextDecoder().decode(packet.payload)
