/**
 * What a server can do, tried with messages of a private topic: each quality of service, retained messages, wildcards,
 * shared subscriptions and subscription identifiers. It leaves nothing at the server.
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
import * as Stream from "effect/Stream"
import { verdictOf } from "../failure.ts"
import { type Check, check, timed } from "./check.ts"

const limit = "5 seconds"

const failureOf = (name: string) => (error: MqttError | Cause.TimeoutError): Check => {
  if (error._tag === "TimeoutError") {
    return check(name, "failed", `the message did not arrive in ${limit}`, "Does the server deliver to its publisher?")
  }
  const { reason } = error
  const isRefusal = reason._tag === "NotSupported" || reason._tag === "PublishRefused" ||
    reason._tag === "SubscriptionRefused"
  return check(name, isRefusal ? "no" : "failed", reason.message, verdictOf(reason).advice)
}

const first = (
  messages: Stream.Stream<Message, MqttError>
): Effect.Effect<Message, MqttError | Cause.TimeoutError> =>
  Effect.flatMap(
    Stream.runHead(messages),
    Option.match({ onNone: () => Effect.fail(new Cause.TimeoutError()), onSome: Effect.succeed })
  )

/** Subscribes, publishes, and answers what arrives. */
const roundTrip = (
  session: Session,
  topic: string,
  options: SubscribeOptions & { readonly filter?: string; readonly qos: QoS }
): Effect.Effect<Message, MqttError | Cause.TimeoutError> => {
  const { filter = topic, ...subscribe } = options
  return Effect.gen(function*() {
    const { messages } = yield* session.subscription(filter, subscribe)
    yield* session.publish(topic, "doctor", { qos: options.qos })
    return yield* first(messages)
  }).pipe(Effect.timeout(limit), Effect.scoped)
}

const qos = (session: Session, topic: string, level: QoS, { maximumQoS }: ConnectionInfo): Effect.Effect<Check> => {
  const name = `qos${level}`
  if (level > maximumQoS) {
    return Effect.succeed(
      check(name, "no", `the server accepts QoS ${maximumQoS} at most`, `Publish with QoS ${maximumQoS} at most.`)
    )
  }
  return Effect.match(roundTrip(session, topic, { qos: level }), {
    onFailure: failureOf(name),
    onSuccess: (message) =>
      message.qos === level
        ? check(name, "ok", "a message came back with it")
        : check(name, "no", `the message came back with QoS ${message.qos}`, "The server lowers the QoS.")
  })
}

const retained = (session: Session, topic: string, info: ConnectionInfo): Effect.Effect<Check> => {
  if (!info.retainAvailable) {
    return Effect.succeed(check("retained", "no", "the server keeps no retained messages", "Publish without retain."))
  }
  return Effect.gen(function*() {
    yield* session.publish(topic, "doctor", { qos: info.maximumQoS, retain: true })
    const { messages } = yield* session.subscription(topic, { qos: info.maximumQoS })
    const { retain } = yield* first(messages)
    return retain
      ? check("retained", "ok", "a later subscriber gets the last message")
      : check("retained", "failed", "the message came back without the retain flag")
  }).pipe(
    Effect.timeout(limit),
    Effect.scoped,
    Effect.ensuring(
      Effect.ignore(Effect.timeout(session.publish(topic, "", { qos: info.maximumQoS, retain: true }), limit))
    ),
    Effect.catch((error) => Effect.succeed(failureOf("retained")(error)))
  )
}

const wildcard = (session: Session, topic: string, info: ConnectionInfo): Effect.Effect<Check> =>
  info.wildcardSubscriptionAvailable
    ? Effect.match(
      roundTrip(session, `${topic}/a`, { filter: `${topic}/+`, qos: 0 }),
      { onFailure: failureOf("wildcard"), onSuccess: () => check("wildcard", "ok", "filters may have + and #") }
    )
    : Effect.succeed(check("wildcard", "no", "the server has no wildcards", "Subscribe to each topic by its name."))

const shared = (session: Session, topic: string, info: ConnectionInfo): Effect.Effect<Check> =>
  info.sharedSubscriptionAvailable
    ? Effect.match(
      roundTrip(session, topic, { share: "doctor", qos: 0 }),
      { onFailure: failureOf("shared"), onSuccess: () => check("shared", "ok", "subscriptions may be shared") }
    )
    : Effect.succeed(
      check("shared", "no", "the server does not share subscriptions", "Give each consumer topics of its own.")
    )

const identifiers = (session: Session, topic: string, info: ConnectionInfo): Effect.Effect<Check> => {
  const name = "identifiers"
  if (session.options.protocolVersion !== 5) {
    return Effect.succeed(check(name, "no", "MQTT 3.1.1 has no subscription identifiers"))
  }
  if (!info.subscriptionIdentifiersAvailable) {
    return Effect.succeed(check(name, "no", "the server has no subscription identifiers"))
  }
  return Effect.match(roundTrip(session, topic, { qos: 0 }), {
    onFailure: failureOf(name),
    onSuccess: ({ properties }) =>
      properties.subscriptionIdentifiers === undefined
        ? check(name, "failed", "the server takes them and leaves them out", "Set subscriptionIdentifiers to \"off\".")
        : check(name, "ok", "messages name their subscription")
  })
}

/** Tries all abilities below a private topic, one after the other. */
export const abilities = (
  session: Session,
  topic: string,
  info: ConnectionInfo
): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.forEach([
    qos(session, `${topic}/qos0`, 0, info),
    qos(session, `${topic}/qos1`, 1, info),
    qos(session, `${topic}/qos2`, 2, info),
    retained(session, `${topic}/retained`, info),
    wildcard(session, `${topic}/wildcard`, info),
    shared(session, `${topic}/shared`, info),
    identifiers(session, `${topic}/identifiers`, info)
  ], timed)
