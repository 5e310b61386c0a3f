/**
 * Several sessions that work as one, for consumers that need more than one connection. The server sends each message to
 * one of them through a shared subscription (MQTT 4.8.2), and one stream or handler gets all messages.
 *
 * **Example** (Dividing the messages among four connections)
 *
 * ```ts
 * import { SessionPool } from "@effect-mqttx/core"
 * import { Effect, Stream } from "effect"
 *
 * export const workers = Effect.gen(function*() {
 *   const pool = yield* SessionPool.make({ name: "workers", size: 4, servers: ["mqtt://localhost:1883"] })
 *   yield* Stream.runForEach(
 *     pool.listen("jobs/#", { qos: 1 }),
 *     (message) => Effect.log(message.session, message.text)
 *   )
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { type Checks, integer, isRecord, optionsIssues, refusal, text } from "./internal/options/plain.ts"
import { durableOnly, withoutStore } from "./internal/session/persistence.ts"
import type { Message } from "./Message.ts"
import type { MqttError } from "./MqttError.ts"
import type { Session } from "./MqttSession.ts"
import * as SessionManager from "./SessionManager.ts"
import type { Persistence, SessionOptions, SessionOptionsInput } from "./SessionOptions.ts"
import type { HandleOptions, ListenOptions, Route } from "./SessionRoute.ts"
import type { SessionStore } from "./SessionStore.ts"

/**
 * Options of a pool: those of its sessions, and their number. `P` is the persistence that the sessions may have.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SessionPoolOptions<out P extends Persistence = Persistence> extends SessionOptionsInput<P> {
  /** 1 to 10,000. */
  readonly size: number
  /**
   * The group of the shared subscriptions. Default: the name. Pools with the same group share the messages, in other
   * programs too.
   */
  readonly share?: string
  /**
   * Default `none`, and `durable` in a pool of `makeDurable`. With `none`, messages for an absent member go to the
   * others. With other modes the server may keep them for that member, see the event `SharedSubscriptionAtRisk`.
   */
  readonly persistence?: P | undefined
}

/**
 * A pool of sessions.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionPool {
  /**
   * `name-0`, `name-1` and so on. Client identifiers are numbered the same way where one is given or the pool is
   * durable.
   */
  readonly sessions: ReadonlyArray<Session>
  /** The sessions by name, with their events and metrics. */
  readonly manager: Pick<
    SessionManager.SessionManager["Service"],
    "awaitAllReady" | "events" | "eventsOf" | "metrics" | "routes" | "status" | "statuses"
  >
  /** Each message once, through the session to which the server sent it. */
  readonly listen: <E = never, R = never>(
    filters: string | ReadonlyArray<string>,
    options?: Omit<ListenOptions<E, R>, "share">
  ) => Stream.Stream<Message, E | MqttError, R>
  /** Calls a handler for each message. `concurrency` applies to each session. */
  readonly handle: <E, R, E2 = never, R2 = never>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options?: Omit<HandleOptions<E, R, E2, R2>, "share">
  ) => Effect.Effect<Route<E | E2>, MqttError, R | R2 | Scope.Scope>
  /** Publishes through the sessions in turn. Order is kept only within one session. */
  readonly publish: Session["publish"]
}

/**
 * Makes a pool that lives as long as the scope. Its sessions connect in the background. Fails with `InvalidOptions`,
 * also for the persistence `durable`, which `makeDurable` accepts.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: SessionPoolOptions<"none" | "process">
): Effect.Effect<SessionPool, MqttError, Scope.Scope> =>
  Effect.flatMap(
    checked(options, "make", (input) => withoutStore(input, "SessionPool.make", "SessionPool.makeDurable")),
    (valid) => makePool(valid, (manager, member) => manager.add({ persistence: "none", ...member }))
  )

/**
 * `make` for durable sessions, whose state is in the `SessionStore`. The option `persistence` may be omitted.
 *
 * Fails with `InvalidOptions`, or `StorageFailed` when the store of a session cannot be opened.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeDurable = (
  options: SessionPoolOptions<"durable">
): Effect.Effect<SessionPool, MqttError, SessionStore | Scope.Scope> =>
  Effect.flatMap(
    checked(options, "makeDurable", (input) => durableOnly(input, "SessionPool.makeDurable", "SessionPool.make")),
    (valid) => makePool(valid, (manager, member) => manager.addDurable(member))
  )

const makePool = <P extends Persistence, R>(
  { share, size, ...rest }: SessionPoolOptions<P>,
  add: (
    manager: SessionManager.SessionManager["Service"],
    member: SessionOptionsInput<P>
  ) => Effect.Effect<Session, MqttError, R>
): Effect.Effect<SessionPool, MqttError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const group = share ?? rest.name
    const manager = yield* SessionManager.make()
    const sessions: Array<Session> = []
    for (let index = 0; index < size; index++) {
      sessions.push(
        yield* add(manager, {
          ...rest,
          name: `${rest.name}-${index}`,
          ...(rest.clientId === undefined ? undefined : { clientId: `${rest.clientId}-${index}` })
        })
      )
    }
    let turn = 0
    return {
      sessions,
      manager,
      listen: (filters, listenOptions) => manager.listen(filters, { ...listenOptions, share: group }),
      handle: (filters, handler, handleOptions) => manager.handle(filters, handler, { ...handleOptions, share: group }),
      publish: (topic, payload, publishOptions) =>
        Effect.suspend(() => sessions[turn++ % size]!.publish(topic, payload, publishOptions))
    }
  })

const maximumSize = 10_000

const poolChecks: Checks<Pick<SessionPoolOptions, "size" | "share">> = {
  size: integer(1, maximumSize),
  share: text
}

/**
 * Checks the pool and one of its sessions, and reports all issues together. The options of the sessions differ only in
 * the name.
 */
const checked = <P extends Persistence>(
  options: SessionPoolOptions<P>,
  name: "make" | "makeDurable",
  check: (member: unknown) => Effect.Effect<SessionOptions, MqttError>
): Effect.Effect<SessionPoolOptions<P>, MqttError> =>
  Effect.gen(function*() {
    const method = `SessionPool.${name}`
    const { share, size, ...rest } = isRecord(options) ? options : {} as Partial<SessionPoolOptions<P>>
    const members = yield* Effect.result(check(isRecord(options) ? rest : options))
    const issues = [
      ...optionsIssues({ share, size: size ?? null }, poolChecks),
      ...(Result.isFailure(members) && members.failure.reason._tag === "InvalidOptions"
        ? members.failure.reason.issues
        : [])
    ]
    const invalid = refusal(issues, method, rest.name)
    if (invalid !== undefined) return yield* invalid
    return options
  })
