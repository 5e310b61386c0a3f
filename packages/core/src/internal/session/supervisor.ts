/**
 * Keeps a session connected: it connects, waits for the end of the connection, waits for the reconnect delay and
 * connects again. It never writes or reads packets. `session.ts` starts it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { ConnectionLost, MqttError, Unexpected } from "../../MqttError.ts"
import type { Packet } from "../../Packet.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { Transport } from "../../Transport.ts"
import type { Violation } from "../codec/contract.ts"
import type { Connection, ConnectionCounters, ConnectionHandlers } from "../connection/contract.ts"
import { reportExpiring } from "./certificateExpiry.ts"
import type { Connector, Prepared } from "./connector.ts"
import type { SessionCore } from "./core.ts"
import { endedByServer, isOverQuota } from "./endedByServer.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { SessionRecorder } from "./flightRecord.ts"
import type { RecordedIdentity } from "./identity.ts"
import { type Decision, Reconnect } from "./reconnect.ts"
import type { Servers } from "./servers.ts"
import { protectionOf, warnAssigned, warnUnverified } from "./trust.ts"

/** The session, for its supervisor. */
export interface SupervisedSession extends
  Pick<
    SessionCore,
    | "engineLoop"
    | "fork"
    | "isDurable"
    | "lifecycle"
    | "name"
    | "options"
    | "publisher"
    | "recorder"
    | "renewal"
    | "shutdown"
    | "subscriber"
  >
{
  /** Empty until the server has assigned one. */
  clientId: string
}

export interface SupervisorParts {
  readonly servers: Servers
  readonly connector: Connector
  /** Records the identity of a durable session. Undefined: nothing is recorded. */
  readonly identity: RecordedIdentity | undefined
}

/** How an attempt ended. `lasted` is undefined without a connection, otherwise its duration in milliseconds. */
interface Ended {
  readonly error: MqttError
  readonly lasted: number | undefined
  /** See `endedByServer`. */
  readonly byServer?: string | undefined
}

/** What one attempt to connect uses. */
interface Attempt extends Prepared {
  readonly server: string
  readonly scope: Scope.Closeable
}

/**
 * One attempt, and the connection that it makes: handles their callbacks. A class, because its methods take no memory
 * in idle sessions.
 */
class Owner implements ConnectionHandlers {
  readonly address: ServerAddress.ServerAddress
  readonly scope: Scope.Closeable
  /** When the connection was established. */
  since = 0
  /** Why the connection has ended. */
  lost: MqttError | undefined
  /** No fiber waits for the end of the connection: its callback starts one. */
  isIdle = false
  readonly #supervisor: Supervisor
  readonly #engineLoop: EngineLoop

  constructor({ address, scope }: Attempt, supervisor: Supervisor, engineLoop: EngineLoop) {
    this.address = address
    this.scope = scope
    this.#supervisor = supervisor
    this.#engineLoop = engineLoop
  }

  onBytes(bytes: Uint8Array, pending: number): void {
    this.#supervisor.recorder?.received(bytes, pending)
  }

  onPackets(packets: ReadonlyArray<Packet>): Violation | undefined {
    const violation = this.#engineLoop.receive(packets)
    if (violation?.kind === "session-present") this.#supervisor.discardServerSession()
    return violation
  }

  onWritable(): void {
    this.#engineLoop.writable()
  }

  onGone(counters: ConnectionCounters): void {
    this.#engineLoop.current.gone(counters)
  }

  onClosed(error: MqttError): void {
    this.lost = error
    if (this.isIdle) this.#supervisor.lost(this)
  }
}

/**
 * The supervisor of one session. Its fiber ends when there is a connection, and another one begins at the end of the
 * connection: a suspended fiber would be a large part of an idle session.
 */
export class Supervisor {
  readonly #session: SupervisedSession
  readonly #servers: Servers
  readonly #connector: Connector
  readonly #identity: RecordedIdentity | undefined
  readonly #reconnect: Reconnect
  #everConnected = false
  /** Attempts in a row without a connection. */
  #attempt = 0
  #lastError: MqttError | undefined
  #fiber: Fiber.Fiber<void> | undefined
  /** The owner of the connection that is there. */
  #held: Owner | undefined

