/**
 * One session for all tabs of a browser: one connection, one client identifier, one queue.
 *
 * Every tab runs the same program. The tab that holds a Web Lock has the session, and serves the others over a
 * BroadcastChannel. When it ends or crashes, another tab takes over: streams continue there, and a publish whose
 * outcome is not known fails with a typed error. Tabs of one origin trust each other.
 *
 * **Example** (Sharing a session that survives its tab)
 *
 * ```ts
 * import { IndexedDbStore, SharedSession } from "@effect-mqttx/browser"
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Effect, Layer, Stream } from "effect"
 *
 * const session = MqttSession.makeDurable({
 *   name: "dashboard",
 *   clientId: "dashboard-of-user-1",
 *   servers: ["wss://broker.example/mqtt"]
 * })
 * export const Shared = SharedSession.layer({ name: "dashboard", session }).pipe(
 *   Layer.provide(IndexedDbStore.layer())
 * )
 *
 * export const show = Effect.gen(function*() {
 *   const { messages, publish } = yield* SharedSession.SharedSession
 *   yield* publish("commands/light", "on", { qos: 1 })
 *   yield* Stream.runForEach(messages("lights/#", { qos: 1 }), ({ text, topic }) => Effect.log(topic, text))
 * })
 * ```
 */
import { MqttError, NotSupported } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Content } from "./internal/channelMessage.ts"
import type { SharedSessionError } from "./internal/sharedError.ts"
import { openTab, type Role } from "./internal/sharedTab.ts"

export { SharedSessionError, type SharedSessionErrorKind } from "./internal/sharedError.ts"

/**
 * Options of a shared session. All but the first two are optional.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SharedSessionOptions<R> {
  /** Tabs of one origin with the same name share the session. */
  readonly name: string
  /**
   * Makes the session in the tab that has the lock. Use a client identifier from the options and a store that the tabs
   * have in common, so that the next tab resumes the session. A failure is logged, and tried again each second, in this
   * tab or another one.
   */
  readonly session: Effect.Effect<Session, MqttError, R | Scope.Scope>
  /** The time limit of a publish that gives none, with the wait for a tab with the session. Default 30 s. */
  readonly publishTimeout?: Duration.Input | undefined
  /** The largest payload, in bytes. Default 1 MiB. */
  readonly maximumMessageBytes?: number | undefined
  /** What a stream of a tab without the session may hold before it is taken, in bytes. Default 1 MiB. */
  readonly windowBytes?: number | undefined
}

/**
 * A message that a tab gets.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface SharedMessage {
  /** The topic name. */
  readonly topic: string
  /** The payload. */
  readonly payload: Uint8Array
  /** The payload as UTF-8 text. */
  readonly text: string
  /** The quality of service with which the session got it. */
  readonly qos: QoS
  /** Whether it is a retained message. */
  readonly retain: boolean
  /** The MQTT 5 properties. */
  readonly properties: MessageProperties
}

/**
 * Options of a publish.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SharedPublishOptions {
  /** Default 0. */
  readonly qos?: QoS | undefined
  /** Default false. */
  readonly retain?: boolean | undefined
  /** The MQTT 5 properties. Default none. */
  readonly properties?: MessageProperties | undefined
  /** Default `publishTimeout`. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Whether this tab has the session (`owner`), another tab has it (`follower`), or no tab is known to have it (`none`).
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type TabRole = "owner" | "follower" | "none"

/**
 * The shared session, as each tab sees it.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class SharedSession extends Context.Service<SharedSession, {
  /**
   * Publishes through the session, wherever it is. QoS 1 and 2 succeed when the server has acknowledged the message.
   * Fails as the session does, or with `SharedSessionError`, which says whether the server may have the message.
   * Interrupting stops the wait, and does not withdraw a message that was sent to another tab.
   */
  readonly publish: (
    topic: string,
    payload: string | Uint8Array,
    options?: SharedPublishOptions
  ) => Effect.Effect<void, MqttError | SharedSessionError>
  /**
   * The messages of topic filters while the stream runs, from whichever tab has the session. A message is acknowledged
   * when it is taken from the stream. When another tab takes over, the stream subscribes there; with a durable session
   * it gets again what was not taken. At most 100 filters, QoS 0 by default.
   */
  readonly messages: (
    filters: string | ReadonlyArray<string>,
    options?: { readonly qos?: QoS | undefined }
  ) => Stream.Stream<SharedMessage, MqttError | SharedSessionError>
  /** What this tab is now. */
  readonly role: Effect.Effect<TabRole>
  /** What this tab is now, and whenever it changes. */
  readonly roleChanges: Stream.Stream<TabRole>
}>()("@effect-mqttx/browser/SharedSession") {}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const messageOf = (content: Content): SharedMessage => ({
  ...content,
  get text() {
    return decoder.decode(content.payload)
  }
})

