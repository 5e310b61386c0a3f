/**
 * The state of a session and its events, for whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Stream from "effect/Stream"
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { MessageDropped, SessionEvent, SessionState } from "../../SessionEvent.ts"
import type { LogMode, SessionLogOptions } from "../../SessionLog.ts"
import * as Broadcast from "./broadcast.ts"
import { EventLog, type Fork, isWorthLogging } from "./eventLog.ts"
import { countReason, type Reasons } from "./reasonCounts.ts"

/**
 * What changes with the state.
 */
export interface LifecycleState {
  readonly state: SessionState
  /** Milliseconds since the epoch when the state began. */
  readonly since: number
  readonly ready: boolean
  readonly server: string | undefined
  readonly attempt: number
  readonly lastError: MqttError | undefined
  /** Why the session does not connect for now, or any more: awaiting operations fail with it. */
  readonly failure: MqttError | undefined
  /** Why the store takes no commits. */
  readonly storageFailure: MqttError | undefined
  /** Messages fail since; undefined: none does. */
  readonly failingSince: number | undefined
  /** Filters that are not in force, and why. */
  readonly subscriptionFailures: ReadonlyMap<string, MqttError>
}

/** Of every session that is well: one map for all. */
export const noFailures: ReadonlyMap<string, MqttError> = new Map()

/** A program may be refused ever new filters. */
const maximumFailures = 100

type WithoutBase<Event> = Event extends SessionEvent ? Omit<Event, "session" | "at"> : never

/**
 * An event without what the hub fills in.
 */
export type EventBody = WithoutBase<SessionEvent>

/**
 * How often things happened.
 */
export interface Counts {
  connections: number
  /** What ended the last connection. */
  lost: MqttErrorReason["_tag"] | undefined
  /** By what ended the connection before. */
  readonly reconnectsByReason: Reasons
  errors: number
  readonly errorsByReason: Reasons
  lastErrorAt: number | undefined
  readonly dropped: { [Cause in MessageDropped["cause"]]: number }
}

/**
 * Whom a session tells each event at once, before anything else happens to it.
 */
export type Observer = (event: SessionEvent) => void

/** The bound in bytes of the events that wait for one listener: others choose the topics in them. */
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
  readonly fork: Fork
}

/** Messages that failed for one reason in one turn. */
interface Failures {
  readonly reason: MqttErrorReason
  topic: string
  count: number
}

/**
 * A class whose streams, and whose log, are made when there is something for them: most sessions of a large program are
 * well, and watched by nobody.
 */
export class Lifecycle {
  readonly counts: Counts = {
    connections: 0,
    lost: undefined,
    reconnectsByReason: {},
    errors: 0,
    errorsByReason: {},
    lastErrorAt: undefined,
    dropped: { dropOldest: 0, dropNewest: 0, latestPerTopic: 0, expired: 0, poison: 0, streamOverflow: 0, unclaimed: 0 }
  }
  readonly #session: string
  readonly #clock: Clock.Clock
  readonly #observer: Observer | undefined
  readonly #logMode: LogMode
  readonly #settings: SessionLogOptions
  readonly #fork: Fork
  #log: EventLog | undefined
  /** The server in use or tried last. */
  #server: string | undefined
  readonly #events = new Broadcast.Broadcast<SessionEvent>(eventsOptions)
  #changes: Broadcast.Broadcast<LifecycleState> | undefined
  #state: LifecycleState
  /** Filters whose latest subscription failed, whoever asked for it: when one is granted, that is news. */
  #broken: Set<string> | undefined
  #failures: Map<MqttErrorReason["_tag"], Failures> | undefined

  constructor(
    session: string,
    clock: Clock.Clock,
    observer: Observer | undefined,
    { fork, log, settings }: LifecycleLog
  ) {
    this.#session = session
    this.#clock = clock
    this.#observer = observer
    this.#logMode = log
    this.#settings = settings
    this.#fork = fork
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
    // Not `...body` first: V8 gives each such copy a hidden class of its own, which is larger than the event.
    const event = { session: this.#session, at: this.#clock.currentTimeMillisUnsafe(), ...body } as SessionEvent
    count(this.counts, event)
    this.#events.publish(event)
    this.#observer?.(event)
    if (event._tag === "Connecting" || event._tag === "Connected") this.#server = event.server
    // What is of no interest to a log that has written nothing needs none.
    if (this.#log !== undefined || isWorthLogging(event, this.#logMode, this.#settings)) {
      this.#openLog()?.onEvent(event, this.#server)
    }
  }

  #openLog(): EventLog | undefined {
    if (this.#logMode === "off") return undefined
    return this.#log ??= new EventLog(this.#session, this.#logMode, this.#settings, this.#clock, this.#fork)
  }

  /** Changes the state; emits StateChanged when `state` itself changed. */
  set(change: Partial<Omit<LifecycleState, "since">>): void {
    const before = this.#state
    const moved = change.state !== undefined && change.state !== before.state
    // The policy gives up: no attempt follows in which the failure would be counted.
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
   * An accepted message failed, and its outcome is awaited by no one: told at the end of the turn, with others of the
   * same reason.
   */
  messageFailed(topic: string, reason: MqttErrorReason): void {
    // Drops have events of their own.
    if (reason._tag === "Dropped" || reason._tag === "Expired") return
    const all = this.#failures ??= new Map()
    const failures = all.get(reason._tag)
    if (failures === undefined) all.set(reason._tag, { reason, topic, count: 1 })
    else {
      failures.topic = topic
      failures.count++
    }
  }

  /** The end of a turn. What a durable session leaves behind has not failed: it is in its store. */
  turned(durable: boolean): void {
    const failures = this.#failures
    if (failures === undefined) return
    this.#failures = undefined
    for (const { count, reason, topic } of failures.values()) {
      if (durable && reason._tag === "Closed") continue
      this.emit({ _tag: "MessageFailed", error: new MqttError({ session: this.#session, topic, reason }), count })
    }
  }

  /** A subscription is not in force. The latest of many failures are kept. */
  subscriptionFailed(filters: ReadonlyArray<string>, consumer: string | undefined, error: MqttError): void {
    const { reason } = error
    // Nothing was asked of the server.
    if (reason._tag !== "InvalidOptions") {
      const failed = reason._tag === "SubscriptionRefused" ? [reason.filter] : filters
      const broken = this.#broken ??= new Set()
      for (const filter of failed) {
        broken.delete(filter)
        broken.add(filter)
        if (broken.size > maximumFailures) broken.delete(broken.values().next().value!)
      }
      // Routes and forwarders know by themselves how they stand, and for how long that matters.
      if (consumer === undefined) this.set({ subscriptionFailures: withFailures(this.#state, failed, error) })
    }
    this.emit({ _tag: "SubscriptionFailed", filters, consumer, error })
  }

  /** Filters are in force, or (with `wanted` false) are not asked for any more. */
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
      if (counts.connections++ > 0 && counts.lost !== undefined) countReason(counts.reconnectsByReason, counts.lost)
      return
    case "Disconnected":
      counts.lost = event.error?.reason._tag
      return
    case "MessageDropped":
      counts.dropped[event.cause] += event.count
      return
    // Every failed attempt and every loss that is not our own will ends in one of these.
    case "Reconnecting":
    case "StorageDegraded":
      countError(counts, event.error, event.at)
  }
}

const countError = (counts: Counts, error: MqttError, at: number): void => {
  counts.errors++
  countReason(counts.errorsByReason, error.reason._tag)
  counts.lastErrorAt = at
}
