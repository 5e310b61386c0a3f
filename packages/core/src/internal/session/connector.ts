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
import { type ByteStreamHandlers, Transport } from "../../Transport.ts"
import { open as openConnection } from "../connection/connection.ts"
import type { Connection, ConnectionHandlers } from "../connection/contract.ts"
import type { Access, AccessHost, AccessProvider } from "./credentials.ts"

export interface ConnectorOptions {
  readonly session: AccessHost
  /** The store describes a session under another client identifier: a session under this one is not ours. */
  readonly isNewSession: boolean
  /** Gives the credentials of an attempt. */
  readonly access: AccessProvider
}

/** Everything that one attempt to connect needs. */
export interface Prepared {
  readonly address: ServerAddress
  readonly access: Access
  readonly connect: Connect
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

/** The handlers of a connection that is closed at once. */
const noHandlers: ConnectionHandlers = { onPackets: () => undefined, onWritable: () => {}, onClosed: () => {} }

const noStreamHandlers: ByteStreamHandlers = { onData: () => {}, onDrain: () => {}, onClose: () => {} }

export class Connector {
  readonly #session: AccessHost
  readonly #access: AccessProvider
  readonly #will: Will | undefined
  // On MQTT 3.1.1 only a clean connect ends a session, so a session for the life of the process begins and ends with
  // one. A generated client identifier cannot have an old session.
  #mustForget: boolean
  #hasSession = false
  #mustDiscard: boolean
  #address: ServerAddress | undefined

  constructor({ access, isNewSession, session }: ConnectorOptions) {
    const { clientId, will } = session.options
    this.#session = session
    this.#access = access
    this.#will = will === undefined ? undefined : makeWill(will)
    this.#mustForget = !this.#isVersion5 && (isNewSession || (this.#endsWithProcess && clientId !== undefined))
    this.#mustDiscard = this.#isVersion5 && isNewSession
  }

  get #isVersion5(): boolean {
    return this.#session.options.protocolVersion === 5
  }

  get #endsWithProcess(): boolean {
    return this.#session.options.persistence === "process"
  }

  /** Prepares the next attempt. Fails when there are no credentials for it. */
  prepare(address: ServerAddress, lastError: MqttError | undefined): Effect.Effect<Prepared, MqttError> {
    return Effect.map(this.#access.get(address, lastError), (access) => ({
      address,
      access,
      connect: this.#packetOf(access)
    }))
  }

  open(prepared: Prepared, handlers: ConnectionHandlers): Effect.Effect<Connection, MqttError, Scope.Scope> {
    return Effect.suspend(() => {
      this.#address = prepared.address
      if (!this.#mustForget) return this.#openOne(prepared, handlers)
      return this.#forgetAt(prepared).pipe(
        Effect.andThen(Effect.sync(() => {
          this.#mustForget = false
        })),
        // Credentials may serve only once.
        Effect.andThen(prepared.access.isFixed ? Effect.succeed(prepared) : this.prepare(prepared.address, undefined)),
        Effect.flatMap((again) => this.#openOne(again, handlers))
      )
    })
  }

  /**
   * Whether a server can be reached: its network, TLS and WebSocket, without CONNECT. Asks for credentials, which may
   * hold a certificate or a query. Takes bounded time.
   */
  probe(target: ServerAddress): Effect.Effect<boolean> {
    const { connectTimeout, maximumPacketSize, proxy } = this.#session.options
    return Effect.all([Transport, this.#access.get(target, undefined)]).pipe(
      Effect.flatMap(([transport, { query, tls, webSocket }]) =>
        transport.open({
          address: query === undefined ? target : { ...target, query },
          tls,
          webSocket,
          proxy,
          maximumPacketSize
        }, noStreamHandlers)
      ),
      Effect.scoped,
      Effect.timeout(connectTimeout),
      Effect.isSuccess
    )
  }

  /**
   * The server has a session of which this client has no state. A client without state must not continue it (MQTT
   * 3.2.2.1.1), so the next attempt begins a new one.
   */
  discardServerSession(): void {
    // A clean session of 3.1.1 ends with its connection. A durable session needs a separate clean connect first.
    if (this.#isVersion5 || this.#session.options.persistence !== "durable") this.#mustDiscard = true
    else this.#mustForget = true
  }

  /** The server accepted CONNECT. */
  connected(): void {
    this.#hasSession = true
    this.#mustDiscard = false
  }

  /** Makes a 3.1.1 server discard a session that ends with the process. Takes bounded time and never fails. */
  get forget(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const address = this.#address
      if (this.#isVersion5 || !this.#endsWithProcess || !this.#hasSession || address === undefined) return Effect.void
      return Effect.ignore(Effect.timeout(
        Effect.flatMap(this.prepare(address, undefined), (prepared) => this.#forgetAt(prepared)),
        "1 second"
      ))
    })
  }

  #packetOf(access: Access): Connect {
    const { clientId, options } = this.#session
    const isFirst = this.#isVersion5 && this.#endsWithProcess && !this.#hasSession
    return {
      _tag: "Connect",
      protocolVersion: options.protocolVersion,
      clientId,
      cleanStart: this.#mustDiscard || options.persistence === "none" || isFirst,
      keepAlive: Math.round(Duration.toSeconds(options.keepAlive)),
      username: access.username,
      password: access.password,
      will: this.#will,
      properties: this.#isVersion5 ? connectProperties(options, access) : Properties.none
    }
  }

  #openOne(
    { access: { exchange, query, tls, webSocket }, address: target, connect }: Prepared,
    handlers: ConnectionHandlers
  ): Effect.Effect<Connection, MqttError, Scope.Scope> {
    const { options } = this.#session
    return openConnection({
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
  }

  /** Connects clean and disconnects, so that the server keeps no session. */
  #forgetAt(prepared: Prepared): Effect.Effect<void, MqttError> {
    const connect = { ...prepared.connect, cleanStart: true, will: undefined }
    return Effect.scoped(Effect.flatMap(
      this.#openOne({ ...prepared, connect }, noHandlers),
      (connection) => connection.close(0)
    ))
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
