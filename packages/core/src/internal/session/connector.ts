/**
 * Opens the connections of one session: builds CONNECT, and does the clean connects that MQTT 3.1.1 needs for a session
 * that lives as long as the process. The supervisor calls it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { MqttError } from "../../MqttError.ts"
import type { Connect, Will } from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ServerAddress } from "../../ServerAddress.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { Transport } from "../../Transport.ts"
import { open as openConnection } from "../connection/connection.ts"
import type { Connection, ConnectionHandlers } from "../connection/contract.ts"

export interface ConnectorOptions {
  readonly options: SessionOptions
  readonly clientId: string
  /** The store describes a session under another client identifier: a session under this one is not ours. */
  readonly startsAnew: boolean
}

export interface Connector {
  /** The CONNECT packet of the next attempt. */
  readonly packet: () => Connect
  readonly open: (
    address: ServerAddress,
    connect: Connect,
    handlers: ConnectionHandlers
  ) => Effect.Effect<Connection, MqttError, Scope.Scope>
  /** Whether a server can be reached: its network, TLS and WebSocket, without CONNECT. Takes bounded time. */
  readonly probe: (address: ServerAddress) => Effect.Effect<boolean>
  /** The server accepted CONNECT. */
  readonly connected: () => void
  /**
   * The server has a session of which this client has no state. A client without state must not continue it (MQTT
   * 3.2.2.1.1), so the next attempt begins a new one.
   */
  readonly discardServerSession: () => void
  /** Makes a 3.1.1 server discard a session that ends with the process. Takes bounded time and never fails. */
  readonly forget: Effect.Effect<void>
}

const encoder = new TextEncoder()

const makeWill = (will: NonNullable<SessionOptions["will"]>): Will => ({
  topic: will.topic,
  payload: will.payload,
  qos: will.qos,
  retain: will.retain,
  properties: Duration.isZero(will.delay)
    ? will.properties
    : { ...will.properties, willDelayInterval: toSeconds(will.delay) }
})

export const makeConnector = ({ clientId, options, startsAnew }: ConnectorOptions): Connector => {
  const version5 = options.protocolVersion === 5
  const process = options.persistence === "process"
  const durable = options.persistence === "durable"
  // On MQTT 3.1.1 only a clean connect ends a session, so a session for the life of the process begins and ends with
  // one. A generated client identifier cannot have an old session.
  let mustForget = !version5 && (startsAnew || (process && options.clientId !== undefined))
  let hasSession = false
  let mustDiscard = version5 && startsAnew
  let address: ServerAddress | undefined

  const will = options.will === undefined ? undefined : makeWill(options.will)

  const packet = (): Connect => ({
    _tag: "Connect",
    protocolVersion: options.protocolVersion,
    clientId,
    cleanStart: mustDiscard || options.persistence === "none" || (version5 && process && !hasSession),
    keepAlive: Math.round(Duration.toSeconds(options.keepAlive)),
    username: options.username,
    password: options.password === undefined ? undefined : encoder.encode(Redacted.value(options.password)),
    will,
    properties: version5 ? connectProperties(options) : Properties.none
  })

  const openOne = (
    target: ServerAddress,
    connect: Connect,
    handlers: ConnectionHandlers
  ): Effect.Effect<Connection, MqttError, Scope.Scope> =>
    openConnection({
      session: options.name,
      address: target,
      tls: options.tls,
      webSocket: options.webSocket,
      proxy: options.proxy,
      connect,
      connectTimeout: Duration.toMillis(options.connectTimeout),
      writeTimeout: Duration.toMillis(options.writeTimeout),
      maximumPacketSize: options.maximumPacketSize
    }, handlers)

  /** Connects clean and disconnects, so that the server keeps no session. */
  const forgetAt = (target: ServerAddress): Effect.Effect<void, MqttError> =>
    Effect.scoped(Effect.flatMap(
      openOne(target, { ...packet(), cleanStart: true, will: undefined }, {
        onPackets: () => undefined,
        onWritable: () => {},
        onClosed: () => {}
      }),
      (connection) => connection.close(0)
    ))

  return {
    packet,
    open: (target, connect, handlers) =>
      Effect.suspend(() => {
        address = target
        if (!mustForget) return openOne(target, connect, handlers)
        return Effect.andThen(
          forgetAt(target),
          Effect.suspend(() => {
            mustForget = false
            return openOne(target, connect, handlers)
          })
        )
      }),
    probe: (target) =>
      Transport.pipe(
        Effect.flatMap((transport) =>
          transport.open({
            address: target,
            tls: options.tls,
            webSocket: options.webSocket,
            proxy: options.proxy,
            maximumPacketSize: options.maximumPacketSize
          }, { onData: () => {}, onDrain: () => {}, onClose: () => {} })
        ),
        Effect.scoped,
        Effect.timeout(options.connectTimeout),
        Effect.isSuccess
      ),
    discardServerSession: () => {
      // A clean session of 3.1.1 ends with its connection. A durable session needs a separate clean connect first.
      if (version5 || !durable) mustDiscard = true
      else mustForget = true
    },
    connected: () => {
      hasSession = true
      mustDiscard = false
    },
    forget: Effect.suspend(() => {
      if (version5 || !process || !hasSession || address === undefined) return Effect.void
      return Effect.ignore(Effect.timeout(forgetAt(address), "1 second"))
    })
  }
}

const connectProperties = (options: SessionOptions): Properties.ConnectProperties => ({
  receiveMaximum: options.receiveMaximum,
  maximumPacketSize: options.maximumPacketSize,
  ...(Duration.isZero(options.sessionExpiry) ? undefined : { sessionExpiryInterval: toSeconds(options.sessionExpiry) }),
  ...(options.topicAliasMaximum === 0 ? undefined : { topicAliasMaximum: options.topicAliasMaximum }),
  ...(options.requestResponseInformation ? { requestResponseInformation: true } : undefined),
  ...(options.requestProblemInformation ? undefined : { requestProblemInformation: false }),
  ...(options.connectUserProperties.length === 0 ? undefined : { userProperties: options.connectUserProperties })
})

/** 0xFFFFFFFF means never (MQTT 3.1.2.11.2). */
const toSeconds = (duration: Duration.Duration): number =>
  Math.min(0xffffffff, Math.round(Duration.toSeconds(duration)))
