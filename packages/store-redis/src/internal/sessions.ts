/**
 * The sessions that one store has open: becomes the owner of each in Redis and renews its lease while it is open.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as StoreLease from "@effect-mqttx/core/StoreLease"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { type CommandQueue, makeCommandQueue } from "./commandQueue.ts"
import { type Connections, makeConnections } from "./connections.ts"
import { readDurability, readLargestValue } from "./durability.ts"
import { Handle } from "./handle.ts"
import { keysOf } from "./keys.ts"
import { attempt, type LeaseRequest, type LeaseTimes, leaseTimesOf, release } from "./lease.ts"
import type { RedisStoreOptions } from "./options.ts"

export class Sessions extends StoreLease.OpenSessions {
  readonly #options: RedisStoreOptions
  readonly #times: LeaseTimes
  readonly #connections: Connections
  #hasWarned = false

  constructor(redis: Redis.Redis["Service"], options: RedisStoreOptions) {
    super()
    this.#options = options
    this.#times = leaseTimesOf(options)
    this.#connections = makeConnections(redis)
  }

  protected override own(session: string): Effect.Effect<SessionStoreHandle, StorageFailed, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      yield* this.#connections.use
      const keys = keysOf(this.#options.keyPrefix, session)
      const commands = makeCommandQueue(this.#connections, this.#options.commandTimeout)
      const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
      const request = { commands, keys, token, times: this.#times }
      // Added before the acquisition, so that an acquisition whose reply is lost is released too.
      yield* Effect.addFinalizer(() => this.#release(request))
      const { acquireTimeout, leaseDuration } = this.#options
      const timeout = acquireTimeout ?? Sessions.defaultTimeout(leaseDuration)
      const { owner } = yield* this.acquire(attempt(request), timeout)
      // Too late for the finalizers, because the end of the store has already run them.
      yield* Effect.onError(this.check, () => this.#release(request))
      const { expiry, lease, memory } = this.#times
      const handle = new Handle({
        session,
        keys,
        owner,
        durability: yield* this.#durabilityOf(commands),
        commands,
        renewalCommands: makeCommandQueue(this.#connections, this.#options.commandTimeout),
        lease,
        expiry,
        memory,
        largestValue: yield* readLargestValue(commands),
        acquiredAt: yield* Clock.monotonicTimeNanos
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => handle.close()))
      yield* this.keep(handle.renew, Duration.millis(lease))
      return handle.store
    })
  }

  /** An unreachable Redis is not waited for: the lease ends by itself. */
  #release(request: LeaseRequest): Effect.Effect<void> {
    return Effect.suspend(() => this.#connections.failure() === undefined ? release(request) : Effect.void)
  }

  #durabilityOf(commands: CommandQueue): Effect.Effect<Durability, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const durability = yield* readDurability(commands)
      if (durability !== undefined) return durability
      if (!this.#hasWarned) {
        this.#hasWarned = true
        yield* Effect.logWarning(
          "Redis does not tell whether it keeps an append-only file (CONFIG and INFO are forbidden): " +
            "sessions are taken for lost when it ends"
        )
      }
      return "session"
    })
  }
}
