/**
 * Routes that call a handler: `consume` at each session, with the route's filter, transformer and metrics around the
 * handler.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Message } from "../../Message.ts"
import type { HandleOptions } from "../../SessionRoute.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import type { ConsumeObserver } from "../session/consumeObserver.ts"
import { withPurpose } from "../session/purpose.ts"
import { definedOnly, makePipeline, subscribeOptions } from "./pipeline.ts"
import type { RouteRunner } from "./routeRunner.ts"

export const startHandler = <E, R, E2, R2>(
  runner: RouteRunner<E | E2>,
  handler: (message: Message) => Effect.Effect<unknown, E, R>,
  options: HandleOptions<E, R, E2, R2>
): Effect.Effect<void, never, R | R2 | Scope.Scope> => {
  const pipeline = makePipeline(options)
  const { concurrency, onFailure, onInvalid, order, retry } = options

  const handle = (message: Message): Effect.Effect<void, E | E2, R | R2> =>
    Effect.flatMap(Effect.suspend(() => pipeline(message)), (changed) => {
      if (changed === undefined) return Effect.sync(() => runner.dropped())
      return Effect.andThen(handler(changed), delivered)
    })
  const delivered = Effect.sync(() => runner.delivered(1))

  const observer: ConsumeObserver = {
    onReceived: (message) => runner.received(message),
    onFailed: (cause) => runner.failed(cause),
    onEnded: (cause) => runner.fail(cause as Cause.Cause<E | E2>)
  }
  const consumeOptions: ConsumeOptions<E | E2, R | R2> = {
    ...subscribeOptions(options),
    ...definedOnly({ concurrency, onFailure, onInvalid, order }),
    ...(retry === undefined ? undefined : { retry })
  }
  return runner.start({
    attach: (membership) =>
      membership.core.consume(
        runner.options.filters,
        handle,
        withPurpose({
          ...consumeOptions,
          onSubscribed: (subscription) => Effect.sync(() => runner.activate(membership, subscription))
        }, runner.purpose),
        observer
      ),
    onEnd: () => {}
  })
}
