/**
 * `effect-mqttx pub` and `sub` as processes, against a real mosquitto.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { freePort } from "../../../test/support/freePort.ts"
import { run, start } from "./support/program.ts"

const { exitCodes } = Cli
const isAbsent = !MosquittoBroker.isPresent()

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "cli-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/** What a session of the library receives, until there are so many messages. */
const receive = (url: string, filter: string, count: number) =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({ name: "witness", servers: url })
    const { messages } = yield* session.subscription(filter, { qos: 2 })
    return Stream.runCollect(Stream.take(messages, count))
  })

const place = Effect.map(
  MosquittoBroker.MosquittoBroker,
  ({ ports }) => ["-h", "127.0.0.1", "-p", String(ports.tcp)] as const
)

const open = MosquittoBroker.layer({ tls: true, webSocket: true })

describe.skipIf(isAbsent)("effect-mqttx pub", () => {
  layer(open, { excludeTestServices: true })((it) => {
    it.effect("publishes a payload with its topic, QoS and retain flag, by the names of mosquitto_pub", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const received = yield* receive(url, "pub/one", 1)
        const outcome = yield* run(["pub", ...yield* place, "-t", "pub/one", "-m", "23.5", "-q", "2", "-r"])
        assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout: "", stderr: "" })
        const [message] = yield* received
        assert.strictEqual(message!.text, "23.5")
        assert.strictEqual(message!.qos, 2)
        const late = yield* receive(url, "pub/one", 1)
        const [retained] = yield* late
        assert.isTrue(retained!.retain)
      }).pipe(Effect.scoped))

    it.effect("publishes by an address, as MQTT 3.1.1, over TCP, TLS and WebSockets", () =>
      Effect.gen(function*() {
        const { certificates, url, urls } = yield* MosquittoBroker.MosquittoBroker
        const ca = Path.join(yield* directory, "ca.pem")
        Fs.writeFileSync(ca, certificates!.ca)
        const received = yield* receive(url, "pub/address", 4)
        for (
          const args of [
            ["--url", url],
            ["-L", urls.ws!, "-V", "mqttv311"],
            ["--url", urls.tls!, "--ca", ca],
            ["-h", "127.0.0.1", "-p", new URL(urls.tls!).port, "--cafile", ca, "-V", "5"]
          ]
        ) {
          const outcome = yield* run(["pub", ...args, "--topic", "pub/address", "--message", "x", "--qos", "1"])
          assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout: "", stderr: "" }, args.join(" "))
        }
        assert.lengthOf(yield* received, 4)
      }).pipe(Effect.scoped))

    it.effect("publishes the bytes of a file, the whole standard input, and nothing", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const file = Path.join(yield* directory, "payload")
        const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 256)
        Fs.writeFileSync(file, bytes)
        const received = yield* receive(url, "pub/bytes", 3)
        const args = ["pub", ...yield* place, "-t", "pub/bytes", "-q", "1"]
        assert.strictEqual((yield* run([...args, "-f", file])).code, exitCodes.done)
        assert.strictEqual((yield* run([...args, "-s"], { stdin: bytes })).code, exitCodes.done)
        assert.strictEqual((yield* run([...args, "-n"])).code, exitCodes.done)
        const payloads = (yield* received).map(({ payload }) => Buffer.from(payload))
        assert.deepStrictEqual(payloads, [Buffer.from(bytes), Buffer.from(bytes), Buffer.alloc(0)])
      }).pipe(Effect.scoped))

    it.effect("publishes each line of the standard input, in order", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index} ä`)
        const received = yield* receive(url, "pub/lines", lines.length)
        const outcome = yield* run(["pub", ...yield* place, "-t", "pub/lines", "-l", "-q", "1"], {
          stdin: lines.join("\n")
        })
        assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout: "", stderr: "" })
        const payloads = (yield* received).map(({ text }) => text)
        assert.deepStrictEqual(payloads, lines)
      }).pipe(Effect.scoped))

    it.effect("reports an invalid topic, no payload, two payloads, a missing file and an unknown variable as mistakes", () =>
      Effect.gen(function*() {
        const at = yield* place
        for (
          const [args, what] of [
            [["-t", "a/#", "-m", "x"], "without + and #"],
            [["-t", "a"], "-m TEXT"],
            [["-t", "a", "-m", "x", "-n"], "more than one payload"],
            [["-t", "a", "-f", "no-such-file"], "no-such-file"],
            [["-t", "a", "-m", "x", "--ca", "no-such-file"], "--ca cannot be read"],
            [["-t", "a", "-m", "x", "--url", "mqtt://a"], "--url goes without -h and -p"],
            [["-t", "a", "-m", "x", "-q", "3"], "--qos"],
            [["-m", "x"], "--topic"]
          ] as const
        ) {
          const outcome = yield* run(["pub", ...at, ...args])
          assert.strictEqual(outcome.code, exitCodes.usage, outcome.stderr)
          assert.include(outcome.stderr, what)
        }
        const misspelt = yield* run(["pub", "-t", "a", "-m", "x"], { env: { MQTT_HOST: "127.0.0.1" } })
        assert.strictEqual(misspelt.code, exitCodes.usage)
        assert.include(misspelt.stderr, "MQTT_HOST: no such option")
      }))
  })

  layer(Layer.empty, { excludeTestServices: true })((it) => {
    it.effect("says that nothing listens, and what to check", () =>
      Effect.gen(function*() {
        const port = yield* freePort
        for (const args of [["pub", "-m", "x"], ["pub", "-l"], ["sub"]]) {
          const outcome = yield* run([...args, "-t", "a", "-h", "127.0.0.1", "-p", String(port)], { stdin: "x\n" })
          assert.strictEqual(outcome.code, exitCodes.unreachable)
          assert.strictEqual(
            outcome.stderr,
            `effect-mqttx: no connection to mqtt://127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}\n` +
              "  Nothing listens there. Is the server running, and is the port right (-p)?\n"
          )
        }
      }))
  })

  layer(MosquittoBroker.layer({ users: { ann: "s3cret-of-ann" } }), { excludeTestServices: true })((it) => {
    it.effect("takes users and passwords from flags, variables and addresses; flags come first", () =>
      Effect.gen(function*() {
        const { ports, url } = yield* MosquittoBroker.MosquittoBroker
        const message = ["-t", "a", "-m", "x", "-q", "1"]
        const variables = { MQTT_SERVERS: url, MQTT_USERNAME: "ann", MQTT_PASSWORD: "s3cret-of-ann" }
        const withUser = `mqtt://ann:s3cret-of-ann@127.0.0.1:${ports.tcp}`
        const bad = { MQTT_SERVERS: "mqtt://127.0.0.1:1", MQTT_USERNAME: "bob", MQTT_PASSWORD: "no" }
        for (
          const [args, env] of [
            [[...yield* place, "-u", "ann", "-P", "s3cret-of-ann"], {}],
            [[], variables],
            [["--url", withUser], bad],
            [[...yield* place, "-u", "ann", "--pw", "s3cret-of-ann"], bad]
          ] as const
        ) {
          const outcome = yield* run(["pub", ...args, ...message], { env })
          assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout: "", stderr: "" })
        }
      }))

    it.effect("says that the server refused the user, and never the password", () =>
      Effect.gen(function*() {
        const at = yield* place
        for (
          const args of [
            ["pub", ...at, "-t", "a", "-m", "x", "-u", "ann", "-P", "hunter2-wrong"],
            ["sub", ...at, "-t", "a", "-u", "ann", "-P", "hunter2-wrong", "--log-level", "all"],
            ["pub", "--url", `mqtt://ann:hunter2-wrong@127.0.0.1:${at[3]}`, "-t", "a", "-m", "x"],
            ["sub", "--url", "mqtt://ann:hunter2-wrong@a b", "-t", "a"]
          ]
        ) {
          const outcome = yield* run(args)
          assert.include([exitCodes.refused, exitCodes.usage], outcome.code)
          assert.notInclude(outcome.stderr + outcome.stdout, "hunter2")
          if (outcome.code === exitCodes.refused) assert.include(outcome.stderr, "MQTT_PASSWORD")
        }
      }))
  })
})

