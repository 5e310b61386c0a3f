/**
 * Changes messages of a route before its handler or stream gets them: the topic, the payload, or both; or drops them.
 *
 * Transformers run after the route's filter. A transformer that answers undefined drops the message, which is counted.
 * A failed transformation is treated by the route's failure policy. The message stays the same delivery: it is
 * acknowledged as without the transformer.
 *
 * **Example** (Changing topic and payload)
 *
 * ```ts
 * import { RouteTransformer } from "@effect-mqttx/core"
 * import { pipe } from "effect"
 *
 * const normalise = pipe(
 *   RouteTransformer.topic("sensors/+/temperature", "storage/{1}/temp"),
 *   RouteTransformer.andThen(RouteTransformer.json("unit", "celsius"))
 * )
 *
 * normalise.description // => "topic sensors/+/temperature -> storage/{1}/temp, json unit"
 * ```
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { expand, makeTemplate, type Piece } from "./internal/captureTemplate.ts"
import { longestTopic } from "./internal/expressions.ts"
import { parseJson } from "./internal/json.ts"
import { callable, type Check, having, text } from "./internal/options/plain.ts"
import { cleanCause } from "./internal/peerText.ts"
import * as Topic from "./internal/topics.ts"
import { kindOf } from "./internal/valueNames.ts"
import type { Message } from "./Message.ts"
import { InvalidOptions, InvalidPayload, InvalidTopic, MqttError, type MqttErrorReason } from "./MqttError.ts"
import type { Payload } from "./Publication.ts"

const TypeId = "~effect-mqttx/core/RouteTransformer"

/**
 * A change to messages.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RouteTransformer<out E = never, out R = never> {
  readonly [TypeId]: typeof TypeId
  /** In words, for logs and status pages. */
  readonly description: string
  /** The changed message, or undefined to drop it. */
  readonly transform: (message: Message) => Effect.Effect<Message | undefined, E, R>
  /** The problem of the transformer itself; a route with it is refused. Undefined: none. */
  readonly issue: MqttErrorReason | undefined
}

/**
 * A transformer from any Effect.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  transform: (message: Message) => Effect.Effect<Message | undefined, E, R>,
  description: string = "effect"
): RouteTransformer<E, R> => ({
  [TypeId]: TypeId,
  description,
  transform,
  issue: issueAt("transform", callable(transform))
})

/**
 * Rewrites the topic of messages that match a topic filter; others pass unchanged. In the template `{1}`, `{2}` and so
 * on stand for the levels that the wildcards of the filter match, from the left, and `{0}` for the whole topic. Where
 * `#` matches no level, a level of the template that consists only of its placeholder is omitted: with "a/#" and
 * "b/{1}" "a" becomes "b", and "a/" becomes "b/".
 *
 * The route is refused with `InvalidFilter` for a malformed filter, and with `InvalidOptions` for a placeholder without
 * a wildcard. A message fails with `InvalidTopic` when its new topic is invalid, for example with an empty capture at
 * its end.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const topic = (filter: string, template: string): RouteTransformer<MqttError> => {
  const compiled = makeTemplate(filter, piecesOf(template))
  return {
    [TypeId]: TypeId,
    description: `topic ${filter} -> ${template}`,
    transform: (message) => {
      const expanded = expand(compiled, message.topic)
      return expanded === undefined ? Effect.succeed(message) : renamed(message, expanded)
    },
    issue: topicIssue(filter, template)
  }
}

const placeholder = /\{(\d+)\}/g

const piecesOf = (template: string): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  let end = 0
  for (const match of template.matchAll(placeholder)) {
    if (match.index > end) pieces.push({ _tag: "Text", text: template.slice(end, match.index) })
    end = match.index + match[0].length
    const index = Number(match[1])
    pieces.push(index === 0 ? { _tag: "Whole" } : { _tag: "Capture", index: index - 1 })
  }
  if (end < template.length) pieces.push({ _tag: "Text", text: template.slice(end) })
  return pieces
}

/**
 * Replaces matches of a regular expression in the topic, as `String.replace` does: `$1` stands for the first group, and
 * the flag g replaces all matches. A message fails with `InvalidTopic` when its topic is longer than 4096 UTF-16 code
 * units; such topics are never tested.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const topicExpression = (expression: RegExp, replacement: string): RouteTransformer<MqttError> => ({
  [TypeId]: TypeId,
  description: `topic ${expression} -> ${replacement}`,
  transform: (message) => {
    if (message.topic.length > longestTopic) {
      const detail = "too long for an expression"
      return Effect.fail(failure(message, new InvalidTopic({ topic: message.topic, offset: longestTopic, detail })))
    }
    expression.lastIndex = 0
    return renamed(message, message.topic.replace(expression, replacement))
  },
  issue: issueAt("expression", regular(expression)) ?? issueAt("replacement", text(replacement))
})

/**
 * Replaces the payload; undefined drops the message.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const payload = (
  change: (message: Message) => Payload | undefined,
  description: string = "payload"
): RouteTransformer => ({
  [TypeId]: TypeId,
  description,
  transform: (message) =>
    Effect.sync(() => {
      const changed = change(message)
      return changed === undefined ? undefined : message.with({ payload: changed })
    }),
  issue: issueAt("change", callable(change))
})

/**
 * Sets a value in a JSON payload at a path: `a.b.0`, where numbers are indices of arrays, or a list of keys. Missing
 * objects on the way are created, and values on the way that are neither object nor array are replaced by one.
 *
 * Fails with `InvalidPayload` when the payload is not JSON, or when an array has no such index (the index after the
 * last element is allowed). The payload is parsed and serialised again, so integers beyond 2^53 lose digits.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const json = (
  path: string | ReadonlyArray<string>,
  value: Schema.Json | ((message: Message) => Schema.Json)
): RouteTransformer<MqttError> => {
  const keys = typeof path === "string" ? path.split(".") : path
  return {
    [TypeId]: TypeId,
    description: `json ${keys.join(".")}`,
    transform: (message) =>
      Effect.suspend(() => {
        let root: unknown
        try {
          root = parseJson(message.text)
        } catch (cause) {
          return Effect.fail(
            failure(
              message,
              new InvalidPayload({ detail: "the payload is no JSON", direction: "received", cause: cleanCause(cause) })
            )
          )
        }
        const changed = setPath(root, keys, 0, typeof value === "function" ? value(message) : value)
        return changed === noPlace
          ? Effect.fail(failure(message, new InvalidPayload({ detail: `there is no place ${keys.join(".")}` })))
          : Effect.succeed(message.with({ payload: JSON.stringify(changed) }))
      }),
    issue: keys.length === 0 || keys.includes("")
      ? new InvalidOptions({ issues: [{ path: "path", message: "must have at least one key, and no empty one" }] })
      : undefined
  }
}

type Failures<Transformers extends ReadonlyArray<RouteTransformer<unknown, unknown>>> = Transformers[number] extends
  RouteTransformer<infer E, infer _> ? E : never
type Requirements<Transformers extends ReadonlyArray<RouteTransformer<unknown, unknown>>> = Transformers[number] extends
  RouteTransformer<infer _, infer R> ? R : never

/**
 * Applies transformers one after the other. A transformer that drops the message ends the sequence.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const compose = <const Transformers extends ReadonlyArray<RouteTransformer<unknown, unknown>>>(
  ...transformers: Transformers
): RouteTransformer<Failures<Transformers>, Requirements<Transformers>> =>
  ({
    [TypeId]: TypeId,
    description: transformers.map(({ description }) => description).join(", "),
    transform: Effect.fnUntraced(function*(message: Message) {
      let current: Message | undefined = message
      for (let i = 0; i < transformers.length && current !== undefined; i++) {
        current = yield* transformers[i]!.transform(current)
      }
      return current
    }),
    issue: transformers.map((each) => issueAt("transformers", transformer(each)) ?? each.issue).find((issue) =>
      issue !== undefined
    )
  }) as RouteTransformer<Failures<Transformers>, Requirements<Transformers>>

/**
 * Applies one transformer after another, unless the first one drops the message.
 *
 * @stability stable
 * @category combinators
 * @since 0.1.0
 */
