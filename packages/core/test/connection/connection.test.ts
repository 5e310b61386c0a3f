import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { accepting, connack, listen, memoryNetwork, type Peer } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import type { Packet } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import * as ReasonCode from "../../src/ReasonCode.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, Owner, publish } from "./client.ts"

const tags = (packets: ReadonlyArray<Packet>): ReadonlyArray<string> => packets.map((packet) => packet._tag)

/** A server in memory that answers CONNECT at once. */
const acceptingNetwork = (fields: Parameters<typeof connack>[0] = {}) =>
  memoryNetwork((peer) => {
    Effect.runFork(accepting(fields)(peer))
  })

const onNetwork = (network: ReturnType<typeof memoryNetwork>) => Effect.provideService(Transport, network.transport)

it.live("opens when the server accepts CONNECT, with what it granted", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting({ properties: { receiveMaximum: 7, serverKeepAlive: 20 } }) })
    const { connection, owner } = yield* openWith({ address: server.address })
    assert.deepStrictEqual(connection.connack, connack({ properties: { receiveMaximum: 7, serverKeepAlive: 20 } }))
    assert.strictEqual(connection.keepAlive, 20)
    assert.deepStrictEqual(tags(owner.packets), ["Connack"])
    assert.deepStrictEqual(owner.closed, [])
  }))

it.live("sends CONNECT first and only once [MQTT3-3.1.0-1] [MQTT3-3.1.0-2] [MQTT5-3.1.0-1] [MQTT5-3.1.0-2]", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    for (const protocolVersion of [4, 5] as const) {
      const { connection } = yield* openWith({ address: server.address, protocolVersion })
      connection.send([publish()])
      yield* connection.close(0)
    }
    for (const peer of server.peers) {
      yield* peer.gone
      assert.deepStrictEqual(tags(peer.packets), ["Connect", "Publish", "Disconnect"])
      assert.isUndefined(peer.violation)
    }
    assert.strictEqual(server.peers.length, 2)
  }))

it.live("passes on the packets behind CONNACK in the same chunk", () =>
  Effect.gen(function*() {
    const server = yield* listen({
      serve: (peer) =>
        Effect.map(peer.received("Connect"), () =>
          peer.send(connack({ sessionPresent: true }), publish(), publish({ topic: "c" })))
    })
    const { owner } = yield* openWith({ address: server.address, connect: { cleanStart: false } })
    assert.deepStrictEqual(tags(owner.batches[0] ?? []), ["Connack", "Publish", "Publish"])
    assert.strictEqual(owner.batches.length, 1)
  }))

it.live("passes on inbound packets in wire order", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { owner } = yield* openWith({ address: server.address })
    const peer = yield* server.peer()
    const suback: Packet = { _tag: "Suback", packetIdentifier: 3, reasonCodes: [1], properties: Properties.none }
    peer.send(publish({ topic: "1" }), { _tag: "Pingresp" }, suback, publish({ topic: "2" }))
    yield* owner.until(() => owner.packets.length === 5)
    assert.deepStrictEqual(owner.packets.slice(1), [
      publish({ topic: "1" }),
      { _tag: "Pingresp" },
      suback,
      publish({ topic: "2" })
    ])
  }))

it.live("reads packets that are cut anywhere", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { owner } = yield* openWith().pipe(onNetwork(network))
    const whole = [0x30, 0x08, 0, 3, 0x61, 0x2f, 0x62, 0, 7, 8]
    for (const byte of whole) {
      network.peers[0]!.sendBytes([byte])
    }
    assert.deepStrictEqual(owner.packets.slice(1), [publish({ payload: new Uint8Array([7, 8]) })])
  }))

