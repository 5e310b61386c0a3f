/**
 * Options of forwarders; ForwarderOptions exports them.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import type { Message } from "../../Message.ts"
import type { QoS } from "../../QoS.ts"
import type { RouteFilter } from "../../RouteFilter.ts"
import type { RouteTransformer } from "../../RouteTransformer.ts"
import type { DurationInput, SecretInput } from "../../SessionOptions.ts"
import type { MappingRule } from "./mapping.ts"

/**
 * The quality of service of forwarded messages: that of the delivery, at most `cap`, or always `fix`.
 */
export type QoSRule = "keep" | { readonly cap: QoS } | { readonly fix: QoS }

/**
 * Which messages of a stream are forwarded: one in `every`; each with this `probability`, 0 to 1; or at most one for
 * each topic in this `interval`.
 */
export type Sampling =
  | { readonly every: number }
  | { readonly probability: number }
  | { readonly interval: Duration.Duration }

/**
 * A token bucket: `messages` in each time `per`, and `burst` at once after a pause. Reconnects do not reset it.
 */
export interface RateLimit {
  readonly messages: number
  /** Default 1 s. */
  readonly per: Duration.Duration
  /** Default `messages`. */
  readonly burst: number
}

/**
 * Where messages go when forwarding has failed permanently.
 */
export interface DeadLetter {
  readonly topic: string
  /** Default: the target. */
  readonly session: string
}

/**
 * How forwarders recognise the routes that other forwarders have written into messages.
 *
 * Every client with the right to publish can write the user properties of a route, and so hide a message from
 * forwarders. With a secret, only routes with a valid signature (HMAC-SHA256) count; a message with any other route is
 * forwarded like a message without a route. All forwarders that can reach each other need the same secret: in a ring of
 * forwarders that reject each other's signatures, messages circulate without end.
 */
export interface LoopGuardOptions {
  /** Signs routes; at least 16 characters. */
  readonly secret: Redacted.Redacted<string>
  /** Further secrets whose signatures are accepted while a secret is being replaced. Default none. */
  readonly accepts: ReadonlyArray<Redacted.Redacted<string>>
}

export type Optional<A> = { readonly [K in keyof A]?: A[K] | undefined }

/**
 * `ForwarderOptions` as a program may write them. Everything but name, sources, filters and target has a default. A
 * list may be one string, separated by commas.
 */
export interface ForwarderOptionsInput extends
  Optional<
    Omit<
      ForwarderOptions,
      | "name"
      | "sources"
      | "filters"
      | "exclude"
      | "target"
      | "sample"
      | "rateLimit"
      | "deadLetter"
      | "loopGuard"
      | "stopTimeout"
    >
  >
{
  readonly name: string
  readonly sources: string | ReadonlyArray<string>
  readonly filters: string | ReadonlyArray<string>
  readonly exclude?: string | ReadonlyArray<string> | undefined
  readonly target: string
  readonly sample?:
    | { readonly every: number }
    | { readonly probability: number }
    | { readonly interval: DurationInput }
    | undefined
  readonly rateLimit?: {
    readonly messages: number
    readonly per?: DurationInput | undefined
    readonly burst?: number | undefined
  } | undefined
  readonly deadLetter?: { readonly topic: string; readonly session?: string | undefined } | undefined
  readonly loopGuard?: {
    readonly secret: SecretInput
    readonly accepts?: string | ReadonlyArray<SecretInput> | undefined
  } | undefined
  readonly stopTimeout?: DurationInput | undefined
}

/**
 * The parts of a forwarder that are code. They run in this order: `filter`, `transform`, and `map` for topics that no
 * rule matches.
 *
 * Without `transform` a forwarder runs no Effect for each message, which is several times faster.
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
}

/**
 * The configuration of a forwarder, complete and checked.
 */
export interface ForwarderOptions {
  /** The name of the forwarder. Messages on MQTT 5 list the names of the forwarders that they have passed. */
  readonly name: string
  /** Whether `ForwarderManager.add` starts the forwarder at once. Default true. */
  readonly enabled: boolean
  /** The names of the sessions that messages come from. The sessions may be added later. */
  readonly sources: ReadonlyArray<string>
  /** The topic filters that the forwarder subscribes to at each source. */
  readonly filters: ReadonlyArray<string>
  /** Topic filters of messages that are not forwarded although `filters` match them. Default none. */
  readonly exclude: ReadonlyArray<string>
  /** The name of the session that publishes the forwarded messages. */
  readonly target: string

