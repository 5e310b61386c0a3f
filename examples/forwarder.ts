/**
 * Forwarders between brokers: `tsc -b examples && node examples/dist/forwarder.js`.
 *
 * Two plants report their temperatures, each to its own broker. Forwarders publish them to a third broker, under
 * other topics and with metadata, and from there back to the plants, which display them. The brokers are embedded.
 * The program checks what has arrived, and fails if anything is missing or wrong.
 */
import { ForwarderManager, type ForwarderOptions, RouteFilter, SessionManager } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Queue } from "effect"
import * as assert from "node:assert/strict"

/** One source, one literal rule; other topics pass as they are. */
const sensors: ForwarderOptions.ForwarderOptionsInput = {
  name: "sensor-forwarder",
  sources: ["sensor-session"],
  filters: ["sensors/+/temperature"],
  target: "storage-session",
  qos: { fix: 1 },
  mapping: [{ from: "sensors/room1/temperature", to: "storage/room1/temp" }]
}

/** Several sources, a rule for one room and one for all others, and metadata. */
const temperatures: ForwarderOptions.ForwarderOptionsInput = {
  name: "temperature-forwarder",
  sources: ["plant-1", "plant-2"],
  filters: ["sensors/+/temperature"],
  target: "storage-session",
  qos: { fix: 1 },
  mapping: [
    { from: "sensors/living-room/temperature", to: "processed/temperature/living-room" },
    { from: "sensors/:room/temperature", to: "processed/temperature/other/{room}" }
  ],
  metadata: { forwarded_by: "{forwarder}", timestamp: "{timestamp}", source: "{session}" }
}

/**
 * The way back, by prefixes: what a display shows, and no test data. A message does not return to a broker that has it,
 * unless a forwarder says `allowLoops`; the display is at plant 1, where one of the messages comes from.
 */
const display: ForwarderOptions.ForwarderOptionsInput = {
  name: "display-forwarder",
  sources: ["storage-session"],
  filters: ["processed/#"],
  exclude: ["processed/temperature/other/cellar"],
  target: "plant-1",
  allowLoops: true,
  mapping: [{ strip: "processed/", add: "display/" }]
}

const program = Effect.gen(function*() {
  const manager = yield* SessionManager.SessionManager
  const forwarders = yield* ForwarderManager.ForwarderManager
  yield* forwarders.add(sensors)
  yield* forwarders.add(temperatures, { filter: RouteFilter.not(RouteFilter.text("test")) })
  yield* forwarders.add(display)

  const seen = yield* Queue.unbounded<readonly [topic: string, text: string]>()
  const metadata = yield* Queue.unbounded<Readonly<Record<string, string>>>()
  const look = { qos: 1 as const }
  yield* manager.handleTo("observer", "#", (message) =>
    Effect.gen(function*() {
      if (message.topic === "processed/temperature/living-room") {
        yield* Queue.offer(metadata, Object.fromEntries(message.properties.userProperties ?? []))
      }
      yield* Queue.offer(seen, [message.topic, message.text])
    }), look).pipe(Effect.flatMap((route) => route.active))
  yield* manager.handleTo("plant-1", "display/#", ({ text, topic }) => Queue.offer(seen, [topic, text]), look).pipe(
    Effect.flatMap((route) => route.active)
  )
  yield* manager.awaitAllReady()
  for (const name of yield* forwarders.list) yield* Effect.flatMap(forwarders.get(name), ({ active }) => active)

  yield* manager.publishTo("sensor-session", "sensors/room1/temperature", "20.5", { qos: 1 })
  yield* manager.publishTo("sensor-session", "sensors/room2/temperature", "19.0", { qos: 1 })
  yield* manager.publishTo("plant-1", "sensors/living-room/temperature", "21.5", { qos: 1 })
  yield* manager.publishTo("plant-2", "sensors/cellar/temperature", "12.0", { qos: 1 })
  yield* manager.publishTo("plant-2", "sensors/living-room/temperature", "test", { qos: 1 })

  const arrived = (yield* Queue.takeN(seen, 5)).map(([topic, text]) => `${topic} = ${text}`).sort()
  for (const line of arrived) yield* Effect.log(line)
  assert.deepEqual(arrived, [
    "display/temperature/living-room = 21.5",
    "processed/temperature/living-room = 21.5",
    "processed/temperature/other/cellar = 12.0",
    "sensors/room2/temperature = 19.0",
    "storage/room1/temp = 20.5"
  ])
  const given = yield* Queue.take(metadata)
  yield* Effect.log("metadata:", given)
  assert.equal(given["forwarded_by"], "temperature-forwarder")
  assert.equal(given["source"], "plant-1")
  assert.ok(Number(given["timestamp"]) > 0)

  yield* Effect.repeat(Effect.delay(forwarders.metrics("temperature-forwarder"), "10 millis"), {
    until: ({ received }) => received === 3
  })
  yield* forwarders.stopAll
  for (const [name, { dropped, filtered, forwarded, received }] of yield* forwarders.allMetrics) {
    yield* Effect.log(
      `${name}: ${received} received, ${forwarded} forwarded, ${filtered} filtered, ${dropped.looped} came in a circle`
    )
  }
  const metrics = yield* forwarders.metrics("temperature-forwarder")
  assert.deepEqual([metrics.received, metrics.forwarded, metrics.filtered, metrics.inFlight], [3, 2, 1, 0])
})

const main = Effect.gen(function*() {
  const [sensorBroker, plant1, plant2, storage] = yield* Effect.all(
    [ScriptedBroker.make(), ScriptedBroker.make(), ScriptedBroker.make(), ScriptedBroker.make()]
  )
  const sessions = [
    { name: "sensor-session", servers: [sensorBroker.url] },
    { name: "plant-1", servers: [plant1.url] },
    { name: "plant-2", servers: [plant2.url] },
    { name: "storage-session", servers: [storage.url] },
    { name: "observer", servers: [storage.url] }
  ]
  const forwarding = ForwarderManager.layer().pipe(Layer.provideMerge(SessionManager.layer({ sessions })))
  yield* program.pipe(Effect.scoped, Effect.provide(forwarding))
})

NodeRuntime.runMain(Effect.scoped(main))
