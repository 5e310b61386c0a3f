/**
 * Runs scripts as the owner of one session, and knows whether the session is still owned: a newer owner fences this
 * one, and the end of its scope closes it. Both are final. It never changes records by itself.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CommandQueue } from "./commandQueue.ts"
import type { SessionKeys } from "./keys.ts"
import * as Scripts from "./scripts.ts"

export interface OwnershipOptions {
  readonly session: string
  readonly keys: SessionKeys
  /** The reply of the acquisition: see `SessionKeys.owner`. */
  readonly owner: string
  /** For commits and the other operations of the session. */
  readonly commands: CommandQueue
  /** For the renewal, which must not wait for a long load. */
  readonly renewalCommands: CommandQueue
  /** Milliseconds. */
  readonly lease: number
  /** Milliseconds; 0: none. */
  readonly expiry: number
  /** The least number of milliseconds for which Redis remembers the newest owner. */
  readonly memory: number
  /** Nanoseconds of the monotonic clock. */
  readonly acquiredAt: bigint
}

/** Why a script has to wait: a loss must be repaired first, or an earlier commit finished. */
export type RepairNeed = typeof Scripts.lost | typeof Scripts.unfinished

export class Ownership {
  readonly options: OwnershipOptions
  readonly #keys: ReadonlyArray<string>
  readonly #rewriteKeys: ReadonlyArray<string>
  readonly #memory: bigint
  #isFenced = false
  #isClosed = false
  #answeredAt: bigint

  constructor(options: OwnershipOptions) {
    const { keys } = options
    this.options = options
    this.#keys = [keys.owner, keys.lease, keys.records, keys.staged]
    this.#rewriteKeys = [...this.#keys, keys.rewrite]
    this.#memory = BigInt(options.memory) * 1_000_000n
    this.#answeredAt = options.acquiredAt
  }

  /** Fails with the kind `fenced` or `closed`. */
  readonly check: Effect.Effect<void, StorageFailed> = Effect.suspend(() =>
    this.#isFenced
      ? Effect.fail(this.fence())
      : this.#isClosed
      ? Effect.fail(new StorageFailed({ kind: "closed", detail: "the store of this session is closed" }))
      : Effect.void
  )

  /** Refuses every later operation, and makes the error of this one. */
  fence(): StorageFailed {
    this.#isFenced = true
    return new StorageFailed({ kind: "fenced", detail: "another owner has taken the session over" })
  }

  close(): void {
    this.#isClosed = true
  }

  /** Fails with the kind `fenced` when Redis may have forgotten a newer owner since its last answer. */
  readonly checkMemory: Effect.Effect<void, StorageFailed> = Effect.flatMap(
    Clock.monotonicTimeNanos,
    (now) => now - this.#answeredAt > this.#memory ? Effect.fail(this.fence()) : Effect.void
  )

  /** Runs a script of the owner and the lease, with more arguments. Yields its need; undefined: it succeeded. */
  run(
    script: Scripts.Script,
    args: ReadonlyArray<string>,
    commands: CommandQueue = this.options.commands
  ): Effect.Effect<RepairNeed | undefined, StorageFailed> {
    const { lease, owner } = this.options
    return this.#ask(commands, script, this.#keys, [owner, lease.toString(), ...args])
  }

  /** The same for the scripts that write all records again. */
  runRewrite(
    script: Scripts.Script,
    args: ReadonlyArray<string>
  ): Effect.Effect<RepairNeed | undefined, StorageFailed> {
    const { commands, lease, owner } = this.options
    return this.#ask(commands, script, this.#rewriteKeys, [owner, lease.toString(), ...args])
  }

  #ask(
    commands: CommandQueue,
    script: Scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ): Effect.Effect<RepairNeed | undefined, StorageFailed> {
    return Effect.flatMap(
      Effect.andThen(this.check, commands.run(script, Scripts.readAnswer, keys, args)),
      (answer) => {
        if (answer === Scripts.fenced) return Effect.fail(this.fence())
        if (answer === Scripts.lost) return Effect.succeed(Scripts.lost)
        return Effect.map(Clock.monotonicTimeNanos, (now) => {
          this.#answeredAt = now
          return answer === Scripts.unfinished ? answer : undefined
        })
      }
    )
  }
}
