/**
 * Opens a connection: adds the effects around a `Link`, which are its scope, its time limits and the fiber that watches
 * it. It handles no bytes or packets. The session's connector calls it.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Closed, ConnectionLost, InvalidOptions, MqttError, type MqttErrorReason, Timeout } from "../../MqttError.ts"
import { pingreq } from "../../Packet.ts"
import { Transport } from "../../Transport.ts"
import type { ConnectionHandlers, ConnectionRequest, Open } from "./contract.ts"
import { Link, type LinkRuntime } from "./link.ts"
import { Watch } from "./watch.ts"

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
  const runtime = new ForkingRuntime(yield* Effect.context<never>(), request.writeTimeout)
  return new Link(request, handlers, yield* Clock.Clock, runtime)
})

/** The only place where the network's callbacks start effects. */
class ForkingRuntime implements LinkRuntime {
  readonly #context: Context.Context<never>
  readonly #writeTimeout: number

  constructor(context: Context.Context<never>, writeTimeout: number) {
    this.#context = context
    this.#writeTimeout = writeTimeout
  }

  watch(link: Link, keepAlive: number): Fiber.Fiber<void> {
    return this.#fork(keepWatch(link, keepAlive, this.#writeTimeout))
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

/** The peer is presumably gone. */
const silence = (reasonString: string): MqttErrorReason => new ConnectionLost({ reasonString, code: "ETIMEDOUT" })

/**
 * Sends PINGREQ, and detects a peer that is gone or accepts no bytes, until the link ends.
 */
const keepWatch = (link: Link, keepAlive: number, writeTimeout: number): Effect.Effect<void> => {
  const watch = new Watch(keepAlive * 1000, writeTimeout, link.now())
  // Not a generator, because its frame would be most of the memory of an idle connection here.
  const next = Effect.suspend((): Effect.Effect<void> => {
    while (link.phase === "open") {
      const action = watch.next(link.now(), link)
      switch (action._tag) {
        case "Wait":
          return Effect.andThen(Effect.sleep(action.wait), next)
        case "Ping":
          link.send([pingreq])
          break
        case "Silent":
          link.destroy(silence(`nothing arrived for ${keepAlive * 1.5} seconds, one and a half keep alives`))
          break
        case "Stuck":
          link.destroy(silence(`the network took no bytes for ${writeTimeout} ms`))
          break
      }
    }
    return Effect.void
  })
  return next
}
