import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { accepting, connack, listen, memoryNetwork, type Peer } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, Owner } from "./client.ts"

type Bytes = ReadonlyArray<number>

const topic: Bytes = [0, 3, 0x61, 0x2f, 0x62]

/** In place of CONNACK: title, version, bytes, reason code. */
const beforeConnack: ReadonlyArray<readonly [string, ProtocolVersion, Bytes, number]> = [
  ["fails to open within a second on a CONNACK with a cut property", 5, [0x20, 5, 0, 0, 2, 0x21, 0], 0x81],
  [
    "fails to open within a second on a CONNACK with a property twice",
    5,
    [0x20, 9, 0, 0, 6, 0x21, 0, 1, 0x21, 0, 1],
    0x82
  ],
  ["fails to open within a second on a CONNACK with reserved flag bits [MQTT5-3.2.2-1]", 5, [0x20, 3, 2, 0, 0], 0x81],
  ["fails to open within a second on a CONNACK that ends too early", 5, [0x20, 1, 0], 0x81],
  ["fails to open within a second on a CONNACK with bytes behind it", 4, [0x20, 3, 0, 0, 0], 0x81],
  ["fails to open within a second on a PUBLISH before CONNACK [MQTT5-3.2.0-1]", 5, [0x30, 6, ...topic, 0], 0x82],
  ["fails to open within a second on a PINGRESP before CONNACK [MQTT3-3.2.0-1]", 4, [0xd0, 0], 0x82],
  ["fails to open within a second on an AUTH without an authentication method", 5, [
    0xf0,
    2,
    0x18,
    0
  ], 0x82],
  ["fails to open within a second on a DISCONNECT before CONNACK [MQTT5-3.14.0-1]", 5, [0xe0, 0], 0x82],
  ["fails to open within a second on an answer of another protocol", 5, [
    ...Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")
  ], 0x81]
]

/** On an open connection. */
const afterConnack: ReadonlyArray<readonly [string, ProtocolVersion, Bytes, number]> = [
  ["closes within a second on a second CONNACK [MQTT5-3.2.0-2]", 5, [0x20, 3, 0, 0, 0], 0x82],
  ["closes within a second on a QoS 1 PUBLISH without packet identifier", 5, [0x32, 5, ...topic], 0x81],
  ["closes within a second on a QoS 1 PUBLISH without packet identifier on 3.1.1", 4, [0x32, 5, ...topic], 0x81],
  ["closes within a second on a QoS 2 PUBLISH with packet identifier 0", 5, [0x34, 8, ...topic, 0, 0, 0], 0x82],
  ["closes within a second on a PUBLISH with QoS 3", 5, [0x36, 8, ...topic, 0, 1, 0], 0x81],
  ["closes within a second on a QoS 0 PUBLISH with DUP", 5, [0x38, 6, ...topic, 0], 0x81],
  ["closes within a second on a PUBREL of one byte", 5, [0x62, 1, 0], 0x81],
  ["closes within a second on a PUBREL of one byte on 3.1.1", 4, [0x62, 1, 0], 0x81],
  ["closes within a second on a wildcard in a topic name", 5, [0x30, 6, 0, 3, 0x61, 0x2f, 0x23, 0], 0x81],
  ["closes within a second on a null character in a topic name", 5, [0x30, 6, 0, 3, 0x61, 0, 0x62, 0], 0x81],
  ["closes within a second on a null character in a topic name on 3.1.1", 4, [0x30, 5, 0, 3, 0x61, 0, 0x62], 0x81],
  ["closes within a second on a topic name that is not UTF-8", 5, [0x30, 6, 0, 3, 0xff, 0xfe, 0x61, 0], 0x81],
  ["closes within a second on a topic name longer than its packet", 5, [0x30, 6, 0, 99, 0x61, 0x2f, 0x62, 0], 0x81],
  ["closes within a second on topic alias 0", 5, [0x30, 9, ...topic, 3, 0x23, 0, 0], 0x94],
  ["closes within a second on a property length beyond the packet", 5, [0x30, 6, ...topic, 9], 0x81],
  ["closes within a second on an unknown property", 5, [0x30, 8, ...topic, 2, 0x7f, 0], 0x81],
  ["closes within a second on a remaining length of five bytes", 5, [0x30, 0xff, 0xff, 0xff, 0xff, 0x7f], 0x81],
  ["closes within a second on a packet over the maximum packet size", 5, [0x30, 0xff, 0xff, 0x7f], 0x95],
  ["closes within a second on a SUBACK without reason codes", 5, [0x90, 3, 0, 1, 0], 0x82],
  ["closes within a second on a PINGRESP with a body", 5, [0xd0, 1, 0], 0x81],
  ["closes within a second on a reserved packet type", 5, [0x00, 0], 0x81],
  ["closes within a second on reserved fixed header flags", 5, [0x41, 4, 0, 1, 0, 0], 0x81],
  ["closes within a second on a packet that only clients send", 5, [0x82, 9, 0, 1, 0, 0, 3, 0x61, 0x2f, 0x62, 0], 0x82],
  ["closes within a second on an AUTH without an authentication method", 5, [0xf0, 2, 0x18, 0], 0x82],
  ["closes within a second on a DISCONNECT of a 3.1.1 server", 4, [0xe0, 0], 0x82]
]

