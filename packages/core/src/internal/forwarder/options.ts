/**
 * The options of forwarders. Each option stands here once, with its documentation, bounds and default; the decoded
 * type, the JSON form and the input type follow from it. ForwarderOptions exports them, and schema.ts fills in the
 * defaults that follow from other options.
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { Message } from "../../Message.ts"
import type { Payload } from "../../Publication.ts"
import type { RouteFilter } from "../../RouteFilter.ts"
import type { RouteTransformer } from "../../RouteTransformer.ts"
import { type Group, group, type InputOf } from "../options/input.ts"
import {
  commaSeparated,
  delay,
  flag,
  hidden,
  integer,
  nonEmptyText,
  number,
  oneOf,
  text,
  timeout,
  withDefault
} from "../options/leaves.ts"
import { strict } from "../options/strict.ts"
import * as Topic from "../topics.ts"
import { compileRule, type MappingRule } from "./mapping.ts"

const check = <A>(test: (value: A) => string | undefined) => Schema.makeFilter((value: A) => test(value))

const filterIssue = (filter: string): string | undefined => {
  const valid = Topic.validateFilter(filter)
  return Result.isFailure(valid) ? `${JSON.stringify(filter)}: ${valid.failure.detail}` : undefined
}

const filters = commaSeparated.check(
  check((value: ReadonlyArray<string>) => value.map(filterIssue).find((issue) => issue !== undefined))
)
const some = (what: string) =>
  check((value: ReadonlyArray<string>) => value.length === 0 ? `expected at least one ${what}` : undefined)

const rule = Schema.Union([
  strict({ from: text, to: text }),
  strict({ strip: withDefault(text, ""), add: withDefault(text, "") })
]).check(check((value: MappingRule) => {
  const compiled = compileRule(value)
  return Result.isFailure(compiled) ? compiled.failure.message : undefined
}))

const qos = oneOf([0, 1, 2])
const qosRule = Schema.Union([Schema.Literal("keep"), strict({ cap: qos }), strict({ fix: qos })])

/**
 * The quality of service of forwarded messages: that of the delivery, at most `cap`, or always `fix`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type QoSRule = typeof qosRule.Type

const samplingFields = {
  /** One in so many. */
  every: integer(1, 1_000_000_000),
  /** Each with this probability, 0 to 1. */
  probability: number(0, 1),
  /** At most one for each topic in this time. */
  interval: timeout
}

const sampling = Schema.Union([
  strict({ every: samplingFields.every }),
  strict({ probability: samplingFields.probability }),
  strict({ interval: samplingFields.interval })
])

/**
 * Which messages of a stream are forwarded: one in `every`; each with this `probability`, 0 to 1; or at most one for
 * each topic in this `interval`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Sampling = typeof sampling.Type

const rateLimitFields = {
  /** How many messages in each time `per`. */
  messages: number(0.001, 1_000_000_000),
  /** Default 1 s. */
  per: withDefault(timeout, 1000),
  /** How many messages at once after a pause. Default `messages`, at least 1. */
  burst: Schema.optionalKey(number(1, 1_000_000_000))
}

interface RateLimitFields extends Schema.Struct.Type<typeof rateLimitFields> {}

/**
 * A token bucket: `messages` in each time `per`, and `burst` at once after a pause. Reconnects do not reset it.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface RateLimit extends Omit<RateLimitFields, "burst">, Required<Pick<RateLimitFields, "burst">> {}

interface RateLimitInput extends InputOf<typeof rateLimitFields> {}

interface RateLimitEncoded extends Schema.Struct.Encoded<typeof rateLimitFields> {}

const rateLimit: Group<RateLimitFields, RateLimitEncoded, RateLimitInput> = group(rateLimitFields)

const deadLetterFields = {
  /** The topic name that failed messages are published to. */
  topic: Schema.String.check(check((topic: string) => Topic.isValidName(topic) ? undefined : "expected a topic name")),
  /** The name of the session that publishes them. Default: the target. */
  session: Schema.optionalKey(nonEmptyText)
}