  constructor(session: SupervisedSession, { connector, identity, servers }: SupervisorParts) {
    this.#session = session
    this.#servers = servers
    this.#connector = connector
    this.#identity = identity
    this.#reconnect = new Reconnect(session.options)
  }

  get recorder(): SessionRecorder | undefined {
    return this.#session.recorder
  }

  /** Begins in the next turn, when the caller has the session. Goes on until the reconnect policy gives up. */
  start(): void {
    this.#fiber = this.#session.fork(Effect.andThen(Effect.yieldNow, this.#round()))
  }

  /** Closes the connection at once, and makes no other. */
  get stop(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.andThen(
        this.#fiber === undefined ? Effect.void : Fiber.interrupt(this.#fiber),
        Effect.suspend(() => {
          const owner = this.#held
          return owner === undefined ? Effect.void : closing(owner.scope, () => this.#detach(undefined))
        })
      )
    )
  }

  /** The connection has ended, for which no fiber waited. */
  lost(owner: Owner): void {
    this.#fiber = this.#session.fork(Effect.flatMap(this.#ended(owner), (ended) => this.#afterRound(ended)))
  }

  /** A round of attempts. Ends with a connection, or when the reconnect policy gives up. */
  #round(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#attempt++
      this.#servers.begin(this.#session.engineLoop.now())
      return Effect.flatMap(
        this.#tryServers(undefined),
        (ended) => ended === undefined ? Effect.void : this.#afterRound(ended)
      )
    })
  }

  /** What follows a connection, or a round of attempts without one. */
  #afterRound(ended: Ended): Effect.Effect<void> {
    return Effect.suspend(() => {
      // The shutdown closed the connection, and reports this itself.
      if (this.#session.shutdown.isStopping) return Effect.void
      return Effect.flatMap(this.#afterEnd(ended), (goesOn) => goesOn ? this.#round() : Effect.void)
    })
  }

  /** Makes a 3.1.1 server discard a session that ends with the process. Takes bounded time and never fails. */
  get forget(): Effect.Effect<void> {
    return this.#connector.forget
  }

  /** The server has a session of which this client has no state: the next attempt begins a new one. */
  discardServerSession(): void {
    this.#connector.discardServerSession()
    this.#session.lifecycle.emit({ _tag: "SessionLost", unacknowledged: 0, subscriptions: 0 })
  }

  /**
   * Tries every server that is left once, until one answers. Answers how the last attempt or a connection ended, or the
   * first permanent failure; undefined: there is a connection.
   */
  #tryServers(before: Ended | undefined): Effect.Effect<Ended | undefined> {
    return Effect.suspend(() => {
      const address = this.#servers.next()
      if (address === undefined) return Effect.succeed(before)
      return Effect.flatMap(Effect.suspend(() => this.#tryServer(address)), (attempted) => {
        if (attempted === undefined || attempted.lasted !== undefined) return Effect.succeed(attempted)
        // Undefined: the session follows the redirect.
        const refused = this.#servers.redirect(address, attempted.error)
        if (refused === undefined) return this.#tryServers(before)
        this.#servers.failed(address, this.#session.engineLoop.now())
        return this.#tryServers(
          before === undefined || before.error.isRetryable ? { error: refused, lasted: undefined } : before
        )
      })
    })
  }

  #tryServer(address: ServerAddress.ServerAddress): Effect.Effect<Ended | undefined> {
    const { lifecycle, name, options } = this.#session
    const attempt = this.#attempt
    const server = ServerAddress.format(address)
    if (lifecycle.current().state === "disconnected") lifecycle.set({ state: "connecting" })
    lifecycle.set({ server, attempt })
    lifecycle.emit({ _tag: "Connecting", server, attempt })
    const connect = this.#connect(address, server, attempt === 1 ? undefined : this.#lastError)
    // Warn before the server gets the password. Later attempts in a row warn only when they succeed.
    return attempt === 1 && protectionOf(options) === "unverified"
      ? Effect.andThen(warnUnverified(name, server), connect)
      : connect
  }

  /** Connects to a server. Undefined: there is a connection. */
  #connect(
    address: ServerAddress.ServerAddress,
    server: string,
    lastError: MqttError | undefined
  ): Effect.Effect<Ended | undefined> {
    return Effect.matchEffect(this.#connector.prepare(address, lastError), {
      onFailure: (error) => Effect.succeed<Ended>({ error, lasted: undefined }),
      onSuccess: ({ access, address, connect }) =>
        Effect.flatMap(Scope.make(), (scope) => this.#serve({ access, address, connect, server, scope }))
    })
  }

  #serve(attempt: Attempt): Effect.Effect<Ended | undefined> {
    return Effect.suspend(() => {
      const owner = new Owner(attempt, this, this.#session.engineLoop)
      const opened = Effect.onExit(
        this.#open(attempt, owner),
        (exit) =>
          Exit.isSuccess(exit) && exit.value === undefined
            ? Effect.void
            : closing(owner.scope, () => this.#detach(Exit.isSuccess(exit) ? exit.value : undefined))
      )
      return Effect.flatMap(opened, (failed) => {
        if (failed !== undefined) return Effect.succeed(failed)
        if (owner.lost !== undefined) return this.#ended(owner)
        owner.isIdle = true
        this.#fiber = undefined
        return Effect.succeed(undefined)
      })
    })
  }

  /** Undefined: the session itself ends the attempt or connection. */
  #detach(ended: Ended | undefined): void {
    const { engineLoop, recorder } = this.#session
    this.#held = undefined
    if (ended !== undefined) {
      recorder?.ended(ended.error)
      engineLoop.detach(ended.byServer, isOverQuota(ended.error.reason))
    } else engineLoop.detach()
  }

  /** Sees to the end of a connection. Answers how it ended. */
  #ended({ address, lost, scope, since }: Owner): Effect.Effect<Ended> {
    return Effect.suspend(() => {
      const error = lost!
      const lasted = this.#session.engineLoop.now() - since
      return Effect.map(
        closing(scope, () => this.#detach({ error, lasted, byServer: endedByServer(error.reason) })),
        () => {
          if (lasted >= stableAfter(this.#session.options)) this.#servers.settled()
          return { error: this.#servers.redirect(address, error) ?? error, lasted }
        }
      )
    })
  }

  /** Answers why there is no connection; undefined: there is one. */
  #open(attempt: Attempt, owner: Owner): Effect.Effect<Ended | undefined> {
    return Effect.gen({ self: this }, function*() {
      const { engineLoop, lifecycle, name, options, renewal } = this.#session
      const { access, address, connect, scope, server } = attempt
      engineLoop.opening(connect)
      const opened = yield* this.#connector.open(attempt, owner).pipe(
        Scope.provide(scope),
        Effect.catchDefect((cause) =>
          Effect.fail(new MqttError({ session: name, reason: new Unexpected({ detail: "connecting died", cause }) }))
        ),
        Effect.result
      )
      if (opened._tag === "Failure") return { error: opened.failure, lasted: undefined }
      const connection = opened.success
      this.#held = owner
      // Before the program learns of the connection, because it may ask for other credentials at once.
      renewal?.established(access)
      this.#established(attempt, connection)
      this.#servers.succeeded(address)
      if (renewal !== undefined) {
        // Ends with the connection.
        yield* Effect.forkIn(renewal.run(connection, address, access), scope)
      }
      if (connection.certificates.length > 0) {
        yield* Effect.forkIn(
          reportExpiring(
            connection.certificates,
            options.certificateThresholds,
            (event) => lifecycle.emit(event)
          ),
          scope
        )
      }
      owner.since = engineLoop.now()
      const { returnAfter } = options.reconnect
      if (returnAfter !== undefined && !this.#servers.isPreferred(address)) {
        yield* Effect.forkIn(returning(returnAfter, connection, this.#connector, this.#servers), scope)
      }
      if (protectionOf(options) === "unverified" && lifecycle.current().attempt > 1) {
        yield* warnUnverified(name, server)
      }
      return undefined
    })
  }

  #established({ connect, server }: Attempt, connection: Connection): void {
    const session = this.#session
    const { engineLoop, lifecycle, options } = session
    const { connack } = connection
    const assigned = connack.properties.assignedClientIdentifier
    engineLoop.attach(connection)
    this.#connector.connected()
    // The server's session and the stored records stay under the identifier that CONNECT carried, unless it was empty.
    if (session.clientId === "" && assigned !== undefined) session.clientId = assigned
    if (assigned !== undefined && assigned !== session.clientId) {
      session.fork(warnAssigned(session.name, lifecycle.current().server, assigned))
    }
    this.#identity?.accepted(connack, session.clientId)
    session.publisher.recover()
    session.subscriber.recover()
    lifecycle.emit({
      _tag: "Connected",
      server,
      clientId: connect.clientId === "" ? assigned ?? "" : connect.clientId,
      cleanStart: connect.cleanStart,
      sessionPresent: connack.sessionPresent,
      persistent: options.persistence !== "none",
      autoReconnect: options.reconnect.enabled,
      subscriptions: engineLoop.stats.subscriptions
    })
    lifecycle.set({ state: "connected", failure: undefined, lastError: undefined })
  }

  /** Decides what follows after a connection or a round of attempts. Answers whether another round follows. */
  #afterEnd({ error: ended, lasted }: Ended): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const { lifecycle, options, renewal } = this.#session
      let error = ended
      if (lasted === undefined) this.#reconnect.failed()
      else {
        this.#everConnected = true
        this.#attempt = 0
        error = asLoss(this.#reconnect.ended(error, lasted))
      }
      this.#lastError = error
      if (lasted !== undefined && renewal?.isPlanned === true) {
        lifecycle.emit({ _tag: "Disconnected", error: undefined })
        lifecycle.set({ state: "reconnecting", ready: false, server: undefined })
        return true
      }
      renewal?.failed(error)
      if (lasted !== undefined) lifecycle.emit({ _tag: "Disconnected", error })
      // The next server is known, and expects the session: there is nothing to wait for.
      const isExpected = this.#servers.isExpected && options.reconnect.enabled
      const decision = isExpected ? now : yield* this.#reconnect.next(error)
      if (decision._tag === "GiveUp") {
        lifecycle.set({ state: "disconnected", ready: false, lastError: error, failure: error, server: undefined })
        this.#suspendAwaiting(error, true)
        return false
      }
      const isPermanent = !error.isRetryable && decision !== now
      lifecycle.set({
        state: this.#everConnected ? "reconnecting" : "connecting",
        ready: false,
        lastError: error,
        server: undefined,
        ...(isPermanent ? { failure: error } : undefined)
      })
      if (isPermanent) this.#suspendAwaiting(error, false)
      lifecycle.emit({ _tag: "Reconnecting", attempt: this.#attempt + 1, delay: decision.delay, error })
      yield* waitOrReachable(decision.delay)
      return true
    })
  }

  /** Operations that wait cannot be served now, or (`isPermanent`) never again. */
  #suspendAwaiting(error: MqttError, isPermanent: boolean): void {
    this.#session.publisher.suspendAwaiting(error)
    this.#session.subscriber.suspendAwaiting(error, isPermanent)
  }
}

