/**
 * Typed topics: one definition of a topic's parameters and its payload, for all publishers and subscribers.
 *
 * A template is a topic with parameters instead of some levels. `:room` stands for one level (the wildcard `+`).
 * `*path`, only as the last level, stands for all further levels (the wildcard `#`); its text may contain `/`, and is
 * `""` where the topic ends before. A name is a letter, then letters, digits and `_`. A fixed level cannot begin with
 * `:` or `*`. Parameters are checked at compile time, and again at run time.
 *
 * **Example** (Publishing and subscribing with types)
 *
 * ```ts
 * import { MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
 * import { Effect, Schema, Stream } from "effect"
 *
 * const temperature = TopicTemplate.make(
 *   "sensors/:room/temperature",
 *   PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
 * )
 *
 * export const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   const readings = yield* temperature.subscription(session, { qos: 1 })
 *   yield* temperature.publish(session, { room: "kitchen" }, { celsius: 21.5 }, { qos: 1 })
 *   yield* readings.messages.pipe(
 *     Stream.take(1),
 *     Stream.runForEach(({ params, value }) => Effect.log(params.room, value.celsius))
 *   )
 * })
 * ```
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { OptionsIssue } from "./internal/errors/operation.ts"
import { codecOf, templateIssues } from "./internal/templates.ts"
import { type TopicTemplate, TypeId } from "./internal/topicTemplate/contract.ts"
import { TypedTopic } from "./internal/topicTemplate/typedTopic.ts"
import { InvalidOptions, MqttError, type MqttErrorReason } from "./MqttError.ts"
import type * as PayloadCodec from "./PayloadCodec.ts"
export type {
  FilterOptions,
  InvalidMessage,
  PublishingSession,
  ResultSubscribeOptions,
  TemplateSession,
  TopicTemplate,
  TypedConsumeOptions,
  TypedMessage,
  TypedSubscribeOptions,
  TypedSubscription
} from "./internal/topicTemplate/contract.ts"

type NameOf<Level extends string> = Level extends `:${infer Name}` ? Name
  : Level extends `*${infer Name}` ? Name
  : never

/**
 * The names of a template's parameters.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type ParameterNames<Path extends string> = string extends Path ? string
  : Path extends `${infer Level}/${infer Rest}` ? NameOf<Level> | ParameterNames<Rest>
  : NameOf<Path>

type LevelProblem<Level extends string, Seen extends string> = Level extends `${string}${"+" | "#"}${string}`
  ? "use :name in place of +, and *name in place of #"
  : Level extends ":" | "*" ? "a parameter needs a name"
  : NameOf<Level> extends infer Name extends string ? Name extends Seen ? `there are two parameters ${Name}` : never
  : never

type Problem<Path extends string, Seen extends string = never> = string extends Path ? never
  : Path extends "" ? "a topic has at least one character"
  : Path extends `${infer Level}/${infer Rest}` ?
      | LevelProblem<Level, Seen>
      | (Level extends `*${string}` ? `${Level} is not the last level` : never)
      | (Rest extends "" ? never : Problem<Rest, Seen | NameOf<Level>>)
  : LevelProblem<Path, Seen>

/**
 * The type that a template's text must have besides `string`: no restriction for a valid text, otherwise a type that no
 * string has, which names the problem.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type CheckedPath<Path extends string> = [Problem<Path>] extends [never] ? unknown
  : { readonly "this is no topic template": Problem<Path> }

/**
 * Schemas of parameters that are not plain text. Each converts from and to the text of its level.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type ParameterSchemas<Path extends string> = {
  readonly [Name in ParameterNames<Path>]?: Schema.ConstraintCodec<unknown, string>
}

/**
 * The parameters of a template: text, or what the parameter's schema says.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export type TemplateParameters<Path extends string, Schemas = {}> = {
  readonly [Name in ParameterNames<Path>]: Name extends keyof Schemas
    ? Schemas[Name] extends Schema.Constraint ? Schemas[Name]["Type"] : string
    : string
}

/**
 * The code parts of a template.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TemplateOptions<Schemas> {
  /** Schemas of parameters, for example `{ index: Schema.FiniteFromString }`. Without one, a parameter is text. */
  readonly params?: Schemas
}

type Known<Path extends string, Schemas> = {
  readonly [Name in Exclude<keyof Schemas, ParameterNames<Path>>]: never
}

/**
 * Makes a template from a text that is not known at compile time. Fails with `InvalidFilter`, whose `offset` is the
 * place of the mistake; and with `InvalidOptions` for a payload that is neither codec nor schema, and for schemas of
 * parameters that the text does not have.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const fromString = <
  const Path extends string,
  A,
  RE = never,
  RD = never,
  const Schemas extends ParameterSchemas<Path> = {}
>(
  path: Path,
  payload: PayloadCodec.PayloadCodec<A, RE, RD> | Schema.ConstraintCodec<A, string, RD, RE>,
  options?: TemplateOptions<Schemas & Known<Path, Schemas>>
): Result.Result<TopicTemplate<TemplateParameters<Path, Schemas>, A, RE, RD>, MqttError> =>
  Result.mapError(
    Result.flatMap(
      refuse(templateIssues(payload, options)),
      (): Result.Result<TopicTemplate<TemplateParameters<Path, Schemas>, A, RE, RD>, MqttErrorReason> =>
        TypedTopic.make(path, codecOf(payload), options?.params ?? {})
    ),
    (reason) => new MqttError({ reason, method: "template" })
  )

const refuse = (issues: ReadonlyArray<OptionsIssue>): Result.Result<void, InvalidOptions> =>
  issues.length === 0 ? Result.void : Result.fail(new InvalidOptions({ issues }))

/**
 * Makes a template. A malformed literal does not compile. A malformed text that is not a literal throws an `MqttError`
 * with `InvalidFilter`, see `fromString`.
 *
 * The payload is a codec, or a schema whose encoded form is text; with a schema, messages announce no content type.
 *
 * **Example** (Describing topics)
 *
 * ```ts
 * import { PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
 * import { Schema } from "effect"
 *
 * const temperature = TopicTemplate.make(
 *   "sensors/:room/temperature",
 *   PayloadCodec.json(Schema.Struct({ celsius: Schema.Finite }))
 * )
 * const chunk = TopicTemplate.make("files/:id/:index/*path", PayloadCodec.bytes, {
 *   params: { index: Schema.FiniteFromString }
 * })
 *
 * temperature.filter // => "sensors/+/temperature"
 * chunk.parse("files/a/2/readme.md") // => { id: "a", index: 2, path: "readme.md" }
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  const Path extends string,
  A,
  RE = never,
  RD = never,
  const Schemas extends ParameterSchemas<Path> = {}
>(
  path: Path & CheckedPath<Path>,
  payload: PayloadCodec.PayloadCodec<A, RE, RD> | Schema.ConstraintCodec<A, string, RD, RE>,
  options?: TemplateOptions<Schemas & Known<Path, Schemas>>
): TopicTemplate<TemplateParameters<Path, Schemas>, A, RE, RD> =>
  Result.getOrThrow(fromString<Path, A, RE, RD, Schemas>(path, payload, options))

/**
 * Whether a value is a topic template.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isTopicTemplate = (u: unknown): u is TopicTemplate<unknown, unknown, unknown, unknown> =>
  Predicate.hasProperty(u, TypeId)