interface DeadLetterFields extends Schema.Struct.Type<typeof deadLetterFields> {}

/**
 * Where messages go when forwarding has failed permanently.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface DeadLetter extends Required<DeadLetterFields> {}

interface DeadLetterInput extends InputOf<typeof deadLetterFields> {}

interface DeadLetterEncoded extends Schema.Struct.Encoded<typeof deadLetterFields> {}

const deadLetter: Group<DeadLetterFields, DeadLetterEncoded, DeadLetterInput> = group(deadLetterFields)

const shortestSecret = 16

const loopGuardSecret = hidden(
  Schema.String.annotate({ message: "expected a text" }).check(
    check((value: string) =>
      value.length < shortestSecret ? `expected at least ${shortestSecret} characters` : undefined
    )
  ),
  "secret"
)

const loopGuardSecrets = Schema.Union([Schema.Array(Schema.String), Schema.String]).annotate({
  message: "expected a text or an array of texts"
}).pipe(Schema.decodeTo(
  Schema.Array(loopGuardSecret),
  SchemaTransformation.transform({
    decode: (value) => typeof value === "string" ? value.split(",").map((each) => each.trim()) : value,
    encode: (value): string | ReadonlyArray<string> => value
  })
))

const loopGuardFields = {
  /** Signs routes; at least 16 characters. */
  secret: loopGuardSecret,
  /** Further secrets whose signatures are accepted while a secret is being replaced. Default none. */
  accepts: withDefault(loopGuardSecrets, [])
}

