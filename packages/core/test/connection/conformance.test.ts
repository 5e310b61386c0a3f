import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { accepting, type connack, listen, memoryNetwork } from "../../../../test/support/peers.ts"
import { makeEngine } from "../../src/internal/engine/engine.ts"
import type { Packet } from "../../src/Packet.ts"
import { Transport } from "../../src/Transport.ts"
import { engineOptions } from "../engine/harness.ts"
import { openWith, Owner, publish } from "./client.ts"

// What no test of a part of the connection says in so many words.

const acceptingNetwork = (fields: Parameters<typeof connack>[0] = {}) =>
  memoryNetwork((peer) => {
    Effect.runFork(accepting(fields)(peer))
  })

const onNetwork = (network: ReturnType<typeof memoryNetwork>) => Effect.provideService(Transport, network.transport)

const numbered = (count: number): ReadonlyArray<Packet> =>
  Array.from(
    { length: count },
    (_, i) => publish({ topic: `t/${i}`, payload: new Uint8Array((i * 97) % 5000).fill(i) })
  )

it.live("carries packets whole and in order both ways over TCP [MQTT3-7.1.2-1] [MQTT5-4.2.0-1]", () =>
  Effect.gen(function*() {
    const packets = numbered(500)
    for (const protocolVersion of [4, 5] as const) {
      const server = yield* listen({ serve: accepting() })
      const { connection, owner } = yield* openWith({ address: server.address, protocolVersion })
      const peer = yield* server.peer()
      for (const packet of packets) connection.send([packet])
      for (const packet of packets) peer.send(packet)
      yield* peer.until(() => peer.packets.length === 501)
      yield* owner.until(() => owner.packets.length === 501)
      assert.deepStrictEqual(peer.packets.slice(1), packets)
      assert.deepStrictEqual(owner.packets.slice(1), packets)
    }
  }))

it.effect("sends nothing before CONNACK while it authenticates by a method, however long that takes [MQTT5-3.1.2-30]", () =>
  Effect.gen(function*() {
    const network = memoryNetwork()
    const connect = { keepAlive: 1, properties: { authenticationMethod: "SCRAM" } }
    const opening = yield* openWith({ connect, connectTimeout: 60_000 }).pipe(
      onNetwork(network),
      Effect.flip,
      Effect.forkChild({ startImmediately: true })
    )
    const peer = network.peers[0]!
    yield* peer.received("Connect")
    for (let second = 0; second < 59; second++) yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(peer.packets.map((packet) => packet._tag), ["Connect"])
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* Fiber.join(opening)).reason._tag, "Timeout")
    assert.notInclude(peer.packets.map((packet) => packet._tag), "Auth")
  }))

it.effect("closes the connection on a session that the client does not have [MQTT3-4.8.0-1] [MQTT5-3.2.2-4]", () =>
  Effect.gen(function*() {
    for (const protocolVersion of [4, 5] as const) {
      const network = acceptingNetwork({ sessionPresent: true })
      const engine = makeEngine(engineOptions({ protocolVersion }))
      const owner = new Owner()
      owner.answer = (packets) => engine.receive(packets, 0)
      const error = yield* openWith({ protocolVersion, connect: { cleanStart: false } }, owner).pipe(
        onNetwork(network),
        Effect.flip
      )
      assert.strictEqual(error.reason._tag, "ProtocolViolation")
      const peer = network.peers[0]!
      assert.isTrue(peer.closed)
      const disconnects = peer.packets.slice(1).map((packet) => packet._tag === "Disconnect" && packet.reasonCode)
      assert.deepStrictEqual(disconnects, protocolVersion === 5 ? [0x82] : [])
    }
  }))

it.effect("puts neither reason string nor user properties into DISCONNECT, which fits any Maximum Packet Size [MQTT5-3.14.2-3] [MQTT5-3.14.2-4]", () =>
  Effect.gen(function*() {
    const limit = { properties: { maximumPacketSize: 4 } }
    const violated = acceptingNetwork(limit)
    yield* openWith().pipe(onNetwork(violated))
    violated.peers[0]!.sendBytes([0x30, 6, 0, 3, 0x61, 0x2f, 0x23, 0])
    const left = acceptingNetwork(limit)
    const { connection } = yield* openWith().pipe(onNetwork(left))
    yield* connection.close(0x04)
    for (const [{ peers }, reasonCode] of [[violated, 0x81], [left, 0x04]] as const) {
      const peer = peers[0]!
      assert.deepStrictEqual(peer.packets.at(-1), { _tag: "Disconnect", reasonCode, properties: {} })
      assert.isAtMost(peer.chunks.at(-1)!.length, 4)
    }
  }))

it.effect("answers an AUTH by no AUTH when CONNECT named no authentication method [MQTT5-4.12.0-7]", () =>
  Effect.gen(function*() {
    const auth: Packet = { _tag: "Auth", reasonCode: 0x18, properties: { authenticationMethod: "SCRAM" } }
    const before = memoryNetwork((peer) => {
      Effect.runFork(Effect.map(peer.received("Connect"), () => peer.send(auth)))
    })
    const error = yield* openWith().pipe(onNetwork(before), Effect.flip)
    assert.strictEqual(error.reason._tag, "ProtocolViolation")
    const after = acceptingNetwork()
    const { owner } = yield* openWith().pipe(onNetwork(after))
    after.peers[0]!.send(auth)
    assert.deepStrictEqual(owner.closed.map((closed) => closed.reason._tag), ["ProtocolViolation"])
    for (const { peers: [peer] } of [before, after]) {
      assert.deepStrictEqual(peer!.packets.map((packet) => packet._tag), ["Connect", "Disconnect"])
      assert.isTrue(peer!.closed)
    }
  }))

it.live("leaves the session expiry out of a DISCONNECT that the server would find too large [MQTT5-3.2.2-15]", () =>
  Effect.gen(function*() {
    for (const [maximumPacketSize, properties] of [[8, {}], [9, { sessionExpiryInterval: 0 }]] as const) {
      const network = acceptingNetwork({ properties: { maximumPacketSize } })
      const { connection } = yield* openWith().pipe(onNetwork(network))
      yield* Effect.forkChild(connection.close(0, 0), { startImmediately: true })
      const disconnect = yield* network.peers[0]!.received("Disconnect")
      assert.deepStrictEqual({ ...disconnect.properties }, properties)
    }
  }))