/** The connection always ends before the engine loop forgets it. */
const closing = (scope: Scope.Closeable, detach: () => void): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.andThen(Scope.close(scope, Exit.void), Effect.sync(detach)))

/** Ends the connection as soon as the preferred server can be reached again, which is then the next one. */
const returning = (
  after: Duration.Duration,
  connection: Connection,
  connector: Connector,
  servers: Servers
): Effect.Effect<never> =>
  Effect.suspend(() => connector.probe(servers.preferred)).pipe(
    Effect.delay(after),
    Effect.repeat({ until: (isReachable) => isReachable }),
    Effect.andThen(Effect.sync(() => servers.returning())),
    Effect.andThen(connection.close(0)),
    Effect.andThen(Effect.never)
  )

const stableAfter = ({ reconnect }: SessionOptions): number => Duration.toMillis(reconnect.stableAfter)

/** Waits, but no longer than until the platform says that the network may be back. */
const waitOrReachable = (delay: number): Effect.Effect<void> =>
  Effect.flatMap(
    Transport,
    ({ reachable }) =>
      reachable === undefined || delay === 0 ? Effect.sleep(delay) : Effect.raceFirst(Effect.sleep(delay), reachable)
  )

const now: Decision = { _tag: "Wait", delay: 0 }

/** A connection that the client closed to get a better one counts as lost. */
const asLoss = (error: MqttError): MqttError =>
  error.reason._tag === "Closed"
    ? new MqttError({ ...error, reason: new ConnectionLost({ reasonString: "closed by the session itself" }) })
    : error
