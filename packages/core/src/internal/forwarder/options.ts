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
 * The quality of service that messages are forwarded with: that of the delivery, at most `cap`, or always `fix`.
 */
export type QoSRule = "keep" | { readonly cap: QoS } | { readonly fix: QoS }

/**
 * Which messages of a stream are taken: every `every`-th of all; each with this `probability`, 0 to 1; or at most one
 * of each topic in this `interval`.
 */
export type Sampling =
  | { readonly every: number }
  | { readonly probability: number }
  | { readonly interval: Duration.Duration }

/**
 * A token bucket: `messages` in each time `per`, and `burst` at once after a pause. It stands through reconnects.
 */
export interface RateLimit {
  readonly messages: number
  /** Default 1 s. */
  readonly per: Duration.Duration
  /** Default `messages`. */
  readonly burst: number
}

/**
 * Where messages go that failed for good.
 */
export interface DeadLetter {
  readonly topic: string
  /** Default: the target. */
  readonly session: string
}

/**
 * How forwarders recognise the routes that others of them have written into messages.
 *
 * Every client that may publish can write the user properties of a route itself, and so hide a message from forwarders.
 * With a secret only routes with a valid signature (HMAC-SHA256) count, and what carries another one is forwarded like
 * a message without. All forwarders that can reach each other need the same secret: a ring of forwarders that do not
 * accept each other's signatures never comes to rest.
 */
export interface LoopGuardOptions {
  /** Signs routes; at least 16 characters. */
  readonly secret: Redacted.Redacted<string>
  /** Other secrets whose signatures count, while a secret is replaced. Default none. */
  readonly accepts: ReadonlyArray<Redacted.Redacted<string>>
}

export type Optional<A> = { readonly [K in keyof A]?: A[K] | undefined }

/**
 * `ForwarderOptions` as one may write them: everything but name, sources, filters and target has a default. Lists may
 * be one text, separated by commas.
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
 * rule is for.
 *
 * Without `transform` nothing of a forwarder is an Effect of its own for each message, which is several times faster.
 */
export interface ForwarderHooks<E = never, R = never> {
  /** Messages that do not pass count as filtered. One that throws makes the message fail. */
  readonly filter?: RouteFilter
  /**
   * Changes payload and properties, or drops the message; a new topic is ignored, since topics are the business of
   * `mapping` and `map`. Messages of one topic are transformed one after the other.
   */
  readonly transform?: RouteTransformer<E, R>
  /** Repeats a failed transformation. Default: not at all. */
  readonly retry?: Schedule.Schedule<unknown, E>
  /** The new topic of a message that no rule is for; undefined: there is none, see `unmapped`. */
  readonly map?: (message: Message) => string | undefined
}

/**
 * The configuration of a forwarder, complete and checked.
 */
export interface ForwarderOptions {
  /** Names the forwarder, also to others: messages on MQTT 5 list the names of the forwarders that they passed. */
  readonly name: string
  /** `ForwarderManager.add` starts it at once. Default true. */
  readonly enabled: boolean
  /** The sessions that messages come from, by name. They may be added later. */
  readonly sources: ReadonlyArray<string>
  /** The topic filters that are subscribed to at each of them. */
  readonly filters: ReadonlyArray<string>
  /** Topic filters of what is not forwarded although `filters` match it. Default none. */
  readonly exclude: ReadonlyArray<string>
  /** The session that messages are forwarded by. */
  readonly target: string

  /** The highest quality of service of the deliveries, see `SubscribeOptions.qos`. Default 2: as published. */
  readonly subscribeQoS: QoS
  /** Subscribes as a member of this group, so that several forwarders share the work (MQTT 4.8.2). Default: alone. */
  readonly share?: string | undefined
  /**
   * Asks the sources not to send what is published by the same session (No Local, MQTT 5; not with shared
   * subscriptions). It spares the way back of what another forwarder publishes by it, and keeps back what the program
   * itself publishes by it. Default: where source and target are one session.
   */
  readonly noLocal?: boolean | undefined
  /**
   * Whether retained messages are forwarded when a subscription begins, see `SubscribeOptions.retained`. Default
   * `each`.
   */
  readonly retained: "each" | "first" | "none"

  /** Rules from topics to topics; the first that is for a topic decides. Default none. */
  readonly mapping: ReadonlyArray<MappingRule>
  /** What becomes of topics that no rule is for. Default `pass`: forwarded as they are. */
  readonly unmapped: "pass" | "drop"

  /** Only payloads that contain this text, read as UTF-8. Default: all. */
  readonly contains?: string | undefined
  /** Only payloads whose first 64 KiB, read as UTF-8, match this regular expression. Default: all. */
  readonly matches?: string | undefined
  /** Default: all messages. */
  readonly sample?: Sampling | undefined
  /**
   * Only what differs from the message before on its topic; of so many topics the last payload is known. 0 (default):
   * all messages.
   */
  readonly onChange: number

  /** Default `keep`. */
  readonly qos: QoSRule
  /**
   * `keep` (default): retained messages stay retained, on MQTT 5 also those that were published while the forwarder
   * runs (Retain As Published); on 3.1.1 servers mark only what they send when a subscription begins. `clear`: never.
   * `set`: always.
   */
  readonly retain: "keep" | "clear" | "set"
  /**
   * What messages are given on their way: user properties on MQTT 5. In the values `{forwarder}`, `{session}`,
   * `{topic}` and `{timestamp}` (milliseconds since the epoch) stand for what they say. Default none.
   */
  readonly metadata: { readonly [name: string]: string }
  /** On 3.1.1: wraps payload and metadata into a JSON text, see the guide to forwarders. Default false. */
  readonly envelope: boolean

  /** How many messages a time are forwarded at most. Default: as many as come. */
  readonly rateLimit?: RateLimit | undefined
  /** Messages that are on their way at a time; 1 to 65,535. Default 1000. */
  readonly maxInFlight: number
  /** QoS 0 messages of one session that wait behind them. Default 1000. */
  readonly buffer: number
  /** What a QoS 0 message does to a full buffer: see `SubscribeOptions.onOverflow`. Default `dropOldest`. */
  readonly onOverflow: "dropOldest" | "suspend"
  /**
   * When a message counts as forwarded, and is acknowledged at its source: when the target's server has acknowledged
   * it, or when the queue of a durable target has stored it. Default `stored` for a durable target, else
   * `acknowledged`.
   */
  readonly acceptance?: "acknowledged" | "stored" | undefined
  /** Default: they are counted and given up. */
  readonly deadLetter?: DeadLetter | undefined
  /**
   * Lets messages come back to a broker that has them, for example under another topic, and allows a configuration that
   * feeds itself by MQTT 3.1.1. What still ends them: a forwarder that they have passed, and `maxHops`. Default false.
   */
  readonly allowLoops: boolean
  /** Default: routes are not signed, and every route counts. */
  readonly loopGuard?: LoopGuardOptions | undefined
  /**
   * How many forwarders a message may pass; 1 to 8. Default 8. In a full mesh 1 is enough, and makes one copy for each
   * broker.
   */
  readonly maxHops: number
  /** How long `stop` waits for what is in flight. Default 10 s. */
  readonly stopTimeout: Duration.Duration
}
