/**
 * What a server can do, tried with messages of a private topic: each quality of service, retained messages, wildcards,
 * shared subscriptions and subscription identifiers. It leaves nothing at the server. What a server answers with the
 * end of the connection, or not at all, is tried on a connection that the next ability does not share.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { QoS } from "@effect-mqttx/core/QoS"
import type { ConnectionInfo } from "@effect-mqttx/core/SessionStatus"
import type { SubscribeOptions } from "@effect-mqttx/core/Subscription"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ScopedRef from "effect/ScopedRef"
import * as Stream from "effect/Stream"
import { type CommandFailed, verdictOf } from "../failure.ts"
import { type Check, check, timed } from "./check.ts"

const limit = "5 seconds"

/** A connection to try something on. */
interface Attempt {
  readonly session: Session
  readonly topic: string
  /** The highest QoS that has come back so far, or 0. */
  readonly maximumQoS: QoS
  readonly isMqtt5: boolean
}

interface Ability {
  readonly name: string
  /** Why it need not be tried: the server has said that it lacks this, or the version of MQTT does. */
  readonly lacking: (info: ConnectionInfo, isMqtt5: boolean) => Check | undefined
  readonly attempt: (attempt: Attempt) => Effect.Effect<Check>
}

type Failure = MqttError | Cause.TimeoutError

const detailOf = (failure: Failure): string =>
  failure._tag === "TimeoutError" ? `the message did not arrive in ${limit}` : failure.reason.message

const isRefusal = (failure: Failure): boolean =>
  failure._tag === "MqttError" &&
  ["NotSupported", "PublishRefused", "SubscriptionRefused"].includes(failure.reason._tag)

const adviceOf = (failure: Failure): string | undefined => {
  if (failure._tag === "TimeoutError") return "Does the server deliver to its publisher?"
  const { _tag } = failure.reason
  return _tag === "ConnectionLost" || _tag === "ConnectionRefused" || _tag === "Timeout"
    ? "The server's log says why."
    : verdictOf(failure.reason).advice
}

/** MQTT 3.1.1 has no words for what a server lacks, so silence and the end of the connection count as such. */
const failureOf = (name: string, { isMqtt5 }: Attempt, advice?: string) => (failure: Failure): Check =>
  check(
    name,
    isRefusal(failure) || !isMqtt5 ? "no" : "failed",
    detailOf(failure),
    isMqtt5 || advice === undefined ? adviceOf(failure) : advice
  )

const first = (
  messages: Stream.Stream<Message, MqttError>
): Effect.Effect<Message, Failure> =>
  Effect.flatMap(
    Stream.runHead(messages),
    Option.match({ onNone: () => Effect.fail(new Cause.TimeoutError()), onSome: Effect.succeed })
  )

/** Subscribes, publishes, and answers what arrives. */
const roundTrip = (
  { session }: Attempt,
  topic: string,
  options: SubscribeOptions & { readonly filter?: string; readonly qos: QoS }
): Effect.Effect<Message, Failure> => {
  const { filter = topic, ...subscribe } = options
  return Effect.gen(function*() {
    const { messages } = yield* session.subscription(filter, subscribe)
    yield* session.publish(topic, "doctor", { qos: options.qos })
    return yield* first(messages)
  }).pipe(Effect.timeout(limit), Effect.scoped)
}

const qos = (level: QoS): Ability => {
  const name = `qos${level}`
  return {
    name,
    lacking: ({ maximumQoS }) =>
      level > maximumQoS
        ? check(name, "no", `the server accepts QoS ${maximumQoS} at most`, `Publish with QoS ${maximumQoS} at most.`)
        : undefined,
    attempt: (attempt) => {
      const place = `${attempt.topic}/${name}`
      const lower = attempt.maximumQoS
      return Effect.match(roundTrip(attempt, place, { qos: level }), {
        onFailure: (failure) =>
          level === 0
            ? check(
              name,
              "failed",
              detailOf(failure),
              "Nothing else was tried. Give a topic to publish and subscribe to with -t."
            )
            // What works with the QoS below is lacking here, whatever form the refusal has.
            : level === lower + 1 && !isRefusal(failure)
            ? check(
              name,
              "no",
              detailOf(failure),
              `Use QoS ${lower} at most: serverLimits = { maximumQoS = ${lower} }.`
            )
            : failureOf(name, attempt)(failure),
        onSuccess: (message) =>
          message.qos === level
            ? check(name, "ok", "a message came back with it")
            : check(name, "no", `the message came back with QoS ${message.qos}`, "The server lowers the QoS.")
      })
    }
  }
}

