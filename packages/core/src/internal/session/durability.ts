/**
 * Durable sessions: has the changes of an output committed before the rest of it is carried out, and decides what a
 * failing store means for publishes. `commits.ts` runs the commits. `engineLoop.ts` calls it once per turn.
 */
import type * as Clock from "effect/Clock"
import type { MqttError, MqttErrorReason } from "../../MqttError.ts"
import type { SessionStoreHandle } from "../../SessionStore.ts"
import type { StoreChange, StoreRecord } from "../../StoreRecord.ts"
import type { Admission, IndependentOutput, Output, SessionEngine } from "../engine/contract.ts"
import { Commits } from "./commits.ts"
import type { SessionCounters } from "./counters.ts"
import type { CurrentConnection } from "./currentConnection.ts"
import type { Background } from "./fibers.ts"
import type { Outputs } from "./outputs.ts"
import type { TurnClock } from "./turnClock.ts"

export interface DurabilityHandlers {
  /** The store has begun to fail, or takes commits again. Called once per change. */
  readonly onStorage: (error: MqttError | undefined) => void
  /** The store has failed permanently. Everything is settled, and nothing is stored any more. */
  readonly onStorageLost: (error: MqttError) => void
}

export interface DurabilityOptions {
  readonly session: string
  readonly onStorageFailure: "wait" | "fail"
  readonly clock: Clock.Clock
  /** Runs a commit in the session's scope. */
  readonly fibers: Background
  readonly handlers: DurabilityHandlers
}

/** The engine loop, for its durability. */
export interface DurabilityHost {
  readonly engine: SessionEngine
  readonly current: CurrentConnection
  readonly clock: TurnClock
  readonly counters: SessionCounters
  readonly outputs: Outputs
  /** Why nothing more is accepted; undefined: publishes are accepted. */
  refusal: Admission | undefined
  readonly schedule: () => void
  readonly end: (reason: MqttErrorReason) => void
}

export class Durability {
  readonly #host: DurabilityHost
  readonly #commits: Commits
  #ownChanges: Array<StoreChange> = []

  constructor(store: SessionStoreHandle, options: DurabilityOptions, host: DurabilityHost) {
    this.#host = host
    this.#commits = this.#makeCommits(store, options)
  }

  /** Whether something waits for the store. */
  get isCommitting(): boolean {
    return this.#commits.isRunning
  }

  /** How many commits have ended. */
  get commits(): number {
    return this.#commits.ended
  }

  /** Why the store takes no commits; undefined: it takes them. */
  get failure(): MqttError | undefined {
    return this.#commits.failure
  }

  /** Stores a record that does not belong to the engine, with the next changes. */
  record(record: StoreRecord): void {
    this.#ownChanges.push({ _tag: "Put", record })
  }

  /** Deletes a record that does not belong to the engine, with the next changes. */
  forget(key: string): void {
    this.#ownChanges.push({ _tag: "Delete", key })
  }

  /** Commits and carries out what the engine collected. While a commit runs, only what depends on no commit. */
  flush(): void {
    const { current, engine, outputs } = this.#host
    // They wait for no commit.
    outputs.writeDirect()
    if (this.#commits.isRunning) return this.#releaseIndependent(engine.takeIndependent())
    const output = engine.take()
    const changes = output === undefined ? this.#ownChanges : this.#ownChanges.concat(output.changes)
    this.#ownChanges = []
    if (changes.length === 0) return output === undefined ? undefined : outputs.release(output, current.epoch)
    // Split before any consumer runs, so that later output does not overtake this one.
    const independent = output === undefined ? undefined : engine.takeIndependent(output)
    this.#commits.run(changes, output, current.epoch)
    this.#releaseIndependent(independent)
  }

  /** Gives up the running commit permanently and answers its output. It stays unknown whether the store took it. */
  stop(): Output | undefined {
    return this.#commits.stop()
  }

  #releaseIndependent(independent: IndependentOutput | undefined): void {
    if (independent !== undefined) this.#host.outputs.release(independent, undefined)
  }

  #makeCommits(store: SessionStoreHandle, options: DurabilityOptions): Commits {
    const { clock, fibers, handlers, onStorageFailure, session } = options
    const host = this.#host
    return new Commits({
      session,
      store,
      clock,
      fibers,
      counters: host.counters,
      handlers: {
        onCommitted: (output, epoch) => {
          if (output !== undefined) host.outputs.release(output, epoch)
          host.schedule()
        },
        onFailing: (error, output) => {
          const keys = onStorageFailure === "fail" ? this.#reject(error.reason, output) : []
          handlers.onStorage(error)
          return keys
        },
        onInvalid: (error, output) => {
          host.schedule()
          return host.engine.reject(output, error.reason, host.clock.now())
        },
        onRecovered: () => {
          host.refusal = undefined
          handlers.onStorage(undefined)
        },
        onLost: (error) => {
          host.end(error.reason)
          handlers.onStorageLost(error)
        }
      }
    })
  }

  /** Refuses everything that this commit would have accepted, and every publish from now on. */
  #reject(reason: MqttErrorReason, output: Output | undefined): ReadonlyArray<string> {
    const host = this.#host
    host.refusal = { _tag: "Refused", reason }
    host.schedule()
    return host.engine.reject(output, reason, host.clock.time)
  }
}
