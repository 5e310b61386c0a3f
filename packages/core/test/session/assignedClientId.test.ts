/**
 * Client identifiers that the server assigns on request (MQTT 3.1.3.1, 3.2.2.3.7), by the scripted broker and by a real
 * mosquitto.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import { Fault } from "@effect-mqttx/testing"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue, Stream } from "effect"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { eventsOf, impatient, makeBroker, makeSession, nextEvent, readySession, reasonOf } from "./support.ts"

const connects = (broker: ScriptedBroker.Service) =>
  broker.received("Connect").map(({ packet: { cleanStart, clientId } }) => [clientId, cleanStart])

describe("an assigned client identifier", () => {
  it.live("is used for later connections, which resume the session", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker, { assignedClientId: true })
      const events = yield* eventsOf(session)
      yield* session.awaitReady
      const { clientId } = yield* session.status
      assert.strictEqual(clientId, broker.sent("Connack")[0]!.packet.properties.assignedClientIdentifier)
      assert.strictEqual(Option.getOrThrow(yield* session.connectionInfo).clientId, clientId)
      assert.strictEqual((yield* nextEvent(events, "Connected")).clientId, clientId)
      const { messages } = yield* session.subscription("t", { qos: 1 })
      const inbox = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) => Queue.offer(inbox, text)))
      yield* broker.cut(clientId)
      yield* broker.publish("t", "meanwhile", { qos: 1 })
      assert.strictEqual(yield* Queue.take(inbox), "meanwhile")
      assert.isTrue((yield* nextEvent(events, "Connected")).sessionPresent)
      assert.deepStrictEqual(connects(broker), [["", true], [clientId, false]])
      assert.strictEqual((yield* session.status).clientId, clientId)
    }))

  it.live("of a durable session is stored, and used after a restart", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const store = Faulty.make()
      const live = makeSession(broker, { name: "plant", persistence: "durable", assignedClientId: true }).pipe(
        Effect.tap(({ awaitReady }) => awaitReady),
        Effect.flatMap(({ subscription }) => subscription("t", { qos: 1 })),
        Effect.provideService(SessionStore, store.store),
        Effect.scoped
      )
      yield* live
      yield* live
      assert.deepStrictEqual(connects(broker), [["", false], ["assigned-1", false]])
      assert.deepStrictEqual(broker.sent("Connack").map(({ packet: { sessionPresent } }) => sessionPresent), [
        false,
        true
      ])
    }))

  it.live("is a new one for each connection on MQTT 3.1.1, and only without persistence", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const options = { assignedClientId: true, protocolVersion: 4 } as const
      const session = yield* readySession(broker, { ...options, persistence: "none" })
      assert.strictEqual((yield* session.status).clientId, "")
      yield* broker.cut(broker.received("Connect")[0]!.connection)
      yield* broker.awaitPacket({ direction: "received", packet: "Connect", nth: 2 })
      assert.deepStrictEqual(connects(broker), [["", true], ["", true]])
      const reason = yield* reasonOf(makeSession(broker, options))
      assert.strictEqual(reason._tag, "InvalidOptions")
      assert.include(reason.message, "MQTT 3.1.1 does not tell the identifier")
    }))

  it.live("that the server leaves out is a protocol error, and one that it refuses is ClientIdentifierRejected", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(Fault.replace(
        { direction: "sent", packet: "Connack" },
        (packet) => packet._tag === "Connack" ? [{ ...packet, properties: {} }] : [packet]
      ))
      const silent = yield* makeSession(broker, { assignedClientId: true, reconnect: { enabled: false } })
      assert.strictEqual((yield* reasonOf(silent.awaitReady))._tag, "ProtocolViolation")
      const grid = yield* ScriptedBroker.makeMemory({ profile: "azure-event-grid" })
      const refused = yield* makeSession(grid, { assignedClientId: true })
      assert.strictEqual((yield* reasonOf(refused.awaitReady))._tag, "ClientIdentifierRejected")
    }))

  it.live("is another one for each session of a manager, and none is kept of a removed session", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const store = Faulty.make()
      yield* Effect.gen(function*() {
        const manager = yield* SessionManager.make()
        const options = { servers: broker.url, assignedClientId: true, reconnect: impatient } as const
        const first = yield* manager.add({ ...options, name: "first" })
        const second = yield* manager.addDurable({ ...options, name: "second" })
        yield* first.awaitReady
        yield* second.awaitReady
        const names = [(yield* first.status).clientId, (yield* second.status).clientId]
        assert.deepStrictEqual([...names].sort(), ["assigned-1", "assigned-2"])
        yield* second.subscription("t", { qos: 1 })
        yield* manager.remove("second", { deleteState: true })
        assert.strictEqual(store.records.size, 0)
        assert.isUndefined(broker.session(names[1]!))
      }).pipe(
        Effect.provideService(Transport.Transport, broker.transport),
        Effect.provideService(SessionStore, store.store)
      )
    }))
})

describe.skipIf(!MosquittoBroker.isPresent())("an assigned client identifier of mosquitto", () => {
  it.live("is reported on MQTT 5 and resumes the session; MQTT 3.1.1 connects without one", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.make()
      const session = yield* MqttSession.make({
        name: "plant",
        servers: broker.urls.tcp!,
        assignedClientId: true,
        credentials: Effect.succeed({})
      })
      yield* session.awaitReady
      const { clientId } = yield* session.status
      assert.match(clientId, /^auto-/)
      yield* session.refreshCredentials
      yield* session.awaitReady
      assert.strictEqual((yield* session.status).clientId, clientId)
      assert.isTrue(Option.getOrThrow(yield* session.connectionInfo).sessionPresent)
      const old = yield* MqttSession.make({
        name: "old",
        servers: broker.urls.tcp!,
        protocolVersion: 4,
        persistence: "none",
        assignedClientId: true
      })
      yield* old.publish("t", "x", { qos: 1 })
    }))
})
