/**
 * The life of sessions as log lines.
 *
 * The library logs nothing about connections by itself, but for servers that deserve no trust. With the layer each
 * event becomes one line at a level of its own, through Effect's Logger, annotated with `session`, `server` and, where
 * something went wrong, `reason`, the tag of the error's reason. No line has a payload, a password, a key or a
 * certificate.
 *
 * | Level | Events |
 * | --- | --- |
 * | `Error` | Reconnecting and Disconnected after a permanent failure, StorageDegraded, StorageDamaged |
 * | `Warn` | Reconnecting and Disconnected after any other failure, SessionLost, MessageDropped, SlowConsumer, SharedSubscriptionAtRisk |
 * | `Info` | Connected, Ready, Disconnected in order, StorageRecovered, Added, Removed |
 * | `Debug` | Connecting, StateChanged, HandlerFailed (whose warning is logged where it happens) |
 *
 * @example
 * program.pipe(Effect.provide(SessionLog.layer().pipe(Layer.provideMerge(SessionManager.layer(options)))))
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import { permanence } from "./internal/classification.ts"
import { type Check, type Checks, duration, oneOf, orDie, recordOf } from "./internal/options/plain.ts"
import { cleanText } from "./internal/peerText.ts"
import { kindOf } from "./internal/valueNames.ts"
import type { MqttError } from "./MqttError.ts"
import { MqttSession } from "./MqttSession.ts"
import type { SessionEvent } from "./SessionEvent.ts"
import { SessionManager } from "./SessionManager.ts"

/**
 * What to log.
 */
export interface SessionLogOptions {
  /** Other levels than those of the table, by event; `None` leaves an event out. */
  readonly levels?: { readonly [Tag in SessionEvent["_tag"]]?: LogLevel.Severity | "None" } | undefined
  /**
   * MessageDropped, HandlerFailed and SlowConsumer may come thousands of times a second: of each session and cause one
   * line is written in this time, with the count of all since the line before. Default ten seconds.
   */
  readonly atMostEvery?: Duration.Input | undefined
}

