/**
 * The interface of a session manager. `SessionManager` exports it.
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
import type { Session } from "../session/contract.ts"
import type { SessionsNotReady } from "./sessionsNotReady.ts"

/**
 * How a session is added.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface AddOptions {
  /** Default: that of the manager. */
  readonly transport?: Transport
}

/**
 * How to remove a session.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface RemoveOptions {
  /**
   * Deletes the state of a durable session: in the store and, if the server can be reached within five seconds, at the
   * server. Default false: a session of this name that is added later continues where this one ended.
   */
  readonly deleteState?: boolean
}

/**
 * How long to wait.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface AwaitOptions {
  /** Default 30 seconds. `"Infinity"` waits without limit. */
  readonly timeout?: Duration.Input
}

/**
 * Selects events.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface EventFilter<Tag extends SessionEvent["_tag"] = SessionEvent["_tag"]> {
  /** The kinds of events. Default: all. */
  readonly type?: Tag | ReadonlyArray<Tag>
  /** The name of a session. Default: all sessions. */
  readonly session?: string
}

/**
 * The outcome of an operation on every session, by name. Disconnected sessions fail with `Closed`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ResultBySession<A> = ReadonlyMap<string, Result.Result<A, MqttError>>

/**
 * The metrics of a manager and of its sessions.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ManagerMetrics {
  /** Number of sessions, disconnected ones included. */
  readonly sessions: number
  /** Number of sessions that are ready. */
  readonly ready: number
  /** How many sessions are in each state. */
  readonly states: { readonly [State in SessionState]: number }
  /** Number of active routes. */
  readonly routes: number
  /** Totals over all sessions since the manager was made, including removed and disconnected ones. */
  readonly totals: SessionMetrics
  /** The metrics of each session since it was added, across disconnects. */
  readonly bySession: ReadonlyMap<string, SessionMetrics>
}

