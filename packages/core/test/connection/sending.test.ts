/**
 * `Connection.send` reports as sent what has left, and nothing else: not while the connection is closing, closed or
 * broken.
 */
import * as Certificates from "@effect-mqttx/testing/Certificates"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  accepting,
  listen,
  type ListenOptions,
  type MemoryNetwork,
  memoryNetwork,
  type Peer
} from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import type { NotSent } from "../../src/internal/connection/contract.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, publish } from "./client.ts"

const certificates = await Effect.runPromise(Certificates.make)
const tls = { ca: [certificates.ca], insecureSkipVerify: false, minVersion: "TLSv1.2" as const }

const networks: ReadonlyArray<ListenOptions & { readonly protocol: "tcp" | "tls" | "ws" | "wss" }> = [
  { protocol: "tcp" },
  { protocol: "tls", tls: certificates.server },
  { protocol: "ws" },
  { protocol: "wss", tls: certificates.server }
]

const acceptingNetwork = (): MemoryNetwork =>
  memoryNetwork((peer) => {
    Effect.runFork(accepting()(peer))
  })

const openIn = (network: MemoryNetwork, protocolVersion: 4 | 5 = 5) =>
  openWith({ protocolVersion }).pipe(Effect.provideService(Transport, network.transport))

const notSent = (sent: number): NotSent => ({ _tag: "NotSent", sent, failure: undefined })

const topics = (peer: Peer): ReadonlyArray<string> =>
  peer.packets.flatMap((packet) => packet._tag === "Publish" ? [packet.topic] : [])

/** Beyond what is joined to one write. */
const large = new Uint8Array(100_000)

