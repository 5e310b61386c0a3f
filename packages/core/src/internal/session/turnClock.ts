/**
 * The time for the inputs of the engine: the clocks are read once per turn of the event loop. All times are
 * milliseconds. `engineLoop.ts` begins the turns.
 */
import type * as Clock from "effect/Clock"
import type { SessionEngine } from "../engine/contract.ts"
import { monotonicMillis } from "../time.ts"

/** The engine loop, for its clock. */
export interface TurnHost {
  /** Schedules a turn, which clears the time that was read. */
  readonly schedule: () => void
}

export class TurnClock {
  readonly #clock: Clock.Clock
  readonly #engine: SessionEngine
  readonly #host: TurnHost
  #time: number | undefined

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
    const now = this.now()
    this.#engine.epochOffset = this.#clock.currentTimeMillisUnsafe() - now
    this.#time = now
    this.#host.schedule()
    return now
  }

  /** A turn begins. */
  turned(): void {
    this.#time = undefined
  }
}
