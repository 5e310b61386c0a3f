/**
 * The data of the live page: JSON in server-sent events. It has no imports, because the page in the browser reads it
 * too.
 *
 * A viewer gets one `hello`, then a `snapshot` for each interval and an `event` for each event, as they occur.
 */

/**
 * Times are milliseconds since the epoch by the clock of the server, rates are per second, sizes bytes, durations
 * milliseconds.
 */
export interface PageSnapshot {
  readonly at: number
  readonly totals: PageMetrics
  readonly sessions: ReadonlyArray<PageSession>
  readonly forwarders: ReadonlyArray<PageForwarder>
  /** The first causes that keep the program from its work, except those of sessions, which the sessions' rows show. */
  readonly causes: ReadonlyArray<PageCause>
  /** The number of all such causes. */
  readonly causeCount: number
}

export interface PageCause {
  /** The part that does not work, for example `route alarms`. */
  readonly what: string
  /** The session concerned; absent: none. */
  readonly session?: string | undefined
  /** The tag of the reason, for example `SubscriptionRefused`. */
  readonly reason: string
  readonly message: string
}

export interface PageMetrics {
  readonly received: number
  readonly sent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly rates: PageRates
  readonly inflight: number
  readonly queued: number
  readonly queuedBytes: number
  /** How long the oldest message has been in the queue. */
  readonly queuedFor: number
  readonly reconnects: number
  readonly errors: number
  /** Messages that were not delivered, by cause; causes without any are absent. */
  readonly lost: ReadonlyArray<PageLoss>
  /** Messages that a newer one on their topic replaced in the queue, by the queue's policy. */
  readonly replaced: number
  /**
   * The time until the servers acknowledged, in milliseconds, since the beginning; absent without any acknowledgement.
   */
  readonly acknowledged?: { readonly half: number; readonly most: number } | undefined
}

export interface PageLoss {
  /** In words, for example `expired`. */
  readonly cause: string
  readonly count: number
}

export interface PageRates {
  readonly received: number
  readonly sent: number
  readonly bytesReceived: number
  readonly bytesSent: number
}

export type PageSessionState = "disconnected" | "connecting" | "connected" | "reconnecting" | "closed"

export interface PageSession extends PageMetrics {
  readonly name: string
  readonly state: PageSessionState
  readonly since: number
  readonly ready: boolean
  readonly server?: string | undefined
  readonly attempt: number
  /** Why it is not connected. */
  readonly why?: PageReason | undefined
}

export interface PageReason {
  /** The tag of the reason, for example `ConnectionRefused`. */
  readonly reason: string
  readonly message: string
  /** The session has given up, or retries only rarely. */
  readonly permanent: boolean
}

export interface PageForwarder {
  readonly name: string
  /** In words, for example `Running`. */
  readonly state: string
  readonly level: "good" | "bad" | "waiting" | "off"
  /** Forwarded messages per second. */
  readonly rate: number
  /** The age of the oldest message in flight. */
  readonly lag: number
  readonly inflight: number
  readonly received: number
  /** The outcomes of the messages that are not in flight any more. */
  readonly fates: ReadonlyArray<PageFate>
  readonly why?: PageReason | undefined
}

export interface PageFate {
  /** In words, for example `filtered`. */
  readonly name: string
  readonly count: number
  /** Delivered; dropped on purpose; at the dead-letter topic; lost. */
  readonly kind: "good" | "intended" | "aside" | "lost"
}

export interface PageEvent {
  readonly at: number
  readonly session: string
  readonly type: string
  readonly level: "good" | "info" | "warning" | "bad"
  readonly text: string
}

/**
 * The past values. Every list has a number for each time of `at`. The lists of a session that was added later are
 * shorter, and end at the same time.
 */
export interface PageHistory {
  readonly at: ReadonlyArray<number>
  readonly totals: PageSeries
  readonly sessions: ReadonlyArray<PageSessionHistory>
}

export interface PageSessionHistory {
  readonly name: string
  readonly received: ReadonlyArray<number>
  readonly sent: ReadonlyArray<number>
}

export interface PageSeries {
  readonly received: ReadonlyArray<number>
  readonly sent: ReadonlyArray<number>
  readonly bytesReceived: ReadonlyArray<number>
  readonly bytesSent: ReadonlyArray<number>
  /** Messages in flight and in queues. */
  readonly inflight: ReadonlyArray<number>
  readonly queued: ReadonlyArray<number>
}

export interface PageHello {
  readonly title: string
  /** Milliseconds between two snapshots. */
  readonly interval: number
  /** The number of points of the plots. */
  readonly points: number
  readonly snapshot: PageSnapshot
  readonly history: PageHistory
  /** The last events, newest last. */
  readonly events: ReadonlyArray<PageEvent>
}
