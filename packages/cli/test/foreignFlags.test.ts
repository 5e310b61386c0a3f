/**
 * The flags of mosquitto_pub, mosquitto_sub and MQTT.js's command line at `effect-mqttx`: they mean the same, or the
 * program says what to use in their place. A flag that is given twice is a mistake.
 */
import { Cli } from "@effect-mqttx/cli"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { run, start } from "./support/program.ts"

const { exitCodes } = Cli
const isAbsent = !MosquittoBroker.isPresent()

/** The flags that a program of mosquitto describes in its help. */
const flagsOf = (program: string): ReadonlyArray<string> => {
  const { stdout } = spawnSync(program, ["--help"], { encoding: "utf8" })
  return Array.from(new Set(Array.from(stdout.matchAll(/^ (--?[A-Za-z][\w-]*) /gm), ([, flag]) => flag!)))
}

/** The flags in the help of MQTT.js's command line. */
const flagsOfMqttJs = (command: "publish" | "subscribe"): ReadonlyArray<string> => {
  const help = readFileSync(new URL(`../../../node_modules/mqtt/help/${command}.txt`, import.meta.url), "utf8")
  return Array.from(help.matchAll(/^  ((?:-\w\/)?--[\w-]+) /gm), ([, names]) => names!.split("/")).flat()
}

const hasClients = ["mosquitto_pub", "mosquitto_sub"].every((program) => flagsOf(program).length > 20)

describe("a flag that is given twice", () => {
  it.effect("is a mistake that names it, unless it may be repeated", () =>
    Effect.gen(function*() {
      const values: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["pub -m x", ["-t a"]],
        ["pub -m x -t a", ["-h a", "-p 1", "-u a", "-P a", "-i a", "-q 1", "-r", "-k 5", "-V 5", "--ca a"]],
        ["pub -t a", ["-m x", "-f x", "-s", "-n", "-l", "--will-topic w", "-L mqtt://a"]],
        ["sub -t a", ["-C 1", "-W 1", "--until 1s", "-v", "--json", "--format hex", "--retained-only"]],
        ["request a", ["-m x", "-W 1"]]
      ]
      for (const [command, flags] of values) {
        for (const flag of flags) {
          const { code, stderr } = yield* run([...command.split(" "), ...`${flag} ${flag}`.split(" ")])
          assert.strictEqual(code, exitCodes.usage, `${command} ${flag}`)
          assert.match(stderr, /--[\w-]+ is given more than once\. Give it once\./, flag)
        }
      }
      // By an alias, too.
      const { code, stderr } = yield* run(["pub", "-m", "x", "-t", "a", "--topic", "b"])
      assert.strictEqual(code, exitCodes.usage)
      assert.include(stderr, "--topic is given more than once")
    }), 180_000)
})

describe.skipIf(!hasClients)("flags of mosquitto's clients", () => {
  it.effect("are all known, or there is a sentence on what to use", () =>
    Effect.gen(function*() {
      for (const command of ["pub", "sub"]) {
        const { stdout: help } = yield* run([command, "--help"])
        for (const flag of flagsOf(`mosquitto_${command}`)) {
          if (new RegExp(`(?<![\\w-])${flag}(?![\\w-])`).test(help)) continue
          const { code, stderr } = yield* run([command, "-t", "a", flag])
          assert.strictEqual(code, exitCodes.usage, flag)
          assert.include(stderr, `\n  ${flag}: `, flag)
        }
      }
    }), 180_000)
})

describe("flags of MQTT.js's command line", () => {
  it.effect("are all known, or there is a sentence on what to use", () =>
    Effect.gen(function*() {
      for (const [command, foreign] of [["pub", "publish"], ["sub", "subscribe"]] as const) {
        const { stdout: help } = yield* run([command, "--help"])
        const flags = flagsOfMqttJs(foreign)
        assert.isAbove(flags.length, 25)
        for (const flag of flags) {
          if (new RegExp(`(?<![\\w-])${flag}(?![\\w-])`).test(help)) continue
          const { code, stderr } = yield* run([command, "-t", "a", flag])
          assert.strictEqual(code, exitCodes.usage, flag)
          assert.include(stderr, `\n  ${flag}: `, flag)
        }
      }
    }), 180_000)
})

describe.skipIf(isAbsent)("flags of other command lines", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    it.effect("set a will, which the server publishes when the client is lost", () =>
      Effect.gen(function*() {
        const { ports, url } = yield* MosquittoBroker.MosquittoBroker
        const will = ["--will-topic", "foreign/will", "--will-payload", "lost", "--will-qos", "1", "--will-retain"]
        const debug = ["--log-level", "debug"]
        const witness = yield* start(["sub", "--url", url, "-t", "foreign/will", "-C", "1", "-v", ...debug])
        yield* witness.says("subscribed to")
        const place = ["--hostname", "127.0.0.1", "--port", String(ports.tcp)]
        const client = yield* start(["sub", ...place, "-t", "foreign/none", ...will, ...debug])
        yield* client.says("subscribed to")
        client.child.kill("SIGKILL")
        assert.strictEqual((yield* witness.ended).stdout, "foreign/will lost\n")
        const left = yield* run(["sub", "--url", url, "-t", "foreign/will", "-C", "1", "--retained-only"])
        assert.strictEqual(left.stdout, "lost\n")
        const alone = yield* run(["sub", "--url", url, "-t", "a", "--will-retain"])
        assert.strictEqual(alone.code, exitCodes.usage)
        assert.include(alone.stderr, "--will-topic")
      }).pipe(Effect.scoped))

    it.effect("say the topic of an address, and topics and payloads without flags, to be mistakes", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const address = yield* run(["sub", "-L", `${url}/plant/values`, "-t", "a"])
        assert.strictEqual(address.code, exitCodes.usage)
        assert.include(address.stderr, "A topic is given with -t.")
        const bare = yield* run(["pub", "--url", url, "plant", "23.5"])
        assert.strictEqual(bare.code, exitCodes.usage)
        assert.include(bare.stderr, "-t")
      }))
  })
})