/**
 * How forwarders recognise the routes that other forwarders have written into messages.
 *
 * Every client with the right to publish can write the user properties of a route, and so hide a message from
 * forwarders. With a secret, only routes with a valid signature (HMAC-SHA256) count; a message with any other route is
 * forwarded like a message without a route. All forwarders that can reach each other need the same secret: in a ring of
 * forwarders that reject each other's signatures, messages circulate without end.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface LoopGuardOptions extends Schema.Struct.Type<typeof loopGuardFields> {}

interface LoopGuardInput extends InputOf<typeof loopGuardFields> {}

interface LoopGuardEncoded extends Schema.Struct.Encoded<typeof loopGuardFields> {}

const loopGuard: Group<LoopGuardOptions, LoopGuardEncoded, LoopGuardInput> = group(loopGuardFields)

const expression = text.check(check((source: string) => {
  if (source.length > 1024) return "expected a regular expression of at most 1024 characters"
  try {
    return RegExp(source) instanceof RegExp ? undefined : "expected a regular expression"
  } catch {
    return "expected a regular expression"
  }
}))

export const fields = {
  /** The name of the forwarder. Messages on MQTT 5 list the names of the forwarders that they have passed. */
  name: nonEmptyText.check(
    check((name: string) =>
      name.length > 256 || name.includes(",") ? "expected a name of at most 256 characters, without commas" : undefined
    )
  ),
  /** Whether `ForwarderManager.add` starts the forwarder at once. Default true. */
  enabled: withDefault(flag, true),
  /** The names of the sessions that messages come from. The sessions may be added later. */
  sources: commaSeparated.check(some("session")),
  /** The topic filters that the forwarder subscribes to at each source. */
  filters: filters.check(some("topic filter")),
  /** Topic filters of messages that are not forwarded although `filters` match them. Default none. */
  exclude: withDefault(filters, []),
  /** The name of the session that publishes the forwarded messages. */
  target: nonEmptyText,
  /** The highest quality of service of the deliveries, see `SubscribeOptions.qos`. Default 2: as published. */
  subscribeQoS: withDefault(qos, 2),
  /**
   * Subscribes as a member of this group, so that several forwarders share the work (MQTT 4.8.2). Default: no shared
   * subscription.
   */
  share: Schema.optionalKey(
    nonEmptyText.check(check((share: string) => /[/+#]/.test(share) ? "expected a name without /, + and #" : undefined))
  ),
  /**
   * Asks the sources not to send what the same session publishes (No Local, MQTT 5; not with shared subscriptions). It
   * avoids the way back of messages that another forwarder publishes by that session. It also excludes what the program
   * itself publishes by it. Default: true when source and target are one session.
   */
  noLocal: Schema.optionalKey(flag),
  /**
   * Whether retained messages are forwarded when a subscription begins, see `SubscribeOptions.retained`. Default
   * `each`.
   */
  retained: withDefault(oneOf(["each", "first", "none"]), "each"),
  /** Rules from topics to topics. The first rule that matches a topic decides. Default none. */
  mapping: withDefault(Schema.Array(rule), []),
  /** What happens to topics that no rule matches. Default `pass`: forwarded unchanged. */
  unmapped: withDefault(oneOf(["pass", "drop"]), "pass"),
  /** Only payloads that contain this text, read as UTF-8. Default: all. */
  contains: Schema.optionalKey(nonEmptyText),
  /** Only payloads whose first 64 KiB, read as UTF-8, match this regular expression. Default: all. */
  matches: Schema.optionalKey(expression),
  /** Which of the messages are forwarded. Default: all. */
  sample: Schema.optionalKey(sampling),
  /**
   * Number of topics whose last payload is remembered. A message whose payload equals the last one on its topic is
   * dropped. Default 0: off.
   */
  onChange: withDefault(integer(0, 10_000_000), 0),
  /** The quality of service of forwarded messages. Default `keep`. */
  qos: withDefault(qosRule, "keep"),
  /**
   * `keep` (default): retained messages stay retained. On MQTT 5 this includes those published while the forwarder runs
   * (Retain As Published); on 3.1.1 servers mark only what they send when a subscription begins. `clear`: never
   * retained. `set`: always retained.
   */
  retain: withDefault(oneOf(["keep", "clear", "set"]), "keep"),
  /**
   * User properties that are added to each message on MQTT 5. In the values, `{forwarder}`, `{session}`, `{topic}` and
   * `{timestamp}` (milliseconds since the epoch) are replaced. Default none.
   */
  metadata: withDefault(Schema.Record(text, text), {}),
  /** On 3.1.1: wraps payload and metadata into a JSON text, see the guide to forwarders. Default false. */
  envelope: withDefault(flag, false),
  /** The highest rate at which messages are forwarded. Default: no limit. */
  rateLimit: Schema.optionalKey(rateLimit),
  /** Messages in flight at a time; 1 to 65,535. Default 1000. */
  maxInFlight: withDefault(integer(1, 65_535), 1000),
  /** QoS 0 messages of one session that wait while `maxInFlight` is reached. Default 1000. */
  buffer: withDefault(integer(1, 1_000_000), 1000),
  /** What happens when a QoS 0 message meets a full buffer: see `SubscribeOptions.onOverflow`. Default `dropOldest`. */
  onOverflow: withDefault(oneOf(["dropOldest", "suspend"]), "dropOldest"),
  /**
   * When a message counts as forwarded and is acknowledged at its source. `acknowledged`: when the target's server has
   * acknowledged it. `stored`: when the queue of a durable target has stored it. Default `stored` for a durable target,
   * else `acknowledged`.
   */
  acceptance: Schema.optionalKey(oneOf(["acknowledged", "stored"])),
  /** Where messages go when forwarding has failed permanently. Default: none; they are counted and given up. */
  deadLetter: Schema.optionalKey(deadLetter),
  /**
   * Lets messages return to a broker that already has them, for example under another topic, and allows a configuration
   * that feeds itself by MQTT 3.1.1. Two guards remain: a message does not pass the same forwarder twice, and
   * `maxHops`. Default false.
   */
  allowLoops: withDefault(flag, false),
  /** Signs routes. Default: routes are not signed, and every route counts. */
  loopGuard: Schema.optionalKey(loopGuard),
  /**
   * How many forwarders a message may pass; 1 to 8. Default 8. In a full mesh 1 is enough, and makes one copy for each
   * broker.
   */
  maxHops: withDefault(integer(1, 8), 8),
  /** How long `stop` waits for the messages in flight. Default 10 s. */
  stopTimeout: withDefault(delay, 10_000)
}

/** Each option on its own, with its default. */
export interface Fields extends Schema.Struct.Type<typeof fields> {}

/**
 * The JSON form of the options.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ForwarderOptionsEncoded extends Schema.Struct.Encoded<typeof fields> {}

/**
 * The configuration of a forwarder, complete and checked.
 */
export interface ForwarderOptions extends Omit<Fields, "rateLimit" | "deadLetter"> {
  /** The highest rate at which messages are forwarded; absent: no limit. */
  readonly rateLimit?: RateLimit
  /** Where messages go when forwarding has failed permanently; absent: they are counted and given up. */
  readonly deadLetter?: DeadLetter
}

/**
 * `ForwarderOptions` as a program may write them. Everything but name, sources, filters and target has a default. A
 * list may be one string, separated by commas.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ForwarderOptionsInput extends InputOf<typeof fields> {}

/** Checks each option on its own. */
export const FieldsSchema: Group<Fields, ForwarderOptionsEncoded, ForwarderOptionsInput> = group(fields)

/** The names of the options that are groups, with the names of their members. */
export const groupNames: Readonly<Record<string, ReadonlyArray<string>>> = {
  sample: Object.keys(samplingFields),
  rateLimit: Object.keys(rateLimitFields),
  deadLetter: Object.keys(deadLetterFields),
  loopGuard: Object.keys(loopGuardFields)
}

/**
 * How a forwarder publishes several messages as one. A batch is for one topic, quality of service and retain flag, and
 * has messages of one source. It is published when it has `messages` or `bytes`, when its oldest message has waited for
 * `time`, when the forwarder has no room for more messages, and when the forwarder stops.
 *
 * Each message is acknowledged at its source when the batch with it is accepted, and dead letters are of single
 * messages. The properties of the messages are not in the batch. A rate limit counts batches, metrics count messages.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderBatch {
  /** Messages of a batch; 1 to 65,535. Default: no limit but `maxInFlight`. */
  readonly messages?: number
  /**
   * Bytes of a batch: those of the payloads, and one for what stands before, between and behind them; 1 to 256 MiB. A
   * larger message is a batch of its own. Default 64 KiB.
   */
  readonly bytes?: number
  /** How long a message waits for others; 1 ms to 1 day. Default 1 s. */
  readonly time?: Duration.Input
  /** The payload of a batch. Called again, with fewer messages, when some of them must not be published any more. */
  readonly join: (messages: ReadonlyArray<Message>) => Payload
}

/**
 * The parts of a forwarder that are code. They run in this order: `filter`, `transform`, `map` for topics that no rule
 * matches, and then `batch` or `split`, of which a forwarder has at most one.
 *
 * Without `transform` a forwarder runs no Effect for each message, which is several times faster.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderHooks<E = never, R = never> {
  /** Messages that do not pass count as filtered. If the filter throws, the message fails. */
  readonly filter?: RouteFilter
  /**
   * Changes payload and properties, or drops the message. A new topic is ignored, because `mapping` and `map` decide
   * about topics. Messages of one topic are transformed one after the other.
   */
  readonly transform?: RouteTransformer<E, R>
  /** Repeats a failed transformation. Default: no retry. */
  readonly retry?: Schedule.Schedule<unknown, E>
  /** The new topic of a message that no rule matches; undefined: none, see `unmapped`. */
  readonly map?: (message: Message) => string | undefined
  /** Publishes several messages as one. Default: each on its own. */
  readonly batch?: ForwarderBatch
  /**
   * The payloads of the messages that are published in the place of one, in their order. The source is acknowledged
   * when all of them are accepted. When some were not by the time that a process ends, all of them are published again:
   * such a forwarder delivers at least once. If it throws, the message fails; for no payloads, it counts as
   * `dropped.transformed`.
   */
  readonly split?: (message: Message) => Iterable<Payload>
}