it.effect("fails with the classified reason of a refusing CONNACK [MQTT5-4.13.2-1]", () =>
  Effect.gen(function*() {
    const cases = [
      [5, 0x86, "BadCredentials"],
      [5, 0x87, "NotAuthorized"],
      [5, 0x84, "UnsupportedVersion"],
      [5, 0x85, "ClientIdentifierRejected"],
      [5, 0x88, "ConnectionRefused"],
      [5, 0x9c, "ServerMoved"],
      [4, 1, "UnsupportedVersion"],
      [4, 2, "ClientIdentifierRejected"],
      [4, 3, "ConnectionRefused"],
      [4, 4, "BadCredentials"],
      [4, 5, "NotAuthorized"]
    ] as const
    for (const [protocolVersion, reasonCode, tag] of cases) {
      const network = acceptingNetwork({ reasonCode })
      const owner = new Owner()
      const error = yield* openWith({ protocolVersion }, owner).pipe(onNetwork(network), Effect.flip)
      assert.strictEqual(error.reason._tag, tag)
      assert.strictEqual(error.session, "plant")
      assert.isTrue(network.streams[0]!.destroyed)
      assert.deepStrictEqual(tags(network.peers[0]!.packets), ["Connect"])
      // The owner never had the connection.
      assert.deepStrictEqual([owner.batches, owner.closed], [[], []])
    }
  }))

it.effect("fails when the server ends the stream before CONNACK", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(Effect.map(peer.received("Connect"), () => peer.end()))
    })
    const error = yield* openWith().pipe(onNetwork(network), Effect.flip)
    assert.strictEqual(error.reason._tag, "ConnectionRefused")
    assert.isTrue(error.isRetryable)
  }))

it.effect("fails when CONNACK takes longer than the connect timeout", () =>
  Effect.gen(function*() {
    const network = memoryNetwork()
    const fiber = yield* openWith({ connectTimeout: 3000 }).pipe(onNetwork(network), Effect.flip, Effect.forkChild)
    yield* TestClock.adjust("2999 millis")
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust("1 millis")
    const error = yield* Fiber.join(fiber)
    assert.strictEqual(error.reason._tag, "Timeout")
    assert.isTrue(network.streams[0]!.destroyed)
  }))

it.effect("fails with InvalidOptions for a CONNECT that cannot be encoded, without opening a socket", () =>
  Effect.gen(function*() {
    const network = memoryNetwork()
    const error = yield* openWith({ connect: { clientId: "a\u0000b" } }).pipe(onNetwork(network), Effect.flip)
    assert.strictEqual(error.reason._tag, "InvalidOptions")
    assert.deepStrictEqual(network.streams, [])
  }))

it.effect("releases the socket of a failed attempt at once, whatever scope it was opened in", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork({ reasonCode: 0x88 })
    const scope = yield* Scope.make()
    yield* openWith().pipe(Scope.provide(scope), onNetwork(network), Effect.exit)
    assert.isTrue(network.streams[0]!.destroyed)
    yield* Scope.close(scope, Exit.void)
  }))

it.live("informs its owner once when the server ends the connection", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { connection, owner } = yield* openWith({ address: server.address })
    const peer = yield* server.peer()
    peer.end()
    yield* within(2000)(Deferred.await(owner.ended))
    yield* connection.close(0)
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["ConnectionLost"])
    assert.deepStrictEqual(connection.send([publish()]), { _tag: "NotSent", sent: 0, failure: undefined })
  }))

it.live("reports the network's code when the connection is reset", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { owner } = yield* openWith({ address: server.address })
    yield* server.peer()
    for (const socket of server.sockets) {
      socket.resetAndDestroy()
    }
    const error = yield* Deferred.await(owner.ended)
    assert.strictEqual(error.reason._tag === "ConnectionLost" ? error.reason.code : error.reason._tag, "ECONNRESET")
  }))

