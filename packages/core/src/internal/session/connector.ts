/**
 * Opens the connections of one session: builds CONNECT, and does the clean connects that MQTT 3.1.1 needs for a session
 * that lives as long as the process. The supervisor calls it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MqttError } from "../../MqttError.ts"
import type { Connect, Will } from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ServerAddress } from "../../ServerAddress.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { Transport } from "../../Transport.ts"
import { open as openConnection } from "../connection/connection.ts"
import type { Connection, ConnectionHandlers } from "../connection/contract.ts"
import type { Access } from "./credentials.ts"

export interface ConnectorOptions {
  readonly options: SessionOptions
  /** Empty until the server has assigned one. */
  readonly clientId: () => string
  /** The store describes a session under another client identifier: a session under this one is not ours. */
  readonly isNewSession: boolean
  /** Asks for credentials before each attempt. */
  readonly access: (address: ServerAddress, lastError: MqttError | undefined) => Effect.Effect<Access, MqttError>
}

/** Everything that one attempt to connect needs. */
export interface Prepared {
  readonly address: ServerAddress
  readonly access: Access
  readonly connect: Connect
}

export interface Connector {
  /** Prepares the next attempt. Fails when there are no credentials for it. */
  readonly prepare: (
    address: ServerAddress,
    lastError: MqttError | undefined
  ) => Effect.Effect<Prepared, MqttError>
  readonly open: (prepared: Prepared, handlers: ConnectionHandlers) => Effect.Effect<Connection, MqttError, Scope.Scope>
  /**
   * Whether a server can be reached: its network, TLS and WebSocket, without CONNECT. Asks for credentials, which may
   * hold a certificate or a query. Takes bounded time.
   */
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

const makeWill = (will: NonNullable<SessionOptions["will"]>): Will => ({
  topic: will.topic,
  payload: will.payload,
  qos: will.qos,
  retain: will.retain,
  properties: Duration.isZero(will.delay)
    ? will.properties
    : { ...will.properties, willDelayInterval: toSeconds(will.delay) }
})

export const makeConnector = ({ access, clientId, options, isNewSession }: ConnectorOptions): Connector => {
  const version5 = options.protocolVersion === 5
  const process = options.persistence === "process"
  const durable = options.persistence === "durable"
  // On MQTT 3.1.1 only a clean connect ends a session, so a session for the life of the process begins and ends with
  // one. A generated client identifier cannot have an old session.
  let mustForget = !version5 && (isNewSession || (process && options.clientId !== undefined))
  let hasSession = false
  let mustDiscard = version5 && isNewSession
  let address: ServerAddress | undefined

  const will = options.will === undefined ? undefined : makeWill(options.will)

  const packetOf = (access: Access): Connect => ({
    _tag: "Connect",
    protocolVersion: options.protocolVersion,
    clientId: clientId(),
    cleanStart: mustDiscard || options.persistence === "none" || (version5 && process && !hasSession),
    keepAlive: Math.round(Duration.toSeconds(options.keepAlive)),
    username: access.username,
    password: access.password,
    will,
    properties: version5 ? connectProperties(options, access) : Properties.none
  })

  const prepare = (target: ServerAddress, lastError: MqttError | undefined): Effect.Effect<Prepared, MqttError> =>
    Effect.map(access(target, lastError), (granted) => ({
      address: target,
      access: granted,
      connect: packetOf(granted)
    }))

  const openOne = (
    { access: { exchange, query, tls, webSocket }, address: target, connect }: Prepared,
    handlers: ConnectionHandlers
  ): Effect.Effect<Connection, MqttError, Scope.Scope> =>
    openConnection({
      session: options.name,
      address: query === undefined ? target : { ...target, query },
      tls,
      webSocket,
      proxy: options.proxy,
      connect,
      exchange,
      connectTimeout: Duration.toMillis(options.connectTimeout),
      writeTimeout: Duration.toMillis(options.writeTimeout),
      maximumPacketSize: options.maximumPacketSize
    }, handlers)

  /** Connects clean and disconnects, so that the server keeps no session. */
  const forgetAt = (prepared: Prepared): Effect.Effect<void, MqttError> =>
    Effect.scoped(Effect.flatMap(
      openOne({ ...prepared, connect: { ...prepared.connect, cleanStart: true, will: undefined } }, {
        onPackets: () => undefined,
        onWritable: () => {},
        onClosed: () => {}
      }),
      (connection) => connection.close(0)
    ))

  return {
    prepare,
    open: (prepared, handlers) =>
      Effect.suspend(() => {
        address = prepared.address
        if (!mustForget) return openOne(prepared, handlers)
        return forgetAt(prepared).pipe(
          Effect.andThen(Effect.sync(() => {
            mustForget = false
          })),
          // Credentials may serve only once.
          Effect.andThen(prepared.access.isFixed ? Effect.succeed(prepared) : prepare(prepared.address, undefined)),
          Effect.flatMap((again) => openOne(again, handlers))
        )
      }),
    probe: (target) =>
      Effect.all([Transport, access(target, undefined)]).pipe(
        Effect.flatMap(([transport, { query, tls, webSocket }]) =>
          transport.open({
            address: query === undefined ? target : { ...target, query },
            tls,
            webSocket,
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
      return Effect.ignore(Effect.timeout(Effect.flatMap(prepare(address, undefined), forgetAt), "1 second"))
    })
  }
}

const connectProperties = (
  options: SessionOptions,
  { exchange, method, userProperties }: Access
): Properties.ConnectProperties => ({
  receiveMaximum: options.receiveMaximum,
  maximumPacketSize: options.maximumPacketSize,
  ...(Duration.isZero(options.sessionExpiry) ? undefined : { sessionExpiryInterval: toSeconds(options.sessionExpiry) }),
  ...(options.topicAliasMaximum === 0 ? undefined : { topicAliasMaximum: options.topicAliasMaximum }),
  ...(options.requestResponseInformation ? { requestResponseInformation: true } : undefined),
  ...(options.requestProblemInformation ? undefined : { requestProblemInformation: false }),
  ...(userProperties.length === 0 ? undefined : { userProperties }),
  ...(method === undefined ? undefined : { authenticationMethod: method }),
  ...(exchange?.data === undefined ? undefined : { authenticationData: exchange.data })
})

/** 0xFFFFFFFF means never (MQTT 3.1.2.11.2). */
const toSeconds = (duration: Duration.Duration): number =>
  Math.min(0xffffffff, Math.round(Duration.toSeconds(duration)))