export const andThen: {
  <E2, R2>(that: RouteTransformer<E2, R2>): <E, R>(self: RouteTransformer<E, R>) => RouteTransformer<E | E2, R | R2>
  <E, R, E2, R2>(self: RouteTransformer<E, R>, that: RouteTransformer<E2, R2>): RouteTransformer<E | E2, R | R2>
} = dual(
  2,
  <E, R, E2, R2>(self: RouteTransformer<E, R>, that: RouteTransformer<E2, R2>): RouteTransformer<E | E2, R | R2> =>
    compose(self, that)
)

/**
 * Whether a value is a transformer.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isRouteTransformer = (u: unknown): u is RouteTransformer<unknown, unknown> =>
  Predicate.hasProperty(u, TypeId)

const regular: Check = (value) =>
  value instanceof RegExp ? undefined : `must be a regular expression, got ${kindOf(value)}`

const transformer = having("transform", "a RouteTransformer")

const issueAt = (path: string, message: string | undefined): InvalidOptions | undefined =>
  message === undefined ? undefined : new InvalidOptions({ issues: [{ path, message }] })

const failure = (message: Message, reason: MqttErrorReason): MqttError =>
  new MqttError({ reason, session: message.session, method: "transform", topic: message.topic })

const renamed = (message: Message, topic: string): Effect.Effect<Message, MqttError> => {
  const valid = Topic.validateName(topic)
  return valid._tag === "Failure"
    ? Effect.fail(failure(message, valid.failure))
    : Effect.succeed(message.with({ topic }))
}

const topicIssue = (filter: string, template: string): MqttErrorReason | undefined => {
  const valid = Topic.validateFilter(filter)
  if (valid._tag === "Failure") return valid.failure
  const wildcards = Topic.innerFilter(filter).split("/").filter((level) => level === "+" || level === "#").length
  for (const [text, index] of template.matchAll(placeholder)) {
    if (Number(index) > wildcards) {
      return new InvalidOptions({
        issues: [{ path: "template", message: `${text} stands for no wildcard of ${filter}` }]
      })
    }
  }
  return undefined
}

const noPlace = Symbol("noPlace")

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** The new value of `target`. Values that JSON.parse made are changed in place. */
const setPath = (target: unknown, keys: ReadonlyArray<string>, index: number, value: Schema.Json): unknown => {
  if (index === keys.length) return value
  const key = keys[index]!
  const container = isObject(target) ? target : {}
  if (Array.isArray(container) && !(/^(?:0|[1-9]\d*)$/.test(key) && Number(key) <= container.length)) return noPlace
  const own = Object.getOwnPropertyDescriptor(container, key)?.value as unknown
  const changed = setPath(own, keys, index + 1, value)
  if (changed === noPlace) return noPlace
  // A plain assignment to the key __proto__ would change the object's prototype.
  Object.defineProperty(container, key, { value: changed, configurable: true, enumerable: true, writable: true })
  return container
}
