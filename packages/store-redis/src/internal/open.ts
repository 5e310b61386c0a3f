/**
 * Opens the store of a session: acquires, renews and releases the ownership, and closes the whole store.
 */
import { InvalidOptions, MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, SessionStore, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redis from "effect/persistence/Redis"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type CommandQueue, makeCommandQueue } from "./commandQueue.ts"
import { makeConnections } from "./connections.ts"
import { readDurability, readLargestValue } from "./durability.ts"
import { makeHandle } from "./handle.ts"
import { keysOf, type SessionKeys } from "./keys.ts"
import type { RedisStoreOptions } from "./options.ts"
import { oneOf, readAcquisition } from "./replies.ts"
import * as Scripts from "./scripts.ts"

// How long Redis remembers the newest owner of a session that has no records any more.
const memory = Duration.toMillis(Duration.days(1))
// Polls at least this often, in milliseconds, because an owner may release the session before its lease ends.
const longestPoll = 500
const grace = Duration.seconds(1)

const describe = (milliseconds: number): string => Duration.format(Duration.millis(milliseconds))

type Store = SessionStore["Service"]

/** The store of all sessions over one `Redis` service, and its end. */
export interface RedisSessions extends Store {
  /** Closes all open sessions: their later operations fail with the kind `closed`. */
  readonly close: Effect.Effect<void>
}

const closed = (): StorageFailed => new StorageFailed({ kind: "closed", detail: "the store is closed" })

const readReleased = oneOf(0, 1)

const now = Effect.map(Clock.monotonicTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000_000n))

/**
 * Makes the store.
 */
export const makeSessions = (redis: Redis.Redis["Service"], options: RedisStoreOptions): RedisSessions => {
  const owned = new Map<string, Scope.Closeable>()
  const connections = makeConnections(redis)
  const lease = Math.ceil(Duration.toMillis(options.leaseDuration))
  const expiry = options.expiry === undefined ? 0 : Math.ceil(Duration.toMillis(options.expiry))
  const remembered = expiry === 0 ? memory : Math.min(expiry, memory)
  const patience = Duration.toMillis(options.acquireTimeout ?? Duration.sum(options.leaseDuration, grace))
  let hasWarned = false
  let isClosed = false

  const acquire = Effect.fnUntraced(function*(
    commands: CommandQueue,
    keys: SessionKeys,
    token: string
  ): Effect.fn.Return<string, StorageFailed> {
    const until = (yield* now) + patience
    for (let poll = 20;; poll = Math.min(poll * 2, longestPoll)) {
      const answer = yield* commands.run(
        Scripts.acquire,
        readAcquisition,
        [keys.owner, keys.lease, keys.records, keys.staged],
        [token, lease.toString(), expiry.toString()]
      )
      if (answer._tag === "Owner") return answer.owner
      const left = until - (yield* now)
      if (left <= 0) {
        return yield* new StorageFailed({
          kind: "owned",
          detail: `another owner has the session, with a lease for ${describe(answer.remaining)} more`
        })
      }
      yield* Effect.sleep(Math.max(1, Math.min(poll, answer.remaining + 1, left)))
    }
  })

  const release = (commands: CommandQueue, keys: SessionKeys, token: string): Effect.Effect<void> => {
    const released = Effect.ignore(
      commands.run(Scripts.release, readReleased, [keys.owner, keys.lease, keys.records, keys.staged], [
        token,
        remembered.toString(),
        expiry.toString()
      ])
    )
    // An unreachable Redis is not waited for: the lease ends by itself.
    return Effect.suspend(() => connections.failure() === undefined ? released : Effect.void)
  }

  const durabilityOf = Effect.fnUntraced(
    function*(commands: CommandQueue): Effect.fn.Return<Durability, StorageFailed> {
      const durability = yield* readDurability(commands)
      if (durability !== undefined) return durability
      if (!hasWarned) {
        hasWarned = true
        yield* Effect.logWarning(
          "Redis does not tell whether it keeps an append-only file (CONFIG and INFO are forbidden): " +
            "sessions are taken for lost when it ends"
        )
      }
      return "session"
    }
  )

  const own = Effect.fnUntraced(function*(
    session: string
  ): Effect.fn.Return<SessionStoreHandle, StorageFailed, Scope.Scope> {
    yield* connections.use
    const keys = keysOf(options.keyPrefix, session)
    const commands = makeCommandQueue(connections, options.commandTimeout)
    const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
    // Added before the acquisition, so that an acquisition whose reply is lost is released too.
    yield* Effect.addFinalizer(() => release(commands, keys, token))
    const owner = yield* acquire(commands, keys, token)
    if (isClosed) {
      // Too late for the finalizers, because the end of the store has already run them.
      yield* release(commands, keys, token)
      return yield* closed()
    }
    const handle = makeHandle({
      session,
      keys,
      owner,
      durability: yield* durabilityOf(commands),
      commands,
      renewalCommands: makeCommandQueue(connections, options.commandTimeout),
      lease,
      expiry,
      memory: remembered,
      largestValue: yield* readLargestValue(commands),
      acquiredAt: yield* Clock.monotonicTimeNanos
    })
    yield* Effect.addFinalizer(() => handle.close)
    yield* Effect.ignore(handle.renew).pipe(
      Effect.delay(lease / 3),
      Effect.repeat(Schedule.forever),
      Effect.forkScoped
    )
    return handle
  })

  const reserve = Effect.fnUntraced(function*(
    session: string,
    scope: Scope.Closeable
  ): Effect.fn.Return<void, StorageFailed> {
    if (isClosed) return yield* closed()
    if (owned.has(session)) {
      return yield* new StorageFailed({ kind: "owned", detail: "this program has the session open" })
    }
    owned.set(session, scope)
    yield* Scope.addFinalizer(scope, Effect.sync(() => owned.delete(session)))
  })

  return {
    open: (session) =>
      Effect.gen(function*() {
        if (typeof session !== "string") {
          return yield* new InvalidOptions({ issues: [{ path: "session", message: "must be a text" }] })
        }
        // A failed attempt leaves nothing, however long the caller's scope lives. The end of the store closes this
        // scope.
        const scope = yield* Scope.fork(yield* Effect.scope)
        return yield* Effect.andThen(reserve(session, scope), Scope.provide(own(session), scope)).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
        )
      }).pipe(Effect.mapError((reason) =>
        new MqttError({ reason, method: "SessionStore.open", ...(typeof session === "string" && { session }) })
      )),
    close: Effect.suspend(() => {
      isClosed = true
      return Effect.forEach(Array.from(owned.values()), (scope) => Scope.close(scope, Exit.void), {
        concurrency: "unbounded",
        discard: true
      })
    })
  }
}
