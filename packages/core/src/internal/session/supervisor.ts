/**
 * The fiber that keeps a session connected: connects, waits for the end of the connection, waits, connects again.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { ConnectionLost, MqttError, Unexpected } from "../../MqttError.ts"
import type { Connack, Connect } from "../../Packet.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import { permanence } from "../classification.ts"
import type { Violation } from "../codec/contract.ts"
import type { Connection, ConnectionHandlers } from "../connection/contract.ts"
import type { Driver } from "./driver.ts"
import type { Hub } from "./hub.ts"
import type { Reconnect } from "./reconnect.ts"
import type { Servers } from "./servers.ts"

export interface SupervisorOptions {
  readonly session: string
  readonly driver: Driver
  readonly hub: Hub
  readonly servers: Servers
  readonly reconnect: Reconnect
  /** Milliseconds that a connection must last for the reconnect schedule to start anew. */
  readonly stableAfter: number
  readonly persistent: boolean
  readonly autoReconnect: boolean
  /** The end of the connection is our own will: no further attempt. */
  readonly isStopping: () => boolean
  /** What CONNECT says now; called for each attempt. */
  readonly connect: () => Connect
  readonly open: (
    address: ServerAddress.ServerAddress,
    connect: Connect,
    handlers: ConnectionHandlers
  ) => Effect.Effect<Connection, MqttError, Scope.Scope>
  /** The server broke a rule that only the session's state shows; the connection ends with it. */
  readonly onViolation: (violation: Violation) => void
  readonly onConnected: (connack: Connack, connect: Connect) => void
  /** Awaiting operations cannot be served for now (`forGood`: ever again). */
  readonly onFailure: (error: MqttError, forGood: boolean) => Effect.Effect<void>
}

interface Established {
  readonly connection: Connection
  readonly lost: Deferred.Deferred<MqttError>
  readonly scope: Scope.Closeable
}

/**
 * Runs until the reconnect policy gives up; interrupting it closes the connection at once.
 */
export const run = (options: SupervisorOptions): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { driver, hub, reconnect } = options
    let everConnected = false
    let attempt = 0
    while (true) {
      const [error, connected] = yield* Effect.scoped(Effect.gen(function*() {
        const round = yield* Effect.result(connectRound(options, ++attempt))
        if (round._tag === "Failure") return [round.failure, undefined] as const
        const before = driver.now()
        const error = yield* Deferred.await(round.success.lost)
        return [error, driver.now() - before] as const
      }))
      if (connected !== undefined) {
        everConnected = true
        attempt = 0
        if (connected >= options.stableAfter) reconnect.reset()
      }
      // The shutdown closed the connection, and tells so itself.
      if (options.isStopping()) return
      if (connected !== undefined) hub.emit({ _tag: "Disconnected", error })
      const decision = yield* reconnect.next(error)
      if (decision._tag === "GiveUp") {
        hub.set({ state: "disconnected", ready: false, lastError: error, failure: error, server: undefined })
        return yield* options.onFailure(error, true)
      }
      hub.set({
        state: everConnected ? "reconnecting" : "connecting",
        ready: false,
        lastError: error,
        server: undefined,
        ...(isPermanent(error) ? { failure: error } : undefined)
      })
      if (isPermanent(error)) yield* options.onFailure(error, false)
      hub.emit({ _tag: "Reconnecting", attempt: attempt + 1, delay: decision.delay, error })
      yield* Effect.sleep(decision.delay)
    }
  })

/**
 * Tries every server once; fails with the last failure, or with the first permanent one.
 */
const connectRound = Effect.fnUntraced(function*(
  options: SupervisorOptions,
  attempt: number
): Effect.fn.Return<Established, MqttError, Scope.Scope> {
  const { driver, hub, servers } = options
  let failure: MqttError | undefined
  for (const address of servers.round(driver.now())) {
    const server = ServerAddress.format(address)
    if (hub.current.state === "disconnected") hub.set({ state: "connecting" })
    hub.set({ server, attempt })
    hub.emit({ _tag: "Connecting", server, attempt })
    const result = yield* Effect.result(connectTo(options, address, server))
    if (result._tag === "Success") {
      servers.succeeded(address)
      return result.success
    }
    servers.failed(address, driver.now())
    if (failure === undefined || !isPermanent(failure)) failure = result.failure
  }
  return yield* Effect.fail(failure!)
})

const connectTo = Effect.fnUntraced(function*(
  options: SupervisorOptions,
  address: ServerAddress.ServerAddress,
  server: string
): Effect.fn.Return<Established, MqttError, Scope.Scope> {
  const { driver, hub } = options
  const lost = yield* Deferred.make<MqttError>()
  // The connection's own scope ends before the driver forgets it, whatever ended the attempt.
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Scope.addFinalizer(scope, Effect.sync(() => driver.detach()))
  const connect = options.connect()
  driver.opening(connect)
  const connection = yield* options.open(address, connect, {
    onPackets: (packets) => {
      const violation = driver.receive(packets)
      if (violation !== undefined) options.onViolation(violation)
      return violation
    },
    onWritable: () => driver.writable(),
    onClosed: (error) => Deferred.doneUnsafe(lost, Exit.succeed(options.isStopping() ? error : asLoss(error)))
  }).pipe(
    Scope.provide(scope),
    Effect.catchDefect((cause) =>
      Effect.fail(
        new MqttError({ session: options.session, reason: new Unexpected({ detail: "connecting died", cause }) })
      )
    ),
    Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
  )
  driver.attach(connection)
  options.onConnected(connection.connack, connect)
  const { sessionPresent } = connection.connack
  hub.emit({
    _tag: "Connected",
    server,
    clientId: connection.connack.properties.assignedClientIdentifier ?? connect.clientId,
    cleanStart: connect.cleanStart,
    sessionPresent,
    persistent: options.persistent,
    autoReconnect: options.autoReconnect,
    subscriptions: driver.stats.subscriptions
  })
  hub.set({ state: "connected", failure: undefined, lastError: undefined })
  return { connection, lost, scope }
})

/** A connection that we closed to get a better one counts as lost. */
const asLoss = (error: MqttError): MqttError =>
  error.reason._tag === "Closed"
    ? new MqttError({ ...error, reason: new ConnectionLost({ reasonString: "closed by the session itself" }) })
    : error

const isPermanent = (error: MqttError): boolean => permanence(error.reason) === "permanent"