describe.each([4, 5] as const)("version %s", (version) => {
  it.effect("answers NotSent from the moment on when the connection begins to close", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection } = yield* openIn(network, version)
      network.streams[0]!.obliging = false
      const closing = yield* Effect.forkChild(connection.close(0), { startImmediately: true })
      assert.deepStrictEqual(connection.send([publish()]), notSent(0))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(connection.send([publish()]), notSent(0))
      assert.deepStrictEqual(topics(network.peers[0]!), [])
    }))

  it.effect("answers NotSent after a violation, while DISCONNECT is being sent", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      network.streams[0]!.obliging = false
      network.peers[0]!.sendBytes([0x00, 0x00])
      assert.deepStrictEqual(connection.send([publish()]), notSent(0))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ProtocolViolation")
      assert.deepStrictEqual(topics(network.peers[0]!), [])
    }))

  it.effect("answers NotSent when the stream has closed, and loses the connection though the stream keeps silent", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      network.streams[0]!.fault = () => "closed"
      assert.deepStrictEqual(connection.send([publish(), publish()]), notSent(0))
      assert.deepStrictEqual(owner.closed, [])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
      assert.isTrue(network.streams[0]!.destroyed)
    }))

  for (const fault of ["throws", "closes"] as const) {
    it.effect(`reports how many packets have left when the stream ${fault} in the middle of several chunks`, () =>
      Effect.gen(function*() {
        const network = acceptingNetwork()
        const { connection, owner } = yield* openIn(network, version)
        // CONNECT was the first write; a large payload is a write of its own.
        network.streams[0]!.fault = (index) => {
          if (index < 4) return undefined
          if (fault === "closes") return "closed"
          throw new Error("the cable burns")
        }
        const packets = ["1", "2", "3", "4"].map((topic) => publish({ topic, payload: large }))
        const answer = connection.send([publish({ topic: "0" }), ...packets])
        // The header of the second large one has left, its payload has not.
        assert.deepStrictEqual(answer, notSent(2))
        assert.deepStrictEqual(topics(network.peers[0]!), ["0", "1"])
        assert.deepStrictEqual(connection.send([publish()]), notSent(0))
        yield* TestClock.adjust("1 second")
        const error = yield* Deferred.await(owner.ended)
        assert.strictEqual(error.reason._tag, "ConnectionLost")
        assert.strictEqual(connection.counters.packetsSent, 1 + 2)
      }))
  }

  it.effect("sends the packets before one that cannot be encoded, names it, and closes", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      const answer = connection.send([publish({ topic: "1" }), publish({ topic: "\u0000" }), publish({ topic: "2" })])
      assert.strictEqual(answer._tag, "NotSent")
      if (answer._tag === "NotSent") {
        assert.strictEqual(answer.sent, 1)
        assert.strictEqual(answer.failure?.packet, "Publish")
        assert.match(answer.failure?.detail ?? "", /U\+0000|NUL|topic/)
      }
      const error = yield* Deferred.await(owner.ended)
      assert.strictEqual(error.reason._tag, "Unexpected")
      assert.match(error.message, /cannot encode Publish/)
      assert.deepStrictEqual(topics(network.peers[0]!), ["1"])
      assert.strictEqual(network.peers[0]!.packets.at(-1)?._tag, version === 5 ? "Disconnect" : "Publish")
    }))

  it.effect("appended packets leave with the next write, as they were when they were appended", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection } = yield* openIn(network, version)
      const payload = new Uint8Array([1])
      assert.isTrue(connection.sender.append(publish({ topic: "1", payload })))
      assert.isTrue(connection.sender.append(publish({ topic: "2" })))
      payload[0] = 2
      assert.isAbove(connection.sender.appendedBytes, 0)
      assert.deepStrictEqual(topics(network.peers[0]!), [])
      assert.deepStrictEqual(connection.send([publish({ topic: "3" })]), { _tag: "Sent" })
      assert.deepStrictEqual(topics(network.peers[0]!), ["1", "2", "3"])
      const [, first] = network.peers[0]!.packets
      assert.deepInclude(first, { payload: new Uint8Array([1]) })
      assert.isTrue(connection.sender.append(publish({ topic: "4" })))
      assert.deepStrictEqual(connection.send([]), { _tag: "Sent" })
      assert.deepStrictEqual(topics(network.peers[0]!), ["1", "2", "3", "4"])
      assert.strictEqual(connection.sender.appendedBytes, 0)
      assert.strictEqual(connection.counters.packetsSent, 1 + 4)
      assert.deepStrictEqual(connection.sender.unsent, [])
    }))

  for (const fault of ["throws", "closes"] as const) {
    it.effect(`keeps the appended packets that have not left when the stream ${fault}`, () =>
      Effect.gen(function*() {
        const network = acceptingNetwork()
        const { connection, owner } = yield* openIn(network, version)
        // CONNECT was the first write; so many bytes are more than one.
        network.streams[0]!.fault = (index) => {
          if (index < 2) return undefined
          if (fault === "closes") return "closed"
          throw new Error("the cable burns")
        }
        const payload = new Uint8Array(4000)
        const all = Array.from({ length: 60 }, (_, index) => `t/${index}`)
        for (const topic of all) {
          assert.isTrue(connection.sender.append(publish({ topic, payload, retain: topic === "t/59" })))
        }
        assert.deepStrictEqual(connection.send([publish({ topic: "behind" })]), notSent(0))
        const left = topics(network.peers[0]!)
        assert.isAbove(left.length, 0)
        assert.isBelow(left.length, 60)
        assert.isFalse(connection.sender.append(publish()))
        yield* TestClock.adjust("1 second")
        yield* Deferred.await(owner.ended)
        const unsent = connection.sender.unsent
        assert.deepStrictEqual([...left, ...unsent.map(({ topic }) => topic)], all)
        assert.deepInclude(unsent.at(-1), { retain: true, payload, qos: 0 })
        assert.strictEqual(connection.counters.packetsSent, 1 + left.length)
      }))
  }

  it.effect("keeps the appended packets that no write took before the network was gone", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      assert.isTrue(connection.sender.append(publish({ topic: "1" })))
      network.peers[0]!.end()
      yield* Deferred.await(owner.ended)
      assert.deepStrictEqual(connection.sender.unsent.map(({ topic }) => topic), ["1"])
      assert.deepStrictEqual(topics(network.peers[0]!), [])
    }))

  it.effect("keeps the appended packets when the connection breaks, because they may be lost on it", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      assert.isTrue(connection.sender.append(publish({ topic: "1" })))
      network.peers[0]!.sendBytes([0x00, 0x00])
      yield* Deferred.await(owner.ended)
      assert.deepStrictEqual(connection.sender.unsent.map(({ topic }) => topic), ["1"])
      assert.deepStrictEqual(topics(network.peers[0]!), [])
    }))

  it.effect("appended packets leave before DISCONNECT when the connection is closed in order", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection } = yield* openIn(network, version)
      assert.isTrue(connection.sender.append(publish({ topic: "1" })))
      yield* connection.close(0)
      assert.deepStrictEqual(network.peers[0]!.packets.map(({ _tag }) => _tag), ["Connect", "Publish", "Disconnect"])
      assert.deepStrictEqual(connection.sender.unsent, [])
    }))

  it.effect("takes a packet that makes the encoder throw as one that cannot be encoded", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openIn(network, version)
      const answer = connection.send([publish({ topic: "1" }), publish({ payload: null as unknown as Uint8Array })])
      assert.deepInclude(answer, { _tag: "NotSent", sent: 1 })
      assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "Unexpected")
    }))

  describe.each(networks)("over $protocol", (options) => {
    const open = Effect.fnUntraced(function*(more: ListenOptions = {}) {
      const listener = yield* listen({ ...options, ...more, serve: accepting() })
      const scope = yield* Scope.fork(yield* Effect.scope)
      const { connection, owner } = yield* openWith({
        address: listener.address,
        tls,
        protocolVersion: version,
        connect: { keepAlive: 0 }
      }).pipe(Scope.provide(scope))
      return { listener, scope, connection, owner, peer: yield* listener.peer() }
    })

    it.live("packets that were answered with Sent have left, although the scope ends in the same turn", () =>
      Effect.gen(function*() {
        const { connection, peer, scope } = yield* open()
        const answers = ["1", "2", "3"].map((topic) => connection.send([publish({ topic })])._tag)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(answers, ["Sent", "Sent", "Sent"])
        yield* peer.gone
        assert.deepStrictEqual(topics(peer), ["1", "2", "3"])
      }))

    it.live("is lost at once when the server ends its half of the connection, also while it does not read", () =>
      Effect.gen(function*() {
        const { connection, listener, owner, peer } = yield* open({ halfOpen: true })
        peer.pause()
        // More than the network between them holds.
        let sent = 0
        while (connection.send([publish({ payload: large })])._tag === "Sent") sent++
        yield* Effect.sleep(20)
        while (sent++ < 200) connection.send([publish({ payload: large })])
        for (const socket of listener.sockets) socket.end()
        for (const socket of listener.tlsSockets) socket.end()
        const error = yield* within(2000)(Deferred.await(owner.ended))
        assert.strictEqual(error.reason._tag, "ConnectionLost")
        assert.deepStrictEqual(connection.send([publish()]), notSent(0))
      }))

    it.live("reports exactly what leaves while the server closes", () =>
      Effect.gen(function*() {
        const { connection, listener, owner, peer } = yield* open({ halfOpen: true })
        const reported: Array<string> = []
        const turn = Effect.callback<void>((resume) => {
          setImmediate(() => resume(Effect.void))
        })
        for (let index = 0; index < 400 && owner.closed.length === 0; index++) {
          const names = Array.from({ length: 10 }, (_, i) => `${index}/${i}`)
          const answer = connection.send(names.map((topic) => publish({ topic })))
          reported.push(...(answer._tag === "NotSent" ? names.slice(0, answer.sent) : names))
          if (index === 20) peer.end()
          yield* turn
        }
        assert.strictEqual((yield* Deferred.await(owner.ended)).reason._tag, "ConnectionLost")
        for (const webSocket of listener.webSockets) webSocket.terminate()
        yield* within(2000)(peer.until(() => topics(peer).length >= reported.length))
        assert.deepStrictEqual(topics(peer), reported)
        assert.isAbove(reported.length, 200)
        assert.isBelow(reported.length, 4000)
      }))
  })
})

