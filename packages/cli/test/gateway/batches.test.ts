/**
 * Batches of a gateway as a process between two real mosquittos.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { broker, folder, freePort, numbers, publishing, startGateway, startReady, witness } from "../support/gateway.ts"

const publisher = (servers: string) =>
  Effect.map(MqttSession.make({ name: "publisher", servers }), ({ publish }) => ({
    publish: (topic: string, payload: string) => publish(topic, payload, { qos: 1 })
  }))

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx gateway: batches", () => {
  it.live("kill -9 in the middle of traffic: each message of QoS 2 is in one batch, in order", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const file = (yield* folder({
        "gateway.toml": `
[metrics]
port = ${port}
[stores.disk]
type = "file"
directory = "state"
[sessions]
plant = { servers = "${a.url}", store = "disk" }
cloud = { servers = "${b.url}", store = "disk" }
[forwarders.up]
sources = "plant"
filters = "t"
target = "cloud"
[[forwarders.up.transforms]]
type = "batch"
messages = 20
time = "100 millis"
`
      })) + "/gateway.toml"
      const received = yield* witness(b.url, "t")
      let gateway = yield* startReady(port, file)
      const traffic = yield* publishing(a.url, "t", 2, 1000)
      for (let round = 1; round <= 5; round++) {
        yield* received.has(received.payloads.length + 10 + round)
        gateway.child.kill("SIGKILL")
        yield* gateway.ended
        gateway = yield* startGateway(file)
      }
      const count = yield* traffic.stop
      const items = (): ReadonlyArray<string> =>
        received.payloads.flatMap((payload) => (JSON.parse(payload) as ReadonlyArray<number>).map(String))
      while (items().length < count) yield* received.has(received.payloads.length + 1)
      assert.deepStrictEqual(items(), numbers(count))
      assert.isBelow(received.payloads.length, count / 2)
    }).pipe(Effect.scoped))

  it.live("what one gateway batches another one unbatches, and a message that does not fit is a dead letter", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const file = (yield* folder({
        "gateway.yaml": `
metrics: { port: ${port} }
sessions:
  plant: { servers: "${a.url}" }
  cloud: { servers: "${b.url}" }
  back: { servers: "${b.url}" }
forwarders:
  up:
    sources: plant
    filters: raw
    target: cloud
    mapping: [{ from: raw, to: batches }]
    deadLetter: { topic: dead }
    transforms:
      - { type: batch, messages: 3, time: "1 day" }
      - { type: template, format: json, template: '{ "items": {{$}} }' }
  split:
    sources: cloud
    filters: batches
    target: back
    mapping: [{ from: batches, to: items }]
    allowLoops: true
    transforms:
      - { type: unbatch, path: items }
      - { type: pick, path: v }
`
      })) + "/gateway.yaml"
      const batches = yield* witness(b.url, "batches")
      const items = yield* witness(b.url, "items")
      const dead = yield* witness(b.url, "dead")
      yield* startReady(port, file)
      const { publish } = yield* publisher(a.url)
      for (const payload of ["{\"v\":1}", "{\"v\":2}", "no JSON", "{\"v\":3}"]) yield* publish("raw", payload)
      yield* Effect.all([batches.has(1), items.has(3), dead.has(1)])
      assert.deepStrictEqual(batches.payloads, ["{ \"items\": [{\"v\":1},{\"v\":2},{\"v\":3}] }"])
      assert.deepStrictEqual(items.payloads, ["1", "2", "3"])
      assert.deepStrictEqual(dead.payloads, ["no JSON"])
    }).pipe(Effect.scoped))
})
