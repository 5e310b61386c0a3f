/**
 * `effect-mqttx doctor` as a process, against real mosquittos.
 */
import { Cli } from "@effect-mqttx/cli"
import { Certificates, MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { abilities, examine } from "./support/doctor.ts"
import { run } from "./support/program.ts"

const { exitCodes } = Cli
const isAbsent = !MosquittoBroker.isPresent()

/** A file with the authority of a broker's certificates. */
const authority = Effect.gen(function*() {
  const { certificates } = yield* MosquittoBroker.MosquittoBroker
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "doctor-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  const path = Path.join(directory, "ca.pem")
  Fs.writeFileSync(path, certificates!.ca)
  return path
})

describe.skipIf(isAbsent)("effect-mqttx doctor", () => {
  layer(MosquittoBroker.layer({ tls: true, webSocket: true, secureWebSocket: true, config: ["max_keepalive 30"] }), {
    excludeTestServices: true
  })((it) => {
    it.effect("checks the connection step by step, over TCP, TLS and WebSockets, and tries what the server can do", () =>
      Effect.gen(function*() {
        const { urls } = yield* MosquittoBroker.MosquittoBroker
        const ca = yield* authority
        for (
          const [args, steps] of [
            [[urls.tcp!], ["dns", "tcp"]],
            [[urls.tls!, "--ca", ca], ["dns", "tcp", "tls"]],
            [[urls.ws!], ["dns", "tcp", "websocket"]],
            [[urls.wss!, "--ca", ca], ["dns", "tcp", "tls", "websocket"]]
          ] as const
        ) {
          const report = yield* examine(...args)
          const way = Object.fromEntries([...steps, "connect"].map((name) => [name, "ok"]))
          assert.deepStrictEqual(report.statuses, { ...way, ...abilities })
          assert.strictEqual(report.code, exitCodes.done)
          assert.include(report.limits, { keepAlive: 30, maximumQoS: 2, receiveMaximum: 20 })
        }
      }).pipe(Effect.scoped))

    it.effect("prints its findings for people, and leaves nothing at the server", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const { code, stdout } = yield* run(["doctor", url, "-V", "3.1.1", "-t", "private/place"])
        assert.strictEqual(code, exitCodes.done)
        assert.match(stdout, /^ok {6}connect {6}the server accepts the client, with MQTT 3\.1\.1$/m)
        assert.match(stdout, /^no {6}identifiers {2}MQTT 3\.1\.1 has no subscription identifiers/m)
        const left = yield* run(["sub", "--url", url, "-t", "private/#", "--retained-only", "-W", "0.5"])
        assert.deepStrictEqual([left.code, left.stdout], [exitCodes.timeout, ""])
      }))

    it.effect("says that a certificate is not trusted, and how to trust it", () =>
      Effect.gen(function*() {
        const { urls } = yield* MosquittoBroker.MosquittoBroker
        const report = yield* examine(urls.tls!)
        assert.strictEqual(report.code, exitCodes.unreachable)
        assert.deepStrictEqual(report.statuses, { dns: "ok", tcp: "ok", tls: "failed" })
        assert.include(report.of("tls").advice, "--ca")
        const tolerated = yield* examine(urls.tls!, "--insecure")
        assert.strictEqual(tolerated.statuses.tls, "no")
        assert.strictEqual(tolerated.code, exitCodes.done)
      }))

    it.effect("says that a port speaks another protocol than the address", () =>
      Effect.gen(function*() {
        const { ports } = yield* MosquittoBroker.MosquittoBroker
        const asTls = yield* examine(`mqtts://127.0.0.1:${ports.tcp}`)
        assert.deepStrictEqual([asTls.code, asTls.of("tls").status], [exitCodes.unreachable, "failed"])
        const asWebSocket = yield* examine(`ws://127.0.0.1:${ports.tcp}`)
        assert.deepStrictEqual(
          [asWebSocket.code, asWebSocket.of("websocket").status],
          [exitCodes.unreachable, "failed"]
        )
      }))
  })

  layer(MosquittoBroker.layer({ config: ["retain_available false"], users: { ann: "s3cret-of-ann" } }), {
    excludeTestServices: true
  })((it) => {
    it.effect("says what a server does not offer, and what to do without it", () =>
      Effect.gen(function*() {
        const { ports } = yield* MosquittoBroker.MosquittoBroker
        const report = yield* examine(`mqtt://ann:s3cret-of-ann@127.0.0.1:${ports.tcp}`)
        assert.deepStrictEqual(report.statuses, { dns: "ok", tcp: "ok", connect: "ok", ...abilities, retained: "no" })
        assert.strictEqual(report.of("retained").advice, "Publish without retain.")
        assert.strictEqual(report.code, exitCodes.done)
        assert.notInclude(JSON.stringify(report), "s3cret")
      }))

    it.effect("says that the server refuses the user", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const report = yield* examine(url, "-u", "ann", "-P", "hunter2-wrong")
        assert.strictEqual(report.code, exitCodes.refused)
        assert.include(report.of("connect").advice, "MQTT_PASSWORD")
        assert.notInclude(JSON.stringify(report), "hunter2")
      }))
  })
})

describe.skipIf(isAbsent)("effect-mqttx doctor", () => {
  it.live("says that a certificate has expired, and that one is for another name", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      for (
        const [serverCertificate, detail] of [
          [certificates.expiredServer, "expired"],
          [certificates.otherHostServer, "ALTNAME"]
        ] as const
      ) {
        yield* Effect.gen(function*() {
          const { urls } = yield* MosquittoBroker.MosquittoBroker
          const report = yield* examine(urls.tls!, "--ca", yield* authority)
          assert.strictEqual(report.code, exitCodes.unreachable)
          assert.include(report.of("tls").detail, detail)
        }).pipe(Effect.scoped, Effect.provide(MosquittoBroker.layer({ tls: true, certificates, serverCertificate })))
      }
    }))
})

describe("effect-mqttx doctor without a broker", () => {
  it.live("says that the name is not known", () =>
    Effect.gen(function*() {
      const report = yield* examine("mqtt://no-such-name.invalid")
      assert.strictEqual(report.code, exitCodes.unreachable)
      assert.deepStrictEqual(report.statuses, { dns: "failed" })
    }))

  it.live("says that a web server has no WebSockets at the path", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<Http.Server>((resume) => {
          const server = Http.createServer((_, response) => response.writeHead(404).end())
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as Net.AddressInfo
      const report = yield* examine(`ws://127.0.0.1:${port}/wrong`)
      assert.strictEqual(report.code, exitCodes.unreachable)
      assert.include(report.of("websocket").detail, "404 at /wrong")
      assert.include(report.of("websocket").advice, "/mqtt")
    }).pipe(Effect.scoped))
})
