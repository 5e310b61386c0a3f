/**
 * The figures of a forwarder: what became of every message that it received.
 *
 * They add up at every moment: `received` is the sum of `forwarded`, `filtered`, all of `dropped`, `deadLettered`,
 * `failed`, `duplicates`, `returned` and `inFlight`. Counters go on through `stop`, `start` and `restart`.
 */
import type { MqttError } from "./MqttError.ts"

/**
 * Where a forwarder stands: `running` from `start` on, also while its sessions do not exist or have no connection;
 * `stopping` while it finishes what is in flight.
 */
export type ForwarderState = "stopped" | "running" | "stopping"

/**
 * Why messages were given up without a failure. All but `overflow`, and `stopped`, were acknowledged at the source.
 */
export interface ForwarderDrops {
  /** No mapping rule matched, and unmapped topics are dropped. */
  readonly unmapped: number
  /** The transformation answered that there is nothing to forward. */
  readonly transformed: number
  /**
   * The message has passed this forwarder or the target's broker before, or has come from the forwarder's own
   * dead-letter topic.
   */
  readonly looped: number
  /** The message has passed as many forwarders as are allowed. */
  readonly tooManyHops: number
  /** The lifetime of the message ended before the target had it. */
  readonly expired: number
  /** QoS 0 that came faster than it could be sent. */
  readonly overflow: number
  /** The policy of the target session's queue dropped it. */
  readonly targetQueue: number
  /** QoS 0 that was in flight when the forwarder stopped. */
  readonly stopped: number
}

/**
 * How a running forwarder stands with one of its sessions: `missing` when the manager has none of this name; `joining`
 * until the forwarder can use it, which takes as long as it takes to connect and to subscribe; `failed` when the
 * subscription was refused or the session does not fit, until the next attempt.
 */
export interface ForwarderSession {
  readonly name: string
  readonly state: "missing" | "joining" | "active" | "failed"
  /** Why it is not active, as far as known. */
  readonly error: MqttError | undefined
}

/**
 * A snapshot of a forwarder's figures.
 */
export interface ForwarderMetrics {
  readonly name: string
  readonly state: ForwarderState
  /** How it stands with its sources, in the order of the options; empty unless it runs. */
  readonly sources: ReadonlyArray<ForwarderSession>
  /** The same with the target and, where it is another one, the session of the dead letters. */
  readonly targets: ReadonlyArray<ForwarderSession>
  /** The source sessions at which the subscription is in force now. */
  readonly activeSources: number
  /** The target session has a connection. */
  readonly targetConnected: boolean

  /** Messages that the source sessions delivered, what came again included. */
  readonly received: number
  /**
   * Messages that the target server acknowledged (QoS 0: that were written), or that the target's durable queue
   * accepted.
   */
  readonly forwarded: number
  /** Messages that a filter, an exclude, sampling or the comparison with the last one kept back. */
  readonly filtered: number
  readonly dropped: ForwarderDrops
  /** Messages that failed for good and went to the dead-letter topic. */
  readonly deadLettered: number
  /**
   * Messages that failed for good and went nowhere: there is no dead-letter topic, it refused them too, or they were
   * dead letters of what the forwarder has had before.
   */
  readonly failed: number
  /** Messages that came again although the target has them: recognised by their origin, and not forwarded twice. */
  readonly duplicates: number
  /** Messages that were given back unacknowledged, because the forwarder stopped or the server delivers them anew. */
  readonly returned: number
  /** Messages that were received and have none of the fates above yet. */
  readonly inFlight: number

  /** Attempts that were repeated, of transformations and of publishing. */
  readonly retried: number
  /**
   * Messages that the target server refused, or that expired, after the durable queue had accepted them; they count as
   * `forwarded`.
   */
  readonly refusedLater: number
  /** Milliseconds since the oldest message in flight arrived; 0 when there is none. */
  readonly lag: number
  /** Messages a second, over the last ten seconds. */
  readonly rates: { readonly received: number; readonly forwarded: number }
  /** Bytes of the payloads that were forwarded. */
  readonly bytesForwarded: number
  /** Milliseconds since the epoch; undefined: none yet. */
  readonly lastForwardedAt: number | undefined
  readonly lastErrorAt: number | undefined
  /** The last failure of a message, or of a subscription. */
  readonly lastError: MqttError | undefined
}

/**
 * A message that a forwarder could not forward, and what became of it.
 */
export interface ForwarderFailure {
  readonly forwarder: string
  /** The session that received the message. */
  readonly session: string
  /** Its topic there. */
  readonly topic: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** `deadLetter`: it went to the dead-letter topic. `failed`: it was given up. */
  readonly outcome: "deadLetter" | "failed"
  /** Why it could not be forwarded. */
  readonly error: MqttError
  /** Why its dead letter was refused; undefined: there was none, or it was not. */
  readonly deadLetterError: MqttError | undefined
}

/** The reasons of `dropped` by their names, for whoever exports the figures. */
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

/** All of `dropped`. */
export const droppedTotal = ({ dropped }: ForwarderMetrics): number =>
  dropReasons.reduce((total, reason) => total + dropped[reason], 0)
