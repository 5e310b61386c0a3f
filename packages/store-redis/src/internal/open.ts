/**
 * Opening the store of a session: becoming its owner, staying it, and leaving.
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
import type { RedisStoreOptions } from "../RedisStore.ts"
import { readDurability } from "./durability.ts"
import { makeHandle } from "./handle.ts"
import { keysOf, type SessionKeys } from "./keys.ts"
import { type Line, makeLine } from "./line.ts"
import * as Scripts from "./scripts.ts"

// How long Redis remembers the newest owner of a session that has no records any more.
const memory = Duration.toMillis(Duration.days(1))
// An owner may leave before its lease ends.
const longestPoll = 500
const grace = Duration.seconds(1)

const describe = (milliseconds: number): string => Duration.format(Duration.millis(milliseconds))

/**
 * `SessionStore.open` over Redis.
 */
export const makeOpen = (redis: Redis.Redis["Service"], options: RedisStoreOptions): SessionStore["open"] => {
  const owned = new Set<string>()
  const lease = Math.ceil(Duration.toMillis(options.leaseDuration))
  const expiry = options.expiry === undefined ? 0 : Math.ceil(Duration.toMillis(options.expiry))
  const remembered = expiry === 0 ? memory : Math.min(expiry, memory)
  const patience = Duration.toMillis(options.acquireTimeout ?? Duration.sum(options.leaseDuration, grace))
  let hasWarned = false

  const acquire = Effect.fnUntraced(function*(
    line: Line,
    keys: SessionKeys,
    token: string
  ): Effect.fn.Return<string, StorageFailed> {
    const until = (yield* Clock.currentTimeMillis) + patience
    for (let poll = 20;; poll = Math.min(poll * 2, longestPoll)) {
      const answer = yield* line.run(Scripts.acquire, [keys.owner, keys.lease, keys.records], [
        token,
        lease.toString(),
        expiry.toString()
      ])
      const [isOwner, value] = answer as readonly [unknown, unknown]
      if (Number(isOwner) === 1) return String(value)
      const remaining = Number(value)
      const left = until - (yield* Clock.currentTimeMillis)
      if (left <= 0) {
        return yield* new StorageFailed({
          kind: "owned",
          detail: `another owner has the session, with a lease for ${describe(remaining)} more`
        })
      }
      yield* Effect.sleep(Math.max(1, Math.min(poll, remaining + 1, left)))
    }
  })

  const release = (line: Line, keys: SessionKeys, token: string): Effect.Effect<void> => {
    const released = Effect.ignore(
      line.run(Scripts.release, [keys.owner, keys.lease, keys.records], [
        token,
        remembered.toString(),
        expiry.toString()
      ])
    )
    // Redis has kept somebody waiting already: the lease ends by itself, if not by this.
    return Effect.suspend(() => line.isStalled() ? Effect.asVoid(Effect.forkDetach(released)) : released)
  }

  const durabilityOf = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<Durability, StorageFailed> {
    const durability = yield* readDurability(line)
    if (durability !== undefined) return durability
    if (!hasWarned) {
      hasWarned = true
      yield* Effect.logWarning(
        "Redis does not tell whether it keeps an append-only file (CONFIG and INFO are forbidden): " +
          "sessions are taken for lost when it ends"
      )
    }
    return "session"
  })

  const own = Effect.fnUntraced(function*(
    session: string
  ): Effect.fn.Return<SessionStoreHandle, StorageFailed, Scope.Scope> {
    if (owned.has(session)) {
      return yield* new StorageFailed({ kind: "owned", detail: "this program has the session open" })
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => owned.add(session)),
      () => Effect.sync(() => owned.delete(session))
    )
    const keys = keysOf(options.keyPrefix, session)
    const line = makeLine(redis, options.commandTimeout)
    const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
    // Before the acquisition: one whose answer is lost is taken back as well.
    yield* Effect.addFinalizer(() => release(line, keys, token))
    const owner = yield* acquire(line, keys, token)
    const handle = makeHandle({
      session,
      keys,
      owner,
      durability: yield* durabilityOf(line),
      line,
      renewalLine: makeLine(redis, options.commandTimeout),
      lease,
      expiry,
      memory: remembered,
      acquiredAt: yield* Clock.currentTimeMillis
    })
    yield* Effect.ignore(handle.renew).pipe(
      Effect.delay(lease / 3),
      Effect.repeat(Schedule.forever),
      Effect.forkScoped
    )
    return handle
  })

  return (session) =>
    Effect.gen(function*() {
      if (typeof session !== "string") {
        return yield* new InvalidOptions({ issues: [{ path: "session", message: "must be a text" }] })
      }
      // A failed attempt leaves nothing, however long the caller's scope lives.
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* Scope.provide(own(session), scope).pipe(
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
    }).pipe(Effect.mapError((reason) =>
      new MqttError({ reason, method: "SessionStore.open", ...(typeof session === "string" && { session }) })
    ))
}
