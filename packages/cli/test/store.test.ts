/**
 * `effect-mqttx store` as a process, on stores that real sessions have made.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { folder } from "./support/gateway.ts"
import { run } from "./support/program.ts"
import { storeWith } from "./support/stores.ts"

const { exitCodes } = Cli

/** The files of a store but its lock, with their bytes. */
const filesOf = (path: string) =>
  Fs.readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("lock") && Fs.statSync(Path.join(path, name)).isFile())
    .sort()
    .map((name) => [name, Fs.readFileSync(Path.join(path, name)).toString("base64")])

/** Damages the middle of the log of a store. */
const damage = (directory: string) => {
  const records = Path.join(directory, "records")
  const log = Fs.readdirSync(records).filter((name) => name.endsWith(".log")).sort().at(-1)!
  const bytes = Fs.readFileSync(Path.join(records, log))
  bytes[20]! ^= 0xff
  Fs.writeFileSync(Path.join(records, log), bytes)
}

const many = Array.from({ length: 1_000 }, (_, index) => `message ${index}`)

describe("effect-mqttx store", () => {
  it.effect("inspect and verify say what a store has, and leave its files as they are", () =>
    Effect.gen(function*() {
      const directory = yield* storeWith("plant", ["a", "bc"])
      const before = filesOf(directory)
      const inspected = yield* run(["store", "inspect", directory, "--session", "plant", "--json"])
      assert.strictEqual(inspected.code, exitCodes.done, inspected.stderr)
      const report = JSON.parse(inspected.stdout)
      assert.deepStrictEqual(report.damage, [])
      assert.lengthOf(report.sessions, 1)
      assert.deepInclude(report.sessions[0], { name: "plant", payloadBytes: 3, unreadable: 0 })
      assert.strictEqual(report.sessions[0].records.Outbound, 2)
      const text = yield* run(["store", "inspect", directory, "--session", "plant", "--session", "other"])
      assert.match(text.stdout, /^1 session\nplant: 2 Outbound.*; 3 bytes of payloads\nother: nothing\n$/)
      const verified = yield* run(["store", "verify", directory, "--session", "plant"])
      assert.deepStrictEqual(verified.code, exitCodes.done)
      assert.match(verified.stdout, /^plant: \d records, ok\n$/)
      assert.deepStrictEqual(filesOf(directory), before)
    }).pipe(Effect.scoped))

  it.effect("verify finds damage and changes nothing; repair keeps what can be read, and says what was lost", () =>
    Effect.gen(function*() {
      const directory = yield* storeWith("plant", many)
      damage(directory)
      const before = filesOf(directory)
      const verified = yield* run(["store", "verify", directory, "--session", "plant", "--json"])
      assert.strictEqual(verified.code, exitCodes.failed)
      assert.include(verified.stderr, "store repair")
      const report = JSON.parse(verified.stdout)
      assert.isAbove(report.damage.length, 0)
      assert.isString(report.sessions[0].damage)
      assert.isAbove(report.sessions[0].records, 100)
      assert.deepStrictEqual(filesOf(directory), before)
      const repaired = yield* run(["store", "repair", directory, "--session", "plant"])
      assert.strictEqual(repaired.code, exitCodes.done, repaired.stderr)
      assert.include(repaired.stdout, "DAMAGED")
      const again = yield* run(["store", "verify", directory, "--session", "plant"])
      assert.strictEqual(again.code, exitCodes.done, again.stdout)
      assert.include(again.stdout, `plant: ${report.sessions[0].records} records, ok`)
    }).pipe(Effect.scoped))

  it.effect("refuses a store that a running program has open, and a directory without a store", () =>
    Effect.gen(function*() {
      const directory = yield* storeWith("plant", ["a"])
      const other = yield* folder({})
      const commands = [["inspect"], ["verify"], ["export", "--session", "plant"], ["repair", "--session", "plant"]]
      for (const [command, ...flags] of commands) {
        const missing = yield* run(["store", command!, other, ...flags])
        assert.strictEqual(missing.code, exitCodes.usage, missing.stderr)
        assert.include(missing.stderr, "there is no store in")
        assert.deepStrictEqual(Fs.readdirSync(other), [])
      }
      yield* FileStore.make({ directory })
      for (const [command, ...flags] of commands) {
        const { code, stderr, stdout } = yield* run(["store", command!, directory, ...flags])
        assert.deepStrictEqual({ code, stdout }, { code: exitCodes.failed, stdout: "" })
        assert.include(stderr, "Stop the program that has the store open")
      }
    }).pipe(Effect.scoped))

  it.effect("import names a damaged line, and refuses a session that the store has", () =>
    Effect.gen(function*() {
      const directory = yield* storeWith("plant", ["a"])
      const { stdout } = yield* run(["store", "export", directory, "--session", "plant"])
      const path = yield* folder({
        "good.jsonl": stdout,
        "bad.jsonl": `${stdout}\n{"session":"x"}\n`,
        "other.jsonl": stdout.replace(/"key":"outbound\/0/, "\"key\":\"outbound/1")
      })
      const again = yield* run(["store", "import", directory, Path.join(path, "good.jsonl")])
      assert.strictEqual(again.code, exitCodes.usage)
      assert.include(again.stderr, "the store has the session plant already")
      const lines = stdout.trimEnd().split("\n").length
      for (
        const [file, what] of [["bad.jsonl", `line ${lines + 2}: this is no exported`], [
          "other.jsonl",
          "the record is damaged"
        ]]
      ) {
        const { code, stderr } = yield* run([
          "store",
          "import",
          Path.join(path, `${file}-store`),
          Path.join(path, file!)
        ])
        assert.strictEqual(code, exitCodes.usage)
        assert.include(stderr, what!)
      }
    }).pipe(Effect.scoped))
})

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx store export and import", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    it.effect("carry the queue of a session to another store, whose session publishes it in its order", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const directory = yield* storeWith("plant", many)
        const before = filesOf(directory)
        const exported = yield* run(["store", "export", directory, "--session", "plant"])
        assert.strictEqual(exported.code, exitCodes.done, exported.stderr)
        assert.deepStrictEqual(filesOf(directory), before)
        const target = Path.join(yield* folder({}), "new")
        const imported = yield* run(["store", "import", target, "-"], { stdin: exported.stdout })
        assert.strictEqual(imported.code, exitCodes.done, imported.stderr)
        assert.match(imported.stderr, /^imported \d+ records of 1 session\n$/)
        const witness = yield* MqttSession.make({ name: "witness", servers: url })
        const { messages } = yield* witness.subscription("plant/value", { qos: 1 })
        const received = yield* MqttSession.makeDurable({ name: "plant", servers: url }).pipe(
          Effect.andThen(Stream.runCollect(Stream.take(messages, many.length))),
          Effect.provide(FileStore.layer({ directory: target }))
        )
        assert.deepStrictEqual(received.map(({ text }) => text), many)
      }).pipe(Effect.scoped))
  })
})
