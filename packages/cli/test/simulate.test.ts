/**
 * `effect-mqttx simulate` as a process, against a real mosquitto.
 */
import { Cli } from "@effect-mqttx/cli"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Path from "node:path"
import { folder, witness } from "./support/gateway.ts"
import { run, start } from "./support/program.ts"
import { hasTerminal, runInTerminal } from "./support/terminal.ts"

const { exitCodes } = Cli

const toml = `
devices = 3
clientId = "dev-{id}"

[[messages]]
topic = "plant/{id}/values"
interval = "50 millis"
qos = 1

[messages.payload]
device = "number {id}"
temperature = { type = "range", min = 15, max = 25, decimals = 1 }
wave = { type = "sine", min = -1, max = 1, period = "1 second" }
state = { type = "enum", values = ["on", "off"] }
count = { type = "counter", start = 10, step = 5 }
at = { type = "time" }
fixed = true

[[messages]]
topic = "plant/{id}/text"
interval = "100 millis"
payload = "hello {id}"

[birth]
topic = "plant/{id}/status"
payload = "{id} is here"
qos = 1

[will]
topic = "plant/{id}/status"
payload = "{id} is gone"
qos = 1
`

const fleet = (name: string, text: string) => Effect.map(folder({ [name]: text }), (path) => Path.join(path, name))

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx simulate", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    it.effect("runs a fleet from TOML: topics, intervals, values of every type, births; and prints statistics", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const seen = yield* witness(url, "plant/#")
        const file = yield* fleet("fleet.toml", toml)
        const { code, stderr, stdout } = yield* run(["simulate", file, "--url", url, "--seconds", "2", "--json"])
        assert.deepStrictEqual({ code, stderr }, { code: exitCodes.done, stderr: "" })
        const statistics = JSON.parse(stdout)
        assert.deepInclude(statistics, { devices: 3, failed: 0, reconnects: 0 })
        assert.isAbove(statistics.published, 10)
        yield* seen.has(statistics.published)
        for (const id of [1, 2, 3]) {
          const of = (kind: string) => seen.payloads.filter((_, at) => seen.topics[at] === `plant/${id}/${kind}`)
          assert.strictEqual(of("status")[0], `${id} is here`)
          assert.strictEqual(of("text")[0], `hello ${id}`)
          const values = of("values").map((payload) => JSON.parse(payload))
          assert.deepStrictEqual(values.map(({ count }) => count), values.map((_, index) => 10 + 5 * index))
          for (const { at, device, fixed, state, temperature, wave } of values) {
            assert.deepStrictEqual({ device, fixed }, { device: `number ${id}`, fixed: true })
            assert.isTrue(
              temperature >= 15 && temperature <= 25 && Number.isInteger(Math.round(temperature * 1e6) / 1e5)
            )
            assert.isTrue(wave >= -1 && wave <= 1)
            assert.include(["on", "off"], state)
            assert.isBelow(Math.abs(Date.now() - at), 60_000)
          }
        }
      }).pipe(Effect.scoped))

    it.effect("devices leave and come back, and the will of a device that is killed is published", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const seen = yield* witness(url, "r/+/status")
        const file = yield* fleet(
          "fleet.yaml",
          [
            "devices: 1",
            "messages: [{ topic: 'r/{id}/value', interval: 1 second, payload: 1 }]",
            "birth: { topic: 'r/{id}/status', payload: here, qos: 1 }",
            "will: { topic: 'r/{id}/status', payload: gone, qos: 1 }",
            "reconnects: { every: 200 millis, away: 50 millis }"
          ].join("\n")
        )
        const simulate = yield* start(["simulate", file, "--url", url])
        yield* seen.has(6)
        assert.deepStrictEqual(seen.payloads.slice(0, 6), ["here", "gone", "here", "gone", "here", "gone"])
        simulate.child.kill("SIGINT")
        const { code, stdout } = yield* simulate.ended
        assert.strictEqual(code, exitCodes.done)
        assert.match(
          stdout,
          /^1 devices, [\d.]+ s: \d+ messages \([\d.]+ a second\), 0 failures, [1-9]\d* reconnects\n$/
        )
        // What the first fleet has sent is there by now.
        yield* run(["pub", "--url", url, "-t", "r/0/status", "-m", "fence", "-q", "1"])
        yield* Effect.repeat(Effect.sleep(5), { until: () => seen.payloads.includes("fence") })
        const killed = yield* start([
          "simulate",
          yield* fleet("fleet.toml", toml.replaceAll("plant/", "r/")),
          "--url",
          url
        ])
        const before = seen.payloads.length
        yield* seen.has(before + 3)
        killed.child.kill("SIGKILL")
        yield* seen.has(before + 6)
        assert.sameMembers(seen.payloads.slice(before + 3), ["1 is gone", "2 is gone", "3 is gone"])
      }).pipe(Effect.scoped))

    it.effect("says every mistake of a file with its line and column, and connects nothing", () =>
      Effect.gen(function*() {
        const file = yield* fleet(
          "fleet.toml",
          toml.replace("devices = 3", "devices = 0").replace("\"50 millis\"", "\"soon\"").replace(
            "fixed = true",
            "fixed = []"
          )
        )
        const { code, stderr, stdout } = yield* run(["simulate", file, "--url", "mqtt://127.0.0.1:1"])
        assert.deepStrictEqual({ code, stdout }, { code: exitCodes.usage, stdout: "" })
        assert.include(stderr, "fleet.toml:2:")
        assert.include(stderr, "devices: expected a whole number from 1 to 10000")
        assert.include(stderr, "fleet.toml:7:")
        assert.include(stderr, "messages.0.interval: expected 1 ms to 1 day")
        assert.include(stderr, "messages.0.payload")
        const valid = yield* fleet("fleet.toml", toml)
        const checked = yield* run(["simulate", valid, "--check", "--devices", "7"])
        assert.deepStrictEqual(checked, { code: exitCodes.done, stdout: `${valid} is valid: 7 devices\n`, stderr: "" })
        const equal = yield* run(["simulate", yield* fleet("f.toml", toml.replace("dev-{id}", "dev")), "--check"])
        assert.strictEqual(equal.code, exitCodes.usage)
        assert.include(equal.stderr, "clientId has no {id}")
        const unknown = yield* run(["simulate", yield* fleet("f.toml", `speed = 1\n${toml}`), "--check"])
        assert.strictEqual(unknown.code, exitCodes.usage)
        assert.include(unknown.stderr, "speed")
      }).pipe(Effect.scoped))

    it.effect.skipIf(!hasTerminal)("shows its progress on a terminal", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const file = yield* fleet("fleet.toml", toml)
        const { code, screen } = yield* runInTerminal(["simulate", file, "--url", url, "--seconds", "3"])
        assert.strictEqual(code, exitCodes.done)
        assert.match(screen, /3 of 3 devices, \d+ messages/)
      }).pipe(Effect.scoped))
  })
})
