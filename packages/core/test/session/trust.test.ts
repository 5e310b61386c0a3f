/**
 * What a session does about servers that it has no reason to trust.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { Packet } from "@effect-mqttx/core/Packet"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option, References } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { listen } from "../../../../test/support/peers.ts"
import { eventsOf, makeBroker, makeSession, nextEvent, type Options, pass, reasonOf, settle } from "./support.ts"

/** What is logged, as text with its annotations. */
const makeLog = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const annotations = JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))
    lines.push(`${logLevel} ${Array.isArray(message) ? message.join(" ") : String(message)} ${annotations}`)
  })
  return { lines, layer: Logger.layer([logger]) }
}

const schedule = { initialDelay: "2 seconds", factor: 1, jitter: "none" } as const
const insecure = {
  servers: ["mqtts://broker.test"],
  tls: { insecureSkipVerify: true },
  reconnect: schedule,
  clientId: "plant"
}

describe("TLS without verification", () => {
  it.effect("is reported by a warning at each connect, before the server gets the password", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const log = makeLog()
      yield* Effect.gen(function*() {
        const warnings = (): number => log.lines.filter((line) => line.includes("insecureSkipVerify")).length
        const session = yield* makeSession(broker, insecure)
        yield* session.awaitReady
        assert.strictEqual(warnings(), 1)
        assert.match(
          log.lines[0]!,
          /^Warn the certificate of the server is not verified .*"server":"mqtts:\/\/broker.test:8883"/
        )
        yield* broker.cut("plant")
        yield* pass(2000)
        yield* session.awaitReady
        assert.strictEqual(warnings(), 2)
        // Of several attempts in a row the first one and the one that succeeds.
        yield* broker.refuseNetwork
        yield* broker.cut("plant")
        yield* pass(2000)
        assert.strictEqual(warnings(), 3)
        yield* pass(10_000)
        assert.strictEqual(warnings(), 3)
        yield* broker.acceptNetwork
        yield* pass(2000)
        yield* session.awaitReady
        assert.strictEqual(warnings(), 4)
      }).pipe(Effect.scoped, Effect.provide(log.layer))
    }))

  it.effect("is in the status; verified TLS and no TLS are too, without a warning", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const log = makeLog()
      yield* Effect.gen(function*() {
        const protection = (options: Options) =>
          Effect.scoped(Effect.gen(function*() {
            const session = yield* makeSession(broker, options)
            yield* session.awaitReady
            return (yield* session.status).tls
          }))
        assert.strictEqual(yield* protection({ servers: ["mqtts://a", "wss://b"] }), "verified")
        assert.strictEqual(yield* protection({ servers: "broker.test", secure: true, tls: {} }), "verified")
        assert.strictEqual(yield* protection({ servers: ["mqtt://a", "ws://b", "unix:///run/x"] }), "none")
        assert.deepStrictEqual(log.lines, [])
        assert.strictEqual(yield* protection({ servers: "wss://a", tls: { insecureSkipVerify: true } }), "unverified")
      }).pipe(Effect.provide(log.layer))
    }))

  it.effect("is in the status of a manager's session that does not run, too", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const manager = yield* SessionManager.make().pipe(
        Effect.provideService(Transport.Transport, broker.transport)
      )
      yield* manager.add({ name: "plant", ...insecure })
      yield* manager.disconnect("plant")
      assert.strictEqual((yield* manager.status("plant")).tls, "unverified")
    }))
})

/** The server adds an Assigned Client Identifier to its CONNACKs. */
const assigning = (broker: ScriptedBroker.Service, assigned: string) =>
  broker.inject(Fault.replace(
    { direction: "sent", packet: "Connack" },
    (packet): ReadonlyArray<Packet> =>
      packet._tag === "Connack"
        ? [{ ...packet, properties: { ...packet.properties, assignedClientIdentifier: assigned } }]
        : [packet],
    { times: Infinity }
  ))