const refused = (peer: Peer, version: ProtocolVersion, reasonCode: number): void =>
  assert.deepStrictEqual(
    peer.packets.slice(1).map((packet) => packet._tag === "Disconnect" && packet.reasonCode),
    version === 5 ? [reasonCode] : []
  )

for (const [title, version, bytes, reasonCode] of beforeConnack) {
  it.live(title, () =>
    Effect.gen(function*() {
      const server = yield* listen({
        serve: (peer) => Effect.map(peer.received("Connect"), () => peer.sendBytes(bytes))
      })
      const owner = new Owner()
      const [peer, error] = yield* within(1000)(Effect.gen(function*() {
        const error = yield* Effect.flip(openWith({ address: server.address, protocolVersion: version }, owner))
        const peer = yield* server.peer()
        yield* peer.gone
        return [peer, error] as const
      }))
      assert.strictEqual(error.reason._tag === "ProtocolViolation" ? error.reason.reasonCode : undefined, reasonCode)
      assert.deepStrictEqual([owner.batches, owner.closed], [[], []])
      refused(peer, version, reasonCode)
    }))
}

for (const [title, version, bytes, reasonCode] of afterConnack) {
  it.live(title, () =>
    Effect.gen(function*() {
      const server = yield* listen({ serve: accepting() })
      const { owner } = yield* openWith({ address: server.address, protocolVersion: version })
      const peer = yield* server.peer()
      peer.sendBytes([0x30, version === 5 ? 6 : 5, ...topic, ...(version === 5 ? [0] : []), ...bytes])
      const error = yield* within(1000)(Effect.tap(Deferred.await(owner.ended), peer.gone))
      assert.strictEqual(error.reason._tag === "ProtocolViolation" ? error.reason.reasonCode : undefined, reasonCode)
      // The valid packet in front of the malformed one counts.
      assert.deepStrictEqual(owner.packets.map((packet) => packet._tag), ["Connack", "Publish"])
      refused(peer, version, reasonCode)
    }))
}

it.effect("closes the connection on a malformed packet, with DISCONNECT 0x81 on MQTT 5 [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-2.2.2-2] [MQTT3-3.3.1-4] [MQTT3-4.8.0-1] [MQTT5-3.14.1-1] [MQTT5-3.15.1-1] [MQTT5-4.13.2-1]", () =>
  Effect.gen(function*() {
    const malformed: ReadonlyArray<readonly [ProtocolVersion, Bytes]> = [
      [4, [0x30, 5, 0, 3, 0xff, 0xfe, 0x61]],
      [4, [0x30, 5, 0, 3, 0x61, 0, 0x62]],
      [4, [0x41, 2, 0, 1]],
      [4, [0x36, 7, ...topic, 0, 1]],
      [5, [0x30, 6, 0, 3, 0xff, 0xfe, 0x61, 0]],
      [5, [0xe1, 0]],
      [5, [0xf1, 2, 0x18, 0]]
    ]
    for (const [protocolVersion, bytes] of malformed) {
      const network = memoryNetwork((peer) => {
        Effect.runFork(accepting()(peer))
      })
      const { owner } = yield* openWith({ protocolVersion }).pipe(Effect.provideService(Transport, network.transport))
      const peer = network.peers[0]!
      peer.sendBytes(bytes)
      assert.isTrue(peer.closed)
      assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["ProtocolViolation"])
      refused(peer, protocolVersion, 0x81)
    }
  }))

it.effect("gives a hostile peer that never ends the stream one second", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(accepting()(peer))
    })
    const { owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
    const stream = network.streams[0]!
    stream.obliging = false
    const peer = network.peers[0]!
    peer.sendBytes([0, 0])
    assert.deepStrictEqual([stream.ended, owner.closed], [true, []])
    // What it still sends is not even looked at.
    peer.sendBytes([0x30, 6, ...topic, 0])
    yield* TestClock.adjust("1 second")
    assert.isTrue(stream.destroyed)
    assert.deepStrictEqual(owner.closed.map((error) => error.reason._tag), ["ProtocolViolation"])
    assert.deepStrictEqual(owner.packets.map((packet) => packet._tag), ["Connack"])
  }))

it.live("leaves no deaf socket behind a hostile peer that keeps its half of a TCP connection open", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting(), halfOpen: true })
    const { owner } = yield* openWith({ address: server.address })
    const peer = yield* server.peer()
    peer.sendBytes([0x62, 1, 0])
    yield* within(1000)(Deferred.await(owner.ended))
    // Whoever writes to a socket that is gone is told so.
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sync(() => peer.sendBytes([0])), Effect.sleep(5))))
    yield* peer.gone
  }))

