/**
 * Certificates that change under traffic, on a real mosquitto that demands those of clients.
 */
import type * as Credentials from "@effect-mqttx/core/Credentials"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Queue, Schedule, Stream } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { freePort } from "../../../../test/support/freePort.ts"
import { impatient } from "./support.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "rotation-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

describe.skipIf(!MosquittoBroker.isPresent())("a rotation under traffic", () => {
  it.live("of the client's certificate and of both authorities loses nothing, and each side sees the new one", () =>
    Effect.gen(function*() {
      const { ca, issue, otherCa, otherCaClient, otherCaServer, server } = yield* Certificates.make
      const client = issue({ commonName: "first-client", usage: "client" })
      const directory = yield* temporary
      const file = (name: string): string => Path.join(directory, name)
      const serve = ({ cert, key }: Certificates.CertificateAndKey): void => {
        Fs.writeFileSync(file("server.pem"), cert)
        Fs.writeFileSync(file("server.key"), key)
      }
      Fs.writeFileSync(file("ca.pem"), ca + otherCa)
      serve(server)
      const port = yield* freePort
      const broker = yield* MosquittoBroker.make({
        persistence: true,
        config: [
          `listener ${port} 127.0.0.1`,
          `cafile ${file("ca.pem")}`,
          `certfile ${file("server.pem")}`,
          `keyfile ${file("server.key")}`,
          "require_certificate true",
          "use_identity_as_username true"
        ]
      })
      let tls: Credentials.Credentials["tls"] = { ca, ...client }
      const session = yield* MqttSession.make({
        name: "plant",
        clientId: "plant",
        servers: [`mqtts://localhost:${port}`],
        reconnect: impatient,
        credentials: Effect.sync(() => ({ tls }))
      })
      const arrived = yield* Queue.unbounded<number>()
      yield* session.awaitReady
      const subscription = yield* session.subscription("rotation", { qos: 1 })
      yield* Effect.forkScoped(
        Stream.runForEach(subscription.messages, ({ text }) => Queue.offer(arrived, Number(text)))
      )
      let sent = 0
      const over = Deferred.makeUnsafe<void>()
      const traffic = yield* Effect.forkScoped(Effect.gen(function*() {
        while (!Deferred.isDoneUnsafe(over)) {
          yield* session.publish("rotation", `${sent++}`, { qos: 1 })
          yield* Effect.yieldNow
        }
      }))
      const seen = new Set<number>()
      /** As many messages more have come through. */
      const flows = (count: number): Effect.Effect<void> =>
        Effect.gen(function*() {
          for (let i = 0; i < count; i++) seen.add(yield* Queue.take(arrived))
        })
      /** The log of the server says that the client came with this certificate. */
      const connectedAs = (name: string): Effect.Effect<void> =>
        Effect.suspend(() => broker.log().includes(`u'${name}'`) ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.retry(Schedule.spaced("20 millis")),
          Effect.orDie
        )
      yield* flows(100)
      yield* connectedAs("first-client")

      // The client's certificate, by the new authority, and trust in the server's next one.
      tls = { ca: [ca, otherCa], ...otherCaClient }
      yield* session.refreshCredentials
      yield* connectedAs("test-client")
      yield* flows(100)

      // The server's certificate, by the new authority.
      serve(otherCaServer)
      yield* broker.restart
      yield* session.awaitReady
      yield* flows(100)
      const { certificates } = Option.getOrThrow(yield* session.connectionInfo)
      assert.deepStrictEqual(certificates.map(({ subject }) => subject), ["CN=localhost", "CN=test-client"])

      // The old authority is no longer trusted.
      tls = { ca: otherCa, ...otherCaClient }
      yield* session.refreshCredentials
      yield* flows(100)
      Deferred.doneUnsafe(over, Exit.void)
      yield* Fiber.join(traffic)
      while (seen.size < sent) seen.add(yield* Queue.take(arrived))
      assert.deepStrictEqual([...seen].sort((a, b) => a - b), Array.from({ length: sent }, (_, index) => index))
      assert.deepInclude((yield* session.metrics).published, { accepted: sent, withdrawn: 0 })
    }))
})
