/**
 * What the commands of `effect-mqttx` draw on a terminal, in a pseudo-terminal: progress and colours, and no characters
 * of publishers that would move the cursor.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { folder } from "./support/gateway.ts"
import { run } from "./support/program.ts"
import { storeWith } from "./support/stores.ts"
import { hasTerminal, runInTerminal } from "./support/terminal.ts"

const { exitCodes } = Cli
const escape = "\u001b"
const erase = `\r${escape}[K`

const fleet = `
devices = 3
clientId = "device-{id}"
[[messages]]
topic = "terminal/{id}"
interval = "50 millis"
payload = "x"
`

const messages = Array.from(
  { length: 3 },
  (_, index) =>
    JSON.stringify({ topic: "terminal/replay", qos: 0, retain: false, receivedAt: new Date(index * 300), payload: "x" })
).join("\n")

describe.skipIf(!MosquittoBroker.isPresent() || !hasTerminal)("effect-mqttx in a terminal", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    /** The commands that show progress, with their files. */
    const drawing = Effect.gen(function*() {
      const { url } = yield* MosquittoBroker.MosquittoBroker
      const exported = yield* run(["store", "export", yield* storeWith("plant", ["a"]), "--session", "plant"])
      const files = yield* folder({
        "fleet.toml": fleet,
        "messages.jsonl": messages,
        "store.jsonl": exported.stdout
      })
      return [
        { args: ["bench", "--url", url, "-c", "2", "--rate", "50", "--seconds", "1"], shown: /\d of 1 s, \d+ sent/ },
        {
          args: ["simulate", Path.join(files, "fleet.toml"), "--url", url, "--seconds", "1"],
          shown: /\d of 3 devices/
        },
        {
          args: ["record", Path.join(files, "out"), "--force", "--url", url, "-t", "none", "-W", "1"],
          shown: /0 messages/
        },
        { args: ["replay", Path.join(files, "messages.jsonl"), "--url", url], shown: /[0-3] messages/ },
        {
          args: ["store", "import", yield* folder({}), Path.join(files, "store.jsonl")],
          shown: /\d+ records/
        }
      ]
    })

    it.effect("shows progress, and erases it before what stays", () =>
      Effect.gen(function*() {
        for (const { args, shown } of yield* drawing) {
          const { code, screen } = yield* runInTerminal(args)
          assert.strictEqual(code, exitCodes.done, screen)
          const parts = screen.split(erase)
          assert.match(parts.slice(1, -1).join("|"), shown, args[0])
          // Each text is erased before the next one; the last part is the result, on lines of its own.
          for (const part of parts.slice(0, -1)) assert.notInclude(part, "\n", args[0])
          assert.match(parts.at(-1)!, /\S.*\r\n$/s, args[0])
        }
      }).pipe(Effect.scoped))

    it.effect("cuts progress to the width of the terminal", () =>
      Effect.gen(function*() {
        for (const { args } of yield* drawing) {
          const { screen } = yield* runInTerminal(args, { columns: 12 })
          const parts = screen.split(erase).slice(1, -1)
          assert.isNotEmpty(parts, args[0])
          for (const part of parts) assert.isBelow(part.length, 12, args[0])
        }
      }).pipe(Effect.scoped))

    it.effect("shows no progress in a pipe, with --json, and on a terminal that has messages on it", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const all = yield* drawing
        for (const { args } of all) {
          const { code, stderr, stdout } = yield* run(args, { env: { NO_COLOR: "" } })
          assert.strictEqual(code, exitCodes.done, stderr)
          assert.notInclude(stdout + stderr, escape, args[0])
          assert.notInclude(stdout + stderr, "\r", args[0])
        }
        for (const { args } of all.slice(0, 2)) {
          const { screen } = yield* runInTerminal([...args, "--json"])
          assert.notInclude(screen, escape, args[0])
          assert.isObject(JSON.parse(screen))
        }
        const recording = yield* runInTerminal(["record", "-", "--url", url, "-t", "none", "-W", "0.6"])
        assert.strictEqual(recording.screen, "recorded 0 messages\r\n")
      }).pipe(Effect.scoped))

    it.effect("shows progress where only the standard error is the terminal", () =>
      Effect.gen(function*() {
        const [bench] = yield* drawing
        const out = Path.join(yield* folder({}), "out")
        const { screen } = yield* runInTerminal(bench!.args, { behind: `> '${out}'` })
        assert.match(screen, bench!.shown)
        assert.notInclude(Fs.readFileSync(out, "utf8"), escape)
      }).pipe(Effect.scoped))

    it.effect("colours help, and not with NO_COLOR", () =>
      Effect.gen(function*() {
        for (
          const [env, isColoured] of [[{}, true], [{ NO_COLOR: "1" }, false], [{ TERM: "dumb" }, undefined]] as const
        ) {
          const { code, screen } = yield* runInTerminal(["sub", "--help"], { env })
          assert.strictEqual(code, exitCodes.done)
          if (isColoured !== undefined) assert.strictEqual(screen.includes(`${escape}[`), isColoured)
          assert.include(screen, "retained-only")
        }
        // A mistake shows the help, too.
        const mistaken = yield* runInTerminal(["sub"], { env: { NO_COLOR: "1" } })
        assert.strictEqual(mistaken.code, exitCodes.usage)
        assert.notInclude(mistaken.screen, escape)
      }))

    it.effect("doctor, request and sub print what servers and publishers wrote without control characters", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const publisher = yield* MqttSession.make({ name: "publisher", servers: url })
        yield* publisher.publish("terminal/wild", `a${escape}[2Jb\u0007`, { qos: 1, retain: true })
        const sub = yield* runInTerminal(["sub", "--url", url, "-t", "terminal/wild", "-C", "1", "-v"])
        assert.deepStrictEqual(sub, { code: exitCodes.done, screen: "terminal/wild a\ufffd[2Jb\ufffd\r\n" })
        const doctor = yield* runInTerminal(["doctor", url])
        assert.strictEqual(doctor.code, exitCodes.done)
        assert.notInclude(doctor.screen, escape)
      }).pipe(Effect.scoped))
  })
})
