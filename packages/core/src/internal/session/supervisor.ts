/**
 * The fiber that keeps a session connected: it connects, waits for the end of the connection, waits for the reconnect
 * delay and connects again. It never writes or reads packets. `session.ts` starts it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { ConnectionLost, MqttError, Unexpected } from "../../MqttError.ts"
import type { Connack, Connect } from "../../Packet.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import { Transport } from "../../Transport.ts"
import type { Violation } from "../codec/contract.ts"
import type { Connection } from "../connection/contract.ts"
import { reportExpiring } from "./certificateExpiry.ts"
import type { Connector, Prepared } from "./connector.ts"
import { endedByServer, isOverQuota } from "./endedByServer.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { Lifecycle } from "./lifecycle.ts"
import type { Decision, Reconnect } from "./reconnect.ts"
import type { Renewal } from "./renewal.ts"
import type { Servers } from "./servers.ts"
import { warnUnverified } from "./trust.ts"

export interface SupervisorOptions {
  readonly session: string
  readonly engineLoop: EngineLoop
  readonly lifecycle: Lifecycle
  readonly servers: Servers
  readonly reconnect: Reconnect
  /** Milliseconds of the monotonic clock. Measures how long connections last and how long failed servers stand back. */
  readonly now: () => number
  /** Milliseconds after which a connection counts as stable. */
  readonly stableAfter: number
  /** The servers' certificates are not verified. */
  readonly isUnverified: boolean
  /** Days before the end of a certificate. */
  readonly certificateThresholds: ReadonlyArray<number>
  readonly persistent: boolean
  readonly autoReconnect: boolean
  /** The client itself ends the connection: no further attempt. */
  readonly isStopping: () => boolean
  readonly connector: Pick<Connector, "open" | "prepare" | "probe">
  /** Present where credentials are asked for before each attempt. */
  readonly renewal: Renewal | undefined
  /** Milliseconds after which a session at another server returns to the preferred one. Undefined: it stays. */
  readonly returnAfter: number | undefined
  /** The server broke a rule that only the session's state reveals. The connection ends with this violation. */
  readonly onViolation: (violation: Violation) => void
  readonly onConnected: (connack: Connack, connect: Connect) => void
  /** Operations that wait cannot be served now, or (`isPermanent`) never again. */
  readonly onFailure: (error: MqttError, isPermanent: boolean) => Effect.Effect<void>
}

/** How an attempt ended. `lasted` is undefined without a connection, otherwise its duration in milliseconds. */
interface Ended {
  readonly error: MqttError
  readonly lasted: number | undefined
  /** See `endedByServer`. */
  readonly byServer?: string | undefined
}

/**
 * Runs until the reconnect policy gives up. Interrupting it closes the connection at once.
 */
export const run = (options: SupervisorOptions): Effect.Effect<void> =>
  // Only two generators, one for the loop and one for the connection: suspended frames of idle sessions take memory.
  Effect.gen(function*() {
    const { lifecycle, reconnect, servers } = options
    let everConnected = false
    let attempt = 0
    let lastError: MqttError | undefined
    while (true) {
      let end: Ended | undefined
      attempt++
      // Tries every server once, until one answers. The last failure counts, or the first permanent one.
      servers.begin(options.now())
      for (let address = servers.next(); address !== undefined; address = servers.next()) {
        const server = ServerAddress.format(address)
        if (lifecycle.current().state === "disconnected") lifecycle.set({ state: "connecting" })
        lifecycle.set({ server, attempt })
        lifecycle.emit({ _tag: "Connecting", server, attempt })
        // Warn before the server gets the password. Later attempts in a row warn only when they succeed.
        if (options.isUnverified && attempt === 1) yield* warnUnverified(options.session, server)
        const attempted = yield* connectTo(options, address, server, attempt === 1 ? undefined : lastError)
        const { lasted } = attempted
        if (lasted !== undefined && lasted >= options.stableAfter) servers.settled()
        const redirected = servers.redirect(address, attempted.error)
        if (lasted === undefined && redirected === undefined) continue
        const error = redirected ?? attempted.error
        if (lasted !== undefined || end === undefined || end.error.isRetryable) end = { error, lasted }
        if (lasted !== undefined) break
        servers.failed(address, options.now())
      }
      // The shutdown closed the connection, and reports this itself.
      if (options.isStopping()) return
      const { lasted } = end!
      let { error } = end!
      if (lasted === undefined) reconnect.failed()
      else {
        everConnected = true
        attempt = 0
        error = asLoss(reconnect.ended(error, lasted))
      }
      lastError = error
      if (lasted !== undefined && options.renewal?.isPlanned === true) {
        lifecycle.emit({ _tag: "Disconnected", error: undefined })
        lifecycle.set({ state: "reconnecting", ready: false, server: undefined })
        continue
      }
      options.renewal?.failed(error)
      if (lasted !== undefined) lifecycle.emit({ _tag: "Disconnected", error })
      // The next server is known, and expects the session: there is nothing to wait for.
      const decision = servers.isExpected && options.autoReconnect ? now : yield* reconnect.next(error)
      if (decision._tag === "GiveUp") {
        lifecycle.set({ state: "disconnected", ready: false, lastError: error, failure: error, server: undefined })
        return yield* options.onFailure(error, true)
      }
      lifecycle.set({
        state: everConnected ? "reconnecting" : "connecting",
        ready: false,
        lastError: error,
        server: undefined,
        ...(!error.isRetryable && decision !== now ? { failure: error } : undefined)
      })
      if (!error.isRetryable && decision !== now) yield* options.onFailure(error, false)
      lifecycle.emit({ _tag: "Reconnecting", attempt: attempt + 1, delay: decision.delay, error })
      yield* waitOrReachable(decision.delay)
    }
  })