/**
 * The operations of a manager.
 *
 * No operation waits for the network while it holds a lock that another operation needs. Handlers and listeners may
 * call any of them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Manager {
  /**
   * Registers a session, which joins the routes over all sessions and connects in the background. Succeeds at once.
   *
   * Fails with `InvalidOptions`, also for the persistence `durable`, with `DuplicateSession`, or with `Closed` when the
   * manager is closed.
   */
  readonly add: (
    options: SessionOptionsInput<"none" | "process">,
    addOptions?: AddOptions
  ) => Effect.Effect<Session, MqttError>

  /**
   * `add` for a durable session, which uses the `SessionStore` of the context for as long as the manager has its name.
   * Succeeds as soon as the store is open. The option `persistence` may be left out. Sessions may have different
   * stores: `Effect.provideService` gives this one its own.
   *
   * Fails as `add` does, and with `StorageFailed` when the store cannot be opened.
   */
  readonly addDurable: (
    options: SessionOptionsInput<"durable">,
    addOptions?: AddOptions
  ) => Effect.Effect<Session, MqttError, SessionStore>

  /**
   * Drains a session, releases it and removes its name. Waits for the end of the removal, which takes at most the
   * session's `drainTimeout`. The removal continues when the caller is interrupted. Fails with `SessionNotFound`, or
   * with `StorageFailed` when its state could not be deleted.
   */
  readonly remove: (name: string, options?: RemoveOptions) => Effect.Effect<void, MqttError>

  /**
   * Returns a session by its name. Fails with `SessionNotFound`, or with `Closed` while it is disconnected by
   * `disconnect`.
   */
  readonly get: (name: string) => Effect.Effect<Session, MqttError>

  /** The options of a session, all defaults filled in. Fails with `SessionNotFound`. */
  readonly options: (name: string) => Effect.Effect<SessionOptions, MqttError>

  /** The names, in the order in which they were added. */
  readonly list: Effect.Effect<ReadonlyArray<string>>

  /** The status of a session. Fails with `SessionNotFound`. */
  readonly status: (name: string) => Effect.Effect<SessionStatus, MqttError>
  /** The status of all sessions, by name. */
  readonly statuses: Effect.Effect<ReadonlyMap<string, SessionStatus>>

  /**
   * Connects, in the background, a session that was disconnected or has given up. Does nothing for a session that is
   * connecting or connected.
   */
  readonly connect: (name: string) => Effect.Effect<Session, MqttError>
  /** `connect` for every session. */
  readonly connectAll: Effect.Effect<ResultBySession<Session>>
  /** Drains and disconnects a session. Its name, options and routes stay, for `connect`. */
  readonly disconnect: (name: string) => Effect.Effect<void, MqttError>
  /** `disconnect` for every session, at the same time. */
  readonly disconnectAll: Effect.Effect<void>

  /**
   * Succeeds when a session is ready. Fails with its permanent failure, `Timeout`, `Closed` or `SessionNotFound`.
   */
  readonly awaitReady: (name: string, options?: AwaitOptions) => Effect.Effect<void, MqttError>
  /**
   * Succeeds when all current sessions are ready. Fails with all sessions that are not ready: at the timeout, or
   * earlier when every session either is ready or cannot become ready by itself. Fails with `InvalidOptions` for an
   * invalid timeout.
   */
  readonly awaitAllReady: (options?: AwaitOptions) => Effect.Effect<void, SessionsNotReady | MqttError>

  /** `publish` of a session. */
  readonly publishTo: (
    name: string,
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, MqttError>
  /** Publishes by every session at the same time. A session without a connection waits for one; set a `timeout`. */
  readonly publishToAll: (
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<ResultBySession<PublishReceipt>>

  /**
   * Subscribes at every current session, and succeeds when all have an answer. A session without a connection keeps it
   * waiting, so bound it with `Effect.timeout`. For future sessions use `handle` and `listen`.
   */
  readonly subscribeAll: (
    filters: string | ReadonlyArray<string>,
    options?: SubscribeOptions
  ) => Effect.Effect<ResultBySession<Subscription>, never, Scope.Scope>
  /** `unsubscribe` of every session. */
  readonly unsubscribeAll: (filter: string) => Effect.Effect<ResultBySession<void>>

  /**
   * Calls a handler for the messages of all sessions, current and future ones, until the scope ends. A message is
   * acknowledged when its handler succeeds.
   *
   * Succeeds when the route is registered, see `Route.active`. Fails with `InvalidFilter` or `InvalidOptions`. When a
   * session refuses the subscription, the route retries there, and the other sessions are not affected.
   */
  readonly handle: <E, R, E2 = never, R2 = never>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: HandleOptions<E, R, E2, R2>
  ) => Effect.Effect<Route<E | E2>, MqttError, R | R2 | Scope.Scope>
  /**
   * `handle` for one session, also while that is disconnected. The route ends when the session is removed or refuses
   * the subscription permanently. Also fails with `SessionNotFound`.
   */
  readonly handleTo: <E, R, E2 = never, R2 = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: HandleOptions<E, R, E2, R2>
  ) => Effect.Effect<Route<E | E2>, MqttError, R | R2 | Scope.Scope>

  /** The messages of all sessions, current and future ones, as a stream that subscribes while it runs. */
  readonly listen: <E = never, R = never>(
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Stream.Stream<Message, E | MqttError, R>
  /** `listen` for one session. Ends when that session is removed. */
  readonly listenTo: <E = never, R = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Stream.Stream<Message, E | MqttError, R>

  /** `listen` as a route with metrics, which subscribes at once and lasts as long as the scope. */
  readonly listener: <E = never, R = never>(
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Effect.Effect<Listener<E>, MqttError, R | Scope.Scope>
  /** `listenTo` as a route with metrics. */
  readonly listenerTo: <E = never, R = never>(
    name: string,
    filters: string | ReadonlyArray<string>,
    options?: ListenOptions<E, R>
  ) => Effect.Effect<Listener<E>, MqttError, R | Scope.Scope>

  /** The active routes, in the order in which they were made. */
  readonly routes: Effect.Effect<ReadonlyArray<Route<unknown>>>

  /**
   * The lifecycle events of all sessions in one stream, each session's events in their order. A new listener first
   * receives the recent events.
   *
   * A session that is added: Added, StateChanged, Connecting, Connected, StateChanged, Ready. A lost connection:
   * Disconnected, StateChanged, Reconnecting. A session that is removed or disconnected: Disconnected if it was
   * connected, StateChanged, and Removed if it was removed. A slow listener misses the oldest events and does not delay
   * other listeners.
   */
  readonly events: Stream.Stream<SessionEvent>
  /** The events of these kinds. */
  readonly eventsOf: <Tag extends SessionEvent["_tag"] = SessionEvent["_tag"]>(
    filter: EventFilter<Tag>
  ) => Stream.Stream<Extract<SessionEvent, { readonly _tag: Tag }>>

  /** The metrics now. */
  readonly metrics: Effect.Effect<ManagerMetrics>
}

/**
 * Options of a manager. `P` is the persistence that its sessions may have.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface ManagerOptions<out P extends Persistence = Persistence> {
  /** Sessions that are added when the manager is made. Default none. */
  readonly sessions?: ReadonlyArray<SessionOptionsInput<P>>
  /** Number of past events that a new listener receives. Default 128. */
  readonly eventReplay?: number
  /** Number of events that are buffered for one listener before it misses the oldest. Default 4096. */
  readonly eventBuffer?: number
}