it.effect("takes a DISCONNECT of the server as the classified end, and closes the connection [MQTT5-4.13.2-1]", () =>
  Effect.gen(function*() {
    const cases = [
      [0x8e, "SessionTakenOver"],
      [0x8b, "ConnectionLost"],
      [0x82, "ProtocolViolation"],
      [0x9d, "ServerMoved"],
      [0x00, "ConnectionLost"]
    ] as const
    for (const [reasonCode, tag] of cases) {
      const network = acceptingNetwork()
      const { owner } = yield* openWith().pipe(onNetwork(network))
      const peer = network.peers[0]!
      peer.send(publish(), { _tag: "Disconnect", reasonCode, properties: { reasonString: "why" } }, publish())
      assert.deepStrictEqual(tags(owner.packets), ["Connack", "Publish", "Disconnect"])
      assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), [tag])
      // Nothing is sent to a server that has said good-bye.
      assert.deepStrictEqual(tags(peer.packets), ["Connect"])
      assert.isTrue(peer.closed)
    }
  }))

it.live("sends nothing after DISCONNECT and closes the connection [MQTT3-3.14.4-1] [MQTT3-3.14.4-2] [MQTT5-3.14.4-1] [MQTT5-3.14.4-2]", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    for (const protocolVersion of [4, 5] as const) {
      const { connection } = yield* openWith({ address: server.address, protocolVersion })
      connection.send([publish()])
      const closing = yield* Effect.forkChild(connection.close(0), { startImmediately: true })
      assert.deepStrictEqual(connection.send([publish()]), { _tag: "NotSent", sent: 0, failure: undefined })
      yield* Fiber.join(closing)
      assert.deepStrictEqual(connection.send([publish()]), { _tag: "NotSent", sent: 0, failure: undefined })
    }
    for (const peer of server.peers) {
      yield* peer.gone
      assert.deepStrictEqual(tags(peer.packets), ["Connect", "Publish", "Disconnect"])
    }
  }))

it.live("puts reason code and session expiry interval into DISCONNECT on MQTT 5", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { connection, owner } = yield* openWith({ address: server.address })
    yield* connection.close(ReasonCode.disconnectWithWillMessage, 30)
    const peer = yield* server.peer()
    assert.deepStrictEqual(yield* peer.received("Disconnect"), {
      _tag: "Disconnect",
      reasonCode: ReasonCode.disconnectWithWillMessage,
      properties: { sessionExpiryInterval: 30 }
    })
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Closed"])
  }))

it.live("leaves a 3.1.1 server without DISCONNECT when the will is to be published", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { connection } = yield* openWith({ address: server.address, protocolVersion: 4 })
    yield* connection.close(ReasonCode.disconnectWithWillMessage)
    const peer = yield* server.peer()
    yield* peer.gone
    assert.deepStrictEqual(tags(peer.packets), ["Connect"])
  }))

it.effect("closes within a second when the peer does not end", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { connection, owner } = yield* openWith().pipe(onNetwork(network))
    network.streams[0]!.obliging = false
    const closing = yield* Effect.forkChild(connection.close(0), { startImmediately: true })
    yield* network.peers[0]!.received("Disconnect")
    yield* TestClock.adjust("899 millis")
    assert.isUndefined(closing.pollUnsafe())
    yield* TestClock.adjust("101 millis")
    yield* Fiber.join(closing)
    assert.isTrue(network.streams[0]!.destroyed)
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Closed"])
  }))

it.effect("ends at once with its scope, whatever the peer does", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const scope = yield* Scope.make()
    const { connection, owner } = yield* openWith().pipe(Scope.provide(scope), onNetwork(network))
    network.streams[0]!.obliging = false
    const closing = yield* Effect.forkChild(connection.close(0), { startImmediately: true })
    yield* Scope.close(scope, Exit.void)
    yield* Fiber.join(closing)
    assert.isTrue(network.streams[0]!.destroyed)
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Closed"])
  }))

it.live("counts bytes and packets of both directions", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { connection, owner } = yield* openWith({ address: server.address })
    const peer = yield* server.peer()
    connection.send([publish(), publish()])
    yield* peer.until(() => peer.packets.length === 3)
    peer.send(publish(), { _tag: "Pingresp" })
    yield* owner.until(() => owner.packets.length === 3)
    yield* connection.close(0)
    yield* peer.gone
    const bytes = peer.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    // CONNACK 5, PUBLISH 11, PINGRESP 2.
    assert.deepStrictEqual({ ...connection.counters }, {
      bytesSent: bytes,
      packetsSent: 4,
      bytesReceived: 18,
      packetsReceived: 3
    })
  }))

