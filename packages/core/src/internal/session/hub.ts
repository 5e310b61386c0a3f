/**
 * The state of a session and its events, for whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Stream from "effect/Stream"
import type { MqttError, MqttErrorReason } from "../../MqttError.ts"
import type { MessageDropped, SessionEvent, SessionState } from "../../SessionEvent.ts"
import * as Broadcast from "./broadcast.ts"
import { countReason, type Reasons } from "./figures.ts"

/**
 * What changes with the state.
 */
export interface HubState {
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
}

type WithoutBase<Event> = Event extends SessionEvent ? Omit<Event, "session" | "at"> : never

/**
 * An event without what the hub fills in.
 */
export type EventBody = WithoutBase<SessionEvent>

/**
 * How often things happened.
 */
export interface Tally {
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

const eventsOptions: Broadcast.BroadcastOptions = { capacity: 256, replay: 16 }
const changesOptions: Broadcast.BroadcastOptions = { capacity: 256, replay: 1 }

/**
 * A class whose streams are made for those who listen: most sessions of a large program are watched by nobody.
 */
export class Hub {
  readonly tally: Tally = {
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
  readonly #events = new Broadcast.Broadcast<SessionEvent>(eventsOptions)
  #changes: Broadcast.Broadcast<HubState> | undefined
  #state: HubState

  constructor(session: string, clock: Clock.Clock, observer: Observer | undefined) {
    this.#session = session
    this.#clock = clock
    this.#observer = observer
    this.#state = {
      state: "disconnected",
      since: clock.currentTimeMillisUnsafe(),
      ready: false,
      server: undefined,
      attempt: 0,
      lastError: undefined,
      failure: undefined,
      storageFailure: undefined,
      failingSince: undefined
    }
  }

  current(): HubState {
    return this.#state
  }

  /** The state now, and whenever it changes. */
  get changes(): Stream.Stream<HubState> {
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
    count(this.tally, event)
    this.#events.publish(event)
    this.#observer?.(event)
  }

  /** Changes the state; emits StateChanged when `state` itself changed. */
  set(change: Partial<Omit<HubState, "since">>): void {
    const before = this.#state
    const moved = change.state !== undefined && change.state !== before.state
    // The policy gives up: no attempt follows in which the failure would be counted.
    if (moved && change.state === "disconnected" && change.failure !== undefined) {
      countError(this.tally, change.failure, this.#clock.currentTimeMillisUnsafe())
    }
    if (moved) this.emit({ _tag: "StateChanged", from: before.state, to: change.state! })
    const { since, ...others } = before
    this.#state = { since: moved ? this.#clock.currentTimeMillisUnsafe() : since, ...others, ...change }
    this.#changes?.publish(this.#state)
  }

  /** Ends the streams of events. */
  end(): void {
    this.#events.end()
  }
}

const count = (tally: Tally, event: SessionEvent): void => {
  switch (event._tag) {
    case "Connected":
      if (tally.connections++ > 0 && tally.lost !== undefined) countReason(tally.reconnectsByReason, tally.lost)
      return
    case "Disconnected":
      tally.lost = event.error?.reason._tag
      return
    case "MessageDropped":
      tally.dropped[event.cause] += event.count
      return
    // Every failed attempt and every loss that is not our own will ends in one of these.
    case "Reconnecting":
    case "StorageDegraded":
      countError(tally, event.error, event.at)
  }
}

const countError = (tally: Tally, error: MqttError, at: number): void => {
  tally.errors++
  countReason(tally.errorsByReason, error.reason._tag)
  tally.lastErrorAt = at
}
