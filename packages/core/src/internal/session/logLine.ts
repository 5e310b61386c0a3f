/**
 * Formats events of sessions as log lines: level, text and annotations. Pure, and the same for every session.
 *
 * A line names sessions, servers, topics and errors. It never contains a payload, a password, a key or a certificate.
 * Text of peers, such as topics, is shortened and has no control characters. `EventLog` decides which lines are
 * written, and when.
 */
import type * as LogLevel from "effect/LogLevel"
import type { MqttError } from "../../MqttError.ts"
import type { SessionEvent } from "../../SessionEvent.ts"
import { cleanText } from "../peerText.ts"

export interface LogLine {
  readonly level: LogLevel.Severity
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/**
 * The format of a repeated event: lines with one key are paced, each with the count since the line before.
 */
export interface PacedLine {
  readonly key: string
  readonly count: number
  readonly line: (count: number) => LogLine
}

const problem = (text: string, error: MqttError, annotations: Readonly<Record<string, unknown>> = {}): LogLine => ({
  level: error.isRetryable ? "Warn" : "Error",
  text: `${text}: ${error.reason.message}`,
  annotations: { reason: error.reason._tag, ...annotations }
})

const line = (
  level: LogLevel.Severity,
  text: string,
  annotations: Readonly<Record<string, unknown>> = {}
): LogLine => ({ level, text, annotations })

const expiry = (expiresAt: number | undefined): Readonly<Record<string, unknown>> =>
  expiresAt === undefined || !Number.isFinite(expiresAt) ? {} : { expiresAt: new Date(expiresAt).toISOString() }

const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** The line of an event, independent of earlier lines. */
export const lineOf = (event: SessionEvent): LogLine | PacedLine => {
  switch (event._tag) {
    case "Connecting":
      return line("Debug", "connecting", { attempt: event.attempt })
    case "Connected":
      return line("Info", event.sessionPresent ? "connected, and the server knew the session" : "connected", {
        clientId: cleanText(event.clientId)
      })
    case "Ready":
      return line("Info", "ready", { subscriptions: event.subscriptions })
    case "Disconnected":
      return event.error === undefined ? line("Info", "disconnected") : lostTimes(1, event.error)
    case "Reconnecting": {
      const { attempt, delay, error } = event
      // The loss of a connection has its own line.
      return attempt === 1
        ? line("Debug", `the next attempt to connect is in ${delay} ms`)
        : problem(`cannot connect, the next attempt is in ${delay} ms`, error, { attempt })
    }
    case "CredentialsRefreshed":
      return line("Info", "the credentials are renewed", expiry(event.expiresAt))
    case "StateChanged":
      return line("Debug", `${event.from} -> ${event.to}`)
    case "Added":
      return line("Info", "added")
    case "Removed":
      return line("Info", "removed")
    case "StorageRecovered":
      return line("Info", "the store takes commits again")
    case "StorageDamaged":
      return line("Error", `the store was damaged: ${cleanText(event.detail)}`, { kept: event.kept, lost: event.lost })
    default:
      return pacedLineOf(event)
  }
}

/** Events that may come often. */
type Repeated = Exclude<
  SessionEvent,
  {
    readonly _tag:
      | "Added"
      | "Connected"
      | "Connecting"
      | "CredentialsRefreshed"
      | "Disconnected"
      | "Ready"
      | "Reconnecting"
      | "Removed"
      | "StateChanged"
      | "StorageDamaged"
      | "StorageRecovered"
  }
>

const pacedLineOf = (event: Repeated): PacedLine => {
  switch (event._tag) {
    case "CredentialsNotRefreshed": {
      const { error, expiresAt } = event
      return {
        key: `CredentialsNotRefreshed ${error.reason._tag}`,
        count: 1,
        line: () => problem("the credentials could not be renewed", error, expiry(expiresAt))
      }
    }
    case "CertificateExpiring": {
      const { certificate, daysLeft, subject } = event
      const when = daysLeft === 0 ? "has expired" : `expires in ${many(daysLeft, "day")}`
      return {
        key: `CertificateExpiring ${certificate}`,
        count: 1,
        line: () =>
          line("Warn", `the certificate of the ${certificate} ${when}`, {
            subject: cleanText(subject),
            ...expiry(event.expiresAt)
          })
      }
    }
    case "SessionLost": {
      const { subscriptions, unacknowledged } = event
      return {
        key: "SessionLost",
        count: 1,
        line: () => line("Warn", "the server has lost the session", { unacknowledged, subscriptions })
      }
    }
    case "MessageDropped": {
      const { cause, direction, topic } = event
      return {
        key: `MessageDropped ${cause}`,
        count: event.count,
        line: (count) =>
          line("Warn", `${many(count, `${direction} message`)} dropped`, { reason: cause, topic: cleanText(topic) })
      }
    }
    case "HandlerFailed": {
      const { error, outcome, topic } = event
      return {
        key: `HandlerFailed ${outcome}`,
        count: event.count,
        line: (count) =>
          line("Debug", `${many(count, "message")} failed: ${outcome}`, {
            ...(error === undefined ? undefined : { reason: error.reason._tag }),
            topic: cleanText(topic)
          })
      }
    }
    case "MessageFailed": {
      const { error } = event
      return {
        key: `MessageFailed ${error.reason._tag}`,
        count: event.count,
        line: (count) => ({
          ...problem(`${many(count, "accepted message")} failed`, error, { topic: cleanText(error.topic ?? "") }),
          level: "Warn"
        })
      }
    }
    case "MemoryLimitReached": {
      const { bytes, isClosing, limit } = event
      return {
        key: `MemoryLimitReached ${isClosing}`,
        count: 1,
        line: (count) =>
          line(
            "Warn",
            isClosing
              ? "received messages exceed the memory limit, and the connection is closed"
              : "received messages have reached the memory limit, and reading waits for their consumers",
            { bytes, limit, ...(count === 1 ? undefined : { count }) }
          )
      }
    }
    case "ReceiveMaximumExceeded":
      return {
        key: "ReceiveMaximumExceeded",
        count: 1,
        line: () =>
          line(
            "Warn",
            "the server has sent more unacknowledged messages than the Receive Maximum of this session allows",
            {
              receiveMaximum: event.receiveMaximum
            }
          )
      }
    case "StorageDegraded": {
      const { error } = event
      const isLost = !error.isRetryable
      return {
        key: "StorageDegraded",
        count: 1,
        line: () => ({
          ...problem(isLost ? "the store is lost, and the session ends" : "the store takes no commits", error),
          level: "Error"
        })
      }
    }
    default:
      return consumerLineOf(event)
  }
}

/** Events about consumers and subscriptions. */
type ConsumerEvent = Extract<
  SessionEvent,
  {
    readonly _tag:
      | "ConsumerForgotten"
      | "SharedSubscriptionAtRisk"
      | "SlowConsumer"
      | "SubscriptionFailed"
      | "SubscriptionRestored"
  }
>

const consumerLineOf = (event: ConsumerEvent): PacedLine => {
  switch (event._tag) {
    case "SlowConsumer": {
      const { absent, filters, waiting } = event
      return {
        key: `SlowConsumer ${filters.join(" ")}`,
        count: 1,
        line: () =>
          line("Warn", "a slow consumer holds back acknowledgements", {
            filters: filters.map((filter) => cleanText(filter)),
            absent: absent.map((name) => cleanText(name)),
            waiting
          })
      }
    }
    case "ConsumerForgotten": {
      const { consumer, error } = event
      return {
        key: `ConsumerForgotten ${consumer}`,
        count: 1,
        line: () => ({
          ...problem(`the absent consumer ${cleanText(consumer)} is forgotten`, error),
          level: "Warn"
        })
      }
    }
    case "SharedSubscriptionAtRisk": {
      const { filters } = event
      return {
        key: `SharedSubscriptionAtRisk ${filters.join(" ")}`,
        count: 1,
        line: () =>
          line("Warn", "a shared subscription may strand messages while this session is away", {
            filters: filters.map((filter) => cleanText(filter))
          })
      }
    }
    case "SubscriptionFailed": {
      const { consumer, error, filters } = event
      const of = consumer === undefined ? "a subscription" : `the subscription of ${cleanText(consumer)}`
      return {
        key: `SubscriptionFailed ${filters.join(" ")} ${error.reason._tag}`,
        count: 1,
        line: () => ({
          ...problem(`${of} is not in force`, error, { filters: filters.map((filter) => cleanText(filter)) }),
          level: "Warn"
        })
      }
    }
    case "SubscriptionRestored": {
      const { filters } = event
      return {
        key: `SubscriptionRestored ${filters.join(" ")}`,
        count: 1,
        line: () =>
          line("Info", "a subscription is in force again", { filters: filters.map((filter) => cleanText(filter)) })
      }
    }
  }
}

/** The line for a connection that was lost `count` times since the line before. */
export const lostTimes = (count: number, error: MqttError): LogLine =>
  count === 1 ? problem("connection lost", error) : problem(`connection lost ${count} times, at last`, error)

/** The line for a session that gives up: no attempt to connect follows. */
export const gaveUp = (error: MqttError): LogLine => ({
  ...problem("does not connect any more", error),
  level: "Error"
})

/** The line for a connection that came back after a logged failure. */
export const mended = (millis: number, attempts: number): LogLine =>
  line("Info", `connected after ${(millis / 1000).toFixed(1)} s and ${many(attempts, "attempt")}`)
