/**
 * Opens a connection: adds the effects around a `Link`, which are its scope and its time limits, and has it watched. It handles no bytes or packets. The session's connector calls it.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Closed, InvalidOptions, MqttError, Timeout } from "../../MqttError.ts"
import { Transport } from "../../Transport.ts"
import { alarmOf } from "./alarm.ts"
import type { ConnectionHandlers, ConnectionRequest, Open } from "./contract.ts"
import { KeepAlive } from "./keepAlive.ts"
import { Link, type LinkRuntime } from "./link.ts"

// Time for the peer to end the stream after our DISCONNECT, in milliseconds: the whole end stays within a second.
const lingerMillis = 900

export const open: Open = Effect.fnUntraced(function*(request, handlers) {
  // Its own scope: a failed attempt leaves nothing behind, however long the caller's scope lives.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const link = yield* makeLink(request, handlers)
  return yield* establish(request, link).pipe(
    Scope.provide(scope),
    Effect.timeoutOrElse({
      duration: request.connectTimeout,
      orElse: () =>
        Effect.fail(new MqttError({ reason: new Timeout({ operation: "connect", millis: request.connectTimeout }) }))
    }),
    Effect.flatMap(() => {
      link.watch()
      const reason = link.announce()
      return reason === undefined ? Effect.succeed(link) : Effect.fail(new MqttError({ reason }))
    }),
    Effect.mapError((error) => error.session === undefined ? error.withSession(request.session) : error),
    Effect.onExit((exit) => {
      if (Exit.isSuccess(exit)) {
        return Effect.void
      }
      link.silence()
      return Scope.close(scope, exit)
    })
  )
})

const makeLink = Effect.fnUntraced(function*(request: ConnectionRequest, handlers: ConnectionHandlers) {
  const clock = yield* Clock.Clock
  const runtime = new ForkingRuntime(yield* Effect.context<never>(), clock, request.writeTimeout)
  return new Link(request, handlers, clock, runtime)
})

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

const establish = Effect.fnUntraced(function*(request: ConnectionRequest, link: Link) {
  const problem = link.prepare()
  if (problem !== undefined) {
    return yield* new MqttError({ reason: new InvalidOptions({ issues: [{ path: "", message: problem }] }) })
  }
  const transport = yield* Transport
  const { address, maximumPacketSize, proxy, tls, webSocket } = request
  // Not the request itself: a transport may be a program's own, and need not see the password in CONNECT.
  const stream = yield* transport.open({ address, tls, webSocket, proxy, maximumPacketSize }, link.streamHandlers)
  yield* Scope.addFinalizerExit(yield* Effect.scope, ending(link))
  link.start(stream)
  return yield* Deferred.await(link.accepted)
})

// A function of its own that makes the effect when it runs, so that an open connection holds little for its end.
const ending = (link: Link) => (): Effect.Effect<void> => Effect.sync(() => link.destroy(new Closed()))
