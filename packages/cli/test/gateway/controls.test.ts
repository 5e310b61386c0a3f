/**
 * What the admin interface shows of messages, and its page in a real browser.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type * as Net from "node:net"
import { executablePath } from "../../../../test/support/browsers.ts"
import { Chromium, open, shows } from "../../../metrics/test/chromium.ts"
import { TopicsSeen } from "../../src/internal/gateway/topicsSeen.ts"
import { ask, broker, folder, freePort, startReady, witness } from "../support/gateway.ts"
import { message } from "../support/message.ts"

const isAbsent = !MosquittoBroker.isPresent()

/** A gateway that forwards JSON, with a message that is none. */
const withFailure = (admin: string) =>
  Effect.gen(function*() {
    const a = yield* broker
    const b = yield* broker
    const [metrics, port] = [yield* freePort, yield* freePort]
    const text = `
[reload]
watch = false
[metrics]
port = ${metrics}
[admin]
port = ${port}
${admin}
[sessions.plant]
servers = "${a.url}"
username = "me"
password = "hunter1"
[sessions.cloud]
servers = "${b.url}"
[forwarders.up]
sources = "plant"
filters = "t/#"
target = "cloud"
deadLetter = { topic = "dead" }
metadata = { key = "hunter2" }
`
    const transforms =
      `[[forwarders.up.transforms]]\ntype = "template"\nformat = "json"\ntemplate = '["hunter3", {{$}}]'\n`
    const file = (yield* folder({ "gateway.toml": text + transforms })) + "/gateway.toml"
    const received = yield* witness(b.url, "#")
    yield* startReady(metrics, file)
    const session = yield* MqttSession.make({ name: "publisher", servers: a.url })
    const publish = (payload: string) => session.publish("t/1", payload, { qos: 1 })
    return { a, file, plain: text, port, publish, received, url: `http://127.0.0.1:${port}/` }
  })

type Failed = ReadonlyArray<{ id: number; topic: string; payload: string; outcome: string; reason: string }>

const failed = (port: number) => Effect.map(ask(port, "/failed"), ({ text }) => JSON.parse(text) as Failed)

/** The dead letter arrives before its acknowledgement, with which the message is in the list. */
const listed = (port: number, after = 0) =>
  Effect.repeat(Effect.map(failed(port), (all) => all.find(({ id }) => id > after)), {
    until: (found) => found !== undefined
  })

const post = (port: number, path: string) => ask(port, path, { method: "POST" })

describe.skipIf(isAbsent)("the admin interface: messages", () => {
  it.live("lists what could not be forwarded, and sends it again where it came from", () =>
    Effect.gen(function*() {
      const { file, plain, port, publish, received } = yield* withFailure("")
      yield* publish("<b>no JSON</b>")
      yield* received.has(1)
      assert.deepStrictEqual(received.topics, ["dead"])
      const first = yield* listed(port)
      assert.strictEqual(first!.topic, "t/1")
      assert.strictEqual(first!.payload, "<b>no JSON</b>")
      assert.strictEqual(first!.outcome, "deadLetter")
      assert.include(first!.reason, "the payload is no JSON")

      // It fails in the same way until the cause is gone.
      assert.strictEqual((yield* post(port, `/failed/${first!.id}/send`)).status, 204)
      yield* received.has(2)
      const second = yield* listed(port, first!.id)
      assert.deepStrictEqual((yield* failed(port)).map(({ id }) => id), [second!.id])
      assert.strictEqual((yield* post(port, `/failed/${first!.id}/send`)).status, 404)
      Fs.writeFileSync(file, plain)
      assert.strictEqual((yield* post(port, "/reload")).status, 200)
      assert.strictEqual((yield* post(port, `/failed/${second!.id}/send`)).status, 204)
      yield* received.has(3)
      assert.strictEqual(received.topics[2], "t/1")
      assert.strictEqual(received.payloads[2], "<b>no JSON</b>")
      assert.deepStrictEqual(yield* failed(port), [])
    }).pipe(Effect.scoped))

  it.live("a message that cannot be sent again stays in the list", () =>
    Effect.gen(function*() {
      const { a, port, publish, received } = yield* withFailure("")
      yield* publish("no JSON")
      yield* received.has(1)
      const first = yield* listed(port)
      yield* a.stop
      const { status, text } = yield* post(port, `/failed/${first!.id}/send`)
      assert.strictEqual(status, 409, text)
      assert.deepStrictEqual((yield* failed(port)).map(({ id }) => id), [first!.id])
    }).pipe(Effect.scoped))

  it.live("shows the configuration without secrets, and topics only where the file says so", () =>
    Effect.gen(function*() {
      const { file, plain, port, publish, received } = yield* withFailure("")
      const configuration = yield* ask(port, "/configuration")
      assert.strictEqual(configuration.status, 200)
      const { forwarders } = JSON.parse(configuration.text)
      assert.deepStrictEqual(forwarders.up.transforms, ["template"])
      assert.deepStrictEqual(forwarders.up.metadata, ["key"])
      assert.notInclude(configuration.text, "hunter")
      yield* publish("1")
      yield* received.has(1)
      const topics = Effect.map(ask(port, "/topics"), ({ text }) => JSON.parse(text))
      assert.deepStrictEqual(yield* topics, { isOn: false, topics: [] })

      Fs.writeFileSync(file, plain.replace("[sessions.plant]", "topics = { entries = 10 }\n[sessions.plant]"))
      assert.strictEqual((yield* post(port, "/reload")).status, 200)
      yield* publish("22")
      yield* received.has(2)
      const { isOn, topics: [seen] } = yield* topics
      assert.isTrue(isOn)
      assert.deepStrictEqual([seen.topic, seen.count, seen.payload, seen.bytes], ["t/1", 1, "22", 2])
      assert.isAbove(seen.rate, 0)
      Fs.writeFileSync(file, plain)
      assert.strictEqual((yield* post(port, "/reload")).status, 200)
      assert.deepStrictEqual(yield* topics, { isOn: false, topics: [] })
    }).pipe(Effect.scoped))
})

