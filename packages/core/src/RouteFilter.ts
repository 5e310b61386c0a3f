/**
 * Which messages a route passes on: conditions as data, combined by `and`, `or` and `not`.
 *
 * A filter looks at messages that have arrived. It can express more than a topic filter, but saves no network traffic:
 * subscribe as narrowly as a topic filter allows, and filter the rest.
 *
 * **Example** (Combining conditions)
 *
 * ```ts
 * import { RouteFilter } from "@effect-mqttx/core"
 * import { pipe } from "effect"
 *
 * const alarms = pipe(
 *   RouteFilter.topic("sensors/+/temperature"),
 *   RouteFilter.and(RouteFilter.not(RouteFilter.session("test-bench"))),
 *   RouteFilter.and(RouteFilter.predicate((message) => Number(message.text) > 80, "above 80"))
 * )
 *
 * RouteFilter.describe(alarms) // => "((topic sensors/+/temperature and not session test-bench) and above 80)"
 * ```
 */
import { dual } from "effect/Function"
import { payloadText, topicText } from "./internal/expressions.ts"
import * as Topic from "./internal/topics.ts"
import { kindOf } from "./internal/valueNames.ts"
import type { Message } from "./Message.ts"
import { type InvalidFilter, InvalidOptions } from "./MqttError.ts"

/**
 * A condition on a message.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type RouteFilter =
  | { readonly _tag: "Topic"; readonly pattern: string }
  | { readonly _tag: "TopicExpression"; readonly expression: RegExp }
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "TextExpression"; readonly expression: RegExp }
  | { readonly _tag: "Session"; readonly session: string }
  | { readonly _tag: "Predicate"; readonly test: (message: Message) => boolean; readonly description: string }
  | { readonly _tag: "And"; readonly filters: ReadonlyArray<RouteFilter> }
  | { readonly _tag: "Or"; readonly filters: ReadonlyArray<RouteFilter> }
  | { readonly _tag: "Not"; readonly filter: RouteFilter }

/**
 * The topic matches a topic filter (MQTT 4.7), wildcards included.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const topic = (pattern: string): RouteFilter => ({ _tag: "Topic", pattern })

/**
 * The topic matches a regular expression, anywhere unless the expression is anchored. Only the first 4096 UTF-16 code
 * units of a longer topic are tested.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const topicExpression = (expression: RegExp): RouteFilter => ({ _tag: "TopicExpression", expression })

/**
 * The payload contains a text; read as UTF-8.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const text = (text: string): RouteFilter => ({ _tag: "Text", text })

/**
 * The payload, read as UTF-8, matches a regular expression. Only the first 64 KiB of a larger payload are tested,
 * because the cost may grow faster than the text, and the publisher chooses the text.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const textExpression = (expression: RegExp): RouteFilter => ({ _tag: "TextExpression", expression })

/**
 * The message came through the session of this name.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const session = (session: string): RouteFilter => ({ _tag: "Session", session })

/**
 * Any condition. An exception counts as a failure of the message, see the route's `onFailure`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const predicate = (test: (message: Message) => boolean, description: string = "predicate"): RouteFilter => ({
  _tag: "Predicate",
  test,
  description
})

/**
 * All filters of a list. An empty list passes everything.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const every = (filters: ReadonlyArray<RouteFilter>): RouteFilter => ({ _tag: "And", filters })

/**
 * Any filter of a list. An empty list passes nothing.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const some = (filters: ReadonlyArray<RouteFilter>): RouteFilter => ({ _tag: "Or", filters })

/**
 * Both filters.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const and: {
  (that: RouteFilter): (self: RouteFilter) => RouteFilter
  (self: RouteFilter, that: RouteFilter): RouteFilter
} = dual(2, (self: RouteFilter, that: RouteFilter): RouteFilter => every([self, that]))

/**
 * At least one of both filters.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const or: {
  (that: RouteFilter): (self: RouteFilter) => RouteFilter
  (self: RouteFilter, that: RouteFilter): RouteFilter
} = dual(2, (self: RouteFilter, that: RouteFilter): RouteFilter => some([self, that]))

/**
 * The opposite.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const not = (filter: RouteFilter): RouteFilter => ({ _tag: "Not", filter })

/**
 * The first problem of a filter: a topic pattern that is not a topic filter, or a part that is not a filter; undefined
 * when it is valid.
 *
 * @stability stable
 * @category validation
 * @since 0.1.0
 */
