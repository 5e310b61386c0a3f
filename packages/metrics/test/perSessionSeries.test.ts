/**
 * An export without series for each session: what all sessions count together is there as with them.
 */
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { collect } from "../../../test/support/managers.ts"
import { measures } from "../src/internal/series/measures.ts"
import { makeWatchedWorld, type Registry } from "./support.ts"
import { type Family, parse, type Sample } from "./textFormat.ts"

/** The same sessions in an export with series for each of them, and in one without. */
const makeBoth = Effect.fnUntraced(function*() {
  const world = yield* makeWatchedWorld()
  const registry: Registry = new Map()
  const { prometheus } = yield* MqttMetrics.make({ manager: world.manager }, { perSessionSeries: false }).pipe(
    Effect.provideService(Metric.MetricRegistry, registry)
  )
  return { ...world, together: Effect.map(prometheus, parse) }
})

const samplesOf = (seen: ReadonlyMap<string, Family>, name: string): ReadonlyArray<Sample> =>
  seen.get(name)?.samples ?? []

/** The sum of the samples, or the greatest where a sum says nothing, by all labels but the session. */
const combined = (samples: ReadonlyArray<Sample>, isMaximum: boolean): ReadonlyMap<string, number> => {
  const values = new Map<string, number>()
  for (const { labels: { session: _, ...labels }, name, value } of samples) {
    const key = `${name.replace(/^mqtt_(?:session|manager)_/, "").replace("_by_cause", "")} ${JSON.stringify(labels)}`
    const before = values.get(key)
    values.set(key, before === undefined ? value : isMaximum ? Math.max(before, value) : before + value)
  }
  return values
}

const isMaximum = (name: string): boolean => /timestamp|oldest_age|high_water/.test(name)

/** What moves while nothing happens. */
const isMoving = (name: string): boolean => /rate|age_seconds/.test(name)

const totalName = (name: string): string =>
  `mqtt_manager_${name === "messages_dropped_total" ? "messages_dropped_by_cause_total" : name}`

const traffic = Effect.fnUntraced(function*(
  { broker, manager, ready }: Effect.Success<ReturnType<typeof makeBoth>>,
  names: ReadonlyArray<string>
) {
  for (const [index, name] of names.entries()) {
    const session = yield* ready(name)
    const inbox = yield* collect(session.subscribe(`t/${name}`, { qos: 1 }))
    yield* session.awaitReady
    for (let n = 0; n <= index; n++) yield* session.publish(`t/${name}`, `${n}`, { qos: 1 })
    yield* inbox.take(index + 1)
  }
  yield* broker.awaitIdle
  yield* broker.cut(1)
  yield* broker.awaitConnections(names.length + 1)
  yield* manager.awaitAllReady()
  yield* broker.awaitIdle
})

describe("without series for each session", () => {
  it.live("no series has a session", () =>
    Effect.gen(function*() {
      const world = yield* makeBoth()
      yield* traffic(world, ["a", "b", "c"])
      const seen = yield* world.together
      const all = Array.from(seen.values()).flatMap(({ samples }) => samples)
      assert.deepStrictEqual(all.filter(({ labels }) => "session" in labels), [])
      assert.deepStrictEqual(
        samplesOf(seen, "mqtt_manager_sessions").find(({ labels }) => labels.state === "connected")?.value,
        3
      )
      // The number of series does not depend on the number of sessions.
      yield* world.ready("d")
      const later = Array.from((yield* world.together).values()).flatMap(({ samples }) => samples)
      assert.strictEqual(later.length, all.length)
    }))

  it.live("each total is the sum of the sessions", () =>
    Effect.gen(function*() {
      const world = yield* makeBoth()
      yield* traffic(world, ["a", "b", "c"])
      const each = yield* world.exposed
      const together = yield* world.together
      let compared = 0
      for (const { isOwn, name } of measures) {
        const ofSessions = samplesOf(each, `mqtt_session_${name}`)
        if (isOwn === true) {
          assert.lengthOf(ofSessions, 3, name)
          assert.lengthOf(samplesOf(together, totalName(name)), 0, name)
          continue
        }
        if (isMoving(name)) continue
        const expected = combined(ofSessions, isMaximum(name))
        // Those of the export with all series are the same.
        for (const seen of [together, each]) {
          const totals = combined(samplesOf(seen, totalName(name)), false)
          assert.deepStrictEqual(Array.from(totals.keys()).sort(), Array.from(expected.keys()).sort(), name)
          // Times are converted from the monotonic clock for each export, and rounded to a millisecond.
          const tolerance = name.includes("timestamp") ? 0.01 : 1e-9
          for (const [key, value] of expected) assert.closeTo(totals.get(key)!, value, tolerance, key)
        }
        compared += expected.size
      }
      assert.isAbove(compared, 30)
      const [received] = samplesOf(together, "mqtt_manager_messages_received_total")
      assert.strictEqual(received?.value, 1 + 2 + 3)
    }))

  it.live("what a session counted stays when it is removed, and what it held goes", () =>
    Effect.gen(function*() {
      const world = yield* makeBoth()
      yield* traffic(world, ["a", "b", "c"])
      const before = yield* world.together
      yield* world.manager.remove("c")
      const after = yield* world.together
      for (const { isOwn, name, type } of measures) {
        if (isOwn === true || type === "gauge") continue
        const values = combined(samplesOf(after, totalName(name)), false)
        for (const [key, value] of combined(samplesOf(before, totalName(name)), false)) {
          assert.isAtLeast(values.get(key) ?? -1, value, key)
        }
      }
      assert.strictEqual(samplesOf(before, "mqtt_manager_subscriptions")[0]?.value, 3)
      assert.strictEqual(samplesOf(after, "mqtt_manager_subscriptions")[0]?.value, 2)
      assert.strictEqual(samplesOf(after, "mqtt_manager_messages_received_total")[0]?.value, 1 + 2 + 3)
    }))
})
