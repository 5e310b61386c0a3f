/**
 * The counters of a session: plain numbers that are added to as things happen, and combined when metrics are read.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { PublishedMessages, SessionMetrics } from "../../SessionStatus.ts"
import type { Outbound } from "../engine/contract.ts"
import type { EngineStats } from "../engine/contract.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"
import type { SessionFailures } from "./failureLedger.ts"
import { acknowledgementBounds, commitBounds, LatencyRecorder } from "./latencies.ts"
import type { Lifecycle } from "./lifecycle.ts"
import { Rates, rateWindow } from "./rates.ts"
import { countReason, type Reasons } from "./reasonCounts.ts"

/** The part of the engine loop that the counters read. */
export interface MeasuredLoop {
  readonly now: () => number
  readonly toEpoch: (moment: number) => number
  readonly bytes: { readonly received: number; readonly sent: number }
  readonly stats: EngineStats
  readonly queues: ReadonlySet<Pick<ConsumerQueue, "size" | "highWater">>
  readonly reading: { readonly used: number }
}

/** The counters of one session that are about messages. */
export class SessionCounters {
  readonly startedAt: number
  readonly #rates = new Rates()
  readonly #acknowledgement = new LatencyRecorder(acknowledgementBounds)
  readonly #commits = new LatencyRecorder(commitBounds)
  #accepted = 0
  #acknowledged = 0
  #failed = 0
  #withdrawn = 0
  #failures: Reasons | undefined
  #refusals: Reasons | undefined
  #delivered = 0
  /** Messages sent and received, at the end of the last turn. */
  #messages = 0
  #lastMessageAt: number | undefined
  #commitFailures = 0
  #highWater = 0

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }

  accepted(count = 1): void {
    this.#accepted += count
  }

  refused(reason: MqttErrorReason): void {
    this.#refusals = countReason(this.#refusals, reason._tag)
  }

  withdrawn(): void {
    this.#withdrawn++
  }

  settled(outbound: Outbound, now: number): void {
    const outcome = outbound.outcome!
    if (outcome._tag === "Failed") {
      this.#failed++
      this.#failures = countReason(this.#failures, outcome.reason._tag)
      return
    }
    this.#acknowledged++
    if (outbound.request.qos !== 0) this.#acknowledgement.record(Math.max(0, now - outbound.acceptedAt))
  }

  /** Messages that failed with the session, and had no outbound message. */
  abandoned(reason: MqttErrorReason, count: number): void {
    this.#failed += count
    this.#failures = countReason(this.#failures, reason._tag, count)
  }

  /** QoS 0 messages that the network has, and that had no outbound message. */
  written(count: number): void {
    this.#acknowledged += count
  }

  delivered(count: number): void {
    this.#delivered += count
  }

  committed(millis: number): void {
    this.#commits.record(millis)
  }

  commitFailed(): void {
    this.#commitFailures++
  }

  /** Records the highest fill of a buffer that ends. */
  buffered(highWater: number): void {
    if (highWater > this.#highWater) this.#highWater = highWater
  }

  /** Updates the rates, at the end of a turn of the event loop. */
  turned(now: number, received: number, bytes: number): void {
    const messages = this.#acknowledged + received
    if (messages !== this.#messages) {
      this.#messages = messages
      this.#lastMessageAt = now
    }
    this.#rates.note(now, messages, bytes)
  }

  metrics(
    engineLoop: MeasuredLoop,
    { counts }: Lifecycle,
    failures: SessionFailures,
    memoryLimit: number
  ): SessionMetrics {
    const now = engineLoop.now()
    const { bytes, stats } = engineLoop
    const uptime = Math.max(0, now - this.startedAt)
    this.turned(now, stats.received, bytes.sent + bytes.received)
    const rates = this.#rates.perSecond(now, Math.min(rateWindow, Math.max(1000, uptime)))
    let buffered = 0
    let highWater = this.#highWater
    for (const queue of engineLoop.queues) {
      buffered += queue.size
      if (queue.highWater > highWater) highWater = queue.highWater
    }
    const { oldestQueuedAt } = stats
    return {
      uptime,
      messagesSent: this.#acknowledged,
      messagesReceived: stats.received,
      messagesDelivered: this.#delivered,
      bytesSent: bytes.sent,
      bytesReceived: bytes.received,
      messageRate: rates.messages,
      averageMessageRate: uptime === 0 ? 0 : this.#messages * 1000 / uptime,
      bytesRate: rates.bytes,
      lastMessageAt: this.#lastMessageAt === undefined ? undefined : engineLoop.toEpoch(this.#lastMessageAt),
      published: this.#published,
      acknowledgement: this.#acknowledgement.latencies,
      connections: counts.connections,
      reconnects: Math.max(0, counts.connections - 1),
      reconnectsByReason: { ...counts.reconnectsByReason },
      errors: counts.errors,
      errorsByReason: { ...counts.errorsByReason },
      lastErrorAt: counts.lastErrorAt,
      dropped: { ...counts.dropped },
      queuedMessages: stats.queuedMessages,
      queuedBytes: stats.queuedBytes,
      oldestQueuedAge: oldestQueuedAt === undefined ? 0 : Math.max(0, now - oldestQueuedAt),
      inflight: stats.inflight,
      unacknowledged: stats.unacknowledged,
      unclaimed: stats.unclaimed,
      subscriptions: stats.subscriptions,
      buffered: { messages: buffered, highWater },
      memory: {
        inbound: engineLoop.reading.used,
        outbound: stats.queuedBytes + stats.inflightBytes,
        limit: memoryLimit
      },
      commits: { failures: this.#commitFailures, latency: this.#commits.latencies },
      handlers: failures.metrics
    }
  }

  get #published(): PublishedMessages {
    return {
      accepted: this.#accepted,
      acknowledged: this.#acknowledged,
      failed: { ...this.#failures },
      withdrawn: this.#withdrawn,
      pending: this.#accepted - this.#acknowledged - this.#failed - this.#withdrawn,
      refused: { ...this.#refusals }
    }
  }
}