export const validate = (filter: RouteFilter): InvalidFilter | InvalidOptions | undefined => {
  switch (filter?._tag) {
    case "Topic": {
      const result = Topic.validateFilter(filter.pattern)
      return result._tag === "Failure" ? result.failure : undefined
    }
    case "And":
    case "Or": {
      if (!Array.isArray(filter.filters)) return malformed(filter.filters)
      for (const each of filter.filters) {
        const issue = validate(each)
        if (issue !== undefined) return issue
      }
      return undefined
    }
    case "Not":
      return validate(filter.filter)
    case "TopicExpression":
    case "TextExpression":
      return filter.expression instanceof RegExp ? undefined : malformed(filter.expression)
    case "Text":
      return typeof filter.text === "string" ? undefined : malformed(filter.text)
    case "Session":
      return typeof filter.session === "string" ? undefined : malformed(filter.session)
    case "Predicate":
      return typeof filter.test === "function" ? undefined : malformed(filter.test)
    default:
      return malformed(filter)
  }
}

const malformed = (part: unknown): InvalidOptions =>
  new InvalidOptions({ issues: [{ path: "filter", message: `${kindOf(part)} is no part of a RouteFilter` }] })

/**
 * Whether a value is a valid filter: it is plain data, so filters that were not made here count as well.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isRouteFilter = (u: unknown): u is RouteFilter => validate(u as RouteFilter) === undefined

/**
 * The filter as a function, for hot paths.
 *
 * @stability stable
 * @category matching
 * @since 0.1.0
 */
export const compile = (filter: RouteFilter): (message: Message) => boolean => {
  switch (filter._tag) {
    case "Topic": {
      const { pattern } = filter
      return (message) => Topic.matches(pattern, message.topic)
    }
    case "TopicExpression": {
      const expression = stateless(filter.expression)
      return (message) => expression.test(topicText(message))
    }
    case "Text": {
      const { text } = filter
      return (message) => message.text.includes(text)
    }
    case "TextExpression": {
      const expression = stateless(filter.expression)
      return (message) => expression.test(payloadText(message))
    }
    case "Session": {
      const { session } = filter
      return (message) => message.session === session
    }
    case "Predicate":
      return filter.test
    case "And": {
      const tests = filter.filters.map(compile)
      return (message) => {
        for (let i = 0; i < tests.length; i++) if (!tests[i]!(message)) return false
        return true
      }
    }
    case "Or": {
      const tests = filter.filters.map(compile)
      return (message) => {
        for (let i = 0; i < tests.length; i++) if (tests[i]!(message)) return true
        return false
      }
    }
    case "Not": {
      const test = compile(filter.filter)
      return (message) => !test(message)
    }
  }
}

/**
 * Whether a message passes a filter. Use `compile` for a filter that is used often.
 *
 * @stability stable
 * @category matching
 * @since 0.1.0
 */
export const matches: {
  (message: Message): (self: RouteFilter) => boolean
  (self: RouteFilter, message: Message): boolean
} = dual(2, (self: RouteFilter, message: Message): boolean => compile(self)(message))

/**
 * The filter in words, for logs and status pages.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const describe = (filter: RouteFilter): string => {
  switch (filter._tag) {
    case "Topic":
      return `topic ${filter.pattern}`
    case "TopicExpression":
      return `topic ${filter.expression}`
    case "Text":
      return `payload contains ${JSON.stringify(filter.text)}`
    case "TextExpression":
      return `payload ${filter.expression}`
    case "Session":
      return `session ${filter.session}`
    case "Predicate":
      return filter.description
    case "And":
      return filter.filters.length === 0 ? "anything" : `(${filter.filters.map(describe).join(" and ")})`
    case "Or":
      return filter.filters.length === 0 ? "nothing" : `(${filter.filters.map(describe).join(" or ")})`
    case "Not":
      return `not ${describe(filter.filter)}`
  }
}

// An expression with the flags g or y starts where its last match ended, so its answer would depend on earlier
// messages.
const stateless = (expression: RegExp): RegExp =>
  expression.global || expression.sticky
    ? new RegExp(expression.source, expression.flags.replace(/[gy]/g, ""))
    : expression