/** The bytes of the network below a WebSocket, past the server's own framing. */
const rawWrite = (listener: { readonly webSockets: ReadonlyArray<unknown> }, bytes: ReadonlyArray<number>): void => {
  const { _socket } = listener.webSockets[0] as { readonly _socket: { write: (bytes: Uint8Array) => void } }
  _socket.write(Uint8Array.from(bytes))
}

describe.each(["ws", "wss"] as const)("over %s", (protocol) => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["a close frame", [0x88, 0x02, 0x03, 0xe8]],
    ["a close frame without a code", [0x88, 0x00]],
    ["a frame with reserved bits", [0xf2, 0x00]],
    ["a frame with an unknown opcode", [0x83, 0x00]],
    ["a masked frame", [0x82, 0x80, 0, 0, 0, 0]],
    ["a close frame with an invalid code", [0x88, 0x02, 0x00, 0x00]],
    ["a text frame that is not UTF-8", [0x81, 0x01, 0xff]],
    ["a message in 20,000 fragments", [2, 1, 0x30, ...Array.from({ length: 20_000 }, () => [0, 1, 0xff]).flat()]],
    ["a message that is larger than the maximum packet size by far", [0x82, 127, 0, 0, 0, 0, 0x10, 0, 0, 0]]
  ]
  for (const [title, bytes] of cases) {
    it.live(`is lost at once after ${title}, though the server leaves the network open`, () =>
      Effect.gen(function*() {
        const listener = yield* listen({ protocol, tls: certificates.server, serve: accepting() })
        const { connection, owner } = yield* openWith({ address: listener.address, tls, connect: { keepAlive: 0 } })
        const peer = yield* listener.peer()
        peer.send(publish({ topic: "before" }))
        rawWrite(listener, bytes)
        const error = yield* within(2000)(Deferred.await(owner.ended))
        assert.strictEqual(error.reason._tag, "ConnectionLost")
        assert.deepStrictEqual(
          owner.packets.map((packet) => packet._tag === "Publish" ? packet.topic : packet._tag),
          ["Connack", "before"]
        )
        assert.deepStrictEqual(connection.send([publish()]), notSent(0))
        yield* within(2000)(peer.gone)
      }))
  }
})
