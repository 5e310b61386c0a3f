/**
 * The parts that handlers and streams share: the checks of a route's options, and the pass of a message through filter
 * and transformer.
 */
import * as Effect from "effect/Effect"
import type { Message } from "../../Message.ts"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import type { HandleOptions, ListenOptions, RouteOptions } from "../../SessionRoute.ts"
import type { SubscribeOptions } from "../../Subscription.ts"
import type { Check } from "../options/plain.ts"
import { filtersOf, refuseOptions } from "../options/subscribing.ts"
import { shareFilters } from "../session/sharing.ts"

/**
 * Returns the filters without duplicates, or the problem with them or with the options. A route over all sessions must
 * be valid before there is a session.
 */
export const checkRoute = (
  method: string,
  session: string | undefined,
  filters: string | ReadonlyArray<string>,
  options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>,
  checks: { readonly [name: string]: Check }
): Effect.Effect<ReadonlyArray<string>, MqttError> =>
  Effect.suspend(() => {
    const list = filtersOf(filters)
    const issue = "_tag" in list ? list : optionsIssue(list, options, checks)
    return issue === undefined ? Effect.succeed(list as ReadonlyArray<string>) : Effect.fail(
      new MqttError({
        reason: issue,
        method,
        ...(typeof session === "string" ? { session } : undefined),
        ...(typeof filters === "string" ? { topic: filters } : undefined)
      })
    )
  })

const optionsIssue = (
  filters: ReadonlyArray<string>,
  options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>,
  checks: { readonly [name: string]: Check }
): MqttErrorReason | undefined => {
  const issue = refuseOptions(options, checks, filters)
  if (issue !== undefined) return issue
  const shared = shareFilters(filters, options.share)
  if ("_tag" in shared) return shared
  // With the share name in front they may be invalid filters.
  const valid = filtersOf(shared)
  if ("_tag" in valid) return valid
  return (options.filter === undefined ? undefined : RouteFilter.validate(options.filter)) ?? options.transform?.issue
}

/** The options of a route that concern the subscription. */
export const subscribeOptions = (options: RouteOptions<unknown, unknown>): Omit<SubscribeOptions, "ack"> => {
  const { buffer, consumer, keep, noLocal, onOverflow, qos, retainAsPublished, retained, share } = options
  return definedOnly({ buffer, consumer, keep, noLocal, onOverflow, qos, retainAsPublished, retained, share })
}

/** Without the keys whose value is undefined. */
export const definedOnly = <A extends object>(options: A): { readonly [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never

/**
 * The message as it leaves filter and transformer; undefined when one of them drops it. Dies when the filter throws.
 */
export const makePipeline = <E, R>(
  options: RouteOptions<E, R>
): (message: Message) => Effect.Effect<Message | undefined, E, R> => {
  const test = options.filter === undefined ? undefined : RouteFilter.compile(options.filter)
  const transform = options.transform?.transform
  return (message) => {
    if (test !== undefined && !test(message)) return dropped
    return transform === undefined ? Effect.succeed(message) : transform(message)
  }
}

const dropped = Effect.succeed(undefined)
