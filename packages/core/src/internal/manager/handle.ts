/**
 * Routes that call a handler: `consume` at each session, with the route's filter, transformer and figures around the handler.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Message } from "../../Message.ts"
import type { HandleOptions } from "../../SessionRoute.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import { definedOnly, makePipeline, subscribeOptions } from "./pipeline.ts"
import type { RouteRunner } from "./routeRunner.ts"

export const startHandler = <E, R, E2, R2>(
  runner: RouteRunner<E | E2>,
  handler: (message: Message) => Effect.Effect<unknown, E, R>,
  options: HandleOptions<E, R, E2, R2>
): Effect.Effect<void, never, R | R2 | Scope.Scope> => {
  const pipeline = makePipeline(options)
  const { concurrency, onFailure = "skip", order, retry } = options

  const work = (message: Message): Effect.Effect<void, E | E2, R | R2> =>
    Effect.flatMap(Effect.suspend(() => pipeline(message)), (changed) => {
      if (changed === undefined) return Effect.sync(() => runner.dropped())
      return Effect.andThen(handler(changed), delivered)
    })
  const delivered = Effect.sync(() => runner.delivered(1))
  const repeated = retry === undefined
    ? work
    : (message: Message): Effect.Effect<void, E | E2, R | R2> => Effect.retry(work(message), retry)
  const handle = (message: Message): Effect.Effect<void, E | E2, R | R2> =>
    Effect.suspend(() => {
      runner.received(message)
      return Effect.tapCause(repeated(message), (cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          runner.failed(cause)
          if (onFailure === "fail") runner.fail(cause)
        }))
    })

  const consumeOptions: ConsumeOptions<E | E2, R | R2> = {
    ...subscribeOptions(options),
    ...definedOnly({ concurrency, order }),
    onFailure
  }
  return runner.start({
    attach: (place) =>
      place.session.consume(runner.options.filters, handle, {
        ...consumeOptions,
        onSubscribed: (subscription) => Effect.sync(() => runner.activate(place, subscription))
      }),
    onEnd: () => {}
  })
}
