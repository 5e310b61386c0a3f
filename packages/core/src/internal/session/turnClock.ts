/**
 * The turns of a session, and the time for the inputs of the engine: the clocks are read once where a turn begins, and
 * once at its end. All times are milliseconds. `engineLoop.ts` does the work of a turn.
 */
import { scheduleTurn } from "#transport"
import type * as Clock from "effect/Clock"
import type { SessionEngine } from "../engine/contract.ts"
import { monotonicMillis } from "../time.ts"

/** The engine loop, for its turns. */
export interface TurnHost {
  /** The turn of the event loop ends. */
  readonly endTurn: () => void
}

export class TurnClock {
  readonly #clock: Clock.Clock
  readonly #engine: SessionEngine
  readonly #host: TurnHost
  #time: number | undefined
  #isScheduled = false

  constructor(clock: Clock.Clock, engine: SessionEngine, host: TurnHost) {
    this.#clock = clock
    this.#engine = engine
    this.#host = host
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return monotonicMillis(this.#clock)
  }

  /** Converts a moment of `now` to milliseconds since the epoch. */
  toEpoch(moment: number): number {
    return Math.round(moment - this.now() + this.#clock.currentTimeMillisUnsafe())
  }

  /** The time for an input of the engine. */
  get time(): number {
    if (this.#time !== undefined) return this.#time
    this.schedule()
    return this.read()
  }

  /** Reads the clocks again. */
  read(): number {
    const now = this.now()
    this.#engine.epochOffset = this.#clock.currentTimeMillisUnsafe() - now
    this.#time = now
    return now
  }

  /** Schedules the end of the turn, which also clears the time that was read. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    scheduleTurn(TurnClock.#run, this)
  }

  /** The end of the turn is not scheduled before `unhold`, which takes the answer. */
  hold(): boolean {
    const isScheduled = this.#isScheduled
    this.#isScheduled = true
    return isScheduled
  }

  /** Schedules the end of the turn behind everything else that was scheduled since `hold`: the fibers of programs. */
  unhold(isScheduled: boolean): void {
    this.#isScheduled = isScheduled
    this.schedule()
  }

  // One function for all sessions, because each function that a session makes stays in its memory.
  static readonly #run = (clock: TurnClock): void => {
    clock.#isScheduled = false
    clock.#host.endTurn()
    clock.#time = undefined
  }
}
