/**
 * Registers routes: handlers and listeners, over all sessions of a manager or one of them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { HandleOptions, Listener, ListenOptions, Route } from "../../SessionRoute.ts"
import { callable, type Check, refusal } from "../options/plain.ts"
import { handleChecks, listenChecks } from "./checks.ts"
import type { Manager } from "./contract.ts"
import { startHandler } from "./handle.ts"
import { startListener } from "./listen.ts"
import { checkRoute } from "./pipeline.ts"
import type { Registry } from "./registry.ts"
import { RouteRunner } from "./routeRunner.ts"

interface RouteRequest {
  readonly method: string
  /** Undefined: the route is over all sessions. */
  readonly session: string | undefined
  readonly filters: string | ReadonlyArray<string>
  readonly options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>
  readonly checks: { readonly [name: string]: Check }
}

const startRoute = <E, R, A>(
  registry: Registry,
  { checks, filters, method, options, session }: RouteRequest,
  start: (runner: RouteRunner<E>) => Effect.Effect<A, never, R | Scope.Scope>
): Effect.Effect<readonly [Route<E>, A], MqttError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const list = yield* checkRoute(method, session, filters, options, checks)
    if (session !== undefined) yield* registry.find(session, method)
    const { description } = options
    const runner = new RouteRunner<E>({ filters: list, session, description, clock: registry.clock })
    const made = yield* start(runner)
    const { route } = runner
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const registered = { runner: runner as RouteRunner<unknown>, route }
        registry.addRoute(registered)
        return registered
      }),
      (registered) => Effect.sync(() => registry.removeRoute(registered))
    )
    return [route, made] as const
  })

/** `Manager.handle`, and `Manager.handleTo` for one session. */
export const makeHandler = (
  registry: Registry,
  method: "handle" | "handleTo",
  session: string | undefined
): Manager["handle"] =>
<E, R, E2, R2>(
  filters: string | ReadonlyArray<string>,
  handler: (message: Message) => Effect.Effect<unknown, E, R>,
  options: HandleOptions<E, R, E2, R2> = {}
) => {
  const request = { method, session, filters, options: options as never, checks: handleChecks }
  const invalid = callable(handler)
  const checked = invalid === undefined ? undefined : refusal([{ path: "handler", message: invalid }], method)
  if (checked !== undefined) return Effect.fail(checked)
  return Effect.map(
    startRoute<E | E2, R | R2, void>(registry, request, (runner) => startHandler(runner, handler, options)),
    ([route]) => route
  )
}

/** `Manager.listener`, and `Manager.listenerTo` for one session. */
export const makeListener =
  (registry: Registry, method: string, session: string | undefined): Manager["listener"] =>
  <E, R>(filters: string | ReadonlyArray<string>, options: ListenOptions<E, R> = {}) => {
    const request = { method, session, filters, options: options as never, checks: listenChecks }
    return Effect.map(
      startRoute<E, R, Stream.Stream<Message, E | MqttError>>(
        registry,
        request,
        (runner) => startListener(runner, options)
      ),
      ([route, messages]): Listener<E> => ({ ...route, messages })
    )
  }