const retained: Ability = {
  name: "retained",
  lacking: ({ retainAvailable }) =>
    retainAvailable
      ? undefined
      : check("retained", "no", "the server keeps no retained messages", "Publish without retain."),
  attempt: (attempt) => {
    const { maximumQoS, session } = attempt
    const topic = `${attempt.topic}/retained`
    return Effect.gen(function*() {
      yield* session.publish(topic, "doctor", { qos: maximumQoS, retain: true })
      const { messages } = yield* session.subscription(topic, { qos: maximumQoS })
      const { retain } = yield* first(messages)
      return retain
        ? check("retained", "ok", "a later subscriber gets the last message")
        : check("retained", "failed", "the message came back without the retain flag")
    }).pipe(
      Effect.timeout(limit),
      Effect.scoped,
      Effect.ensuring(
        Effect.ignore(Effect.timeout(session.publish(topic, "", { qos: maximumQoS, retain: true }), limit))
      ),
      Effect.catch((error) => Effect.succeed(failureOf("retained", attempt, "Publish without retain.")(error)))
    )
  }
}

const wildcard: Ability = {
  name: "wildcard",
  lacking: ({ wildcardSubscriptionAvailable }) =>
    wildcardSubscriptionAvailable
      ? undefined
      : check("wildcard", "no", "the server has no wildcards", "Subscribe to each topic by its name."),
  attempt: (attempt) =>
    Effect.match(
      roundTrip(attempt, `${attempt.topic}/wildcard/a`, { filter: `${attempt.topic}/wildcard/+`, qos: 0 }),
      {
        onFailure: failureOf("wildcard", attempt, "Subscribe to each topic by its name."),
        onSuccess: () => check("wildcard", "ok", "filters may have + and #")
      }
    )
}

const notShared = check(
  "shared",
  "no",
  "the server does not share subscriptions",
  "Give each consumer topics of its own."
)

const shared: Ability = {
  name: "shared",
  lacking: ({ sharedSubscriptionAvailable }) => sharedSubscriptionAvailable ? undefined : notShared,
  attempt: (attempt) =>
    Effect.match(roundTrip(attempt, `${attempt.topic}/shared`, { share: "doctor", qos: 0 }), {
      // A server of MQTT 3.1.1 that knows nothing of shared subscriptions takes $share for a level of the topic.
      onFailure: (failure) => attempt.isMqtt5 ? failureOf("shared", attempt)(failure) : notShared,
      onSuccess: () => check("shared", "ok", "subscriptions may be shared")
    })
}

const identifiers: Ability = {
  name: "identifiers",
  lacking: ({ subscriptionIdentifiersAvailable }, isMqtt5) =>
    subscriptionIdentifiersAvailable && isMqtt5 ? undefined : check(
      "identifiers",
      "no",
      isMqtt5 ? "the server has no subscription identifiers" : "MQTT 3.1.1 has no subscription identifiers"
    ),
  attempt: (attempt) =>
    Effect.match(roundTrip(attempt, `${attempt.topic}/identifiers`, { qos: 0 }), {
      onFailure: failureOf("identifiers", attempt),
      onSuccess: ({ properties }) =>
        properties.subscriptionIdentifiers === undefined
          ? check(
            "identifiers",
            "failed",
            "the server takes them and leaves them out",
            "Set subscriptionIdentifiers to \"off\"."
          )
          : check("identifiers", "ok", "messages name their subscription")
    })
}

const all: ReadonlyArray<Ability> = [qos(0), qos(1), qos(2), retained, wildcard, shared, identifiers]

/** Tries all abilities below a private topic, one after the other, and opens connections for it. */
export const abilities = (
  connections: ScopedRef.ScopedRef<Session>,
  open: Effect.Effect<Session, CommandFailed, Scope.Scope>,
  topic: string,
  info: ConnectionInfo
): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function*() {
    const isMqtt5 = (yield* ScopedRef.get(connections)).options.protocolVersion === 5
    let maximumQoS: QoS = 0
    let isSpent = false
    const find = ({ attempt, lacking, name }: Ability): Effect.Effect<Check> =>
      Effect.gen(function*() {
        const known = lacking(info, isMqtt5)
        if (known !== undefined) return known
        if (isSpent) yield* ScopedRef.set(connections, open)
        isSpent = false
        const session = yield* ScopedRef.get(connections)
        const found = yield* attempt({ session, topic, maximumQoS, isMqtt5 })
        // The server may not have finished with what it does not offer.
        isSpent = found.status !== "ok"
        return found
      }).pipe(
        Effect.catch(({ advice, what }) => Effect.succeed(check(name, "failed", what, advice)))
      )
    const found: Array<Check> = []
    for (const ability of all) {
      const result = yield* timed(find(ability))
      if (result.status === "ok" && ability.name === `qos${maximumQoS + 1}`) maximumQoS++
      found.push(result)
      // Everything else needs a topic that takes messages and brings them back.
      if (ability.name === "qos0" && result.status !== "ok") break
    }
    return found
  })