it.effect("contains a handler that throws: DISCONNECT 0x83, and the typed end [MQTT3-4.8.0-2]", () =>
  Effect.gen(function*() {
    for (const protocolVersion of [4, 5] as const) {
      const network = acceptingNetwork()
      const { owner } = yield* openWith({ protocolVersion }).pipe(onNetwork(network))
      const thrown = new Error("broken handler")
      owner.answer = () => {
        throw thrown
      }
      const peer = network.peers[0]!
      peer.send(publish())
      assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["Unexpected"])
      assert.strictEqual(owner.closed[0]!.cause, thrown)
      assert.deepStrictEqual(
        peer.packets.slice(1).map((packet) => packet._tag === "Disconnect" && packet.reasonCode),
        protocolVersion === 5 ? [ReasonCode.implementationSpecificError] : []
      )
    }
  }))

it.effect("contains a handler of the end that throws", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const owner = new Owner()
    const closed: Array<string> = []
    const handlers = Object.assign(Object.create(owner) as Owner, {
      onClosed: () => {
        closed.push("closed")
        throw new Error("broken handler")
      }
    })
    yield* openWith({}, handlers).pipe(onNetwork(network))
    network.peers[0]!.end()
    assert.deepStrictEqual(closed, ["closed"])
  }))

it.effect("closes with the reason code of a violation that its owner finds", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { owner } = yield* openWith().pipe(onNetwork(network))
    owner.answer = () => ({
      reasonCode: ReasonCode.receiveMaximumExceeded,
      kind: "receive-maximum",
      detail: "too many"
    })
    const peer = network.peers[0]!
    peer.send(publish(), publish())
    peer.send(publish())
    assert.strictEqual(owner.batches.length, 2)
    assert.strictEqual((yield* peer.received("Disconnect")).reasonCode, ReasonCode.receiveMaximumExceeded)
    assert.strictEqual(owner.closed[0]?.reason._tag, "ProtocolViolation")
  }))

it.effect("fails to open when its owner finds a violation in CONNACK", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork({ sessionPresent: true })
    const owner = new Owner()
    owner.answer = () => ({ reasonCode: ReasonCode.protocolError, kind: "session-present", detail: "no such session" })
    const error = yield* openWith({}, owner).pipe(onNetwork(network), Effect.flip)
    assert.strictEqual(error.reason._tag, "ProtocolViolation")
    assert.strictEqual((yield* network.peers[0]!.received("Disconnect")).reasonCode, ReasonCode.protocolError)
    assert.deepStrictEqual(owner.closed, [])
  }))

it.effect("takes bytes before CONNECT as a violation", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => peer.send(connack()))
    const error = yield* openWith({ protocolVersion: 4 }).pipe(onNetwork(network), Effect.flip)
    assert.strictEqual(error.reason._tag, "ProtocolViolation")
    assert.isTrue(network.streams[0]!.destroyed)
  }))

it.live("leaves no socket when it is interrupted at any moment", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: (peer: Peer) => Effect.delay(accepting()(peer), 3) })
    const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
    for (let index = 0; index < 60; index++) {
      const owner = new Owner()
      const fiber = yield* Effect.scoped(openWith({ address: server.address }, owner)).pipe(Effect.forkChild)
      if (index % 3 === 0) {
        for (let turn = 0; turn < index / 3; turn++) {
          yield* Effect.callback<void>((resume) => {
            setImmediate(() => resume(Effect.void))
          })
        }
      } else {
        yield* Effect.sleep(index / 8)
      }
      yield* Fiber.interrupt(fiber)
      assert.isAtMost(owner.closed.length, 1)
    }
    yield* Effect.repeat(Effect.sleep(5), { until: () => server.sockets.size === 0 })
    // The connect timeout, the keep alive and the linger are gone as well.
    const after = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
    assert.isAtMost(after, before + 1)
  }))