  /** The highest quality of service of the deliveries, see `SubscribeOptions.qos`. Default 2: as published. */
  readonly subscribeQoS: QoS
  /**
   * Subscribes as a member of this group, so that several forwarders share the work (MQTT 4.8.2). Default: no shared
   * subscription.
   */
  readonly share?: string | undefined
  /**
   * Asks the sources not to send what the same session publishes (No Local, MQTT 5; not with shared subscriptions). It
   * avoids the way back of messages that another forwarder publishes by that session. It also excludes what the program
   * itself publishes by it. Default: true when source and target are one session.
   */
  readonly noLocal?: boolean | undefined
  /**
   * Whether retained messages are forwarded when a subscription begins, see `SubscribeOptions.retained`. Default
   * `each`.
   */
  readonly retained: "each" | "first" | "none"

  /** Rules from topics to topics. The first rule that matches a topic decides. Default none. */
  readonly mapping: ReadonlyArray<MappingRule>
  /** What happens to topics that no rule matches. Default `pass`: forwarded unchanged. */
  readonly unmapped: "pass" | "drop"

  /** Only payloads that contain this text, read as UTF-8. Default: all. */
  readonly contains?: string | undefined
  /** Only payloads whose first 64 KiB, read as UTF-8, match this regular expression. Default: all. */
  readonly matches?: string | undefined
  /** Default: all messages. */
  readonly sample?: Sampling | undefined
  /**
   * Number of topics whose last payload is remembered. A message whose payload equals the last one on its topic is
   * dropped. Default 0: off.
   */
  readonly onChange: number

  /** Default `keep`. */
  readonly qos: QoSRule
  /**
   * `keep` (default): retained messages stay retained. On MQTT 5 this includes those published while the forwarder runs
   * (Retain As Published); on 3.1.1 servers mark only what they send when a subscription begins. `clear`: never
   * retained. `set`: always retained.
   */
  readonly retain: "keep" | "clear" | "set"
  /**
   * User properties that are added to each message on MQTT 5. In the values, `{forwarder}`, `{session}`, `{topic}` and
   * `{timestamp}` (milliseconds since the epoch) are replaced. Default none.
   */
  readonly metadata: { readonly [name: string]: string }
  /** On 3.1.1: wraps payload and metadata into a JSON text, see the guide to forwarders. Default false. */
  readonly envelope: boolean

  /** The highest rate at which messages are forwarded. Default: no limit. */
  readonly rateLimit?: RateLimit | undefined
  /** Messages in flight at a time; 1 to 65,535. Default 1000. */
  readonly maxInFlight: number
  /** QoS 0 messages of one session that wait while `maxInFlight` is reached. Default 1000. */
  readonly buffer: number
  /** What happens when a QoS 0 message meets a full buffer: see `SubscribeOptions.onOverflow`. Default `dropOldest`. */
  readonly onOverflow: "dropOldest" | "suspend"
  /**
   * When a message counts as forwarded and is acknowledged at its source. `acknowledged`: when the target's server has
   * acknowledged it. `stored`: when the queue of a durable target has stored it. Default `stored` for a durable target,
   * else `acknowledged`.
   */
  readonly acceptance?: "acknowledged" | "stored" | undefined
  /** Default: none; failed messages are counted and given up. */
  readonly deadLetter?: DeadLetter | undefined
  /**
   * Lets messages return to a broker that already has them, for example under another topic, and allows a configuration
   * that feeds itself by MQTT 3.1.1. Two guards remain: a message does not pass the same forwarder twice, and
   * `maxHops`. Default false.
   */
  readonly allowLoops: boolean
  /** Default: routes are not signed, and every route counts. */
  readonly loopGuard?: LoopGuardOptions | undefined
  /**
   * How many forwarders a message may pass; 1 to 8. Default 8. In a full mesh 1 is enough, and makes one copy for each
   * broker.
   */
  readonly maxHops: number
  /** How long `stop` waits for the messages in flight. Default 10 s. */
  readonly stopTimeout: Duration.Duration
}
