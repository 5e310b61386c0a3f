/**
 * The log lines of sessions, routes and forwarders.
 *
 * Warnings are on by default. A session that cannot connect, has lost its connection, or loses messages reports this
 * through Effect's logger, with the loggers and the minimum log level in force when it was made. A session's option
 * `log` says how much it writes: `warnings`, `all` or `off`. `SessionLog.layer` sets this for all sessions made with
 * the layer in their context, and sets levels and pace.
 *
 * `Error`: permanent failures to connect, StorageDegraded, StorageDamaged.
 *
 * `Warn`: cannot connect, Disconnected with an error, SessionLost, MessageDropped, MessageFailed, SubscriptionFailed,
 * SlowConsumer, ConsumerForgotten, MemoryLimitReached, ReceiveMaximumExceeded, SharedSubscriptionAtRisk.
 *
 * `Info`: connected after a failure, SubscriptionRestored, StorageRecovered; with `all` also Connected, Ready,
 * Disconnected in order, Added, Removed.
 *
 * `Debug`, only with `all`: Connecting, StateChanged, the delay before the first attempt to reconnect.
 *
 * Every line has the annotations `session`, `server`, `event` and, after an error, `reason`: the tag of the error's
 * reason. No line contains a payload, a password, a key or a certificate.
 *
 * A repeated event is written at once, then after 10 s, 20 s, 40 s and so on up to every 10 minutes, with the count
 * since the line before. Failures to connect are also written when the reason is new. The line about the end of a
 * failure is written at once.
 *
 * **Example** (Logging every event)
 *
 * ```ts
 * import { SessionLog, SessionManager } from "@effect-mqttx/core"
 * import { Layer } from "effect"
 *
 * export const Sessions = SessionManager.layer({
 *   sessions: [{ name: "plant", servers: ["mqtt://localhost:1883"] }]
 * }).pipe(
 *   Layer.provide(SessionLog.layer({ log: "all", levels: { Ready: "Debug" } }))
 * )
 * ```
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import { checkedLayer, type Checks, duration, oneOf, recordOf } from "./internal/options/plain.ts"
import type { SessionEvent } from "./SessionEvent.ts"

/**
 * How much is logged: failures and their ends, every event, or nothing.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type LogMode = "warnings" | "all" | "off"

/**
 * The settings of the log.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SessionLogOptions {
  /** For sessions without an option `log`, and for routes and forwarders. Default `warnings`. */
  readonly log?: LogMode | undefined
  /**
   * Other levels than those of the table, by event. Such an event is then also written in the mode `warnings`; `None`
   * leaves an event out.
   */
  readonly levels?: { readonly [Tag in SessionEvent["_tag"]]?: LogLevel.Severity | "None" } | undefined
  /**
   * The first pause between two lines of a repeated event. Each pause is twice as long as the one before, up to 10
   * minutes. Default ten seconds.
   */
  readonly interval?: Duration.Input | undefined
}

/**
 * The settings in force. Read when a session, a manager or a forwarder is made.
 *
 * @stability stable
 * @category references
 * @since 0.1.0
 */
export const SessionLog: Context.Reference<SessionLogOptions> = Context.Reference("@effect-mqttx/core/SessionLog", {
  defaultValue: (): SessionLogOptions => ({})
})

/**
 * The settings for the sessions, managers and forwarders that are made with the layer in their context.
 *
 * @stability stable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SessionLogOptions): Layer.Layer<never> =>
  checkedLayer(options, logChecks, "SessionLog.layer", () => Layer.succeed(SessionLog, options))

const level = oneOf("Fatal", "Error", "Warn", "Info", "Debug", "Trace", "None")

const levelChecks: Checks<NonNullable<SessionLogOptions["levels"]>> = {
  Connecting: level,
  Connected: level,
  Ready: level,
  Disconnected: level,
  Reconnecting: level,
  CredentialsRefreshed: level,
  CredentialsNotRefreshed: level,
  CertificateExpiring: level,
  StateChanged: level,
  Added: level,
  Removed: level,
  SessionLost: level,
  MessageDropped: level,
  MessageFailed: level,
  SubscriptionFailed: level,
  SubscriptionRestored: level,
  HandlerFailed: level,
  SlowConsumer: level,
  ConsumerForgotten: level,
  MemoryLimitReached: level,
  ReceiveMaximumExceeded: level,
  SharedSubscriptionAtRisk: level,
  StorageDegraded: level,
  StorageRecovered: level,
  StorageDamaged: level
}

const logChecks: Checks<SessionLogOptions> = {
  log: oneOf("warnings", "all", "off"),
  levels: recordOf(levelChecks),
  interval: duration
}
