/**
 * A gateway that gets another file while messages go through it, as a process between two real mosquittos.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
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
import type { Running } from "../support/program.ts"

const isAbsent = !MosquittoBroker.isPresent()

/** Replaces a file in one step, as editors and orchestrators do. */
const replaceFile = (file: string, text: string): void => {
  Fs.writeFileSync(`${file}.new`, text)
  Fs.renameSync(`${file}.new`, file)
}

/** Counts how often a text is in the log. */
const countOf = (log: string, text: string): number => log.split(text).length - 1

/** Sends SIGHUP, and waits until the log says one more time that the file is applied, or is not. */
const hangUp = (gateway: Running, text = "the file is applied"): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = countOf(gateway.log(), text)
    gateway.child.kill("SIGHUP")
    return gateway.saysThat((log) => countOf(log, text) > before)
  })

/** How often a client has connected, by the log of its broker. */
const connects = (server: MosquittoBroker.Service, session: string): number =>
  server.log().split("\n").filter((line) => /New client connected/.test(line) && line.includes(session)).length

/** Waits until a client has unsubscribed, by the log of its broker. */
const unsubscribed = (server: MosquittoBroker.Service, filter: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (!server.log().includes(`plant-client ${filter}`)) await new Promise((resolve) => setTimeout(resolve, 20))
  })

interface Parts {
  readonly a: string
  readonly b: string
  readonly port: number
  readonly up?: string
  readonly plant?: string
  readonly cloud?: string
  readonly more?: string
}

const fileOf = ({ a, b, cloud = "", more = "", plant = "", port, up = "" }: Parts): string => `
[log]
level = "info"
[reload]
watch = false
[metrics]
port = ${port}
[stores.disk]
type = "file"
directory = "state"

[sessions.plant]
servers = "${a}"
store = "disk"
clientId = "plant-client"
${plant}
[sessions.cloud]
servers = "${b}"
store = "disk"
clientId = "cloud-client"
${cloud}
[forwarders.up]
sources = "plant"
filters = "sensors/#"
target = "cloud"
${up}
[forwarders.still]
sources = "plant"
filters = "still/#"
target = "cloud"
${more}
`

const forwarded = (port: number, name: string): Effect.Effect<number> =>
  Effect.map(ask(port, "/metrics"), ({ text }) => {
    const line = text.split("\n").find((each) =>
      each.startsWith("mqtt_forwarder_messages_forwarded_total{") && each.includes(`forwarder="${name}"`)
    )
    return Number(line?.split(" ").at(-1))
  })

