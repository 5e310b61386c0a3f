/**
 * Holds the state of a session, its counts and its events, and publishes them to status streams, event streams and the
 * log. It decides nothing: the supervisor, the engine loop and the shutdown change the state.
 */
import type * as Clock from "effect/Clock"
import * as Stream from "effect/Stream"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { MessageDropped, SessionEvent, SessionState } from "../../SessionEvent.ts"
import type { LogMode, SessionLogOptions } from "../../SessionLog.ts"
import * as Broadcast from "./broadcast.ts"
import { EventLog, isWorthLogging } from "./eventLog.ts"
import type { Background } from "./fibers.ts"
import { countReason, type Reasons } from "./reasonCounts.ts"

/**
 * The fields that change together with the state.
 */
export interface LifecycleState {
  readonly state: SessionState
  /** Milliseconds since the epoch when the state began. */
  readonly since: number
  readonly ready: boolean
  readonly server: string | undefined
  readonly attempt: number
  readonly lastError: MqttError | undefined
  /** Why the session does not connect now or any more. Operations that wait fail with it. */
  readonly failure: MqttError | undefined
  /** Why the store takes no commits. */
  readonly storageFailure: MqttError | undefined
  /** When the oldest failing message first failed, on the monotonic clock; undefined: no message fails. */
  readonly failingSince: number | undefined
  /** Filters that are not in force, and why. */
  readonly subscriptionFailures: ReadonlyMap<string, MqttError>
}

/** Shared by all sessions without failures. */
export const noFailures: ReadonlyMap<string, MqttError> = new Map()

/** Bound of `subscriptionFailures`: a program may ask for new filters without limit and be refused. */
const maximumFailures = 100

type WithoutBase<Event> = Event extends SessionEvent ? Omit<Event, "session" | "at"> : never

/**
 * An event without the fields that `emit` adds.
 */
export type EventBody = WithoutBase<SessionEvent>

/**
 * How often each kind of event happened.
 */
export interface Counts {
  connections: number
  /** The reason that ended the last connection. */
  lost: MqttErrorReason["_tag"] | undefined
  /** Keyed by the reason that ended the previous connection. */
  reconnectsByReason: Reasons | undefined
  errors: number
  errorsByReason: Reasons | undefined
  lastErrorAt: number | undefined
  readonly dropped: { [Cause in MessageDropped["cause"]]: number }
}

/**
 * Called synchronously with each event, before the session does anything else.
 */
export type Observer = (event: SessionEvent) => void

/** Bound, in bytes, of the events that wait for one listener. Peers choose the topics in events. */
export const eventMemory = {
  limit: 4 * 1024 * 1024,
  bytesOf: (event: SessionEvent): number => 512 + ("topic" in event ? 4 * event.topic.length : 0)
}

const eventsOptions: Broadcast.BroadcastOptions<SessionEvent> = { capacity: 256, memory: eventMemory, replay: 16 }
const changesOptions: Broadcast.BroadcastOptions<LifecycleState> = { capacity: 256, replay: 1 }

/**
 * How a session logs.
 */
export interface LifecycleLog {
  readonly log: LogMode
  readonly settings: SessionLogOptions
  readonly fibers: Background
}

/** Messages that failed for the same reason in one turn. */
interface Failures {
  readonly reason: MqttErrorReason
  topic: string
  count: number
}

/**
 * The state, counts and events of one session. Streams and log are made on first use, because most sessions of a large
 * program have no failures and no listeners.
 */
export class Lifecycle {
  readonly counts: Counts = {
    connections: 0,
    lost: undefined,
    reconnectsByReason: undefined,
    errors: 0,
    errorsByReason: undefined,
    lastErrorAt: undefined,
    dropped: { dropOldest: 0, dropNewest: 0, latestPerTopic: 0, expired: 0, poison: 0, streamOverflow: 0, unclaimed: 0 }
  }
  readonly #session: string
  readonly #clock: Clock.Clock
  readonly #observer: Observer | undefined
  readonly #logMode: LogMode
  readonly #settings: SessionLogOptions
  readonly #fibers: Background
  #log: EventLog | undefined
  /** The server in use or tried last. */
  #server: string | undefined
  readonly #events = new Broadcast.Broadcast<SessionEvent>(eventsOptions)
  #changes: Broadcast.Broadcast<LifecycleState> | undefined
  #state: LifecycleState
  /** Filters whose latest subscription failed, for any consumer. A later grant of one of them is reported. */
  #broken: Set<string> | undefined
  #failures: Map<MqttErrorReason["_tag"], Failures> | undefined

