/**
 * Commits the changes of a durable session to its store: one commit at a time, repeated until the store takes it. It
 * reports results to `engineLoop.ts` and sends nothing.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { MqttError, StorageFailed } from "../../MqttError.ts"
import type { SessionStoreHandle } from "../../SessionStore.ts"
import type { StoreChange } from "../../StoreRecord.ts"
import { withoutRecords } from "../engine/compactChanges.ts"
import type { Output } from "../engine/contract.ts"
import type { SessionCounters } from "./counters.ts"
import type { Background } from "./fibers.ts"

/**
 * Callbacks of the commits. All are synchronous.
 */
export interface CommitHandlers {
  /**
   * The store has taken the changes. Output that depends on them may be handed out, its packets only on the connection
   * of this epoch.
   */
  readonly onCommitted: (output: Output | undefined, epoch: number) => void
  /**
   * The store has begun to fail; called once per outage. Answers the keys of records that must not be stored any more.
   */
  readonly onFailing: (error: MqttError, output: Output | undefined) => ReadonlyArray<string>
  /**
   * The store can never take a record of this commit. Refuses what the commit would accept, and answers the keys of
   * those records.
   */
  readonly onInvalid: (error: MqttError, output: Output | undefined) => ReadonlyArray<string>
  /** The store takes commits again. */
  readonly onRecovered: () => void
  /** The store has failed permanently. `stop` answers the output of the commit. */
  readonly onLost: (error: MqttError) => void
}

export interface CommitsOptions {
  readonly session: string
  readonly store: SessionStoreHandle
  readonly clock: Clock.Clock
  /** Runs a commit in the session's scope. */
  readonly fibers: Background
  readonly counters: SessionCounters
  readonly handlers: CommitHandlers
}

const isInvalid = ({ reason }: MqttError): boolean => reason._tag === "StorageFailed" && reason.kind === "invalid"

const storeRetry = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/**
 * The commits of one session.
 */
export class Commits {
  readonly #options: CommitsOptions
  #running:
    | { readonly output: Output | undefined; readonly fiber: Fiber.Fiber<void, MqttError> | undefined }
    | undefined
  #ended = 0
  #failure: MqttError | undefined
  #stopped = false

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  /** Whether a commit is running. */
  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Number of commits that have ended. */
  get ended(): number {
    return this.#ended
  }

  /** Why the store takes no commits; undefined: it takes them. */
  get failure(): MqttError | undefined {
    return this.#failure
  }

  /** Commits the changes of an output. No other commit may start before this one has ended. */
  run(changes: ReadonlyArray<StoreChange>, output: Output | undefined, epoch: number): void {
    let content = changes
    let isRefused = false
    const { clock, counters, fibers, handlers, store } = this.#options
    const began = clock.monotonicTimeNanosUnsafe()
    // Repeated until the store takes it. Dependent output waits, and the bounds of the queues limit what collects
    // meanwhile.
    const commit = Effect.suspend(() => store.commit(content)).pipe(
      Effect.catchDefect((cause) => Effect.fail(this.#died(cause))),
      Effect.tapError((error) =>
        Effect.sync(() => {
          counters.commitFailed()
          if (isInvalid(error) && !isRefused) {
            const keys = handlers.onInvalid(error, output)
            content = withoutRecords(content, keys)
            isRefused = keys.length > 0
            return
          }
          isRefused = false
          if (!error.reason.isRetryable || this.#failure !== undefined) return
          this.#failure = error
          content = withoutRecords(content, handlers.onFailing(error, output))
        })
      ),
      Effect.retry({ schedule: storeRetry, while: (error) => error.reason.isRetryable || isRefused })
    )
    const running = { output, fiber: undefined }
    this.#running = running
    const fiber = fibers.fork(Effect.onExit(commit, (exit) =>
      Effect.sync(() => {
        // The session ended meanwhile, and has settled everything.
        if (this.#stopped) return
        this.#running = undefined
        this.#ended++
        if (Exit.isFailure(exit)) {
          const error = Cause.findErrorOption(exit.cause)
          return Option.isSome(error) ? this.#onLost(error.value, output) : undefined
        }
        counters.committed(Number(clock.monotonicTimeNanosUnsafe() - began) / 1_000_000)
        if (this.#failure !== undefined) {
          this.#failure = undefined
          handlers.onRecovered()
        }
        handlers.onCommitted(output, epoch)
      })))
    // The fiber may have ended at once.
    if (this.#running === running) this.#running = { output, fiber }
  }

  /** Gives up the running commit permanently and answers its output. It stays unknown whether the store took it. */
  stop(): Output | undefined {
    const running = this.#running
    this.#stopped = true
    this.#running = undefined
    running?.fiber?.interruptUnsafe()
    return running?.output
  }

  #onLost(error: MqttError, output: Output | undefined): void {
    this.#failure = error
    this.#running = { output, fiber: undefined }
    this.#options.handlers.onLost(error)
  }

  #died(cause: unknown): MqttError {
    return new MqttError({
      session: this.#options.session,
      method: "SessionStore.commit",
      reason: new StorageFailed({ detail: "the commit died", cause })
    })
  }
}