it.effect("says protocol error where its owner names a code that DISCONNECT does not define [MQTT5-3.14.2-1]", () =>
  Effect.gen(function*() {
    const network = memoryNetwork((peer) => {
      Effect.runFork(accepting()(peer))
    })
    const { owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
    owner.answer = () => ({ reasonCode: 0x84, kind: "test", detail: "test" })
    const peer = network.peers[0]!
    peer.sendBytes([0x30, 6, ...topic, 0])
    refused(peer, 5, 0x82)
    assert.isTrue(peer.closed)
  }))

it.live("closes within a second when reading is paused and more lies unread", () =>
  Effect.gen(function*() {
    const server = yield* listen({ serve: accepting() })
    const { connection, owner } = yield* openWith({ address: server.address })
    owner.answer = () => {
      connection.pause()
      return { reasonCode: 0x82, kind: "test", detail: "test" }
    }
    const peer = yield* server.peer()
    peer.sendBytes(Buffer.concat(Array.from({ length: 200_000 }, () => Buffer.from([0x30, 6, ...topic, 0]))))
    yield* within(800)(Deferred.await(owner.ended))
    yield* peer.gone
  }))

it.live("takes a CONNACK and a malformed packet in one chunk in their order", () =>
  Effect.gen(function*() {
    const server = yield* listen({
      serve: (peer) =>
        Effect.map(peer.received("Connect"), () => {
          peer.sendBytes([0x20, 3, 0, 0, 0, 0x62, 1, 0])
        })
    })
    const owner = new Owner()
    const exit = yield* Effect.exit(openWith({ address: server.address }, owner))
    // CONNACK was accepted and the end follows at once: either the opening fails with it or the owner is told, never
    // both.
    if (exit._tag === "Success") {
      yield* Deferred.await(owner.ended)
      assert.strictEqual(owner.closed.length, 1)
    } else {
      assert.deepStrictEqual(owner.closed, [])
    }
    assert.deepStrictEqual(owner.batches[0], [connack()])
  }))

it.live("survives whatever a server sends, in any chunking: one typed end, no exception, no open stream", () =>
  Effect.gen(function*() {
    const random = makeRandom(20_260_101)
    for (let round = 0; round < 1500; round++) {
      const protocolVersion = random(2) === 0 ? 4 : 5
      const opening = random(3) === 0
      const network = memoryNetwork((peer) => {
        if (!opening) {
          Effect.runFork(accepting()(peer))
        }
      })
      const owner = new Owner()
      const fiber = yield* openWith({ protocolVersion, maximumPacketSize: 5000 }, owner).pipe(
        Effect.provideService(Transport, network.transport),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      const peer = network.peers[0]!
      const bytes = hostileBytes(random, protocolVersion)
      for (let position = 0; position < bytes.length;) {
        const size = 1 + random(bytes.length)
        peer.sendBytes(bytes.slice(position, position + size))
        position += size
      }
      peer.end()
      const exit = yield* Fiber.join(fiber)
      assert.isTrue(network.streams[0]!.destroyed)
      assert.strictEqual(owner.closed.length, exit._tag === "Success" ? 1 : 0)
      assert.include(
        [
          "ProtocolViolation",
          "ConnectionLost",
          "SessionTakenOver",
          "NotAuthorized",
          "BadCredentials",
          "ServerMoved",
          undefined
        ],
        owner.closed[0]?.reason._tag
      )
    }
  }))

/** Mulberry32: the same numbers in every run. */
const makeRandom = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

/** Valid and hostile packets, some bytes of them changed. */
const hostileBytes = (random: (below: number) => number, version: ProtocolVersion): Array<number> => {
  const corpus = [...beforeConnack, ...afterConnack].filter((entry) => entry[1] === version).map((entry) => entry[2])
  const valid: ReadonlyArray<Bytes> = version === 5
    ? [[0x20, 3, 0, 0, 0], [0x30, 6, ...topic, 0], [0x40, 2, 0, 1], [0xd0, 0], [0xe0, 1, 0x8e], [0xe0, 0], [
      0x90,
      4,
      0,
      1,
      0,
      1
    ]]
    : [[0x20, 2, 0, 0], [0x30, 5, ...topic], [0x40, 2, 0, 1], [0xd0, 0], [0x90, 3, 0, 1, 1]]
  const bytes: Array<number> = []
  for (let count = 1 + random(6); count > 0; count--) {
    const source = random(3) === 0 ? corpus : valid
    bytes.push(...source[random(source.length)]!)
  }
  for (let count = random(3); count > 0; count--) {
    bytes[random(bytes.length)] = random(256)
  }
  return bytes
}
