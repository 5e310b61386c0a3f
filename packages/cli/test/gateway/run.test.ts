/**
 * `effect-mqttx gateway` as a process between two real mosquittos.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker, PostgresServer, RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  ask,
  awaitStatus,
  broker,
  folder,
  freePort,
  numbers,
  publishing,
  startGateway,
  startReady,
  witness
} from "../support/gateway.ts"
import { run } from "../support/program.ts"

const { exitCodes } = Cli
const isAbsent = !MosquittoBroker.isPresent()

describe.skipIf(isAbsent)("effect-mqttx gateway", () => {
  it.live.each([1, 2] as const)(
    "SIGTERM in the middle of traffic ends with 0, and the next start continues: every message once and in order, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const a = yield* broker
        const b = yield* broker
        const port = yield* freePort
        const at = yield* folder({
          "gateway.toml": `
[stores.disk]
type = "file"
directory = "state"

[sessions.plant]
servers = "${a.url}"
store = "disk"

[sessions.cloud]
servers = "${b.url}"
store = "disk"

[forwarders.up]
sources = "plant"
filters = "sensors/#"
target = "cloud"
mapping = [{ from = "sensors/+", to = "plant/{1}" }]

[metrics]
port = ${port}
`
        })
        const file = Path.join(at, "gateway.toml")
        const received = yield* witness(b.url, "plant/#")
        const first = yield* startReady(port, file)
        const traffic = yield* publishing(a.url, "sensors/1", qos, 1000)
        let gateway = first
        for (let round = 1; round <= 3; round++) {
          yield* received.has(received.payloads.length + 300)
          gateway.child.kill("SIGTERM")
          const { code, stderr, stdout } = yield* gateway.ended
          assert.strictEqual(code, exitCodes.done, stderr)
          assert.strictEqual(stdout, "")
          assert.include(stderr, "the gateway has ended")
          // The traffic goes on without a gateway, and its broker keeps it.
          yield* traffic.more(300)
          gateway = yield* startGateway(file)
        }
        const count = yield* traffic.stop
        yield* received.has(count)
        assert.deepStrictEqual(received.payloads, numbers(count))
        assert.deepStrictEqual(Array.from(new Set(received.topics)), ["plant/1"])
      }).pipe(Effect.scoped)
  )

  it.live("serves metrics, health, readiness and the live page, and logs lines of JSON", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const at = yield* folder({
        "gateway.yaml": `
log: { format: json, level: info }
metrics: { port: "\${METRICS_PORT}" }
sessions:
  plant: { servers: "${a.url}" }
  cloud: { servers: "${b.url}" }
forwarders:
  up: { sources: plant, filters: t/#, target: cloud }
`
      })
      const gateway = yield* startReady(port, Path.join(at, "gateway.yaml"), { env: { METRICS_PORT: String(port) } })
      assert.strictEqual((yield* ask(port, "/healthz")).text, "ok\n")
      const { text } = yield* ask(port, "/metrics")
      assert.include(text, "forwarder=\"up\"")
      assert.include((yield* ask(port, "/")).text, "<html")
      yield* b.stop
      const causes = yield* awaitStatus(port, "/readyz", 503)
      assert.include(causes, "cloud")
      gateway.child.kill("SIGINT")
      const { code, stderr } = yield* gateway.ended
      assert.strictEqual(code, exitCodes.done)
      const lines = stderr.trim().split("\n").map((line) => JSON.parse(line) as { message: unknown; level: string })
      assert.include(lines.map(({ message }) => String(message)), "the gateway runs")
      assert.notInclude(lines.map(({ level }) => level), "DEBUG")
    }).pipe(Effect.scoped))

  it.live("serves series of all sessions together only, where the file says so", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const port = yield* freePort
      const at = yield* folder({
        "gateway.json": JSON.stringify({
          metrics: { port, perSessionSeries: false },
          sessions: { plant: { servers: a.url } }
        })
      })
      yield* startReady(port, Path.join(at, "gateway.json"))
      const { text } = yield* ask(port, "/metrics")
      assert.include(text, "mqtt_manager_connections_total 1\n")
      assert.notInclude(text, "session=")
    }).pipe(Effect.scoped))

  it.live("starts without its brokers, and is not ready until they are there", () =>
    Effect.gen(function*() {
      const a = yield* broker
      yield* a.stop
      const port = yield* freePort
      const at = yield* folder({
        "gateway.json": JSON.stringify({
          metrics: { port },
          sessions: { plant: { servers: a.url, reconnect: { initialDelay: 50, maxDelay: 50 } } }
        })
      })
      yield* startGateway(Path.join(at, "gateway.json"))
      assert.include(yield* awaitStatus(port, "/readyz", 503), "plant")
      yield* a.start
      yield* awaitStatus(port, "/readyz", 200)
    }).pipe(Effect.scoped))

  it.live("a port that is taken, a store that is owned and a forwarder that feeds itself end the start, and say why", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const sessions = { plant: { servers: a.url, protocolVersion: 4, store: "disk" } }
      const stores = { disk: { type: "file", directory: "state" } }
      const metrics = { port: new URL(a.url).port }
      const forwarders = { loop: { sources: "plant", filters: "t/#", target: "plant" } }
      const at = yield* folder({
        "good.json": JSON.stringify({ sessions, stores }),
        "port.json": JSON.stringify({ sessions: { plant: { servers: a.url } }, metrics }),
        "loop.json": JSON.stringify({ sessions: { plant: { servers: a.url, protocolVersion: 4 } }, forwarders })
      })
      const port = yield* run(["gateway", Path.join(at, "port.json")])
      assert.strictEqual(port.code, exitCodes.usage)
      assert.include(port.stderr, `the metrics server cannot listen on 127.0.0.1:${metrics.port}: EADDRINUSE`)
      const loop = yield* run(["gateway", Path.join(at, "loop.json")])
      assert.strictEqual(loop.code, exitCodes.usage)
      assert.include(loop.stderr, "loop")
      yield* startGateway(Path.join(at, "good.json"))
      const owned = yield* run(["gateway", Path.join(at, "good.json")])
      assert.strictEqual(owned.code, exitCodes.failed)
      assert.include(owned.stderr, "owned")
      assert.isTrue(Fs.existsSync(Path.join(at, "state")))
    }).pipe(Effect.scoped))

  it.live("a gateway that does not drain in its time ends with 1, and the next start has the message", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const file = (yield* folder({
        "gateway.toml": `
drainTimeout = "1 second"
metrics = { port = ${port} }
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
acceptance = "acknowledged"
stopTimeout = "1 hour"
`
      })) + "/gateway.toml"
      const received = yield* witness(b.url, "t")
      const gateway = yield* startReady(port, file)
      yield* b.stop
      yield* gateway.says("event=Disconnected")
      const traffic = yield* publishing(a.url, "t", 1, 100)
      yield* traffic.more(10)
      const count = yield* traffic.stop
      gateway.child.kill("SIGTERM")
      const { code, stderr } = yield* gateway.ended
      assert.strictEqual(code, exitCodes.failed)
      assert.include(stderr, "the gateway has not drained within 1s")
      yield* b.start
      yield* received.subscribed
      yield* startGateway(file)
      yield* received.has(count)
    }).pipe(Effect.scoped))

  it.live("a second signal ends at once", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const file = (yield* folder({
        "gateway.toml": `
drainTimeout = "1 hour"
metrics = { port = ${port} }
[sessions]
plant = { servers = "${a.url}" }
cloud = { servers = "${b.url}" }
[forwarders.up]
sources = "plant"
filters = "t"
target = "cloud"
stopTimeout = "1 hour"
`
      })) + "/gateway.toml"
      const gateway = yield* startReady(port, file)
      yield* b.stop
      yield* gateway.says("event=Disconnected")
      const traffic = yield* publishing(a.url, "t", 1, 100)
      yield* traffic.more(10)
      yield* traffic.stop
      gateway.child.kill("SIGTERM")
      yield* gateway.says("the gateway drains")
      gateway.child.kill("SIGINT")
      assert.strictEqual((yield* gateway.ended).code, exitCodes.interrupted)
    }).pipe(Effect.scoped))

  it.live("kill -9 in the middle of traffic: QoS 2 comes once and in order after the next start", () =>
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
`
      })) + "/gateway.toml"
      const received = yield* witness(b.url, "t")
      let gateway = yield* startReady(port, file)
      const traffic = yield* publishing(a.url, "t", 2, 1000)
      for (let round = 1; round <= 5; round++) {
        yield* received.has(received.payloads.length + 200 + 37 * round)
        gateway.child.kill("SIGKILL")
        yield* gateway.ended
        gateway = yield* startGateway(file)
      }
      const count = yield* traffic.stop
      yield* received.has(count)
      assert.deepStrictEqual(received.payloads, numbers(count))
    }).pipe(Effect.scoped))

  it.live("transforms payloads, and what cannot be transformed is a dead letter", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const file = (yield* folder({
        "gateway.toml": `
[metrics]
port = ${port}
[sessions]
plant = { servers = "${a.url}" }
cloud = { servers = "${b.url}" }
[forwarders.up]
sources = "plant"
filters = "t/+"
target = "cloud"
deadLetter = { topic = "dead" }
[[forwarders.up.transforms]]
type = "scale"
path = "temp"
factor = 1.8
offset = 32
[[forwarders.up.transforms]]
type = "template"
format = "json"
template = '{ "fahrenheit": {{$.temp}}, "from": {{topic}} }'
`
      })) + "/gateway.toml"
      const received = yield* witness(b.url, "#")
      yield* startReady(port, file)
      const session = yield* MqttSession.make({ name: "publisher", servers: a.url })
      for (const payload of ["{\"temp\": 20}", "warm", "{\"temp\": 0}"]) {
        yield* session.publish("t/1", payload, { qos: 1 })
      }
      yield* received.has(3)
      assert.sameMembers(
        received.payloads.map((payload, index) => `${received.topics[index]} ${payload}`),
        ["t/1 { \"fahrenheit\": 68, \"from\": \"t/1\" }", "dead warm", "t/1 { \"fahrenheit\": 32, \"from\": \"t/1\" }"]
      )
    }).pipe(Effect.scoped))

  it.live.skipIf(!PostgresServer.isPresent())(
    "a store in PostgreSQL: kill -9 in the middle of traffic, QoS 2 comes once and in order",
    () =>
      Effect.gen(function*() {
        const a = yield* broker
        const b = yield* broker
        const database = yield* PostgresServer.PostgresServer
        const port = yield* freePort
        const file = (yield* folder({
          "gateway.toml": `
[metrics]
port = ${port}
[stores.shared]
type = "sql"
url = "\${POSTGRES}"
tablePrefix = "gateway"
[sessions]
plant = { servers = "${a.url}", store = "shared" }
cloud = { servers = "${b.url}", store = "shared" }
[forwarders.up]
sources = "plant"
filters = "t"
target = "cloud"
`
        })) + "/gateway.toml"
        const received = yield* witness(b.url, "t")
        const settings = {
          env: { POSTGRES: `postgres://${database.username}@127.0.0.1:${database.port}/postgres` }
        }
        const first = yield* startReady(port, file, settings)
        const traffic = yield* publishing(a.url, "t", 2, 200)
        yield* received.has(100)
        first.child.kill("SIGKILL")
        yield* first.ended
        // It waits for the end of the other one's lease.
        const second = yield* startGateway(file, settings)
        yield* received.has(received.payloads.length + 100)
        const count = yield* traffic.stop
        yield* received.has(count)
        assert.deepStrictEqual(received.payloads, numbers(count))
        second.child.kill("SIGTERM")
        assert.strictEqual((yield* second.ended).code, exitCodes.done)
        const absent = { env: { POSTGRES: `postgres://someone:hunter2@127.0.0.1:${yield* freePort}/none` } }
        const { code, stderr } = yield* run(["gateway", file], absent)
        assert.strictEqual(code, exitCodes.failed, stderr)
        assert.include(stderr, "the session store failed (unavailable)")
        assert.notInclude(stderr, "hunter2")
      }).pipe(Effect.provide(PostgresServer.layer()), Effect.scoped)
  )

  it.live.skipIf(!RedisServer.isPresent())(
    "a store in Redis: kill -9 in the middle of traffic, QoS 2 comes once and in order",
    () =>
      Effect.gen(function*() {
        const a = yield* broker
        const b = yield* broker
        const redis = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
        const port = yield* freePort
        const file = (yield* folder({
          "gateway.toml": `
[metrics]
port = ${port}
[stores.shared]
type = "redis"
url = "\${REDIS}"
[sessions]
plant = { servers = "${a.url}", store = "shared" }
cloud = { servers = "${b.url}", store = "shared" }
[forwarders.up]
sources = "plant"
filters = "t"
target = "cloud"
`
        })) + "/gateway.toml"
        const received = yield* witness(b.url, "t")
        const settings = { env: { REDIS: redis.url } }
        const first = yield* startReady(port, file, settings)
        const traffic = yield* publishing(a.url, "t", 2, 500)
        yield* received.has(200)
        first.child.kill("SIGKILL")
        yield* first.ended
        // It waits for the end of the other one's lease.
        const second = yield* startGateway(file, settings)
        yield* received.has(received.payloads.length + 200)
        const count = yield* traffic.stop
        yield* received.has(count)
        assert.deepStrictEqual(received.payloads, numbers(count))
        second.child.kill("SIGTERM")
        assert.strictEqual((yield* second.ended).code, exitCodes.done)
        yield* redis.stop
        const { code, stderr } = yield* run(["gateway", file], settings)
        assert.strictEqual(code, exitCodes.failed)
        assert.include(stderr, "the session store failed (unavailable)")
      }).pipe(Effect.scoped)
  )
})
