/**
 * Certificates in files that are replaced under traffic, on a real mosquitto that demands those of clients.
 */
import { MqttSession } from "@effect-mqttx/core"
import { FileCredentials } from "@effect-mqttx/credentials"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FileSystem, Layer, Option, Queue, Schedule, Stream } from "effect"
import { freePort } from "../../../test/support/freePort.ts"
import { archive } from "../../core/test/connection/certificates.ts"

describe.skipIf(!MosquittoBroker.isPresent())("certificates in files", () => {
  it.live("are used at once when the files change, and nothing is lost", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const { ca, issue, otherCa, otherCaClient, server } = yield* Certificates.make
      const file = (name: string): string => `${folder}/${name}`
      // As Kubernetes mounts a secret: the files are links through a link, which is replaced.
      const mount = Effect.fnUntraced(function*(version: number, contents: { readonly [name: string]: string }) {
        yield* fs.makeDirectory(file(`v${version}`))
        for (const [name, text] of Object.entries(contents)) {
          yield* fs.writeFileString(file(`v${version}/${name}`), text)
        }
        yield* fs.symlink(file(`v${version}`), file("next"))
        yield* fs.rename(file("next"), file("data"))
      })
      yield* fs.writeFileString(file("server-ca.pem"), ca + otherCa)
      yield* fs.writeFileString(file("server.pem"), server.cert)
      yield* fs.writeFileString(file("server.key"), server.key)
      yield* mount(1, { ca, ...issue({ commonName: "first", usage: "client" }) })
      const port = yield* freePort
      const broker = yield* MosquittoBroker.make({
        persistence: true,
        config: [
          `listener ${port} 127.0.0.1`,
          `cafile ${file("server-ca.pem")}`,
          `certfile ${file("server.pem")}`,
          `keyfile ${file("server.key")}`,
          "require_certificate true",
          "use_identity_as_username true"
        ]
      })
      const files = { ca: file("data/ca"), cert: file("data/cert"), key: file("data/key") }
      // The folder that is watched is that of the link.
      for (const name of ["ca", "cert", "key"] as const) {
        yield* fs.symlink(file(`data/${name}`), file(name))
        files[name] = file(name)
      }
      const Plant = MqttSession.layer({
        name: "plant",
        clientId: "plant",
        servers: [`mqtts://localhost:${port}`],
        credentials: FileCredentials.make(files)
      })
      const Live = FileCredentials.layerRefresh(files).pipe(Layer.provideMerge(Plant))
      yield* Effect.gen(function*() {
        const session = yield* MqttSession.MqttSession
        yield* session.awaitReady
        const { messages } = yield* session.subscription("t", { qos: 1 })
        const arrived = yield* Queue.unbounded<number>()
        yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) => Queue.offer(arrived, Number(text))))
        let sent = 0
        const over = Deferred.makeUnsafe<void>()
        const traffic = yield* Effect.forkScoped(Effect.gen(function*() {
          while (!Deferred.isDoneUnsafe(over)) yield* session.publish("t", `${sent++}`, { qos: 1 })
        }))
        const presents = (name: string) =>
          session.connectionInfo.pipe(
            Effect.filterOrFail((info) =>
              Option.isSome(info) && info.value.certificates.some(({ subject }) => subject === `CN=${name}`)
            ),
            Effect.retry(Schedule.spaced("20 millis")),
            Effect.timeout("20 seconds")
          )
        const seen = new Set<number>()
        const flows = Effect.gen(function*() {
          for (let i = 0; i < 100; i++) seen.add(yield* Queue.take(arrived))
        })
        yield* presents("first")
        yield* flows
        // The next authority is trusted too, and has issued the certificate of the client.
        yield* mount(2, { ca: ca + otherCa, ...otherCaClient })
        yield* presents("test-client")
        yield* flows
        yield* mount(3, { ca, ...issue({ commonName: "third", usage: "client" }) })
        yield* presents("third")
        yield* flows
        Deferred.doneUnsafe(over, Exit.void)
        yield* Fiber.join(traffic)
        while (seen.size < sent) seen.add(yield* Queue.take(arrived))
        assert.deepStrictEqual([...seen].sort((a, b) => a - b), Array.from({ length: sent }, (_, index) => index))
        assert.strictEqual((yield* session.metrics).connections, 3)
        for (const name of ["first", "test-client", "third"]) assert.include(broker.log(), `u'${name}'`)
      }).pipe(Effect.provide(Live), Effect.scoped)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("may be one PKCS #12 archive with a passphrase", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const broker = yield* MosquittoBroker.make({ tls: true, requireClientCertificate: true })
      const { ca, client } = broker.certificates!
      yield* fs.writeFileString(`${folder}/ca`, ca)
      yield* fs.writeFile(`${folder}/p12`, archive(client, "secret"))
      yield* fs.writeFileString(`${folder}/passphrase`, "secret\n")
      const session = yield* MqttSession.make({
        name: "plant",
        servers: broker.urls.tls!,
        credentials: FileCredentials.make({
          ca: `${folder}/ca`,
          pfx: `${folder}/p12`,
          passphrase: `${folder}/passphrase`
        })
      })
      yield* session.publish("t", "x", { qos: 1 })
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
