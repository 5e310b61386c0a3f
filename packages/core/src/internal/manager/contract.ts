/**
 * What a manager of sessions does for programs; `SessionManager` exports it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { Payload, PublishOptions, PublishReceipt } from "../../Publication.ts"
import type { SessionEvent, SessionState } from "../../SessionEvent.ts"
import type { Persistence, SessionOptions, SessionOptionsInput } from "../../SessionOptions.ts"
import type { HandleOptions, Listener, ListenOptions, Route } from "../../SessionRoute.ts"
import type { SessionMetrics, SessionStatus } from "../../SessionStatus.ts"
import type { SessionStore } from "../../SessionStore.ts"
import type { SubscribeOptions, Subscription } from "../../Subscription.ts"
import type { Transport } from "../../Transport.ts"
import type { Extras, Session } from "../session/contract.ts"
import type { SessionsNotReady } from "./sessionsNotReady.ts"

/**
 * Parts of one session that are not configuration.
 */
export interface AddOptions extends Extras {
  /** Default: that of the manager. */
  readonly transport?: Transport
}

/**
 * How to remove a session.
 */
export interface RemoveOptions {
  /**
   * Deletes what a durable session keeps, in the store and, if it can be reached within five seconds, at the server.
   * Default false: a session of this name that is added later goes on where this one ended.
   */
  readonly deleteState?: boolean
}

/**
 * How long to wait.
 */
export interface AwaitOptions {
  /** Default 30 seconds; `"Infinity"` waits as long as it takes. */
  readonly timeout?: Duration.Input
}

/**
 * Which events.
 */
export interface EventFilter<Tag extends SessionEvent["_tag"] = SessionEvent["_tag"]> {
  readonly type?: Tag | ReadonlyArray<Tag>
  readonly session?: string
}

/**
 * The outcome of an operation on every session, by name. Sessions that are disconnected fail with `Closed`.
 */
export type ResultBySession<A> = ReadonlyMap<string, Result.Result<A, MqttError>>

/**
 * The figures of a manager and of its sessions.
 */
export interface ManagerMetrics {
  readonly sessions: number
  readonly ready: number
  /** How many sessions are in each state. */
  readonly states: { readonly [State in SessionState]: number }
  /** Routes at work. */
  readonly routes: number
  /** Over all sessions since the manager was made, removed and disconnected ones included. */
  readonly totals: SessionMetrics
  /** Of each session since it was added, however often it was disconnected meanwhile. */
  readonly bySession: ReadonlyMap<string, SessionMetrics>
}

/**
 * What a manager does.
 *
 * No operation waits for the network while it holds something that another one needs: handlers and listeners may call
 * any of them.
 */
export interface Manager {
  /**
   * Registers a session, which joins the routes over all sessions and connects in the background; succeeds at once.
   *
   * Fails with `InvalidOptions`, also for the persistence `durable`, `DuplicateSession`, or `Closed` when the manager
   * is.
   */
  readonly add: (
    options: SessionOptionsInput<"none" | "process">,
    extras?: AddOptions
  ) => Effect.Effect<Session, MqttError>

  /**
   * `add` for a durable session, which keeps the `SessionStore` at hand for as long as the manager has its name;
   * succeeds as soon as the store is open. The option `persistence` may be left out. Sessions may have different
   * stores: `Effect.provideService` gives this one its own.
   *
   * Fails as `add` does, and with `StorageFailed` when the store cannot be opened.
   */
  readonly addDurable: (
    options: SessionOptionsInput<"durable">,
    extras?: AddOptions
  ) => Effect.Effect<Session, MqttError, SessionStore>

  /**
   * Drains a session, releases it and forgets its name; waits for that, which takes at most the session's
   * `drainTimeout`, and goes on when the caller is interrupted. Fails with `SessionNotFound`, or `StorageFailed` when
   * its state could not be deleted.
   */
  readonly remove: (name: string, options?: RemoveOptions) => Effect.Effect<void, MqttError>

  /** A session by its name; fails with `SessionNotFound`, or `Closed` while it is disconnected by `disconnect`. */
  readonly get: (name: string) => Effect.Effect<Session, MqttError>

  /** What a session was added with, all defaults filled in; fails with `SessionNotFound`. */
  readonly options: (name: string) => Effect.Effect<SessionOptions, MqttError>

  /** The names, in the order in which they were added. */
  readonly list: Effect.Effect<ReadonlyArray<string>>

  /** Where a session stands; fails with `SessionNotFound`. */
  readonly status: (name: string) => Effect.Effect<SessionStatus, MqttError>
  /** Where all sessions stand, by name. */
  readonly statuses: Effect.Effect<ReadonlyMap<string, SessionStatus>>

