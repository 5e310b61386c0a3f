/**
 * Acquires and releases the lease of a session, which makes its holder the owner. Opening a session calls it; the
 * handle renews the lease.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CommandQueue } from "./commandQueue.ts"
import type { SessionKeys } from "./keys.ts"
import type { RedisStoreOptions } from "./options.ts"
import { oneOf, readAcquisition } from "./replies.ts"
import * as Scripts from "./scripts.ts"

/** How long Redis remembers the newest owner of a session that has no records any more. */
const longestMemory = Duration.toMillis(Duration.days(1))
/**
 * The session is asked for at least this often, in milliseconds, because an owner may release it before its lease ends.
 */
const longestPoll = 500
const grace = Duration.seconds(1)

/** The durations of leases, in milliseconds. */
export interface LeaseTimes {
  readonly lease: number
  /** 0: none. */
  readonly expiry: number
  /** The least time for which Redis remembers the newest owner. */
  readonly memory: number
  /** How long an acquisition waits for another owner. */
  readonly acquireTimeout: number
}

export const leaseTimesOf = (options: RedisStoreOptions): LeaseTimes => {
  const expiry = options.expiry === undefined ? 0 : Math.ceil(Duration.toMillis(options.expiry))
  return {
    lease: Math.ceil(Duration.toMillis(options.leaseDuration)),
    expiry,
    memory: expiry === 0 ? longestMemory : Math.min(expiry, longestMemory),
    acquireTimeout: Duration.toMillis(options.acquireTimeout ?? Duration.sum(options.leaseDuration, grace))
  }
}

export interface LeaseRequest {
  readonly commands: CommandQueue
  readonly keys: SessionKeys
  /** Identifies this attempt to become the owner. */
  readonly token: string
  readonly times: LeaseTimes
}

const readReleased = oneOf(0, 1)

const now = Effect.map(Clock.monotonicTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000_000n))

const keysOf = ({ keys }: LeaseRequest): ReadonlyArray<string> => [keys.owner, keys.lease, keys.records, keys.staged]

/** Becomes the owner, and yields the owner's text. Fails with the kind `owned` when another owner keeps its lease. */
export const acquire = Effect.fnUntraced(function*(
  request: LeaseRequest
): Effect.fn.Return<string, StorageFailed> {
  const { commands, times, token } = request
  const until = (yield* now) + times.acquireTimeout
  for (let poll = 20;; poll = Math.min(poll * 2, longestPoll)) {
    const args = [token, times.lease.toString(), times.expiry.toString()]
    const answer = yield* commands.run(Scripts.acquire, readAcquisition, keysOf(request), args)
    if (answer._tag === "Owner") return answer.owner
    const left = until - (yield* now)
    if (left <= 0) {
      const remaining = Duration.format(Duration.millis(answer.remaining))
      return yield* new StorageFailed({
        kind: "owned",
        detail: `another owner has the session, with a lease for ${remaining} more`
      })
    }
    yield* Effect.sleep(Math.max(1, Math.min(poll, answer.remaining + 1, left)))
  }
})

/** Stops being the owner. A failure is ignored: the lease ends by itself. */
export const release = (request: LeaseRequest): Effect.Effect<void> => {
  const { commands, times, token } = request
  const args = [token, times.memory.toString(), times.expiry.toString()]
  return Effect.ignore(commands.run(Scripts.release, readReleased, keysOf(request), args))
}
