/**
 * The state of a session and its events, for whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { MqttError } from "../../MqttError.ts"
import type { MessageDropped, SessionEvent, SessionState } from "../../SessionEvent.ts"
import * as Broadcast from "./broadcast.ts"

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
  errors: number
  lastErrorAt: number | undefined
  readonly dropped: { [Cause in MessageDropped["cause"]]: number }
}

export interface Hub {
  readonly tally: Tally
  readonly state: Effect.Effect<HubState>
  readonly current: () => HubState
  readonly changes: Stream.Stream<HubState>
  readonly events: Stream.Stream<SessionEvent>
  readonly emit: (event: EventBody) => void
  /** Changes the state; emits StateChanged when `state` itself changed. */
  readonly set: (change: Partial<Omit<HubState, "since">>) => Effect.Effect<void>
  /** Ends the streams of events. */
  readonly end: Effect.Effect<void>
}

/**
 * Whom a session tells each event at once, before anything else happens to it.
 */
export type Observer = (event: SessionEvent) => void

export const make = (session: string, clock: Clock.Clock, observer?: Observer): Effect.Effect<Hub> =>
  Effect.gen(function*() {
    const events = yield* Broadcast.make<SessionEvent>({ capacity: 256, replay: 16 })
    const ref = yield* SubscriptionRef.make<HubState>({
      state: "disconnected",
      since: clock.currentTimeMillisUnsafe(),
      ready: false,
      server: undefined,
      attempt: 0,
      lastError: undefined,
      failure: undefined
    })
    const tally: Tally = {
      connections: 0,
      errors: 0,
      lastErrorAt: undefined,
      dropped: { dropOldest: 0, dropNewest: 0, latestPerTopic: 0, expired: 0, streamOverflow: 0, unclaimed: 0 }
    }
    const emit = (body: EventBody): void => {
      const event = { ...body, session, at: clock.currentTimeMillisUnsafe() } as SessionEvent
      count(tally, event)
      events.publish(event)
      observer?.(event)
    }
    return {
      tally,
      state: SubscriptionRef.get(ref),
      current: () => SubscriptionRef.getUnsafe(ref),
      get changes() {
        return SubscriptionRef.changes(ref)
      },
      get events() {
        return events.stream
      },
      emit,
      set: (change) =>
        SubscriptionRef.update(ref, (before): HubState => {
          const moved = change.state !== undefined && change.state !== before.state
          if (moved) emit({ _tag: "StateChanged", from: before.state, to: change.state! })
          return { ...before, ...change, since: moved ? clock.currentTimeMillisUnsafe() : before.since }
        }),
      end: events.end
    }
  })

const count = (tally: Tally, event: SessionEvent): void => {
  switch (event._tag) {
    case "Connected":
      tally.connections++
      return
    case "MessageDropped":
      tally.dropped[event.cause] += event.count
      return
    // Every failed attempt and every loss that is not our own will ends in one of these.
    case "Reconnecting":
    case "StorageDegraded":
      tally.errors++
      tally.lastErrorAt = event.at
  }
}