describe.skipIf(isAbsent)("a gateway that reads its file again", () => {
  it.live.each([1, 2] as const)(
    "under traffic, again and again: forwarders and sessions are replaced, and every message comes once and in order, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const a = yield* broker
        const b = yield* broker
        const port = yield* freePort
        const parts = { a: a.url, b: b.url, port }
        const file = Path.join(yield* folder({ "gateway.toml": fileOf(parts) }), "gateway.toml")
        const received = yield* witness(b.url, "sensors/#")
        const mapped = yield* witness(b.url, "mapped/#")
        const gateway = yield* startReady(port, file)
        const traffic = yield* publishing(a.url, "sensors/1", qos, 1000)
        const variants: ReadonlyArray<Partial<Parts>> = [
          { up: "metadata = { a = \"b\" }" },
          { plant: "keepAlive = 30000" },
          { cloud: "keepAlive = 40000", up: "maxInFlight = 50" },
          { plant: "keepAlive = 20000", cloud: "keepAlive = 20000", up: "qos = { cap = 2 }" },
          {}
        ]
        for (let round = 0; round < 15; round++) {
          const before = received.payloads.length
          replaceFile(file, fileOf({ ...parts, ...variants[round % variants.length] }))
          yield* hangUp(gateway)
          yield* received.has(before + 100)
        }
        const count = yield* traffic.stop
        yield* received.has(count)
        assert.deepStrictEqual(received.payloads, numbers(count))
        assert.isEmpty(mapped.payloads)
        gateway.child.kill("SIGTERM")
        assert.strictEqual((yield* gateway.ended).code, 0)
      }).pipe(Effect.scoped)
  )

  it.live("what is equal continues unchanged: the same connections, the same forwarder", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const parts = { a: a.url, b: b.url, port }
      const file = Path.join(yield* folder({ "gateway.toml": fileOf(parts) }), "gateway.toml")
      const received = yield* witness(b.url, "#")
      const gateway = yield* startReady(port, file)
      const traffic = yield* publishing(a.url, "still/1", 1, 200)
      yield* received.has(20)
      const counted = yield* traffic.stop
      yield* received.has(counted)
      while ((yield* forwarded(port, "still")) < counted) yield* Effect.sleep(10)
      assert.deepStrictEqual([connects(a, "plant-client"), connects(b, "cloud-client")], [1, 1])
      // The same again, another forwarder, and one more.
      yield* hangUp(gateway)
      replaceFile(file, fileOf({ ...parts, up: "retain = \"clear\"" }))
      yield* hangUp(gateway)
      const more = "[forwarders.more]\nsources = \"plant\"\nfilters = \"more/#\"\ntarget = \"cloud\"\n"
      replaceFile(file, fileOf({ ...parts, more }))
      yield* hangUp(gateway)
      assert.deepStrictEqual([connects(a, "plant-client"), connects(b, "cloud-client")], [1, 1])
      // A forwarder that is replaced counts from zero; this one has not been.
      assert.strictEqual(yield* forwarded(port, "still"), counted)
      // Only the session that has changed connects again.
      replaceFile(file, fileOf({ ...parts, more, cloud: "keepAlive = 30000" }))
      yield* hangUp(gateway)
      yield* awaitStatus(port, "/readyz", 200)
      assert.deepStrictEqual([connects(a, "plant-client"), connects(b, "cloud-client")], [1, 2])
      assert.strictEqual(yield* forwarded(port, "still"), counted)
      const log = gateway.log()
      assert.include(log, "sessions=none forwarders=none")
      assert.include(log, "sessions=none forwarders=~up")
      assert.include(log, "forwarders=\"+more ~up\"")
      assert.include(log, "sessions=~cloud forwarders=none")
    }).pipe(Effect.scoped))

  it.live("a file that is not valid changes nothing, and the log says why", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const parts = { a: a.url, b: b.url, port }
      const file = Path.join(yield* folder({ "gateway.toml": fileOf(parts) }), "gateway.toml")
      const received = yield* witness(b.url, "sensors/#")
      const gateway = yield* startReady(port, file)
      const text = fileOf({ ...parts, up: "pasword = \"hunter1\"" })
      replaceFile(file, text)
      yield* hangUp(gateway, "is not applied")
      const line = text.split("\n").findIndex((each) => each.startsWith("pasword")) + 1
      assert.include(gateway.log(), `${file}:${line}:1: forwarders.up.pasword: no such option`)
      assert.notInclude(gateway.log(), "hunter1")
      // A store that cannot be opened, and a file that is gone.
      replaceFile(
        file,
        fileOf({ ...parts, plant: "" }).replace("directory = \"state\"", "directory = \"gateway.toml\"")
      )
      yield* hangUp(gateway, "is not applied")
      Fs.rmSync(file)
      yield* hangUp(gateway, "is not applied")
      const traffic = yield* publishing(a.url, "sensors/1", 2, 200)
      yield* received.has(20)
      yield* received.has(yield* traffic.stop)
      assert.deepStrictEqual([connects(a, "plant-client"), connects(b, "cloud-client")], [1, 1])
    }).pipe(Effect.scoped))

  it.live("forwarders that are gone keep no messages, and their filters are unsubscribed", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const parts = { a: a.url, b: b.url, port }
      const more = "[forwarders.more]\nsources = \"plant\"\nfilters = \"more/#\"\ntarget = \"cloud\"\n"
      const file = Path.join(yield* folder({ "gateway.toml": fileOf({ ...parts, more }) }), "gateway.toml")
      const received = yield* witness(b.url, "#")
      const gateway = yield* startReady(port, file)
      const first = yield* publishing(a.url, "more/1", 1, 100)
      yield* received.has(10)
      yield* received.has(yield* first.stop)
      // One forwarder goes, and another one has other filters.
      replaceFile(file, fileOf(parts).replace("\"sensors/#\"", "\"others/#\""))
      yield* hangUp(gateway)
      yield* unsubscribed(a, "more/#")
      yield* unsubscribed(a, "sensors/#")
      const ended = received.payloads.length
      const traffic = yield* publishing(a.url, "more/1", 1, 100)
      const sensors = yield* publishing(a.url, "sensors/1", 1, 100)
      yield* Effect.all([traffic.more(5), sensors.more(5)])
      yield* Effect.all([traffic.stop, sensors.stop])
      const others = yield* publishing(a.url, "others/1", 1, 100)
      yield* received.has(ended + 10)
      yield* received.has(ended + (yield* others.stop))
      assert.deepStrictEqual(Array.from(new Set(received.topics.slice(ended))), ["others/1"])
    }).pipe(Effect.scoped))

  it.live("applies a change of the file and of a file that it names, without a signal", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const text = fileOf({ a: a.url, b: b.url, port, plant: "username = \"${file:user}\"" })
        .replace("watch = false", "interval = \"100 millis\"")
      const at = yield* folder({ "gateway.toml": text, user: "one\n" })
      const gateway = yield* startReady(port, Path.join(at, "gateway.toml"))
      Fs.writeFileSync(Path.join(at, "user"), "two\n")
      yield* gateway.says("sessions=~plant forwarders=none")
      yield* awaitStatus(port, "/readyz", 200)
      assert.strictEqual(connects(a, "plant-client"), 2)
      replaceFile(Path.join(at, "gateway.toml"), text.replace("\"still/#\"", "\"moved/#\""))
      yield* gateway.says("sessions=none forwarders=~still")
      assert.strictEqual(connects(a, "plant-client"), 2)
      Fs.writeFileSync(Path.join(at, "gateway.toml"), "nonsense")
      yield* gateway.says("is not applied")
    }).pipe(Effect.scoped))

  it.live("takes a certificate that replaces an expired one, without a signal", () =>
    Effect.gen(function*() {
      const a = yield* MosquittoBroker.make({ tls: true, requireClientCertificate: true })
      const b = yield* broker
      const port = yield* freePort
      const { ca, client, expiredClient } = a.certificates!
      const at = yield* folder({
        "ca.pem": ca,
        "client.pem": expiredClient.cert,
        "client.key": expiredClient.key,
        "gateway.yaml": `
reload: { interval: 100 millis }
metrics: { port: ${port} }
sessions:
  plant:
    servers: ${a.urls.tls}
    reconnect: { initialDelay: 100, maxDelay: 100 }
    tls: { ca: "\${file:ca.pem}", cert: "\${file:client.pem}", key: "\${file:client.key}" }
  cloud: { servers: "${b.url}" }
forwarders:
  up: { sources: plant, filters: t, target: cloud }
`
      })
      const received = yield* witness(b.url, "t")
      yield* startGateway(Path.join(at, "gateway.yaml"))
      assert.include(yield* awaitStatus(port, "/readyz", 503), "plant")
      replaceFile(Path.join(at, "client.key"), client.key)
      replaceFile(Path.join(at, "client.pem"), client.cert)
      yield* awaitStatus(port, "/readyz", 200)
      const traffic = yield* publishing(a.url, "t", 2, 100)
      yield* received.has(10)
      const count = yield* traffic.stop
      yield* received.has(count)
      assert.deepStrictEqual(received.payloads, numbers(count))
    }).pipe(Effect.scoped))

  it.live("a forwarder that cannot have its new options runs as before, and the rest is applied", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const port = yield* freePort
      const parts = { a: a.url, b: b.url, port, plant: "protocolVersion = 4" }
      const file = Path.join(yield* folder({ "gateway.toml": fileOf(parts) }), "gateway.toml")
      const received = yield* witness(b.url, "sensors/#")
      const gateway = yield* startReady(port, file)
      const next = fileOf({ ...parts, plant: "protocolVersion = 4\nkeepAlive = 30000" })
      // It would feed itself, which MQTT 3.1.1 cannot prevent.
      replaceFile(
        file,
        next.replace("filters = \"sensors/#\"\ntarget = \"cloud\"", "filters = \"sensors/#\"\ntarget = \"plant\"")
      )
      yield* hangUp(gateway)
      assert.include(gateway.log(), "message=\"cannot be applied")
      yield* awaitStatus(port, "/readyz", 200)
      assert.strictEqual(connects(a, "plant-client"), 2)
      const traffic = yield* publishing(a.url, "sensors/1", 1, 200)
      yield* received.has(20)
      yield* received.has(yield* traffic.stop)
    }).pipe(Effect.scoped))
})
