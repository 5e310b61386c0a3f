/**
 * Flight records of the program: a gateway and a command write them on SIGUSR2, and `effect-mqttx replay` runs them.
 */
import { Cli } from "@effect-mqttx/cli"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { broker, folder, publishing, startGateway, witness } from "./support/gateway.ts"
import { run, start } from "./support/program.ts"

const { exitCodes } = Cli

const filesIn = (path: string): ReadonlyArray<string> =>
  Fs.readdirSync(path).map((name) => Path.join(path, name)).sort()

describe.skipIf(!MosquittoBroker.isPresent())("flight records", () => {
  it.live("of a gateway's sessions are written on SIGUSR2, and run again step by step", () =>
    Effect.gen(function*() {
      const a = yield* broker
      const b = yield* broker
      const at = yield* folder({
        "gateway.toml": `
flightRecords = "records"
[stores.disk]
type = "file"
directory = "state"
[sessions]
plant = { servers = "${a.url}", store = "disk", flightRecorder = 1048576 }
cloud = { servers = "${b.url}", flightRecorder = 1048576 }
other = { servers = "${b.url}" }
[forwarders.up]
sources = "plant"
filters = "t"
target = "cloud"
`
      })
      const received = yield* witness(b.url, "t")
      const gateway = yield* startGateway(Path.join(at, "gateway.toml"))
      const traffic = yield* publishing(a.url, "t", 2, 1000)
      yield* received.has(1000)
      gateway.child.kill("SIGUSR2")
      yield* gateway.saysThat((log) => log.split("a flight record is written").length === 3)
      yield* traffic.stop
      const [cloud, plant, ...others] = filesIn(Path.join(at, "records"))
      assert.lengthOf(others, 0)
      assert.match(plant!, /plant-.*\.flight\.jsonl$/)
      assert.strictEqual(Fs.statSync(plant!).mode & 0o777, 0o600)
      for (const file of [cloud!, plant!]) {
        const { code, stderr, stdout } = yield* run(["replay", file])
        assert.deepStrictEqual({ code, stderr }, { code: exitCodes.done, stderr: "" })
        assert.match(stdout, /^session (?:plant|cloud), request, written at /)
        assert.include(stdout, "PUBLISH")
        assert.notInclude(stdout, "DIFFERS")
      }
      const text = Fs.readFileSync(plant!, "utf8")
      const last = (JSON.parse(text.trimEnd().split("\n").at(-1)!) as { readonly step: number }).step

      const state = yield* run(["replay", plant!, "--step", String(last), "--json"])
      const lines = state.stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>)
      assert.deepInclude(lines[0], { session: "plant", cause: "request" })
      assert.deepInclude(lines.at(-2), { step: last, isSame: true })
      assert.include(JSON.stringify(lines.at(-1)!["state"]), `"SubscriptionEntry"`)

      const missing = yield* run(["replay", plant!, "--step", String(last + 1)])
      assert.strictEqual(missing.code, exitCodes.usage)
      assert.include(missing.stderr, `the record has no step ${last + 1}`)
    }).pipe(Effect.scoped), 180_000)

  it.live("of a command are written on SIGUSR2 where the variable gives them a size", () =>
    Effect.gen(function*() {
      const { url } = yield* broker
      const at = yield* folder({})
      const sub = yield* start(["sub", "--url", url, "-t", "a", "--log-level", "debug"], {
        env: { MQTT_FLIGHT_RECORDER: "1048576" },
        cwd: at
      })
      yield* sub.says("subscribed to")
      sub.child.kill("SIGUSR2")
      yield* sub.says("a flight record is written")
      const [file] = filesIn(at)
      const { code, stdout } = yield* run(["replay", file!])
      assert.strictEqual(code, exitCodes.done)
      assert.include(stdout, "sends SUBSCRIBE")
    }).pipe(Effect.scoped))

  it.live("whose outputs differ from the engine's end with 1 and the step, and damaged ones with 2 and the line", () =>
    Effect.gen(function*() {
      const { url } = yield* broker
      const at = yield* folder({})
      const sub = yield* start(["sub", "--url", url, "-t", "a", "--log-level", "debug"], {
        env: { MQTT_FLIGHT_RECORDER: "1048576" },
        cwd: at
      })
      yield* sub.says("subscribed to")
      sub.child.kill("SIGUSR2")
      yield* sub.says("a flight record is written")
      const file = filesIn(at)[0]!
      const lines = Fs.readFileSync(file, "utf8").trimEnd().split("\n")
      const at4 = lines.findIndex((line) => line.includes(`"packets":1`))
      const changed = [...lines]
      changed[at4] = lines[at4]!.replace(`"packets":1`, `"packets":2`)
      Fs.writeFileSync(file, `${changed.join("\n")}\n`)
      const differs = yield* run(["replay", file])
      const { step } = JSON.parse(lines[at4]!) as { readonly step: number }
      assert.strictEqual(differs.code, exitCodes.failed)
      assert.include(differs.stderr, `the engine answers differently in 1 places, first at step ${step}`)
      assert.include(differs.stdout, "DIFFERS: the record has ")

      Fs.writeFileSync(file, [...lines.slice(0, 3), "{", ...lines.slice(4)].join("\n"))
      const damaged = yield* run(["replay", file])
      assert.strictEqual(damaged.code, exitCodes.usage)
      assert.include(damaged.stderr, "line 4: this is no JSON")

      Fs.writeFileSync(file, lines[0]!.replace(`"version":1`, `"version":9`))
      const unknown = yield* run(["replay", file])
      assert.strictEqual(unknown.code, exitCodes.usage)
      assert.include(unknown.stderr, "version 9 of the format is not known")

      Fs.writeFileSync(file, `{"topic":"t","receivedAt":"2026-01-01T00:00:00Z","payload":""}\n`)
      const messages = yield* run(["replay", file, "--step", "1"])
      assert.strictEqual(messages.code, exitCodes.usage)
      assert.include(messages.stderr, "are for flight records")
    }).pipe(Effect.scoped))
})