describe("an assigned client identifier that was not asked for (MQTT 3.2.2.3.7)", () => {
  it.effect("is not adopted, and reported by a warning", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* assigning(broker, "victim\nforged line")
      const log = makeLog()
      yield* Effect.gen(function*() {
        for (const options of [{ clientId: "plant" }, { persistence: "durable", name: "plant" }, {}] as const) {
          const session = yield* makeSession(broker, { ...options, reconnect: schedule })
          const events = yield* eventsOf(session)
          yield* session.awaitReady
          const { clientId } = broker.received("Connect").at(-1)!.packet
          assert.notInclude(clientId, "victim")
          assert.strictEqual((yield* session.status).clientId, clientId)
          assert.strictEqual((yield* nextEvent(events, "Connected")).clientId, clientId)
          const info = Option.getOrThrow(yield* session.connectionInfo)
          assert.strictEqual(info.clientId, clientId)
          // As the server sent it, for whoever wants to know.
          assert.strictEqual(info.properties.assignedClientIdentifier, "victim\nforged line")
          yield* broker.cut(broker.connections.length)
          yield* pass(2000)
          yield* session.awaitReady
          assert.strictEqual(broker.received("Connect").at(-1)!.packet.clientId, clientId)
          yield* session.publish("t", "", { qos: 1 })
          yield* session.drain
        }
        yield* settle
        const warnings = log.lines.filter((line) => line.includes("assigned the client identifier"))
        assert.lengthOf(warnings, 6)
        assert.match(
          warnings[0]!,
          /^Warn the server assigned the client identifier "victim\\nforged line", which was not asked for/
        )
      }).pipe(Effect.scoped, Effect.provide([log.layer, SessionStore.layerMemory]))
    }))

  it.effect("that repeats our own causes no warning", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* assigning(broker, "plant")
      const log = makeLog()
      yield* Effect.gen(function*() {
        const session = yield* makeSession(broker, { clientId: "plant" })
        yield* session.awaitReady
        yield* settle
        assert.deepStrictEqual(log.lines, [])
      }).pipe(Effect.scoped, Effect.provide(log.layer))
    }))
})

describe("a server that sends the session elsewhere", () => {
  it.effect("by a Server Reference is reported, and not followed where the options refuse it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(Fault.replace(
        { direction: "sent", packet: "Connack" },
        () => [{
          _tag: "Connack",
          sessionPresent: false,
          reasonCode: 0x9c,
          properties: { serverReference: "mqtt://elsewhere.test:1883" }
        }],
        { times: Infinity }
      ))
      const hosts: Array<string> = []
      const session = yield* MqttSession.make({ name: "plant", servers: "mqtt://plant.test", redirects: 0 }).pipe(
        Effect.provideService(Transport.Transport, {
          open: (request, handlers) => {
            hosts.push(request.address.host)
            return broker.transport.open(request, handlers)
          }
        })
      )
      yield* pass(20_000)
      assert.isAbove(hosts.length, 2)
      assert.deepStrictEqual(Array.from(new Set(hosts)), ["plant.test"])
      const { lastError } = yield* session.status
      assert.deepInclude(lastError?.reason, { _tag: "ServerMoved", serverReference: "mqtt://elsewhere.test:1883" })
    }))

  it.live("by an HTTP redirect is refused, and not followed", () =>
    Effect.gen(function*() {
      const elsewhere = yield* listen({ protocol: "ws" })
      const redirecting = yield* Effect.acquireRelease(
        Effect.callback<Http.Server>((resume) => {
          const server = Http.createServer()
          server.on("upgrade", (_request, socket) => {
            socket.end(`HTTP/1.1 302 Found\r\nLocation: ws://localhost:${elsewhere.address.port}/mqtt\r\n\r\n`)
          })
          server.listen(0, "localhost", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const session = yield* MqttSession.make({
        name: "plant",
        servers: `ws://localhost:${(redirecting.address() as Net.AddressInfo).port}/mqtt`
      })
      assert.deepInclude(yield* reasonOf(session.awaitReady), { _tag: "ConnectionRefused", httpStatus: 302 })
      assert.strictEqual(elsewhere.sockets.size, 0)
    }))
})