/** Waits, but no longer than until the platform says that the network may be back. */
const waitOrReachable = (delay: number): Effect.Effect<void> =>
  Effect.flatMap(
    Transport,
    ({ reachable }) =>
      reachable === undefined || delay === 0 ? Effect.sleep(delay) : Effect.raceFirst(Effect.sleep(delay), reachable)
  )

const now: Decision = { _tag: "Wait", delay: 0 }

/**
 * Connects to a server, and waits for the end of the connection.
 */
const connectTo = (
  options: SupervisorOptions,
  address: ServerAddress.ServerAddress,
  server: string,
  lastError: MqttError | undefined
): Effect.Effect<Ended> =>
  Effect.matchEffect(options.connector.prepare(address, lastError), {
    onFailure: (error) => Effect.succeed<Ended>({ error, lasted: undefined }),
    onSuccess: (prepared) =>
      Effect.flatMap(Scope.make(), (scope) =>
        Effect.onExit(serve(options, prepared, server, scope), (exit) =>
          // The connection always ends before the engine loop forgets it.
          Effect.andThen(
            Scope.close(scope, exit),
            Effect.sync(() =>
              Exit.isSuccess(exit)
                ? options.engineLoop.detach(exit.value.byServer, isOverQuota(exit.value.error.reason))
                : options.engineLoop.detach()
            )
          )))
  })

const serve = Effect.fnUntraced(function*(
  options: SupervisorOptions,
  prepared: Prepared,
  server: string,
  scope: Scope.Scope
): Effect.fn.Return<Ended> {
  const { connector, engineLoop, renewal, servers } = options
  const { access, address, connect } = prepared
  const lost = Deferred.makeUnsafe<MqttError>()
  engineLoop.opening(connect)
  const opened = yield* connector.open(prepared, {
    onPackets: (packets) => {
      const violation = engineLoop.receive(packets)
      if (violation !== undefined) options.onViolation(violation)
      return violation
    },
    onWritable: () => engineLoop.writable(),
    onGone: (counters) => engineLoop.current.gone(counters),
    onClosed: (error) => Deferred.doneUnsafe(lost, Exit.succeed(error))
  }).pipe(
    Scope.provide(scope),
    Effect.catchDefect((cause) =>
      Effect.fail(
        new MqttError({ session: options.session, reason: new Unexpected({ detail: "connecting died", cause }) })
      )
    ),
    Effect.result
  )
  if (opened._tag === "Failure") return { error: opened.failure, lasted: undefined }
  // Before the program learns of the connection, because it may ask for other credentials at once.
  renewal?.established(access)
  established(options, connect, opened.success, server)
  servers.succeeded(address)
  if (renewal !== undefined) {
    // Ends with the connection.
    yield* Effect.forkIn(renewal.run(opened.success, address, access), scope)
  }
  if (opened.success.certificates.length > 0) {
    const { certificates } = opened.success
    yield* Effect.forkIn(
      reportExpiring(certificates, options.certificateThresholds, (event) => options.lifecycle.emit(event)),
      scope
    )
  }
  const since = options.now()
  if (options.isUnverified && options.lifecycle.current().attempt > 1) yield* warnUnverified(options.session, server)
  const error = yield* options.returnAfter === undefined || servers.isPreferred(address)
    ? Deferred.await(lost)
    : Effect.raceFirst(Deferred.await(lost), returning(options, options.returnAfter, opened.success))
  return { error, lasted: options.now() - since, byServer: endedByServer(error.reason) }
})

/** Ends the connection as soon as the preferred server can be reached again, which is then the next one. */
const returning = (
  { connector, servers }: SupervisorOptions,
  returnAfter: number,
  connection: Connection
): Effect.Effect<never> =>
  Effect.suspend(() => connector.probe(servers.preferred)).pipe(
    Effect.delay(returnAfter),
    Effect.repeat({ until: (isReachable) => isReachable }),
    Effect.andThen(Effect.sync(() => servers.returning())),
    Effect.andThen(connection.close(0)),
    Effect.andThen(Effect.never)
  )

const established = (
  { autoReconnect, engineLoop, lifecycle, onConnected, persistent }: SupervisorOptions,
  connect: Connect,
  connection: Connection,
  server: string
): void => {
  const { connack } = connection
  engineLoop.attach(connection)
  onConnected(connack, connect)
  lifecycle.emit({
    _tag: "Connected",
    server,
    clientId: connect.clientId === "" ? connack.properties.assignedClientIdentifier ?? "" : connect.clientId,
    cleanStart: connect.cleanStart,
    sessionPresent: connack.sessionPresent,
    persistent,
    autoReconnect,
    subscriptions: engineLoop.stats.subscriptions
  })
  lifecycle.set({ state: "connected", failure: undefined, lastError: undefined })
}

/** A connection that the client closed to get a better one counts as lost. */
const asLoss = (error: MqttError): MqttError =>
  error.reason._tag === "Closed"
    ? new MqttError({ ...error, reason: new ConnectionLost({ reasonString: "closed by the session itself" }) })
    : error