describe("topics seen", () => {
  it("are bounded in entries and bytes; the topic without messages for the longest time is removed first", () => {
    const seen = new TopicsSeen()
    seen.note(message("off"))
    assert.deepStrictEqual(seen.list(0), [])
    seen.limits = { entries: 2, bytes: 100_000 }
    for (const topic of ["a", "b", "a", "c"]) seen.note(message("1", { topic }))
    assert.deepStrictEqual(seen.list(0).map(({ count, topic }) => [topic, count]), [["c", 1], ["a", 2]])
    seen.limits = { entries: 1000, bytes: 4096 }
    for (let i = 0; i < 100; i++) seen.note(message("x".repeat(100_000), { topic: `long/${i}` }))
    const kept = seen.list(0)
    assert.isAtMost(kept.length, 3)
    assert.strictEqual(kept[0]!.topic, "long/99")
    assert.strictEqual(kept[0]!.payload, "x".repeat(1024))
    assert.strictEqual(kept[0]!.bytes, 100_000)
    seen.limits = undefined
    assert.deepStrictEqual(seen.list(0), [])
  })

  it("have the rate of about the last ten seconds", () => {
    const seen = new TopicsSeen()
    seen.limits = { entries: 1, bytes: 4096 }
    for (let at = 0; at <= 60_000; at += 100) seen.note(message("1", { receivedAt: at }))
    assert.closeTo(seen.list(60_000)[0]!.rate, 10, 0.2)
    assert.isBelow(seen.list(90_000)[0]!.rate, 1)
  })
})

describe.skipIf(isAbsent || executablePath === undefined)("the page of the admin interface", () => {
  layer(Chromium.layer, { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    it.effect("pauses and resumes, and sends again what could not be forwarded", () =>
      Effect.gen(function*() {
        const { port, publish, received, url } = yield* withFailure("topics = {}")
        yield* publish("<b>no JSON</b>")
        yield* received.has(1)
        const { complaints, page } = yield* open(url)
        yield* shows(page, "#failed td", "<b>no JSON</b>")
        yield* shows(page, "#topics td", "t/1")
        yield* shows(page, "#configuration", "\"deadLetter\"")
        yield* Effect.promise(() => page.getByRole("button", { name: "Pause" }).click())
        yield* shows(page, "#forwarders td", "paused")
        assert.include((yield* ask(port, "/state")).text, "\"state\":\"stopped\"")
        yield* Effect.promise(() => page.getByRole("button", { name: "Resume" }).click())
        yield* shows(page, "#forwarders td", "running")
        yield* Effect.promise(() => page.getByRole("button", { name: "Send again" }).click())
        yield* received.has(2)
        assert.deepStrictEqual(complaints, [])
      }).pipe(Effect.scoped))

    it.effect("asks for the token, and no other page can use the interface", () =>
      Effect.gen(function*() {
        const token = "a token of some length"
        const { url } = yield* withFailure(`token = "${token}"`)
        const { page } = yield* open(url)
        yield* Effect.promise(() => page.getByLabel("Token").fill(token))
        yield* Effect.promise(() => page.getByRole("button", { name: "Use" }).click())
        yield* shows(page, "#forwarders td", "running")

        const { port, url: open2 } = yield* withFailure("")
        // A page of another port of this machine: the browser sends its address as the origin.
        const site = yield* Effect.acquireRelease(
          Effect.callback<Http.Server>((resume) => {
            const server = Http.createServer((_, response) => response.end("<p>another site</p>"))
            server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.sync(() => server.closeAllConnections() ?? server.close())
        )
        const other = yield* open(`http://127.0.0.1:${(site.address() as Net.AddressInfo).port}/`)
        const status = yield* Effect.promise(async () => {
          await other.page.unroute("**")
          return other.page.evaluate(
            (address) => fetch(`${address}forwarders/up/pause`, { method: "POST", mode: "no-cors" }).then(() => "sent"),
            open2
          )
        })
        assert.strictEqual(status, "sent")
        assert.include((yield* ask(port, "/state")).text, "\"state\":\"running\"")
      }).pipe(Effect.scoped))
  })
})
