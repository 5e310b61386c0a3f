/**
 * Wakes the watches of all connections that use one clock, each at its time. One fiber sleeps for all of them: a fiber
 * and a timer for each would be a large part of an idle connection. It decides nothing: `keepAlive.ts` does.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { monotonicMillis } from "../time.ts"

/** What is woken. The alarm changes `position`. */
export interface Sleeper {
  /** When it is to be woken, in milliseconds of the monotonic clock. */
  readonly due: number
  /** Its place among the sleepers; -1: it does not sleep. */
  position: number
  /** Must not throw. */
  readonly wake: () => void
}

/** Two sums of the same times may differ by less than this, in milliseconds. */
const rounding = 0.001

const alarms = new WeakMap<Clock.Clock, Alarm>()

/** The alarm of all connections that use this clock. */
export const alarmOf = (clock: Clock.Clock): Alarm => {
  let alarm = alarms.get(clock)
  if (alarm === undefined) alarms.set(clock, alarm = new Alarm(clock))
  return alarm
}

/** Sleepers in a binary heap, the next one first, and the fiber that sleeps until that one is due. */
export class Alarm {
  readonly #clock: Clock.Clock
  readonly #sleepers: Array<Sleeper> = []
  #fiber: Fiber.Fiber<void> | undefined
  /** When the fiber wakes. */
  #wakesAt = Infinity
  #isWaking = false

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  /** Wakes it when it is due, once. */
  add(sleeper: Sleeper): void {
    this.#rise(sleeper, this.#sleepers.length)
    this.#arm()
  }

  /** Does not wake it any more. */
  remove(sleeper: Sleeper): void {
    const { position } = sleeper
    if (position === -1) return
    const last = this.#sleepers.pop()!
    sleeper.position = -1
    if (last !== sleeper) {
      this.#rise(last, position)
      this.#sink(last, last.position)
    }
    this.#arm()
  }

  /** Puts it here, or further up, where the others are due before it. */
  #rise(sleeper: Sleeper, position: number): void {
    while (position > 0) {
      const above = this.#sleepers[(position - 1) >> 1]!
      if (above.due <= sleeper.due) break
      this.#put(above, position)
      position = (position - 1) >> 1
    }
    this.#put(sleeper, position)
  }

  /** Puts it here, or further down, where the others are due after it. */
  #sink(sleeper: Sleeper, position: number): void {
    const { length } = this.#sleepers
    for (let below = 2 * position + 1; below < length; below = 2 * position + 1) {
      if (below + 1 < length && this.#sleepers[below + 1]!.due < this.#sleepers[below]!.due) below++
      if (this.#sleepers[below]!.due >= sleeper.due) break
      this.#put(this.#sleepers[below]!, position)
      position = below
    }
    this.#put(sleeper, position)
  }

  #put(sleeper: Sleeper, position: number): void {
    this.#sleepers[position] = sleeper
    sleeper.position = position
  }

  /** Without sleepers no fiber sleeps: its timer would keep the process alive. */
  #arm(): void {
    const due = this.#sleepers[0]?.due
    if (this.#isWaking || (due !== undefined && due >= this.#wakesAt)) return
    this.#fiber?.interruptUnsafe()
    this.#fiber = undefined
    this.#wakesAt = due ?? Infinity
    if (due === undefined) return
    const wait = Math.max(0, Math.ceil(due - monotonicMillis(this.#clock)))
    // No fiber of a session, because each may end before the others. It is interrupted when no connection is left.
    this.#fiber = Effect.runFork(Effect.provideService(
      Effect.andThen(Effect.sleep(wait), Effect.sync(() => this.#wake())),
      Clock.Clock,
      this.#clock
    ))
  }

  #wake(): void {
    const now = monotonicMillis(this.#clock)
    this.#fiber = undefined
    this.#wakesAt = Infinity
    this.#isWaking = true
    for (let next = this.#sleepers[0]; next !== undefined && next.due <= now + rounding; next = this.#sleepers[0]) {
      this.remove(next)
      next.wake()
    }
    this.#isWaking = false
    this.#arm()
  }
}
