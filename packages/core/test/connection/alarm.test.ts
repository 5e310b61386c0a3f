/**
 * One fiber wakes the watches of all connections: each when it is due, and none that was removed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type Alarm, alarmOf, type Sleeper } from "../../src/internal/connection/alarm.ts"
import { monotonicMillis } from "../../src/internal/time.ts"

/** A sleeper that notes when it was woken, and sleeps again for `every` milliseconds. */
const sleeperOf = (clock: Clock.Clock, alarm: Alarm, after: number, every?: number) => {
  const woken: Array<number> = []
  const begun = monotonicMillis(clock)
  const sleeper: Sleeper & { due: number } = {
    due: begun + after,
    position: -1,
    wake: () => {
      woken.push(Math.round(monotonicMillis(clock) - begun))
      if (every === undefined) return
      sleeper.due += every
      alarm.add(sleeper)
    }
  }
  return { sleeper, woken }
}

describe("the alarm of a clock", () => {
  it.effect("wakes each sleeper when it is due, in whatever order they came", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const alarm = alarmOf(clock)
      // A step that shares no divisor with their number: every order of neighbours occurs.
      const delays = Array.from({ length: 101 }, (_, index) => 1 + (index * 37) % 101)
      const all = delays.map((delay) => sleeperOf(clock, alarm, delay))
      for (const { sleeper } of all) alarm.add(sleeper)
      for (let millis = 1; millis <= 101; millis++) {
        yield* TestClock.adjust(1)
        const due = delays.filter((delay) => delay <= millis).length
        assert.strictEqual(all.filter(({ woken }) => woken.length === 1).length, due)
      }
      assert.deepStrictEqual(all.map(({ woken }) => woken), delays.map((delay) => [delay]))
      assert.isTrue(all.every(({ sleeper }) => sleeper.position === -1))
    }))

  it.effect("wakes one again that sleeps again, and none that was removed", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const alarm = alarmOf(clock)
      const often = sleeperOf(clock, alarm, 10, 10)
      const removed = [5, 10, 15, 20, 25].map((after) => sleeperOf(clock, alarm, after))
      const late = sleeperOf(clock, alarm, 22)
      for (const { sleeper } of [...removed, often, late]) alarm.add(sleeper)
      for (const { sleeper } of removed) alarm.remove(sleeper)
      // Twice does nothing.
      alarm.remove(removed[0]!.sleeper)
      yield* TestClock.adjust(35)
      assert.deepStrictEqual(often.woken, [10, 20, 30])
      assert.deepStrictEqual(late.woken, [22])
      assert.deepStrictEqual(removed.flatMap(({ woken }) => woken), [])
      alarm.remove(often.sleeper)
      yield* TestClock.adjust(1000)
      assert.lengthOf(often.woken, 3)
    }))

  it.effect("is one for all users of a clock, and keeps no timer without sleepers", () =>
    Effect.gen(function*() {
      const real = yield* Clock.Clock
      let sleeping = 0
      const clock: Clock.Clock = Object.assign(Object.create(real), {
        sleep: (duration: never) =>
          Effect.suspend(() => {
            sleeping++
            return Effect.ensuring(real.sleep(duration), Effect.sync(() => sleeping--))
          })
      })
      const alarm = alarmOf(clock)
      assert.strictEqual(alarmOf(clock), alarm)
      assert.notStrictEqual(alarmOf(real), alarm)
      const sleepers = [300, 100, 200].map((after) => sleeperOf(clock, alarm, after).sleeper)
      for (const sleeper of sleepers) alarm.add(sleeper)
      assert.strictEqual(sleeping, 1)
      for (const sleeper of sleepers) alarm.remove(sleeper)
      const settled = yield* Effect.forkChild(Effect.yieldNow)
      yield* Fiber.join(settled)
      assert.strictEqual(sleeping, 0)
    }))
})