describe.skipIf(isAbsent)("effect-mqttx sub", () => {
  layer(open, { excludeTestServices: true })((it) => {
    it.effect("prints payloads as they are, with -v after their topics, and ends after -C messages", () =>
      Effect.gen(function*() {
        const at = yield* place
        const sub = yield* start(["sub", ...at, "-t", "sub/+/text", "-C", "2", "-v", "--log-level", "debug"])
        yield* sub.says("subscribed to")
        for (const name of ["a", "b", "c"]) {
          yield* run(["pub", ...at, "-t", `sub/${name}/text`, "-m", `of ${name}`, "-q", "1"])
        }
        const { code, stdout } = yield* sub.ended
        assert.strictEqual(stdout, "sub/a/text of a\nsub/b/text of b\n")
        assert.strictEqual(code, exitCodes.done)
      }).pipe(Effect.scoped))

    it.effect("prints JSON and hexadecimal, of payloads that are no text too", () =>
      Effect.gen(function*() {
        const at = yield* place
        const publish = ["pub", ...at, "-r", "-q", "1"]
        yield* run([...publish, "-t", "sub/form/bytes", "-s"], { stdin: Uint8Array.of(0, 255, 10) })
        yield* run([...publish, "-t", "sub/form/text", "-m", "ä"])
        const read = (topic: string, ...args: ReadonlyArray<string>) =>
          Effect.map(run(["sub", ...at, "-t", topic, "-C", "1", "-q", "1", ...args]), ({ stdout }) => stdout)
        assert.strictEqual(yield* read("sub/form/bytes", "--format", "hex"), "00ff0a\n")
        assert.strictEqual(yield* read("sub/form/bytes", "--format", "hex", "-v"), "sub/form/bytes 00ff0a\n")
        const { receivedAt, ...text } = JSON.parse(yield* read("sub/form/text", "--json"))
        assert.isNotNaN(Date.parse(receivedAt))
        assert.deepStrictEqual(text, { topic: "sub/form/text", qos: 1, retain: true, payload: "ä" })
        const bytes = JSON.parse(yield* read("sub/form/bytes", "--format", "json"))
        assert.strictEqual(bytes.payloadBase64, "AP8K")
        assert.notProperty(bytes, "payload")
      }))

    it.effect("prints retained messages only with --retained-only, and ends with the first other one", () =>
      Effect.gen(function*() {
        const at = yield* place
        yield* run(["pub", ...at, "-t", "sub/kept/1", "-m", "kept", "-r", "-q", "1"])
        const sub = yield* start(["sub", ...at, "-t", "sub/kept/+", "--retained-only"])
        yield* sub.prints("kept\n")
        yield* run(["pub", ...at, "-t", "sub/kept/2", "-m", "live", "-q", "1"])
        const { code, stdout } = yield* sub.ended
        assert.strictEqual(stdout, "kept\n")
        assert.strictEqual(code, exitCodes.done)
      }).pipe(Effect.scoped))

    it.effect("ends with 27 when the time of -W is over, and with 130 when it is interrupted", () =>
      Effect.gen(function*() {
        const at = yield* place
        const outcome = yield* run(["sub", ...at, "-t", "sub/none", "-W", "0.2"])
        assert.strictEqual(outcome.code, exitCodes.timeout)
        const sub = yield* start(["sub", ...at, "-t", "sub/none", "--log-level", "debug"])
        yield* sub.says("subscribed to")
        sub.child.kill("SIGINT")
        assert.strictEqual((yield* sub.ended).code, exitCodes.interrupted)
      }).pipe(Effect.scoped))

    it.effect("ends without an error when the reader of its output has gone", () =>
      Effect.gen(function*() {
        const at = yield* place
        const sub = yield* start(["sub", ...at, "-t", "sub/pipe", "--log-level", "debug"])
        yield* sub.says("subscribed to")
        sub.child.stdout.destroy()
        const ended = yield* Deferred.make<void>()
        yield* Effect.forkChild(Effect.andThen(sub.ended, Deferred.succeed(ended, undefined)))
        // The first write may still be taken by the pipe.
        while (!(yield* Deferred.isDone(ended))) {
          yield* run(["pub", ...at, "-t", "sub/pipe", "-m", "x", "-q", "1"])
        }
        const { code, stderr } = yield* sub.ended
        assert.strictEqual(code, exitCodes.done, stderr)
        assert.notInclude(stderr, "effect-mqttx:")
      }).pipe(Effect.scoped))

    it.effect("ends with 0 at the time of --until, which is a duration or a time; with 27 before -C messages", () =>
      Effect.gen(function*() {
        const at = yield* place
        for (const until of ["0.4s", new Date(Date.now() + 1500).toISOString(), "2020-01-31T18:00"]) {
          const outcome = yield* run(["sub", ...at, "-t", "sub/until", "--until", until])
          assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout: "", stderr: "" }, until)
        }
        yield* run(["pub", ...at, "-t", "sub/until", "-m", "kept", "-r", "-q", "1"])
        const read = ["sub", ...at, "-t", "sub/until"]
        const counted = yield* run([...read, "--until", "1h", "-C", "1"])
        assert.deepStrictEqual(counted, { code: exitCodes.done, stdout: "kept\n", stderr: "" })
        // Long enough for a machine with much to do to connect.
        const [printed, fewer] = yield* Effect.all([
          run([...read, "--until", "10s"]),
          run([...read, "--until", "10s", "-C", "2"])
        ], { concurrency: 2 })
        assert.deepStrictEqual(printed, { code: exitCodes.done, stdout: "kept\n", stderr: "" })
        assert.deepStrictEqual([fewer.code, fewer.stdout], [exitCodes.timeout, "kept\n"])
        assert.include(fewer.stderr, "the time of --until is over")
        for (const wrong of ["soon", "0s", "30", "2027-01-31", "25:00", "-5s", "2027-13-01T00:00"]) {
          const { code, stderr } = yield* run([...read, `--until=${wrong}`])
          assert.strictEqual(code, exitCodes.usage, wrong)
          assert.include(stderr, "expected a duration such as 30s")
        }
      }))

    it.effect("prints the value at --json-path, and leaves out messages without it", () =>
      Effect.gen(function*() {
        const at = yield* place
        const payloads = ["{\"a\":[{\"t\":23.5}]}", "no JSON", "{\"a\":[]}", "{\"a\":[{\"t\":\"warm\"}]}"]
        for (const [index, payload] of payloads.entries()) {
          yield* run(["pub", ...at, "-t", `sub/path/${index}`, "-m", payload, "-r", "-q", "1"])
        }
        const read = ["sub", ...at, "-t", "sub/path/+", "-C", "2", "--json-path", "$.a[0].t"]
        const lines = (text: string) => text.trim().split("\n").sort()
        assert.deepStrictEqual(lines((yield* run(read)).stdout), ["23.5", "warm"])
        assert.deepStrictEqual(lines((yield* run([...read, "-v"])).stdout), ["sub/path/0 23.5", "sub/path/3 warm"])
        const objects = lines((yield* run([...read, "--json"])).stdout).map((line) => JSON.parse(line))
        assert.deepStrictEqual(objects.map(({ topic, value }) => [topic, value]).sort(), [
          ["sub/path/0", 23.5],
          ["sub/path/3", "warm"]
        ])
        for (const object of objects) assert.notProperty(object, "payload")
        const wrong = yield* run([...read.slice(0, -1), "$.a["])
        assert.strictEqual(wrong.code, exitCodes.usage)
        assert.include(wrong.stderr, "expected a path")
      }))

    it.effect("reports invalid filters as mistakes", () =>
      Effect.gen(function*() {
        const outcome = yield* run(["sub", ...yield* place, "-t", "a/#/b"])
        assert.strictEqual(outcome.code, exitCodes.usage)
        assert.include(outcome.stderr, "Check -t")
      }))
  })

  layer(MosquittoBroker.layer({ persistence: true }), { excludeTestServices: true })((it) => {
    it.effect("continues after the server was restarted, and says so on the standard error", () =>
      Effect.gen(function*() {
        const { restart, url } = yield* MosquittoBroker.MosquittoBroker
        const sub = yield* start(["sub", "--url", url, "-t", "sub/again", "-C", "1", "--log-level", "debug"])
        yield* sub.says("subscribed to")
        yield* restart
        yield* sub.says("connected after")
        yield* run(["pub", "--url", url, "-t", "sub/again", "-m", "back", "-q", "1", "-r"])
        const { code, stdout } = yield* sub.ended
        assert.deepStrictEqual({ code, stdout }, { code: exitCodes.done, stdout: "back\n" })
      }).pipe(Effect.scoped))
  })
})