  constructor(
    session: string,
    clock: Clock.Clock,
    observer: Observer | undefined,
    { fibers, log, settings }: LifecycleLog
  ) {
    this.#session = session
    this.#clock = clock
    this.#observer = observer
    this.#logMode = log
    this.#settings = settings
    this.#fibers = fibers
    this.#state = {
      state: "disconnected",
      since: clock.currentTimeMillisUnsafe(),
      ready: false,
      server: undefined,
      attempt: 0,
      lastError: undefined,
      failure: undefined,
      storageFailure: undefined,
      failingSince: undefined,
      subscriptionFailures: noFailures
    }
  }

  current(): LifecycleState {
    return this.#state
  }

  /** The state now, and whenever it changes. */
  get changes(): Stream.Stream<LifecycleState> {
    return Stream.suspend(() => {
      if (this.#changes === undefined) {
        this.#changes = new Broadcast.Broadcast(changesOptions)
        this.#changes.publish(this.#state)
      }
      return this.#changes.stream
    })
  }

  get events(): Stream.Stream<SessionEvent> {
    return this.#events.stream
  }

  emit(body: EventBody): void {
    // No `...body` first: V8 gives each such copy a hidden class of its own, which is larger than the event.
    const event = { session: this.#session, at: this.#clock.currentTimeMillisUnsafe(), ...body } as SessionEvent
    count(this.counts, event)
    this.#events.publish(event)
    this.#observer?.(event)
    if (event._tag === "Connecting" || event._tag === "Connected") this.#server = event.server
    // A log that has written nothing skips events that are not worth logging.
    if (this.#log !== undefined || isWorthLogging(event, this.#logMode, this.#settings)) {
      this.#openLog()?.onEvent(event, this.#server)
    }
  }

  #openLog(): EventLog | undefined {
    if (this.#logMode === "off") return undefined
    return this.#log ??= new EventLog(this.#session, this.#logMode, this.#settings, this.#clock, this.#fibers)
  }

  /** Changes the state. Emits StateChanged when `state` itself changed. */
  set(change: Partial<Omit<LifecycleState, "since">>): void {
    const before = this.#state
    const moved = change.state !== undefined && change.state !== before.state
    // The reconnect policy gave up. No further attempt would count this failure.
    if (moved && change.state === "disconnected" && change.failure !== undefined) {
      countError(this.counts, change.failure, this.#clock.currentTimeMillisUnsafe())
      this.#openLog()?.onGiveUp(change.failure, this.#server)
    }
    if (moved) this.emit({ _tag: "StateChanged", from: before.state, to: change.state! })
    const { since, ...others } = before
    this.#state = { since: moved ? this.#clock.currentTimeMillisUnsafe() : since, ...others, ...change }
    this.#changes?.publish(this.#state)
  }

  /**
   * Records the failure of an accepted message whose outcome has no observer. Failures of one turn are reported
   * together, by reason.
   */
  messageFailed(topic: string, reason: MqttErrorReason, count = 1): void {
    // Drops and expiries have their own events.
    if (reason._tag === "Dropped" || reason._tag === "Expired") return
    const all = this.#failures ??= new Map()
    const failures = all.get(reason._tag)
    if (failures === undefined) all.set(reason._tag, { reason, topic, count })
    else {
      failures.topic = topic
      failures.count += count
    }
  }

  /** Reports the failures of the turn. Messages that a durable session leaves in its store have not failed. */
  turned(durable: boolean): void {
    const failures = this.#failures
    if (failures === undefined) return
    this.#failures = undefined
    for (const { count, reason, topic } of failures.values()) {
      if (durable && reason._tag === "Closed") continue
      this.emit({ _tag: "MessageFailed", error: new MqttError({ session: this.#session, topic, reason }), count })
    }
  }

  /** Records that a subscription is not in force. Only the latest of many failures are kept. */
  subscriptionFailed(filters: ReadonlyArray<string>, consumer: string | undefined, error: MqttError): void {
    const { reason } = error
    // The server was not asked.
    if (reason._tag !== "InvalidOptions") {
      const failed = reason._tag === "SubscriptionRefused" ? [reason.filter] : filters
      const broken = this.#broken ??= new Set()
      for (const filter of failed) {
        broken.delete(filter)
        broken.add(filter)
        if (broken.size > maximumFailures) broken.delete(broken.values().next().value!)
      }
      // Routes and forwarders keep their own subscription state.
      if (consumer === undefined) this.set({ subscriptionFailures: withFailures(this.#state, failed, error) })
    }
    this.emit({ _tag: "SubscriptionFailed", filters, consumer, error })
  }

  /** Records that filters are in force or, with `wanted` false, no longer requested. */
  subscriptionSettled(filters: ReadonlyArray<string>, wanted: boolean): void {
    const restored = filters.filter((filter) => this.#broken?.delete(filter))
    if (restored.length === 0) return
    if (this.#broken!.size === 0) this.#broken = undefined
    const { subscriptionFailures } = this.#state
    if (restored.some((filter) => subscriptionFailures.has(filter))) {
      const failures = new Map(subscriptionFailures)
      for (const filter of restored) failures.delete(filter)
      this.set({ subscriptionFailures: failures })
    }
    if (wanted) this.emit({ _tag: "SubscriptionRestored", filters: restored })
  }

  /** Ends the streams of events. */
  end(): void {
    this.#log?.close(this.#server)
    this.#events.end()
  }
}

const withFailures = (
  { subscriptionFailures }: LifecycleState,
  filters: ReadonlyArray<string>,
  error: MqttError
): ReadonlyMap<string, MqttError> => {
  const failures = new Map(subscriptionFailures)
  for (const filter of filters) {
    failures.delete(filter)
    failures.set(filter, error)
    if (failures.size > maximumFailures) failures.delete(failures.keys().next().value!)
  }
  return failures
}

const count = (counts: Counts, event: SessionEvent): void => {
  switch (event._tag) {
    case "Connected":
      if (counts.connections++ > 0 && counts.lost !== undefined) {
        counts.reconnectsByReason = countReason(counts.reconnectsByReason, counts.lost)
      }
      return
    case "Disconnected":
      counts.lost = event.error?.reason._tag
      return
    case "MessageDropped":
      counts.dropped[event.cause] += event.count
      return
    // Every failed attempt, and every loss that the client did not cause itself, leads to one of these.
    case "Reconnecting":
    case "StorageDegraded":
      countError(counts, event.error, event.at)
  }
}

const countError = (counts: Counts, error: MqttError, at: number): void => {
  counts.errors++
  counts.errorsByReason = countReason(counts.errorsByReason, error.reason._tag)
  counts.lastErrorAt = at
}