interface Line {
  readonly level: LogLevel.Severity
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/**
 * Logs events until their stream ends. Dies with an `MqttError` for options that are wrong, as the layers do.
 */
export const run = (events: Stream.Stream<SessionEvent>, options?: SessionLogOptions): Effect.Effect<void> =>
  Effect.andThen(
    Effect.andThen(orDie({ events: events ?? null }, { events: stream }, "SessionLog.run"), refuse(options, "run")),
    log(events, options)
  )

const log = (events: Stream.Stream<SessionEvent>, options: SessionLogOptions = {}): Effect.Effect<void> =>
  Effect.suspend(() => {
    const lineOf = makeLineOf(options)
    return Stream.runForEach(events, (event) => {
      const line = lineOf(event)
      return line === undefined
        ? Effect.void
        : Effect.annotateLogs(Effect.logWithLevel(line.level)(line.text), line.annotations)
    })
  })

/**
 * Logs the events of a manager's sessions.
 */
export const layer = (options?: SessionLogOptions): Layer.Layer<never, never, SessionManager> =>
  Layer.effectDiscard(Effect.flatMap(
    SessionManager,
    ({ events }) =>
      Effect.andThen(
        refuse(options, "layer"),
        Effect.forkScoped(log(events, options), { startImmediately: true })
      )
  ))

/**
 * Logs the events of the session of a program that has one.
 */
export const layerSession = (options?: SessionLogOptions): Layer.Layer<never, never, MqttSession> =>
  Layer.effectDiscard(Effect.flatMap(
    MqttSession,
    ({ events }) =>
      Effect.andThen(
        refuse(options, "layerSession"),
        Effect.forkScoped(log(events, options), { startImmediately: true })
      )
  ))

const level = oneOf("Fatal", "Error", "Warn", "Info", "Debug", "Trace", "None")

const levelChecks: Checks<NonNullable<SessionLogOptions["levels"]>> = {
  Connecting: level,
  Connected: level,
  Ready: level,
  Disconnected: level,
  Reconnecting: level,
  StateChanged: level,
  Added: level,
  Removed: level,
  SessionLost: level,
  MessageDropped: level,
  SlowConsumer: level,
  ConsumerForgotten: level,
  SharedSubscriptionAtRisk: level,
  HandlerFailed: level,
  StorageDegraded: level,
  StorageRecovered: level,
  StorageDamaged: level
}

const logChecks: Checks<SessionLogOptions> = { levels: recordOf(levelChecks), atMostEvery: duration }

const stream: Check = (value) => Stream.isStream(value) ? undefined : `must be a Stream of events, got ${kindOf(value)}`

const refuse = (options: unknown, method: string): Effect.Effect<void> =>
  orDie(options, logChecks, `SessionLog.${method}`)

const makeLineOf = ({ atMostEvery = "10 seconds", levels = {} }: SessionLogOptions) => {
  const pause = Duration.toMillis(atMostEvery)
  /** Where sessions are, or were last. */
  const servers = new Map<string, string>()
  const told = new Map<string, { at: number; untold: number }>()

  /** How often something happened since it was told last; undefined: it is not time to tell again. */
  const sinceTold = (key: string, at: number, count: number): number | undefined => {
    const last = told.get(key)
    if (last !== undefined && at - last.at < pause) {
      last.untold += count
      return undefined
    }
    told.set(key, { at, untold: 0 })
    return count + (last?.untold ?? 0)
  }

  return (event: SessionEvent): Line | undefined => {
    const { session } = event
    const given = levels[event._tag]
    if (event._tag === "Connecting" || event._tag === "Connected") servers.set(session, event.server)
    const server = servers.get(session)
    if (event._tag === "Removed") {
      servers.delete(session)
      for (const key of told.keys()) if (key.startsWith(`${session}\n`)) told.delete(key)
    }
    if (given === "None") return undefined
    const line = (
      level: LogLevel.Severity,
      text: string,
      annotations: Readonly<Record<string, unknown>> = {}
    ): Line => ({
      level: given ?? level,
      text,
      annotations: { session, ...(server === undefined ? undefined : { server }), ...annotations }
    })
    const failed = (text: string, error: MqttError, annotations: Readonly<Record<string, unknown>> = {}): Line =>
      line(permanence(error.reason) === "permanent" ? "Error" : "Warn", `${text}: ${error.reason.message}`, {
        reason: error.reason._tag,
        ...annotations
      })
    switch (event._tag) {
      case "Connecting":
        return line("Debug", "connecting", { attempt: event.attempt })
      case "Connected":
        return line("Info", event.sessionPresent ? "connected, and the server knew the session" : "connected", {
          clientId: event.clientId
        })
      case "Ready":
        return line("Info", "ready", { subscriptions: event.subscriptions })
      case "Disconnected":
        return event.error === undefined ? line("Info", "disconnected") : failed("disconnected", event.error)
      case "Reconnecting":
        return failed(`connects again in ${event.delay} ms`, event.error, { attempt: event.attempt })
      case "StateChanged":
        return line("Debug", `${event.from} -> ${event.to}`)
      case "Added":
        return line("Info", "added")
      case "Removed":
        return line("Info", "removed")
      case "SessionLost":
        return line("Warn", "the server lost the session", {
          unacknowledged: event.unacknowledged,
          subscriptions: event.subscriptions
        })
      case "MessageDropped": {
        const count = sinceTold(`${session}\n${event.cause}`, event.at, event.count)
        return count === undefined ? undefined : line("Warn", `${count} ${event.direction} messages dropped`, {
          reason: event.cause,
          topic: cleanText(event.topic)
        })
      }
      case "HandlerFailed": {
        const count = sinceTold(`${session}\nfailed ${event.outcome}`, event.at, event.count)
        return count === undefined ? undefined : line("Debug", `${count} messages failed: ${event.outcome}`, {
          topic: event.topic,
          ...(event.error === undefined ? undefined : { reason: event.error.reason._tag })
        })
      }
      case "SlowConsumer": {
        const count = sinceTold(`${session}\nslow`, event.at, 1)
        return count === undefined ? undefined : line("Warn", "a slow consumer holds back acknowledgements", {
          filters: event.filters,
          absent: event.absent,
          waiting: event.waiting
        })
      }
      case "ConsumerForgotten":
        return failed(
          `the subscription of the absent consumer ${JSON.stringify(event.consumer)} is refused`,
          event.error
        )
      case "SharedSubscriptionAtRisk":
        return line("Warn", "a shared subscription may strand messages while this session is away", {
          filters: event.filters
        })
      case "StorageDegraded":
        return line("Error", `the store refused a commit: ${event.error.reason.message}`, {
          reason: event.error.reason._tag
        })
      case "StorageRecovered":
        return line("Info", "the store takes commits again")
      case "StorageDamaged":
        return line("Error", `the store was damaged: ${cleanText(event.detail)}`, {
          kept: event.kept,
          lost: event.lost
        })
    }
  }
}
