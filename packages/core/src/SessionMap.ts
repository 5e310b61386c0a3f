/**
 * Sessions that are opened on first use, shared by all users of a key, and closed after a time without users. For
 * programs that talk to many servers or tenants, a few of them at a time.
 *
 * A `SessionManager` holds sessions that a program wants to keep; a `SessionMap` holds those that are in use.
 *
 * **Example** (Opening a session for each tenant)
 *
 * ```ts
 * import { SessionMap } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const tenants = yield* SessionMap.make({
 *     lookup: (tenant: string) => ({ name: tenant, servers: [`mqtts://${tenant}.example.com`] }),
 *     idleTimeToLive: "1 minute"
 *   })
 *   yield* tenants.use("acme", (session) => session.publish("hello", "world", { qos: 1 }))
 * })
 * ```
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import { parseDuration } from "./internal/options/durations.ts"
import { callable, type Checks, duration, isRecord, optionsIssues, refusal } from "./internal/options/plain.ts"
import { durableOnly, storeOf, withoutStore } from "./internal/session/persistence.ts"
import { makeSession } from "./internal/session/session.ts"
import type { MqttError } from "./MqttError.ts"
import type * as MqttSession from "./MqttSession.ts"
import type { Persistence, SessionOptions, SessionOptionsInput } from "./SessionOptions.ts"
import type { SessionStore } from "./SessionStore.ts"

/**
 * Options of a map of sessions. `P` is the persistence that the sessions may have.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface SessionMapOptions<K, E, R, P extends Persistence = Persistence> {
  /** The options of the session of a key. */
  readonly lookup: (key: K) => SessionOptionsInput<P> | Effect.Effect<SessionOptionsInput<P>, E, R>
  /** Time for which an unused session stays open. Default 30 seconds. */
  readonly idleTimeToLive?: Duration.Input
}

/**
 * Sessions by key.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionMap<in K, out E = never> {
  /**
   * The session of a key. If it was not open, it connects in the background. It stays open at least as long as the
   * scope. Fails as `MqttSession.make` and the lookup do; the next `get` tries again.
   */
  readonly get: (key: K) => Effect.Effect<MqttSession.Session, E | MqttError, Scope.Scope>
  /** Runs a function with the session of a key. */
  readonly use: <A, E2, R2>(
    key: K,
    f: (session: MqttSession.Session) => Effect.Effect<A, E2, R2>
  ) => Effect.Effect<A, E | E2 | MqttError, R2>
  /** The names of the sessions that are open. */
  readonly open: Effect.Effect<ReadonlyArray<string>>
  /** Makes later calls of `get` open a new session for the key. The old one is closed when it has no more users. */
  readonly invalidate: (key: K) => Effect.Effect<void>
}

const defaultTimeToLive = "30 seconds"

const mapChecks: Checks<SessionMapOptions<unknown, unknown, unknown>> = {
  lookup: callable,
  idleTimeToLive: duration
}

/**
 * Makes a map of sessions. All of them are closed with the scope. Keys are compared with Effect's `Equal`. Fails with
 * `InvalidOptions`. `get` fails the same way for a lookup that says `durable`, which needs `makeDurable`.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <K, E = never, R = never>(
  options: SessionMapOptions<K, E, R, "none" | "process">
): Effect.Effect<SessionMap<K, E>, MqttError, R | Scope.Scope> =>
  makeMap(options, "SessionMap.make", (found) => withoutStore(found, "SessionMap.get", "SessionMap.makeDurable"))

/**
 * `make` for durable sessions, whose state is in the `SessionStore`. The option `persistence` may be omitted.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeDurable = <K, E = never, R = never>(
  options: SessionMapOptions<K, E, R, "durable">
): Effect.Effect<SessionMap<K, E>, MqttError, R | SessionStore | Scope.Scope> =>
  Effect.andThen(
    storeOf(undefined, "SessionMap.makeDurable"),
    makeMap(options, "SessionMap.makeDurable", (found) => durableOnly(found, "SessionMap.get", "SessionMap.make"))
  )

const makeMap = <K, E, R, P extends Persistence>(
  options: SessionMapOptions<K, E, R, P>,
  method: string,
  check: (found: SessionOptionsInput<P>) => Effect.Effect<SessionOptions, MqttError>
): Effect.Effect<SessionMap<K, E>, MqttError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const invalid = refusal(
      optionsIssues(isRecord(options) ? { ...options, lookup: options.lookup ?? null } : options, mapChecks),
      method
    )
    if (invalid !== undefined) return yield* invalid
    const open = new Set<string>()
    const sessions = yield* RcMap.make({
      lookup: (key: K) =>
        Effect.gen(function*() {
          const found = options.lookup(key)
          const valid = yield* check(Effect.isEffect(found) ? yield* found : found)
          const { session } = yield* makeSession(valid)
          yield* Effect.acquireRelease(
            Effect.sync(() => open.add(session.name)),
            () => Effect.sync(() => open.delete(session.name))
          )
          return session
        }),
      idleTimeToLive: parseDuration(options.idleTimeToLive ?? defaultTimeToLive)!
    })
    const get = (key: K): Effect.Effect<MqttSession.Session, E | MqttError, Scope.Scope> =>
      Effect.tapError(RcMap.get(sessions, key), () => RcMap.invalidate(sessions, key))
    return {
      get,
      use: (key, f) => {
        const message = callable(f)
        const mistake = refusal(message === undefined ? [] : [{ path: "f", message }], "SessionMap.use")
        return mistake === undefined ? Effect.scoped(Effect.flatMap(get(key), f)) : Effect.fail(mistake)
      },
      open: Effect.sync(() => Array.from(open)),
      invalidate: (key) => RcMap.invalidate(sessions, key)
    }
  })
