/**
 * Acquires and releases the lease of a session, which makes its holder the owner. Opening a session calls it; the
 * handle renews the lease.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CommandQueue } from "./commandQueue.ts"
import type { SessionKeys } from "./keys.ts"
import type { RedisStoreOptions } from "./options.ts"
import { type Acquisition, oneOf, readAcquisition } from "./replies.ts"
import * as Scripts from "./scripts.ts"

/** How long Redis remembers the newest owner of a session that has no records any more. */
const longestMemory = Duration.toMillis(Duration.days(1))
/** The durations of leases, in milliseconds. */
export interface LeaseTimes {
  readonly lease: number
  /** 0: none. */
  readonly expiry: number
  /** The least time for which Redis remembers the newest owner. */
  readonly memory: number
}

export const leaseTimesOf = (options: RedisStoreOptions): LeaseTimes => {
  const expiry = options.expiry === undefined ? 0 : Math.ceil(Duration.toMillis(options.expiry))
  return {
    lease: Math.ceil(Duration.toMillis(options.leaseDuration)),
    expiry,
    memory: expiry === 0 ? longestMemory : Math.min(expiry, longestMemory)
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

const keysOf = (
  { keys }: Pick<LeaseRequest, "keys">
): ReadonlyArray<string> => [keys.owner, keys.lease, keys.records, keys.staged]

/** Asks Redis once to become the owner. */
export const attempt = (
  { commands, times, token, ...request }: LeaseRequest
): Effect.Effect<Acquisition, StorageFailed> =>
  commands.run(Scripts.acquire, readAcquisition, keysOf(request), [token, `${times.lease}`, `${times.expiry}`])

/** Stops being the owner. A failure is ignored: the lease ends by itself. */
export const release = (request: LeaseRequest): Effect.Effect<void> => {
  const { commands, times, token } = request
  const args = [token, times.memory.toString(), times.expiry.toString()]
  return Effect.ignore(commands.run(Scripts.release, readReleased, keysOf(request), args))
}
