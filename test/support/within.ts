/**
 * Bounds in real time that a machine does not break that is busy with other work. The time that counts is that in which
 * this process can run: a step in which it stood still counts as the tick that it was planned for and the processor
 * time that the process used itself. So what waits for a timer too many, or computes for too long, is late as ever.
 */
import { Effect } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"

const tick = 5
/** What a timer of Node is late by on a machine that does nothing else. */
const slack = 5

/** A clock of that time, in milliseconds. It has to be asked once a tick. */
const stopwatch = (): () => number => {
  let passed = 0
  let last = performance.now()
  let used = process.cpuUsage()
  return () => {
    const now = performance.now()
    const { system, user } = process.cpuUsage(used)
    passed += Math.min(now - last, tick + slack + (system + user) / 1000)
    last = now
    used = process.cpuUsage()
    return passed
  }
}

/** How long an effect takes, and what it succeeds with. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [millis: number, A], E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const passed = stopwatch()
      return { passed, timer: setInterval(passed, tick) }
    }),
    ({ passed }) => Effect.map(effect, (result) => [passed(), result] as const),
    ({ timer }) => Effect.sync(() => clearInterval(timer))
  )

/** Dies when the effect takes longer. */
export const within = (millis: number) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.raceFirst(
    effect,
    Effect.callback<never>((resume) => {
      const passed = stopwatch()
      const timer = setInterval(() => {
        if (passed() > millis) resume(Effect.die(new Error(`it took longer than ${millis} milliseconds`)))
      }, tick)
      return Effect.sync(() => clearInterval(timer))
    })
  )

/** So late may be what this process does, before it counts as standing still. */
const stillness = 150

/**
 * Tries an effect again when it fails and this process stood still meanwhile. For what a process does otherwise that
 * stood still, such as to ask a silent peer once more.
 */
export const undisturbed = <A, E, R>(effect: Effect.Effect<A, E, R>, left = 5): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const delay = monitorEventLoopDelay({ resolution: tick })
    delay.enable()
    return Effect.catchCause(effect, (cause) => {
      delay.disable()
      return left > 0 && delay.max / 1e6 > stillness ? undisturbed(effect, left - 1) : Effect.failCause(cause)
    })
  })
