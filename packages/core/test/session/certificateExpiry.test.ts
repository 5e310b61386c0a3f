/**
 * What a session reports of certificates that are about to expire.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Certificates from "@effect-mqttx/testing/Certificates"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"
import { TestClock } from "effect/testing"
import { makeLog } from "./logged.ts"
import { eventsOf, nextEvent, type Options, settle } from "./support.ts"

const day = 86_400_000

describe.skipIf(!MosquittoBroker.isPresent())("certificates of a real server", () => {
  it.live("of the server and of the client are reported when they expire soon, over TLS and secure WebSockets", () =>
    Effect.gen(function*() {
      const made = yield* Certificates.make
      // X.509 has whole seconds.
      const now = Math.floor(Date.now() / 1000) * 1000
      const server = made.issue({
        commonName: "localhost",
        subjectAltNames: ["localhost", "127.0.0.1"],
        usage: "server",
        notAfter: now + 5 * day
      })
      const client = made.issue({ commonName: "plant", usage: "client", notAfter: now + 20 * day })
      const broker = yield* MosquittoBroker.make({
        tls: true,
        secureWebSocket: true,
        requireClientCertificate: true,
        certificates: { ...made, server }
      })
      for (const address of [broker.urls.tls!, broker.urls.wss!]) {
        const log = makeLog()
        const session = yield* MqttSession.make({
          name: "plant",
          servers: [address],
          tls: { ca: made.ca, ...client }
        }).pipe(Effect.provide(log.layer))
        const events = yield* eventsOf(session)
        for (
          const expected of [
            { certificate: "server", subject: "CN=localhost", expiresAt: now + 5 * day, daysLeft: 5 },
            { certificate: "client", subject: "CN=plant", expiresAt: now + 20 * day, daysLeft: 20 }
          ] as const
        ) {
          const { certificate, daysLeft, expiresAt, subject } = yield* nextEvent(events, "CertificateExpiring")
          assert.deepStrictEqual({ certificate, subject, expiresAt, daysLeft }, expected)
        }
        yield* session.awaitReady
        assert.deepStrictEqual(
          Option.getOrThrow(yield* session.connectionInfo).certificates.map(({ owner }) => owner),
          ["server", "client"]
        )
        yield* settle
        assert.deepStrictEqual(log.take(), [
          "Warn CertificateExpiring: the certificate of the server expires in 5 days",
          "Warn CertificateExpiring: the certificate of the client expires in 20 days"
        ])
      }
      const fine = yield* MqttSession.make({
        name: "fine",
        servers: [broker.urls.tls!],
        certificateThresholds: [3],
        tls: { ca: made.ca, ...client }
      })
      const events = yield* eventsOf(fine)
      yield* fine.awaitReady
      yield* settle
      assert.notInclude((yield* Queue.clear(events)).map(({ _tag }) => _tag), "CertificateExpiring")
    }))
})

/** A session whose streams have these certificates. */
const watched = (
  certificates: ReadonlyArray<Transport.StreamCertificate>,
  options?: Pick<Options, "certificateThresholds" | "reconnect">
) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.makeMemory()
    const transport: Transport.Transport = {
      open: (request, handlers) =>
        Effect.map(broker.transport.open(request, handlers), (stream) => ({
          write: (bytes) => stream.write(bytes),
          pendingBytes: () => stream.pendingBytes(),
          pause: () => stream.pause(),
          resume: () => stream.resume(),
          end: () => stream.end(),
          destroy: () => stream.destroy(),
          certificates: () => certificates
        }))
    }
    const session = yield* MqttSession.make({
      name: "plant",
      servers: [broker.url],
      keepAlive: 0,
      writeTimeout: "24 days",
      clientId: "plant",
      ...options
    }).pipe(
      Effect.provideService(Transport.Transport, transport)
    )
    const events = yield* eventsOf(session)
    yield* session.awaitReady
    const reports = Effect.gen(function*() {
      yield* settle
      const all = yield* Queue.clear(events)
      return all.flatMap((event) =>
        event._tag === "CertificateExpiring" ? [`${event.certificate} ${event.daysLeft} at ${event.at / day}`] : []
      )
    })
    return { broker, session, reports }
  })

describe("while a connection is open", () => {
  it.effect("each certificate is reported once for each threshold that it passes", () =>
    Effect.gen(function*() {
      const { reports } = yield* watched([
        { owner: "server", subject: "CN=a", expiresAt: 40 * day },
        { owner: "client", subject: "CN=b", expiresAt: 5.5 * day }
      ])
      assert.deepStrictEqual(yield* reports, ["client 6 at 0"])
      for (let passed = 0; passed < 60; passed++) yield* Effect.andThen(TestClock.adjust(day), settle)
      assert.deepStrictEqual(yield* reports, [
        "client 1 at 4.5",
        "server 30 at 10",
        "server 7 at 33",
        "server 1 at 39"
      ])
    }))

  it.effect("they are the thresholds of the options, and a new connection reports again", () =>
    Effect.gen(function*() {
      const { broker, reports } = yield* watched([{ owner: "server", subject: "CN=a", expiresAt: 10 * day }], {
        certificateThresholds: [2, 14],
        reconnect: { initialDelay: "1 millis", jitter: "none" }
      })
      assert.deepStrictEqual(yield* reports, ["server 10 at 0"])
      yield* TestClock.adjust(day)
      yield* broker.cut("plant")
      yield* Effect.andThen(settle, TestClock.adjust(day))
      assert.deepStrictEqual((yield* reports).map((report) => report.slice(0, 9)), ["server 9 "])
      yield* TestClock.adjust(7 * day)
      assert.deepStrictEqual(yield* reports, ["server 2 at 8"])
    }))

  it.effect("one that has expired is reported with no day left", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(3 * day)
      const { reports } = yield* watched([{ owner: "client", subject: "CN=a", expiresAt: day }])
      assert.deepStrictEqual(yield* reports, ["client 0 at 3"])
      yield* TestClock.adjust(9 * day)
      assert.deepStrictEqual(yield* reports, [])
    }))

  it.effect("nothing is reported without thresholds, and where there is nothing to read", () =>
    Effect.gen(function*() {
      const expired = [{ owner: "server", subject: "CN=a", expiresAt: 0 }] as const
      const silent = yield* watched(expired, { certificateThresholds: [] })
      const nothing = yield* watched([])
      yield* TestClock.adjust(40 * day)
      assert.deepStrictEqual([yield* silent.reports, yield* nothing.reports], [[], []])
      assert.deepStrictEqual(Option.getOrThrow(yield* nothing.session.connectionInfo).certificates, [])
    }))
})