  /**
   * Connects a session that was disconnected or has given up, in the background; nothing happens to one that connects
   * or is connected.
   */
  readonly connect: (name: string) => Effect.Effect<Session, MqttError>
  /** `connect` for every session. */
  readonly connectAll: Effect.Effect<ResultBySession<Session>>
  /** Drains and disconnects a session; its name, options and routes stay, for `connect`. */
  readonly disconnect: (name: string) => Effect.Effect<void, MqttError>
  /** `disconnect` for every session, at the same time. */
  readonly disconnectAll: Effect.Effect<void>

  /**
   * Succeeds when a session is ready; fails with its permanent failure, `Timeout`, `Closed` or `SessionNotFound`.
   */
  readonly awaitReady: (name: string, options?: AwaitOptions) => Effect.Effect<void, MqttError>
  /**
   * Succeeds when all sessions that there are now are ready. Fails with all that are not: when every session either is
   * ready or cannot become so by itself, or when the time is over. Fails with `InvalidOptions` for a time that is none.
   */
  readonly awaitAllReady: (options?: AwaitOptions) => Effect.Effect<void, SessionsNotReady | MqttError>

  /** `publish` of a session. */
  readonly publishTo: (
    name: string,
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError>
  /** Publishes by every session at the same time. A session without a connection waits for one: give a `timeout`. */
  readonly publishToAll: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<ResultBySession<PublishReceipt>>

  /**
   * Subscribes at every session that there is now, and succeeds when all have an answer: one without a connection keeps
   * it waiting, so bound it with `Effect.timeout`. For sessions to come there are `handle` and `listen`.
   */
  readonly subscribeAll: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Effect.Effect<ResultBySession<Subscription>, never, Scope.Scope>
  /** `unsubscribe` of every session. */
  readonly unsubscribeAll: (filter: string) => Effect.Effect<ResultBySession<void>>

  /**
   * Calls a handler for the messages of all sessions, present and future ones, until the scope ends. A message is
   * acknowledged when its handler succeeded.
   *
   * Succeeds when the route is registered, see `Route.active`. Fails with `InvalidFilter` or `InvalidOptions`. A
   * session that refuses the subscription does not harm the others; it is tried again.
   */
  readonly handle: <E, R, E2 = never, R2 = never>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: HandleOptions<E, R, E2, R2>
  ) => Effect.Effect<Route<E | E2>, MqttError, R | R2 | Scope.Scope>
  /**
   * `handle` for one session, also while that is disconnected; the route ends when it is removed or refuses the
   * subscription for good. Fails with `SessionNotFound` too.
   */
  readonly handleTo: <E, R, E2 = never, R2 = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: HandleOptions<E, R, E2, R2>
  ) => Effect.Effect<Route<E | E2>, MqttError, R | R2 | Scope.Scope>

  /** The messages of all sessions, present and future ones, as a stream that subscribes while it runs. */
  readonly listen: <E = never, R = never>(
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Stream.Stream<Message, E | MqttError, R>
  /** `listen` for one session; ends when that is removed. */
  readonly listenTo: <E = never, R = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Stream.Stream<Message, E | MqttError, R>

  /** `listen` as a route with figures, which subscribes at once and lasts as long as the scope. */
  readonly listener: <E = never, R = never>(
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Effect.Effect<Listener<E>, MqttError, R | Scope.Scope>
  /** `listenTo` as a route with figures. */
  readonly listenerTo: <E = never, R = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Effect.Effect<Listener<E>, MqttError, R | Scope.Scope>

  /** The routes at work, in the order in which they were made. */
  readonly routes: Effect.Effect<ReadonlyArray<Route<unknown>>>

  /**
   * The life of all sessions in one stream, each session's events in their order; who comes late sees the recent past.
   *
   * A session that is added: Added, StateChanged, Connecting, Connected, StateChanged, Ready. A lost connection:
   * Disconnected, StateChanged, Reconnecting. A session that is removed or disconnected: Disconnected if it was
   * connected, StateChanged, and Removed where it was removed. A slow listener misses the oldest events and delays
   * nobody.
   */
  readonly events: Stream.Stream<SessionEvent>
  /** Some of the events. */
  readonly eventsOf: <Tag extends SessionEvent["_tag"] = SessionEvent["_tag"]>(
    filter: EventFilter<Tag>
  ) => Stream.Stream<Extract<SessionEvent, { readonly _tag: Tag }>>

  readonly metrics: Effect.Effect<ManagerMetrics>
}

/**
 * Options of a manager; `P` is which persistence its sessions may have.
 */
export interface ManagerOptions<out P extends Persistence = Persistence> {
  /** Sessions that are added when the manager is made. Default none. */
  readonly sessions?: ReadonlyArray<SessionOptionsInput<P>>
  /** Past events that a new listener sees. Default 128. */
  readonly eventReplay?: number
  /** Events that wait for one listener before it misses the oldest. Default 4096. */
  readonly eventBuffer?: number
}
