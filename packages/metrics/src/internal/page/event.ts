/**
 * Converts events to the text and the level that the page shows.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as PeerText from "@effect-mqttx/core/PeerText"
import type { HandlerFailed, SessionEvent } from "@effect-mqttx/core/SessionEvent"
import type { PageEvent } from "./model.ts"

/** Undefined for events whose content another event already shows. */
export const pageEvent = (event: SessionEvent): PageEvent | undefined => {
  const described = describe(event)
  return described === undefined
    ? undefined
    : {
      at: event.at,
      session: event.session,
      type: event._tag,
      level: described[0],
      text: PeerText.clean(described[1])
    }
}

const describe = (event: SessionEvent): readonly [PageEvent["level"], string] | undefined => {
  switch (event._tag) {
    case "Added":
      return ["info", "joined the manager"]
    case "Removed":
      return ["info", "left the manager"]
    case "Connecting":
      return ["info", `to ${event.server}${event.attempt > 1 ? `, attempt ${event.attempt}` : ""}`]
    case "Connected":
      return ["good", `to ${event.server}, ${event.sessionPresent ? "session resumed" : "new session"}`]
    case "Ready":
      return ["good", many(event.subscriptions, "subscription")]
    case "Disconnected":
      return event.error === undefined ? ["info", "as it was asked to be"] : ["bad", explain(event.error)]
    case "Reconnecting":
      return ["warning", `attempt ${event.attempt} in ${seconds(event.delay)}`]
    case "CredentialsRefreshed":
      return ["good", "new credentials are in force"]
    case "CredentialsNotRefreshed":
      return ["warning", explain(event.error)]
    case "CertificateExpiring":
      return [
        "warning",
        `${event.certificate}, ${event.subject}: ${
          event.daysLeft === 0 ? "has expired" : `in ${many(event.daysLeft, "day")}`
        }`
      ]
    case "StateChanged":
      return event.to === "closed" ? ["info", "closed"] : undefined
    case "SessionLost":
      return [
        "warning",
        `${many(event.unacknowledged, "message")} unacknowledged, ${
          many(event.subscriptions, "subscription")
        } to restore`
      ]
    case "MessageDropped":
      return [
        "warning",
        `${many(event.count, `${event.direction} message`)}: ${event.cause}, last on ${event.topic}`
      ]
    case "HandlerFailed":
      return [event.outcome === "deadLetterRefused" ? "bad" : "warning", handlerFailed(event)]
    case "MessageFailed":
      return ["bad", `${many(event.count, "accepted message")}: ${explain(event.error)}`]
    case "SubscriptionFailed":
      return [
        "bad",
        `${event.consumer === undefined ? "" : `${event.consumer}: `}${event.filters.join(", ")}: ${
          explain(event.error)
        }`
      ]
    case "SubscriptionRestored":
      return ["good", event.filters.join(", ")]
    case "SlowConsumer":
      return ["warning", `${event.filters.join(", ")} holds back ${many(event.waiting, "acknowledgement")}`]
    case "ConsumerForgotten":
      return ["bad", `${event.consumer}: ${explain(event.error)}`]
    case "SharedSubscriptionAtRisk":
      return ["warning", `${event.filters.join(", ")} with persistence "${event.persistence}"`]
    case "MemoryLimitReached":
      return [
        event.isClosing ? "bad" : "warning",
        `received messages take ${event.bytes} of ${event.limit} bytes: ${
          event.isClosing ? "the connection is closed" : "reading waits for their consumers"
        }`
      ]
    case "ReceiveMaximumExceeded":
      return ["warning", `the server has sent more than ${event.receiveMaximum} unacknowledged messages`]
    case "StorageDegraded":
      return ["bad", explain(event.error)]
    case "StorageRecovered":
      return ["good", "the store takes commits again"]
    case "StorageDamaged":
      return ["bad", event.detail]
  }
}

/** The error of a handler is not shown, because its text belongs to the program and may contain anything. */
const handlerFailed = ({ count, delay, error, outcome, topic }: HandlerFailed): string =>
  `${many(count, "message")}: ${outcome}${delay === undefined ? "" : ` in ${seconds(delay)}`}, last on ${topic}${
    error === undefined ? "" : `, ${explain(error)}`
  }`

const explain = (error: MqttError): string => `${error.reason._tag}: ${error.reason.message}`

const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
