/**
 * The metrics of a forwarder, which account for every message that it received.
 *
 * At every moment `received` is the sum of `forwarded`, `filtered`, all of `dropped`, `deadLettered`, `failed`,
 * `duplicates`, `returned` and `inFlight`. Counters continue through `stop`, `start` and `restart`.
 */
import type { Message } from "./Message.ts"
import type { MqttError } from "./MqttError.ts"

/**
 * The state of a forwarder. `running` begins with `start`, and includes times when its sessions do not exist or have no
 * connection. `stopping` lasts while it finishes the messages in flight.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ForwarderState = "stopped" | "running" | "stopping"

/**
 * Messages that were dropped without a failure, by cause. All except `overflow` and `stopped` were acknowledged at the
 * source.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderDrops {
  /** No mapping rule matched, and unmapped topics are dropped. */
  readonly unmapped: number
  /** The transformation dropped the message. */
  readonly transformed: number
  /**
   * The message has passed this forwarder or the target's broker before, or it came from the forwarder's own
   * dead-letter topic.
   */
  readonly looped: number
  /** The message has passed the allowed number of forwarders. */
  readonly tooManyHops: number
  /** The message expired before the target had it. */
  readonly expired: number
  /** QoS 0 messages that arrived faster than they could be sent. */
  readonly overflow: number
  /** The policy of the target session's queue dropped it. */
  readonly targetQueue: number
  /** QoS 0 messages in flight when the forwarder stopped. */
  readonly stopped: number
}

/**
 * The state of a running forwarder at one of its sessions. `missing`: the manager has no session of this name.
 * `joining`: the forwarder waits for the connection and the subscription. `failed`: the subscription was refused or the
 * session does not fit; lasts until the next attempt.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderSession {
  /** The name of the session. */
  readonly name: string
  /** See `ForwarderSession`. */
  readonly state: "missing" | "joining" | "active" | "failed"
  /** Why it is not active, if known. */
  readonly error: MqttError | undefined
}

/**
 * A snapshot of a forwarder's metrics.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderMetrics {
  /** The name of the forwarder. */
  readonly name: string
  /** Its state now. */
  readonly state: ForwarderState
  /** State at each source, in the order of the options; empty unless the forwarder runs. */
  readonly sources: ReadonlyArray<ForwarderSession>
  /** State at the target and, if it is another session, at the session of the dead letters. */
  readonly targets: ReadonlyArray<ForwarderSession>
  /** Number of source sessions at which the subscription is in force now. */
  readonly activeSources: number
  /** Whether the target session has a connection. */
  readonly targetConnected: boolean

  /** Messages that the source sessions delivered, redeliveries included. */
  readonly received: number
  /**
   * Messages that the target server acknowledged (QoS 0: that were written), or that the target's durable queue
   * accepted.
   */
  readonly forwarded: number
  /** Messages that were dropped by a filter, an exclude, sampling, or the comparison with the last payload. */
  readonly filtered: number
  /** Messages that were dropped without a failure, by cause. */
  readonly dropped: ForwarderDrops
  /** Messages that failed permanently and went to the dead-letter topic. */
  readonly deadLettered: number
  /**
   * Messages that failed permanently without a dead letter: there is no dead-letter topic, it refused the message too,
   * or the message was a dead letter of an earlier message of this forwarder.
   */
  readonly failed: number
  /** Redelivered messages that the target already has. They are recognised by their origin and not forwarded twice. */
  readonly duplicates: number
  /** Messages that were given back unacknowledged, because the forwarder stopped or the server sends them again. */
  readonly returned: number
  /** Messages that were received and counted under none of the above yet. */
  readonly inFlight: number

  /** Repeated attempts of transformations and of publishing. */
  readonly retried: number
  /**
   * Messages that the durable queue accepted and that then expired or were refused by the target server. They count as
   * `forwarded`.
   */
  readonly refusedLater: number
  /** Milliseconds since the oldest message in flight arrived; 0 when there is none. */
  readonly lag: number
  /** Messages per second, over the last ten seconds. */
  readonly rates: { readonly received: number; readonly forwarded: number }
  /** Bytes of the forwarded payloads. */
  readonly bytesForwarded: number
  /** Milliseconds since the epoch; undefined: none yet. */
  readonly lastForwardedAt: number | undefined
  /** When `lastError` occurred, in milliseconds since the epoch; undefined: none yet. */
  readonly lastErrorAt: number | undefined
  /** The last failure of a message, or of a subscription. */
  readonly lastError: MqttError | undefined
}

/**
 * A message that a forwarder could not forward, and its outcome.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderFailure {
  /** The name of the forwarder. */
  readonly forwarder: string
  /** The session that received the message. */
  readonly session: string
  /** Its topic at that session. */
  readonly topic: string
  /** The message as that session received it. It keeps its payload in memory, see `Message.copy`. */
  readonly message: Message
  /** Milliseconds since the epoch. */
  readonly at: number
  /** `deadLetter`: it went to the dead-letter topic. `failed`: it was lost. */
  readonly outcome: "deadLetter" | "failed"
  /** Why the message could not be forwarded. */
  readonly error: MqttError
  /** Why the dead letter was refused; undefined: it was not refused, or there was none. */
  readonly deadLetterError: MqttError | undefined
}

/**
 * The names of the reasons in `dropped`, for exporters of metrics.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const dropReasons: ReadonlyArray<keyof ForwarderDrops> = [
  "unmapped",
  "transformed",
  "looped",
  "tooManyHops",
  "expired",
  "overflow",
  "targetQueue",
  "stopped"
]

/**
 * The sum of `dropped`.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const droppedTotal = ({ dropped }: ForwarderMetrics): number =>
  dropReasons.reduce((total, reason) => total + dropped[reason], 0)
