/**
 * Real forwarders in the figures: what Prometheus and the page get to see of them.
 *
 * Time stands still while figures are compared, so that rates and lags agree too.
 */
import * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import { dropReasons, type ForwarderMetrics } from "@effect-mqttx/core/ForwarderMetrics"
import { MqttError, NotSupported } from "@effect-mqttx/core/MqttError"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as MqttSnapshot from "@effect-mqttx/metrics/MqttSnapshot"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Metric, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { makePair, settled, until } from "../../../test/support/forwarders.ts"
import type { Options } from "../../../test/support/managers.ts"
import { pageSnapshot } from "../src/internal/page/snapshot.ts"
import type { Registry } from "./support.ts"
import { type Family, parse } from "./textFormat.ts"

/** Two brokers with sessions "a" and "b", and forwarders that are watched as a program would have it. */
const makeWatchedForwarders = Effect.fnUntraced(function*(options?: Options) {
  const net = yield* makePair(options, { record: true, limits: { maximumPacketSize: 2000 } })
  const registry: Registry = new Map()
  const context = yield* Layer.build(
    MqttMetrics.layer({ forwarders: ForwarderManager.ForwarderManager }).pipe(
      Layer.provideMerge(ForwarderManager.layer()),
      Layer.provide([
        Layer.succeed(SessionManager.SessionManager, net.manager),
        Layer.succeed(Metric.MetricRegistry, registry)
      ])
    )
  )
  const { a, b } = net.brokers as Record<"a" | "b", ScriptedBroker.Service>
  // Time does not go on by itself: a session that waits for an acknowledgement would wait for ever at the end.
  yield* Effect.addFinalizer(() => Effect.andThen(b.clearFaults, b.release(1)))
  // A moment of 0 is none that tells anything.
  yield* TestClock.adjust("1 second")
  return {
    a,
    b,
    forwarders: Context.get(context, ForwarderManager.ForwarderManager),
    metrics: Context.get(context, MqttMetrics.MqttMetrics),
    registry
  }
})

/** All series of a forwarder, by their names without the common prefix, and their causes. */
const seriesOf = (seen: ReadonlyMap<string, Family>, forwarder: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Array.from(seen.values()).flatMap(({ samples }) => samples).flatMap(({ labels, name, value }) =>
      labels.forwarder !== forwarder
        ? []
        : [[name.replace(/^mqtt_forwarder_/, "") + (labels.cause === undefined ? "" : ` ${labels.cause}`), value]]
    )
  )

/** What they must be. */
const seriesFrom = (figures: ForwarderMetrics): Readonly<Record<string, number>> => ({
  running: figures.state === "running" ? 1 : 0,
  active_sources: figures.activeSources,
  target_connected: figures.targetConnected ? 1 : 0,
  messages_received_total: figures.received,
  messages_forwarded_total: figures.forwarded,
  messages_filtered_total: figures.filtered,
  ...Object.fromEntries(dropReasons.map((cause) => [`messages_dropped_total ${cause}`, figures.dropped[cause]])),
  messages_dead_lettered_total: figures.deadLettered,
  messages_failed_total: figures.failed,
  messages_duplicate_total: figures.duplicates,
  messages_returned_total: figures.returned,
  inflight_messages: figures.inFlight,
  retries_total: figures.retried,
  messages_refused_later_total: figures.refusedLater,
  lag_seconds: figures.lag / 1000,
  received_rate: figures.rates.received,
  forwarded_rate: figures.rates.forwarded,
  bytes_forwarded_total: figures.bytesForwarded,
  ...figures.lastForwardedAt === undefined ? {} : { last_forwarded_timestamp_seconds: figures.lastForwardedAt / 1000 },
  ...figures.lastErrorAt === undefined ? {} : { last_error_timestamp_seconds: figures.lastErrorAt / 1000 }
})

const fates = [
  "messages_forwarded_total",
  "messages_filtered_total",
  ...dropReasons.map((cause) => `messages_dropped_total ${cause}`),
  "messages_dead_lettered_total",
  "messages_failed_total",
  "messages_duplicate_total",
  "messages_returned_total",
  "inflight_messages"
]

/** Prometheus sees what the forwarder says, and the fates add up there as well; answers the series. */
const assertExposed = Effect.fnUntraced(function*(
  { forwarders, metrics }: Effect.Success<ReturnType<typeof makeWatchedForwarders>>,
  name: string
) {
  const figures = yield* forwarders.metrics(name)
  const series = seriesOf(parse(yield* metrics.prometheus), name)
  assert.deepStrictEqual(series, seriesFrom(figures))
  assert.strictEqual(series["messages_received_total"], fates.reduce((sum, fate) => sum + series[fate]!, 0))
  return series
})

