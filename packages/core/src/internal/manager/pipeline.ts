/**
 * What handlers and streams have in common: the checks of a route's options, and the way of a message through filter and
 * transformer.
 */
import * as Effect from "effect/Effect"
import type { Message } from "../../Message.ts"
import { InvalidOptions, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import { isQoS } from "../../QoS.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import type { HandleOptions, ListenOptions, RouteOptions } from "../../SessionRoute.ts"
import type { SubscribeOptions } from "../../Subscription.ts"
import * as Topic from "../../Topic.ts"
import { policyIssues } from "../messageFailures.ts"
import { shareFilters } from "../session/sharing.ts"

/**
 * The filters as a list without duplicates, or what is wrong with them or the options: a route over all sessions has to be sound
 * before there is a session.
 */
export const checkRoute = (
  method: string,
  session: string | undefined,
  filters: string | ReadonlyArray<string>,
  options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>
): Effect.Effect<ReadonlyArray<string>, MqttError> =>
  Effect.suspend(() => {
    const list = typeof filters === "string" ? [filters] : Array.from(new Set(filters))
    const issue = filtersIssue(list) ?? optionsIssue(list, options)
    return issue === undefined ? Effect.succeed(list) : Effect.fail(
      new MqttError({
        reason: issue,
        method,
        ...(session === undefined ? undefined : { session }),
        ...(list.length === 1 ? { topic: list[0]! } : undefined)
      })
    )
  })

const filtersIssue = (filters: ReadonlyArray<string>): MqttErrorReason | undefined => {
  if (filters.length === 0) {
    return new InvalidOptions({ issues: [{ path: "filters", message: "at least one topic filter is needed" }] })
  }
  for (const filter of filters) {
    const result = Topic.validateFilter(filter)
    if (result._tag === "Failure") return result.failure
  }
  return undefined
}

const optionsIssue = (
  filters: ReadonlyArray<string>,
  options: HandleOptions<never, never, unknown, unknown> & ListenOptions<unknown, unknown>
): MqttErrorReason | undefined => {
  const issues: Array<{ readonly path: string; readonly message: string }> = []
  const { buffer, capacity, concurrency, qos } = options
  if (qos !== undefined && !isQoS(qos)) issues.push({ path: "qos", message: "must be 0, 1 or 2" })
  for (const [path, value] of Object.entries({ buffer, capacity, concurrency })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      issues.push({ path, message: "must be an integer of at least 1" })
    }
  }
  issues.push(...policyIssues(options, filters))
  if (issues.length > 0) return new InvalidOptions({ issues })
  const shared = shareFilters(filters, options.share)
  if ("_tag" in shared) return shared
  return (options.filter === undefined ? undefined : RouteFilter.validate(options.filter)) ?? options.transform?.issue
}

/** The part of a route's options that is about the subscription. */
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
