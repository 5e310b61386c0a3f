/**
 * `effect-mqttx record` and `replay` as processes, against a real mosquitto.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { linesOf } from "../src/internal/lines.ts"
import { folder } from "./support/gateway.ts"
import { run, start } from "./support/program.ts"

const { exitCodes } = Cli

const readLines = (path: string) =>
  Fs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>)

const line = (topic: string, payload: string, at: number) =>
  `${JSON.stringify({ topic, qos: 1, receivedAt: new Date(at).toISOString(), payload })}\n`

/** Starts to receive; the effect inside ends with the messages. */
const receive = (url: string, filter: string, count: number) =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({ name: "witness", servers: url })
    const { messages } = yield* session.subscription(filter, { qos: 2, retainAsPublished: true })
    return Stream.runCollect(Stream.take(messages, count))
  })

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx record and replay", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    it.effect("a recording is published again with its topics, bytes, QoS, retain flags and properties", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const file = Path.join(yield* folder({}), "messages.jsonl")
        const record = yield* start(
          ["record", file, "--url", url, "-t", "rec/#", "-q", "2", "-C", "4", "--log-level", "debug"]
        )
        yield* record.says("subscribed to")
        const session = yield* MqttSession.make({ name: "publisher", servers: url })
        const properties = {
          contentType: "text/plain",
          responseTopic: "answers",
          correlationData: Uint8Array.of(0, 255),
          userProperties: [["a", "1"], ["a", "2"]] as const
        }
        yield* session.publish("rec/text", "ä\n\"", { qos: 2, properties })
        yield* session.publish("rec/bytes", Uint8Array.of(0, 255, 10), { qos: 1, retain: true })
        yield* session.publish("rec/empty", "", { qos: 0 })
        yield* session.publish("rec/last", "x", { qos: 1 })
        const recorded = yield* record.ended
        assert.deepStrictEqual(
          { code: recorded.code, stdout: recorded.stdout },
          { code: exitCodes.done, stdout: "" },
          recorded.stderr
        )
        assert.include(recorded.stderr, "recorded 4 messages")
        assert.deepStrictEqual(
          readLines(file).map(({ payload, payloadBase64, topic }) => [topic, payload, payloadBase64]),
          [
            ["rec/text", "ä\n\"", undefined],
            ["rec/bytes", undefined, "AP8K"],
            ["rec/empty", "", undefined],
            ["rec/last", "x", undefined]
          ]
        )
        const again = yield* receive(url, "rec/#", 5)
        const replayed = yield* run(["replay", file, "--url", url, "--speed", "max"])
        assert.deepStrictEqual(replayed, { code: exitCodes.done, stdout: "", stderr: "published 4 messages\n" })
        // The first one is what the server had retained. The handshake of QoS 2 lets others overtake.
        const messages = (yield* again).slice(1).sort((a, b) => a.topic < b.topic ? -1 : 1)
        assert.deepStrictEqual(
          messages.map(({ payload, qos, retain, topic }) => [topic, Buffer.from(payload).toString("hex"), qos, retain]),
          [
            ["rec/bytes", "00ff0a", 1, true],
            ["rec/empty", "", 0, false],
            ["rec/last", "78", 1, false],
            ["rec/text", "c3a40a22", 2, false]
          ]
        )
        const { correlationData, ...others } = messages[3]!.properties
        assert.deepStrictEqual(Array.from(correlationData!), [0, 255])
        const { correlationData: _, ...sent } = properties
        assert.deepInclude(others, sent)
      }).pipe(Effect.scoped))

    it.effect("replay keeps the gaps, divided by --speed", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const lines = [0, 800, 1_600].map((at, index) => line("gaps", String(index), at))
        const file = Path.join(yield* folder({ "gaps.jsonl": lines.join("\n") }), "gaps.jsonl")
        const received = yield* receive(url, "gaps", 3)
        const { code } = yield* run(["replay", file, "--url", url, "--speed", "2"])
        assert.strictEqual(code, exitCodes.done)
        const messages = yield* received
        assert.deepStrictEqual(messages.map(({ text }) => text), ["0", "1", "2"])
        // A timer is never early; a loaded machine may be late.
        assert.isAtLeast(messages[2]!.receivedAt - messages[0]!.receivedAt, 750)
      }).pipe(Effect.scoped))

    it.effect("replay begins again with --loop, takes the QoS of -q, and ends after -C messages", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const file = Path.join(yield* folder({ "a.jsonl": line("loop", "0", 0) + line("loop", "1", 1) }), "a.jsonl")
        const received = yield* receive(url, "loop", 5)
        const { code } = yield* run(["replay", file, "--url", url, "--speed", "max", "--loop", "-q", "2", "-C", "5"])
        assert.strictEqual(code, exitCodes.done)
        assert.deepStrictEqual((yield* received).map(({ qos, text }) => `${qos} ${text}`), [
          "2 0",
          "2 1",
          "2 0",
          "2 1",
          "2 0"
        ])
      }).pipe(Effect.scoped))

    it.effect("replay publishes what `sub --json` prints, from its standard input", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        yield* run(["pub", "--url", url, "-t", "kept", "-m", "value", "-r", "-q", "1"])
        const { stdout } = yield* run(["sub", "--url", url, "-t", "kept", "--json", "-C", "1"])
        const received = yield* receive(url, "kept", 2)
        const { code, stderr } = yield* run(["replay", "-", "--url", url, "-q", "1"], { stdin: stdout })
        assert.strictEqual(code, exitCodes.done, stderr)
        assert.deepStrictEqual((yield* received).map(({ text }) => text), ["value", "value"])
      }).pipe(Effect.scoped))

    it.effect("replay names the damaged line, after the messages before it were published", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const good = line("damage", "s3cret", 0)
        const damages = {
          "{\"topic\":\"damage\",\"rec": "this is no JSON",
          "[]": "this is no object",
          [good.replace("\"damage\"", "\"damage/#\"").trimEnd()]: "topic is missing or wrong",
          [good.replace("\"qos\":1", "\"qos\":3").trimEnd()]: "qos is missing or wrong",
          [good.replace("receivedAt", "at").trimEnd()]: "receivedAt is missing or wrong",
          [good.replace("payload", "load").trimEnd()]: "expected one of payload and payloadBase64",
          [good.replace("\"payload\"", "\"payloadBase64\"").trimEnd()]: "payloadBase64 is missing or wrong"
        }
        for (const [damage, what] of Object.entries(damages)) {
          const file = Path.join(yield* folder({ "a.jsonl": `${good}\n${damage}\n${good}` }), "a.jsonl")
          const received = yield* receive(url, "damage", 1)
          const { code, stderr } = yield* run(["replay", file, "--url", url])
          assert.strictEqual(code, exitCodes.usage)
          assert.include(stderr, `a.jsonl, line 3: ${what}\n`)
          assert.notInclude(stderr, "s3cret")
          assert.lengthOf(yield* received, 1)
        }
      }).pipe(Effect.scoped))

    it.effect("record replaces no file without --force, appends with --append, and ends in order when it is interrupted", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const file = Path.join(yield* folder({ "a.jsonl": "old\n" }), "a.jsonl")
        const refused = yield* run(["record", file, "--url", url, "-t", "int"])
        assert.strictEqual(refused.code, exitCodes.usage)
        assert.include(refused.stderr, "--append")
        const record = yield* start(
          ["record", file, "--url", url, "-t", "int", "--append", "--log-level", "debug"]
        )
        yield* record.says("subscribed to")
        yield* run(["pub", "--url", url, "-t", "int", "-m", "x", "-q", "1"])
        yield* Effect.promise(async () => {
          while (Fs.statSync(file).size <= 4) await new Promise((resolve) => setTimeout(resolve, 10))
        })
        record.child.kill("SIGINT")
        const { code, stderr } = yield* record.ended
        assert.strictEqual(code, exitCodes.done, stderr)
        assert.include(stderr, "recorded 1 messages")
        assert.match(Fs.readFileSync(file, "utf8"), /^old\n\{.*"payload":"x"\}\n$/)
        const forced = yield* run(["record", file, "--url", url, "-t", "none", "--force", "-W", "0.2"])
        assert.strictEqual(forced.code, exitCodes.done)
        assert.strictEqual(Fs.readFileSync(file, "utf8"), "")
        const few = yield* run(["record", "-", "--url", url, "-t", "none", "-W", "0.2", "-C", "1"])
        assert.strictEqual(few.code, exitCodes.timeout)
      }).pipe(Effect.scoped))

    it.effect("files and flags that are wrong are mistakes before anything is sent", () =>
      Effect.gen(function*() {
        const unreachable = ["--url", "mqtt://127.0.0.1:1"]
        const file = Path.join(yield* folder({ "empty.jsonl": "\n" }), "empty.jsonl")
        const { url } = yield* MosquittoBroker.MosquittoBroker
        for (
          const [args, what] of [
            [["replay", "no-such-file", ...unreachable], "no-such-file"],
            [["replay", "-", "--loop", ...unreachable], "--loop"],
            [["replay", file, "--speed", "0", ...unreachable], "above 0 or max"],
            [["replay", file, "--loop", "--url", url], "has no message to repeat"],
            [["record", "no-such-folder/a", "--url", url, "-t", "a"], "cannot be written"],
            [["record", "--url", url, "-t", "a"], "file"]
          ] as const
        ) {
          const { code, stderr } = yield* run(args)
          assert.strictEqual(code, exitCodes.usage, stderr)
          assert.include(stderr, what)
        }
      }).pipe(Effect.scoped))
  })
})

describe("the lines of a file", () => {
  it.effect("have their numbers, wherever the chunks end", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode("a\n\nbc\nä")
      for (let size = 1; size <= bytes.length; size++) {
        const chunks: Array<Uint8Array> = []
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size))
        const lines = yield* Stream.runCollect(linesOf(Stream.fromIterable(chunks)))
        assert.deepStrictEqual(
          lines.map(({ bytes, number }) => [number, new TextDecoder().decode(bytes)]),
          [[1, "a"], [2, ""], [3, "bc"], [4, "ä"]]
        )
      }
    }))
})
