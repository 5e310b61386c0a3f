/**
 * The admin interface of a gateway, as a process between two real mosquittos.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import {
  ask,
  awaitStatus,
  broker,
  folder,
  freePort,
  numbers,
  publishing,
  startReady,
  witness
} from "../support/gateway.ts"

const isAbsent = !MosquittoBroker.isPresent()

const setup = (token?: string) =>
  Effect.gen(function*() {
    const a = yield* broker
    const b = yield* broker
    const [metrics, admin] = [yield* freePort, yield* freePort]
    const text = `
[reload]
watch = false
[metrics]
port = ${metrics}
[admin]
port = ${admin}
${token === undefined ? "" : `token = "${token}"`}
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
`
    const file = Path.join(yield* folder({ "gateway.toml": text }), "gateway.toml")
    const received = yield* witness(b.url, "t/#")
    const gateway = yield* startReady(metrics, file)
    return { a, admin, b, file, gateway, metrics, received, text }
  })

const post = (port: number, path: string, headers: Record<string, string> = {}) =>
  ask(port, path, { method: "POST", headers })

const states = (text: string) =>
  (JSON.parse(text) as { forwarders: ReadonlyArray<{ name: string; state: string }> }).forwarders.map((
    { name, state }
  ) => [
    name,
    state
  ])

describe.skipIf(isAbsent)("the admin interface", () => {
  it.live("says what the gateway does, pauses and resumes a forwarder without a loss, reloads and drains", () =>
    Effect.gen(function*() {
      const { a, admin, file, gateway, received, text } = yield* setup()
      const state = yield* ask(admin, "/state")
      assert.strictEqual(state.status, 200)
      assert.notInclude(state.text, "hunter1")
      const { sessions } = JSON.parse(state.text)
      assert.deepStrictEqual(sessions[0], {
        name: "plant",
        state: "connected",
        servers: [a.url],
        store: "memory"
      })
      assert.deepStrictEqual(states(state.text), [["up", "running"]])

      const traffic = yield* publishing(a.url, "t/1", 2, 500)
      yield* received.has(50)
      assert.strictEqual((yield* post(admin, "/forwarders/up/pause")).status, 204)
      const paused = received.payloads.length
      assert.deepStrictEqual(states((yield* ask(admin, "/state")).text), [["up", "stopped"]])
      yield* traffic.more(50)
      // A reload that changes nothing leaves it paused.
      assert.strictEqual((yield* post(admin, "/reload")).status, 200)
      assert.deepStrictEqual(states((yield* ask(admin, "/state")).text), [["up", "stopped"]])
      assert.strictEqual((yield* post(admin, "/forwarders/up/resume")).status, 204)
      yield* received.has(paused + 100)
      const count = yield* traffic.stop
      yield* received.has(count)
      assert.deepStrictEqual(received.payloads, numbers(count))
      assert.strictEqual((yield* post(admin, "/forwarders/none/pause")).status, 404)
      assert.strictEqual((yield* post(admin, "/forwarders/none/resume")).status, 404)

      Fs.writeFileSync(file, `${text}pasword = "hunter2"\n`)
      const refused = yield* post(admin, "/reload")
      assert.strictEqual(refused.status, 422)
      assert.include(refused.text, "forwarders.up.pasword: no such option")
      assert.notInclude(refused.text, "hunter2")
      Fs.writeFileSync(file, `${text}retain = "clear"\n`)
      assert.deepStrictEqual(JSON.parse((yield* post(admin, "/reload")).text), {
        sessions: { added: [], changed: [], removed: [] },
        forwarders: { added: [], changed: ["up"], removed: [] },
        failures: []
      })

      assert.include((yield* ask(admin, "/openapi.json")).text, "/forwarders/{name}/pause")
      assert.strictEqual((yield* post(admin, "/drain")).status, 202)
      assert.strictEqual((yield* gateway.ended).code, 0)
    }).pipe(Effect.scoped))

  it.live("a reload moves it to another address, and answers before", () =>
    Effect.gen(function*() {
      const { admin, file, text } = yield* setup()
      const moved = yield* freePort
      Fs.writeFileSync(file, text.replace(`port = ${admin}`, `port = ${moved}`))
      assert.strictEqual((yield* post(admin, "/reload")).status, 200)
      yield* awaitStatus(moved, "/state", 200)
    }).pipe(Effect.scoped))

  it.live("with a token, it answers nothing without it", () =>
    Effect.gen(function*() {
      const token = "a token of some length"
      const { admin } = yield* setup(token)
      for (const authorization of ["", "Bearer", "Bearer wrong", `Basic ${token}`]) {
        for (const path of ["/state", "/openapi.json"]) {
          assert.strictEqual((yield* ask(admin, path, { headers: { authorization } })).status, 401)
        }
        assert.strictEqual((yield* post(admin, "/drain", { authorization })).status, 401)
      }
      assert.strictEqual((yield* ask(admin, "/state", { headers: { authorization: `Bearer ${token}` } })).status, 200)
    }).pipe(Effect.scoped))

  it.live("without a token, no web page can use it: neither its site nor a name that leads here", () =>
    Effect.gen(function*() {
      const { admin } = yield* setup()
      const status = (headers: Record<string, string>) =>
        Effect.promise(() =>
          new Promise<number | undefined>((resolve) => {
            const request = Http.request({ port: admin, host: "127.0.0.1", method: "POST", path: "/drain", headers })
            request.on("response", (response) => {
              response.resume()
              resolve(response.statusCode)
            }).end()
          })
        )
      assert.strictEqual(yield* status({ origin: "https://evil.example" }), 403)
      assert.strictEqual(yield* status({ host: "evil.example" }), 403)
      assert.strictEqual((yield* ask(admin, "/state")).status, 200)
    }).pipe(Effect.scoped))
})
