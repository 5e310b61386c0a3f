/**
 * Opens a connection: adds the effects around a `Link`, which are its scope and its time limits, and has it watched. It
 * handles no bytes or packets. The session's connector calls it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Closed, InvalidOptions, MqttError, Timeout } from "../../MqttError.ts"
import { type ByteStream, Transport } from "../../Transport.ts"
import { alarmOf } from "./alarm.ts"
import type { ConnectionRequest, Open } from "./contract.ts"
import { KeepAlive } from "./keepAlive.ts"
import { Link, type LinkRuntime } from "./link.ts"

// Time for the peer to end the stream after our DISCONNECT, in milliseconds: the whole end stays within a second.
const lingerMillis = 900

// No generators here: their frames would be a large part of a session that is being opened.
export const open: Open = (request, handlers) =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const outer = Context.get(context, Scope.Scope)
    const clock = Context.get(context, Clock.Clock)
    const link = new Link(request, handlers, clock, new ForkingRuntime(context, clock, request.writeTimeout))
    // Its own scope: a failed attempt leaves nothing behind, however long the caller's scope lives.
    const scope = Scope.makeUnsafe()
    return Effect.onExit(Effect.mapError(opened(request, link, scope), namedAs(request.session)), (exit) => {
      if (Exit.isSuccess(exit)) return Scope.addFinalizerExit(outer, ending(link, scope))
      link.silence()
      return Effect.andThen(Effect.sync(() => link.destroy(new Closed())), Scope.close(scope, exit))
    })
  })

// A function of its own that makes the effect when it runs, so that an open connection holds little for its end.
const ending = (link: Link, scope: Scope.Closeable) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.andThen(Effect.sync(() => link.destroy(new Closed())), Scope.close(scope, exit))

const namedAs = (session: string) => (error: MqttError): MqttError =>
  error.session === undefined ? error.withSession(session) : error

const opened = (request: ConnectionRequest, link: Link, scope: Scope.Closeable): Effect.Effect<Link, MqttError> =>
  Effect.flatMap(
    Effect.timeoutOrElse(establish(request, link, scope), {
      duration: request.connectTimeout,
      orElse: () =>
        Effect.fail(new MqttError({ reason: new Timeout({ operation: "connect", millis: request.connectTimeout }) }))
    }),
    () => {
      link.watch()
      const reason = link.announce()
      return reason === undefined ? Effect.succeed(link) : Effect.fail(new MqttError({ reason }))
    }
  )

/** The only place where the network's callbacks start effects. */
class ForkingRuntime implements LinkRuntime {
  readonly #context: Context.Context<never>
  readonly #clock: Clock.Clock
  readonly #writeTimeout: number

  constructor(context: Context.Context<never>, clock: Clock.Clock, writeTimeout: number) {
    this.#context = context
    this.#clock = clock
    this.#writeTimeout = writeTimeout
  }

  watch(link: Link, keepAlive: number): KeepAlive {
    return new KeepAlive(link, alarmOf(this.#clock), keepAlive, this.#writeTimeout)
  }

  onClosing(link: Link): void {
    this.#fork(
      Deferred.await(link.gone).pipe(
        Effect.timeoutOrElse({
          duration: lingerMillis,
          orElse: () => Effect.sync(() => link.giveUp())
        })
      )
    )
  }

  run<A, E>(effect: Effect.Effect<A, E>, onExit: (exit: Exit.Exit<A, E>) => void): Fiber.Fiber<A, E> {
    const fiber = this.#fork(effect)
    fiber.addObserver(onExit)
    return fiber
  }

  onDefect(cause: unknown): void {
    this.#fork(Effect.logError("The handler of the closed connection failed", cause))
  }

  #fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.#context)(effect)
  }
}

const establish = (request: ConnectionRequest, link: Link, scope: Scope.Closeable): Effect.Effect<void, MqttError> =>
  Effect.suspend(() => {
    const problem = link.prepare()
    if (problem !== undefined) {
      return Effect.fail(new MqttError({ reason: new InvalidOptions({ issues: [{ path: "", message: problem }] }) }))
    }
    return Effect.flatMap(connect(request, link, scope), (stream) => {
      link.start(stream)
      return Deferred.await(link.accepted)
    })
  })

const connect = (
  { address, maximumPacketSize, proxy, tls, webSocket }: ConnectionRequest,
  link: Link,
  scope: Scope.Closeable
): Effect.Effect<ByteStream, MqttError> =>
  // Not the request itself: a transport may be a program's own, and need not see the password in CONNECT.
  Effect.flatMap(Transport, (transport) =>
    Scope.provide(
      transport.open({ address, tls, webSocket, proxy, maximumPacketSize }, link.streamHandlers),
      scope
    ))