const roleOf = ({ _tag }: Role): TabRole => _tag === "Owner" ? "owner" : _tag === "Follower" ? "follower" : "none"

/** The longest time of a timer, in milliseconds. */
const longestTimeout = 2_073_600_000

const bytes = Schema.Number.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 268_435_455 }))
const timeout = OptionsSchema.duration({ minimum: "1 millis", maximum: "24 days", message: "expected 1 ms to 24 days" })

const isSession = (value: unknown): boolean => Effect.isEffect(value)

const OptionsOfTab = OptionsSchema.strict({
  name: Schema.NonEmptyString,
  session: Schema.Unknown.check(
    Schema.makeFilter((value: unknown) => isSession(value) ? undefined : "expected an effect that makes a session")
  ),
  publishTimeout: timeout.pipe(Schema.withDecodingDefaultKey(Effect.succeed("30 seconds"))),
  maximumMessageBytes: bytes.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1_048_576))),
  windowBytes: bytes.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1_048_576)))
})

/** NaN for what is no duration, which the channel's Schema refuses. */
const millisOf = (timeout: Duration.Input | undefined, otherwise: Duration.Duration): number => {
  const given = timeout === undefined ? otherwise : Option.getOrUndefined(Duration.fromInput(timeout))
  return given === undefined ? NaN : Math.min(longestTimeout, Math.ceil(Duration.toMillis(given)))
}

/** Values of the wrong type become what the channel's Schema refuses. */
const contentOf = (
  topic: string,
  payload: string | Uint8Array,
  { properties = {}, qos = 0, retain = false }: SharedPublishOptions
): Content => ({
  topic,
  payload: typeof payload === "string" ? encoder.encode(payload) : payload,
  qos,
  retain,
  properties: Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined))
})

/**
 * Joins the shared session, for the life of the scope. Fails with `InvalidOptions`, and with `NotSupported` where there
 * are no Web Locks or no BroadcastChannel.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = <R = never>(
  options: SharedSessionOptions<R>
): Effect.Effect<SharedSession["Service"], MqttError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const decoded = yield* Effect.fromResult(OptionsSchema.decode(OptionsOfTab, options, "SharedSession.make"))
    if (typeof navigator === "undefined" || navigator.locks === undefined || typeof BroadcastChannel === "undefined") {
      return yield* new MqttError({
        method: "SharedSession.make",
        reason: new NotSupported({ feature: "a shared session", detail: "it needs Web Locks and BroadcastChannel" })
      })
    }
    const { publishTimeout } = decoded
    const tab = yield* openTab({ ...decoded, session: options.session })
    return SharedSession.of({
      publish: (topic, payload, options = {}) =>
        Effect.suspend(() =>
          tab.publish(contentOf(topic, payload, options), millisOf(options.timeout, publishTimeout))
        ),
      messages: (filters, { qos = 0 } = {}) =>
        Stream.map(tab.messages(typeof filters === "string" ? [filters] : filters, qos), messageOf),
      role: Effect.map(SubscriptionRef.get(tab.role), roleOf),
      roleChanges: Stream.map(SubscriptionRef.changes(tab.role), roleOf)
    })
  })

/**
 * The shared session as a layer.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: SharedSessionOptions<R>
): Layer.Layer<SharedSession, MqttError, Exclude<R, Scope.Scope>> => Layer.effect(SharedSession, make(options))