/** The counts that are not 0. */
const filled = (series: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(fates.filter((fate) => series[fate] !== 0).map((fate) => [fate, series[fate]!]))

const notYet = new MqttError({ reason: new NotSupported({ feature: "this", detail: "not yet" }) })

/** Adds a forwarder and lets a message of almost every fate pass through it. */
const forwardEverything = Effect.fnUntraced(function*(
  { a, b, forwarders }: Effect.Success<ReturnType<typeof makeWatchedForwarders>>,
  name: string
) {
  let attempts = 0
  const forwarder = yield* forwarders.add({
    name,
    sources: "a",
    filters: "t/#",
    exclude: "t/private",
    target: "b",
    mapping: [{ from: "t/in/#", to: "in/{1}" }],
    unmapped: "drop",
    maxHops: 2,
    deadLetter: { topic: "dead" }
  }, {
    transform: RouteTransformer.make((message) =>
      Effect.suspend(() =>
        message.text === "again" && ++attempts === 1
          ? Effect.fail(notYet)
          : Effect.succeed(message.text === "nothing" ? undefined : message)
      )
    ),
    retry: Schedule.recurs(1)
  })
  yield* forwarder.active
  yield* b.refusePublish("in/refused", 0x87)
  const passed = (route: string) => ({ userProperties: [["mqttx-forwarders", route] as const] })
  yield* a.publish("t/in/1", "forwarded", { qos: 0 })
  yield* a.publish("t/in/1", "forwarded", { qos: 1 })
  yield* a.publish("t/in/1", "again", { qos: 2 })
  yield* a.publish("t/private", "filtered", { qos: 1 })
  yield* a.publish("t/elsewhere", "unmapped", { qos: 1 })
  yield* a.publish("t/in/1", "nothing", { qos: 1 })
  yield* a.publish("t/in/1", "looped", { qos: 1, properties: passed(name) })
  yield* a.publish("t/in/1", "too many hops", { qos: 1, properties: passed("x,y") })
  yield* a.publish("t/in/refused", "dead-lettered", { qos: 1 })
  // Its topic alone is too much for the target, also as a mark of a dead letter.
  yield* a.publish(`t/in/${"large".repeat(400)}`, new Uint8Array(5000), { qos: 1 })
  yield* settled(forwarder, 10)
  // From now on the target is too slow.
  yield* b.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
  yield* a.publish("t/in/1", "in flight", { qos: 1 })
  yield* until(forwarder, ({ inFlight }) => inFlight === 1)
  yield* TestClock.adjust("1500 millis")
  return forwarder
})

describe("figures of forwarders", () => {
  it.effect("Prometheus sees each of them, outcome by outcome, as the forwarder has it", () =>
    Effect.gen(function*() {
      const world = yield* makeWatchedForwarders()
      const name = "plant to \"cloud\""
      yield* forwardEverything(world, name)
      const series = yield* assertExposed(world, name)
      assert.deepStrictEqual(filled(series), {
        messages_forwarded_total: 3,
        messages_filtered_total: 1,
        "messages_dropped_total unmapped": 1,
        "messages_dropped_total transformed": 1,
        "messages_dropped_total looped": 1,
        "messages_dropped_total tooManyHops": 1,
        messages_dead_lettered_total: 1,
        messages_failed_total: 1,
        inflight_messages: 1
      })
      assert.deepStrictEqual([series["lag_seconds"], series["retries_total"]], [1.5, 1])
      assert.isDefined(series["last_error_timestamp_seconds"])
    }))

  it.effect("messages that a stop has returned, that come again afterwards, and that are refused later", () =>
    Effect.gen(function*() {
      const world = yield* makeWatchedForwarders({ persistence: "durable", drainTimeout: "20 millis" })
      const { a, b, forwarders } = world
      const name = "bridge"
      const forwarder = yield* forwarders.add({
        name,
        sources: "a",
        filters: "t/#",
        target: "b",
        acceptance: "acknowledged",
        stopTimeout: "1 second"
      })
      yield* forwarder.active
      yield* b.inject(Fault.withhold({ direction: "sent", packet: "Pubrec" }))
      for (const payload of ["1", "2", "3"]) yield* a.publish("t", payload, { qos: 2 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 3)
      assert.deepStrictEqual(filled(yield* assertExposed(world, name)), { inflight_messages: 3 })
      const stopping = yield* Effect.forkChild(forwarders.stop(name), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      const stopped = yield* assertExposed(world, name)
      assert.deepStrictEqual(filled(stopped), { messages_returned_total: 3 })
      assert.deepStrictEqual([stopped["running"], stopped["active_sources"]], [0, 0])
      yield* forwarders.start(name)
      yield* settled(forwarder, 6)
      const again = yield* assertExposed(world, name)
      assert.deepStrictEqual(filled(again), { messages_duplicate_total: 3, messages_returned_total: 3 })
      assert.strictEqual(again["running"], 1)

      const trusting = yield* forwarders.add({ name: "trusting", sources: "a", filters: "s", target: "b" })
      yield* trusting.active
      yield* b.refusePublish("s", 0x87)
      yield* a.publish("s", "1", { qos: 1 })
      yield* until(trusting, ({ refusedLater }) => refusedLater === 1)
      const refused = yield* assertExposed(world, "trusting")
      assert.deepStrictEqual(filled(refused), { messages_forwarded_total: 1 })
      assert.strictEqual(refused["messages_refused_later_total"], 1)
    }).pipe(Effect.provide(Layer.fresh(SessionStore.layerMemory))))

  it.effect("no forwarder that was removed, and a new one of its name from the beginning", () =>
    Effect.gen(function*() {
      const { a, forwarders, metrics, registry } = yield* makeWatchedForwarders()
      const options = { sources: "a", filters: "t/#", target: "b" }
      const one = yield* forwarders.add({ ...options, name: "one" })
      yield* forwarders.add({ ...options, name: "two", enabled: false })
      yield* one.active
      yield* a.publish("t", "1", { qos: 1 })
      yield* settled(one, 1)
      const seen = Effect.map(metrics.prometheus, parse)
      assert.strictEqual(seriesOf(yield* seen, "one")["messages_forwarded_total"], 1)
      yield* forwarders.remove("one")
      const left = yield* seen
      assert.deepStrictEqual(seriesOf(left, "one"), {})
      assert.strictEqual(seriesOf(left, "two")["running"], 0)
      assert.isFalse(Array.from(registry.values()).some(({ attributes }) => attributes?.["forwarder"] === "one"))
      yield* forwarders.add({ ...options, name: "one" })
      assert.strictEqual(seriesOf(yield* seen, "one")["messages_forwarded_total"], 0)
    }))

  it.effect("exporters that read the registry themselves find them in a few seconds, with the values of the moment", () =>
    Effect.gen(function*() {
      const { a, forwarders, registry } = yield* makeWatchedForwarders()
      const forwarder = yield* forwarders.add({ name: "one", sources: "a", filters: "t/#", target: "b" })
      yield* forwarder.active
      const forwarded = Effect.sync(() => {
        for (const { attributes, hooks, id } of registry.values()) {
          if (id === "mqtt_forwarder_messages_forwarded_total" && attributes?.["forwarder"] === "one") {
            return (hooks.get({} as never) as Metric.CounterState<number>).count
          }
        }
        return undefined
      })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* forwarded, 0)
      yield* a.publish("t", "1", { qos: 1 })
      yield* settled(forwarder, 1)
      assert.strictEqual(yield* forwarded, 1)
      yield* forwarders.remove("one")
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* forwarded)
    }))

  it.effect("the snapshot has them, and the page every outcome in words", () =>
    Effect.gen(function*() {
      const world = yield* makeWatchedForwarders()
      const forwarder = yield* forwardEverything(world, "bridge")
      const snapshot = yield* world.metrics.snapshot
      const { lastError, ...figures } = yield* forwarder.metrics
      assert.deepStrictEqual(figures.sources, [{ name: "a", state: "active", error: undefined }])
      assert.deepStrictEqual(figures.targets, [{ name: "b", state: "active", error: undefined }])
      const { sources, targets, ...counts } = snapshot.forwarders[0]!
      assert.deepStrictEqual([sources, targets], [
        [{ name: "a", state: "active" }],
        [{ name: "b", state: "active" }]
      ])
      const { sources: _sources, targets: _targets, ...expected } = figures
      assert.deepStrictEqual(snapshot.forwarders.length, 1)
      assert.deepStrictEqual<unknown>(counts, {
        ...expected,
        lastError: { reason: lastError!.reason._tag, message: lastError!.message }
      })
      const json = JSON.stringify(yield* Schema.encodeEffect(MqttSnapshot.MqttSnapshot)(snapshot))
      const read = yield* Schema.decodeUnknownEffect(MqttSnapshot.MqttSnapshot)(JSON.parse(json))
      assert.deepStrictEqual(read.forwarders, snapshot.forwarders)

      const [shown] = pageSnapshot(read, undefined).forwarders
      assert.deepStrictEqual(
        [shown!.name, shown!.state, shown!.lag, shown!.inflight, shown!.received],
        ["bridge", "Running", 1500, 1, 11]
      )
      assert.deepStrictEqual(shown!.fates.map(({ count, name }) => [name, count]), [
        ["forwarded", 3],
        ["filtered", 1],
        ["unmapped", 1],
        ["dropped by a transformation", 1],
        ["looped", 1],
        ["after too many hops", 1],
        ["dead-lettered", 1],
        ["failed", 1]
      ])
      yield* world.b.clearFaults
      yield* world.b.release(1)
      yield* world.forwarders.remove("bridge")
      assert.deepStrictEqual((yield* world.metrics.snapshot).forwarders, [])
    }))
})
