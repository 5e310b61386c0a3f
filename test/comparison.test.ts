/**
 * The comparison of the README: every cell has its evidence in docs/comparison.md, and what that page says about
 * MQTT.js holds for the MQTT.js of this repository. Both clients get the same broker and the same task.
 */
import { MqttSession } from "@effect-mqttx/core"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { build } from "esbuild"
import mqtt from "mqtt"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { gzipSync } from "node:zlib"
import { evidenceViolations } from "./support/comparison.ts"
import { root } from "./support/repository.ts"
import { allTests } from "./support/tests.ts"

const read = (path: string): string => Fs.readFileSync(Path.join(root, path), "utf8")

describe("the comparison", () => {
  it("has evidence for every cell of the README's table, and the same answer", () => {
    assert.deepStrictEqual(evidenceViolations(read("README.md"), read("docs/comparison.md"), allTests()), [])
  })

  it("with a cell without evidence, another answer, or a test that does not exist is found", () => {
    const table = "| | A | B |\n| --- | --- | --- |\n| Speed | yes | no |\n| Size | small | large |\n"
    const evidence = [
      "| What | Client | Answer | Evidence |",
      "| --- | --- | --- | --- |",
      "| Speed | A | yes | test/a.test.ts › is fast |",
      "| Speed | B | yes | [source](https://example.com) |",
      "| Size | A | small | everyone knows |",
      "| Weight | A | light | [source](https://example.com) |"
    ].join("\n")
    const tests = new Map([["test/b.test.ts", ""]])
    assert.deepStrictEqual(evidenceViolations(`# R\n\n${table}`, `${evidence}\n`, tests, "| | A | B |"), [
      "Speed, A: no such test: test/a.test.ts › is fast",
      "Speed, B: is no in the README and yes on the page",
      "Size, A: names no test: everyone knows",
      "Size, B: has no evidence",
      "Weight, A: is not in the README"
    ])
  })
})

const connect = (url: string, options: Partial<mqtt.IClientOptions> = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0, ...options })),
    (client) => Effect.promise(() => client.endAsync(true))
  )

describe("compared with MQTT.js", () => {
  it("that is installed, the page names the version", () => {
    const { version } = JSON.parse(read("node_modules/mqtt/package.json")) as { version: string }
    assert.include(read("docs/comparison.md"), `MQTT.js ${version}`)
  })

  it.live("a session keeps to a Receive Maximum of 2, and MQTT.js does not", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make()
      yield* broker.setLimits({ receiveMaximum: 2 })
      // Nothing is acknowledged until three messages of a client are there, or it has been told that it sent too much.
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
      const session = yield* MqttSession.make({ name: "ours", servers: [broker.url], clientId: "ours" })
      yield* Effect.forkScoped(Effect.forEach([1, 2, 3, 4], (n) => session.publish("a/b", `${n}`, { qos: 1 }), {
        concurrency: "unbounded"
      }))
      yield* broker.awaitUntil(() => broker.received("Publish", "ours").length === 2)

      const client = yield* connect(broker.url, { clientId: "theirs" })
      const ended = yield* Deferred.make<void>()
      client.on("close", () => Deferred.doneUnsafe(ended, Effect.void))
      for (let n = 0; n < 4; n++) client.publish("a/b", `${n}`, { qos: 1 }, () => undefined)
      yield* Deferred.await(ended)
      const codes = broker.violations.map(({ clientId, reasonCode }) => [clientId, reasonCode])
      assert.deepStrictEqual(codes, [["theirs", 0x93]])

      // The session has had as much time as MQTT.js, and sends the rest when it may.
      assert.lengthOf(broker.received("Publish", "ours"), 2)
      yield* broker.clearFaults
      yield* broker.release("ours")
      yield* broker.awaitUntil(() => broker.received("Publish", "ours").length === 4)
    }))

  it.live("while a handler works, a session gets the acknowledgements of its publishes, and MQTT.js does not", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make()
      const session = yield* MqttSession.make({ name: "ours", servers: [broker.url] })
      const order: Array<string> = []
      const acknowledged = yield* Deferred.make<void>()
      const began = yield* Deferred.make<void>()
      const { messages } = yield* session.subscription("in/ours", { qos: 1 })
      const handler = yield* Effect.forkScoped(
        Stream.runForEach(Stream.take(messages, 1), () =>
          Effect.gen(function*() {
            yield* Deferred.succeed(began, undefined)
            yield* Deferred.await(acknowledged)
            order.push("handler")
          }))
      )
      yield* broker.publish("in/ours", "1", { qos: 1 })
      yield* Deferred.await(began)
      yield* session.publish("out/ours", "1", { qos: 1 })
      order.push("acknowledgement")
      yield* Deferred.succeed(acknowledged, undefined)
      yield* Fiber.join(handler)
      assert.deepStrictEqual(order, ["acknowledgement", "handler"])

      const client = yield* connect(broker.url, { clientId: "theirs" })
      const theirs: Array<string> = []
      const done = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<() => void>()
      client.handleMessage = (_packet, callback) => {
        Deferred.doneUnsafe(entered, Effect.succeed(() => callback()))
      }
      yield* Effect.promise(() => client.subscribeAsync("in/theirs", { qos: 1 }))
      yield* broker.publish("in/theirs", "1", { qos: 1 })
      const finish = yield* Deferred.await(entered)
      client.publish("out/theirs", "1", { qos: 1 }, () => {
        theirs.push("acknowledgement")
        Deferred.doneUnsafe(done, Effect.void)
      })
      yield* broker.awaitPacket({ direction: "sent", packet: "Puback", clientId: "theirs" })
      // PUBACK has left the broker. There is no event for what a client does not do, only time that it has had.
      yield* Effect.sleep("300 millis")
      theirs.push("handler")
      finish()
      yield* Deferred.await(done)
      assert.deepStrictEqual(theirs, ["handler", "acknowledgement"])
    }))

  it.live("without a connection MQTT.js queues without a bound, and a session within its bounds", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make()
      yield* broker.refuseNetwork
      const count = 50_000
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => mqtt.connect(broker.url, { protocolVersion: 5 })),
        (client) => Effect.promise(() => client.endAsync(true))
      )
      client.on("error", () => undefined)
      for (let n = 0; n < count; n++) client.publish("a/b", "1")
      assert.lengthOf(client.queue, count)

      const session = yield* MqttSession.make({
        name: "ours",
        servers: [broker.url],
        queue: { messages: 1000, policy: "dropOldest" }
      })
      yield* Effect.forEach(Array.from({ length: 5000 }), () => session.enqueue("a/b", "1"), { discard: true })
      const { queuedMessages } = yield* session.metrics
      assert.strictEqual(queuedMessages, 1000)
    }))

  it("a program with MQTT.js is 100 to 110 KB for a browser, gzipped", async () => {
    const { outputFiles: [output] } = await build({
      stdin: {
        contents: `
          import mqtt from "mqtt"
          const client = mqtt.connect("wss://broker.example/mqtt", { protocolVersion: 5 })
          client.on("message", (topic, payload) => console.log(topic, String(payload)))
          client.subscribe("sensors/+/temperature", { qos: 1 }, () =>
            client.publish("sensors/room1/temperature", "23.5", { qos: 1 }))
        `,
        resolveDir: Path.join(root, "packages/core")
      },
      bundle: true,
      minify: true,
      write: false,
      platform: "browser",
      format: "esm",
      logLevel: "error"
    })
    const { length } = gzipSync(output!.contents, { level: 9 })
    assert.isAtLeast(length, 100_000)
    assert.isAtMost(length, 110_000)
  })
})
