/**
 * Client certificates that a real mosquitto refuses: on TLS 1.2 within the handshake, on TLS 1.3 after it.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import Tls from "node:tls"
import { reasonOf } from "./support.ts"

type Version = "TLSv1.2" | "TLSv1.3"

/** mosquitto speaks every version from 1.2 on, and the options of a session have no highest one: Node's own decides. */
const atMost = (version: Version): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const before = Tls.DEFAULT_MAX_VERSION
      Tls.DEFAULT_MAX_VERSION = version
      return before
    }),
    (before) =>
      Effect.sync(() => {
        Tls.DEFAULT_MAX_VERSION = before
      })
  ))

const protocolOf = (port: number, { ca, client }: Certificates.Certificates): Effect.Effect<string | null> =>
  Effect.callback((resume) => {
    const socket = Tls.connect({ port, host: "localhost", ca, ...client }, () => {
      resume(Effect.succeed(socket.getProtocol()))
      socket.destroy()
    })
    socket.on("error", (error) => resume(Effect.die(error)))
  })

describe.skipIf(!MosquittoBroker.isPresent())("a real mosquitto that demands client certificates", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    it.live(`refuses one that is missing, expired, revoked or of another authority on ${version}: TlsFailure, permanent`, () =>
      Effect.gen(function*() {
        yield* atMost(version)
        const certificates = yield* Certificates.make
        const broker = yield* MosquittoBroker.make({
          tls: true,
          secureWebSocket: true,
          requireClientCertificate: true,
          certificates,
          revocationList: certificates.revocationList
        })
        assert.strictEqual(yield* protocolOf(broker.ports.tls!, certificates), version)
        const session = (address: string, identity: Certificates.CertificateAndKey | undefined) =>
          MqttSession.make({ name: "plant", servers: [address], tls: { ca: certificates.ca, ...identity } })
        const refused = {
          missing: undefined,
          expired: certificates.expiredClient,
          revoked: certificates.revokedClient,
          "of another authority": certificates.otherCaClient
        }
        for (const address of [broker.urls.tls!, broker.urls.wss!]) {
          yield* Effect.scoped(Effect.flatMap(session(address, certificates.client), ({ awaitReady }) => awaitReady))
          for (const [what, identity] of Object.entries(refused)) {
            // mosquitto 2.0.11 has no revocation lists on its WebSocket listeners.
            if (what === "revoked" && address.startsWith("wss:")) continue
            // What arrives first, the alert or the reset, is a race: once would not show it.
            for (let round = 0; round < 3; round++) {
              const reason = yield* Effect.scoped(
                Effect.flatMap(session(address, identity), ({ awaitReady }) => reasonOf(awaitReady))
              )
              assert.strictEqual(reason._tag, "TlsFailure", `${address} ${what}: ${reason.message}`)
              assert.isFalse(reason.isRetryable, `${address} ${what}: ${reason.message}`)
            }
          }
        }
      }))
  }
})
