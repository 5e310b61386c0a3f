/**
 * What a peer can make a connection do in one turn, hold before CONNACK, and answer without being read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { accepting, connack, listen, memoryNetwork } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import type { Packet } from "../../src/Packet.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, type Owner, publish } from "./client.ts"

const acceptingNetwork = () =>
  memoryNetwork((peer) => {
    Effect.runFork(accepting()(peer))
  })

const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Packets of four bytes, all different. */
const pubrels = (count: number): ReadonlyArray<Packet> =>
  Array.from({ length: count }, (_, index): Packet => ({
    _tag: "Pubrel",
    packetIdentifier: 1 + index,
    reasonCode: 0,
    properties: {}
  }))

const identifiers = (owner: Owner): ReadonlyArray<number> =>
  owner.packets.flatMap((packet) => packet._tag === "Pubrel" ? [packet.packetIdentifier] : [])

const bytesOf = (packets: ReadonlyArray<Packet>): Uint8Array =>
  new Uint8Array(Buffer.concat(packets.map((packet) => encode(packet, 5))))

describe("one turn", () => {
  it.effect("handles a bounded number of packets, and the rest in order in the next ones, while reading is paused", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
      const stream = network.streams[0]!
      const count = 20_000
      network.peers[0]!.sendBytes(bytesOf(pubrels(count)))
      assert.isAtMost(owner.packets.length, 5000)
      assert.isTrue(stream.paused)
      // Not paused by anyone who has to answer for it.
      connection.resume()
      assert.isTrue(stream.paused)
      const seen = [owner.packets.length]
      while (owner.packets.length < 1 + count) {
        yield* turn
        seen.push(owner.packets.length)
      }
      for (let index = 1; index < seen.length; index++) assert.isAtMost(seen[index]! - seen[index - 1]!, 5200)
      yield* turn
      assert.isFalse(stream.paused)
      assert.deepStrictEqual(identifiers(owner), Array.from({ length: count }, (_, index) => 1 + index))
      assert.strictEqual(connection.counters.packetsReceived, 1 + count)
    }))

  it.effect("counts many small chunks together, and keeps what a paused network still delivers", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
      const stream = network.streams[0]!
      const count = 20_000
      const bytes = bytesOf(pubrels(count))
      // Cut across packets.
      for (let position = 0; position < bytes.length; position += 7) {
        network.peers[0]!.sendBytes(bytes.slice(position, position + 7))
      }
      assert.isAtMost(owner.packets.length, 5000)
      assert.isTrue(stream.paused)
      while (stream.paused) yield* turn
      assert.deepStrictEqual(identifiers(owner), Array.from({ length: count }, (_, index) => 1 + index))
    }))

  it.effect("an owner that pauses in the middle still gets what has arrived, and reading stays paused", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
      const stream = network.streams[0]!
      network.peers[0]!.sendBytes(bytesOf(pubrels(9000)))
      connection.pause()
      while (owner.packets.length < 9001) yield* turn
      yield* turn
      assert.isTrue(stream.paused)
      connection.resume()
      assert.isFalse(stream.paused)
    }))

  it.effect("nothing of the rest is handled once the connection has ended", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
      network.peers[0]!.sendBytes(bytesOf(pubrels(9000)))
      const seen = owner.packets.length
      yield* connection.close(0)
      yield* turn
      yield* turn
      assert.strictEqual(owner.packets.length, seen)
      assert.isFalse(network.streams[0]!.paused)
    }))

  it.effect("a violation in the rest ends the connection after what stands before it", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
      const bytes = bytesOf(pubrels(9000))
      network.peers[0]!.sendBytes(Buffer.concat([bytes, Uint8Array.of(0, 0), bytes]))
      const error = yield* Deferred.await(owner.ended)
      assert.strictEqual(error.reason._tag, "ProtocolViolation")
      assert.strictEqual(owner.packets.length, 9001)
    }))

  it.live("is as short while a server floods the connection, on every transport", () =>
    Effect.gen(function*() {
      const rounds = 20
      const flood = bytesOf(Array.from({ length: rounds }, () => pubrels(16_000)).flat())
      for (const protocol of ["tcp", "ws"] as const) {
        const listener = yield* listen({ protocol, serve: accepting() })
        const { connection, owner } = yield* openWith({ address: listener.address, maximumPacketSize: 10_000_000 })
        const peer = yield* listener.peer()
        owner.answer = () => {
          owner.batches.length = 0
          return undefined
        }
        peer.sendBytes(flood)
        const { counters } = connection
        let most = 0
        while (counters.packetsReceived < 1 + rounds * 16_000) {
          const before = counters.packetsReceived
          yield* turn
          most = Math.max(most, counters.packetsReceived - before)
        }
        assert.isBelow(most, 6000, protocol)
      }
    }), 180_000)
})

describe("before CONNACK", () => {
  const cases: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["a CONNACK of 64 KiB", Uint8Array.of(0x20, 0x80, 0x80, 0x04)],
    ["an AUTH of 1 MB", Uint8Array.of(0xf0, 0x80, 0x80, 0x40)]
  ]
  for (const [title, bytes] of cases) {
    it.effect(`refuses ${title} by its header`, () =>
      Effect.gen(function*() {
        const network = memoryNetwork((peer) => {
          Effect.runFork(Effect.map(peer.received("Connect"), () => peer.sendBytes(bytes)))
        })
        const error = yield* openWith({ maximumPacketSize: 10_000_000 }).pipe(
          Effect.provideService(Transport, network.transport),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag === "ProtocolViolation" ? error.reason.reasonCode : 0, 0x95)
        assert.match(error.message, /before CONNACK/)
      }))
  }

  it.effect("takes a CONNACK with some kilobytes of properties, and large packets behind it in the same chunk", () =>
    Effect.gen(function*() {
      const properties = {
        reasonString: "x".repeat(20_000),
        userProperties: Array.from({ length: 500 }, (_, index) => [`name ${index}`, "value"] as const)
      }
      const large = publish({ payload: new Uint8Array(500_000) })
      for (const size of [Infinity, 1, 1000]) {
        const network = memoryNetwork((peer) => {
          Effect.runFork(Effect.map(peer.received("Connect"), () => {
            const bytes = Buffer.concat([bytesOf([connack({ properties }), large, large])])
            for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) {
              // Byte by byte through CONNACK, and faster behind it.
              const end = size === 1 && at > 40_000 ? bytes.length : Math.min(bytes.length, at + size)
              peer.sendBytes(bytes.subarray(at, end))
              if (end === bytes.length) break
            }
          }))
        })
        const { owner } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
        while (owner.packets.length < 3) yield* turn
        assert.deepStrictEqual(owner.packets.map(({ _tag }) => _tag), ["Connack", "Publish", "Publish"])
        assert.deepStrictEqual(owner.packets[0], connack({ properties }))
      }
    }))

  it.live("ends a CONNACK that comes byte by byte with the connect timeout", () =>
    Effect.gen(function*() {
      for (const protocol of ["tcp", "ws"] as const) {
        const listener = yield* listen({
          protocol,
          serve: (peer) =>
            Effect.gen(function*() {
              yield* peer.received("Connect")
              peer.sendBytes([0x20, 0xff, 0x01, 0, 0])
              while (!peer.closed) {
                peer.sendBytes([0x26])
                yield* Effect.sleep(20)
              }
            })
        })
        const error = yield* Effect.flip(openWith({ address: listener.address, connectTimeout: 400 }))
        assert.strictEqual(error.reason._tag, "Timeout")
      }
    }))

  it.live("holds little of a WebSocket message that does not end", () =>
    Effect.gen(function*() {
      const listener = yield* listen({
        protocol: "ws",
        serve: (peer) =>
          Effect.gen(function*() {
            yield* peer.received("Connect")
            const { _socket } = listener.webSockets[0] as unknown as {
              readonly _socket: { readonly write: (bytes: Uint8Array) => boolean }
            }
            // A frame of 900 KB, of which the last byte never comes.
            _socket.write(Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0, 0x0d, 0xbb, 0xa0))
            for (let index = 0; index < 50 && !peer.closed; index++) {
              _socket.write(new Uint8Array(16_384))
              yield* Effect.sleep(1)
            }
          })
      })
      const error = yield* Effect.flip(openWith({ address: listener.address }))
      assert.strictEqual(error.reason._tag, "ConnectionRefused")
      assert.match(error.message, /sent 131072 bytes and no WebSocket message/)
    }))
})

describe("acknowledgements that are not read", () => {
  const answer = (owner: Owner, send: (packets: ReadonlyArray<Packet>) => unknown): void => {
    owner.answer = (packets) => {
      owner.batches.length = 0
      send(
        packets.flatMap((packet): ReadonlyArray<Packet> =>
          packet._tag === "Pubrel" ? [{ ...packet, _tag: "Pubcomp" }] : []
        )
      )
      return undefined
    }
  }

  it.live(
    "stop the reading at a bound, on every transport, and reading continues when they have left",
    () =>
      Effect.gen(function*() {
        for (const protocol of ["tcp", "ws"] as const) {
          const listener = yield* listen({ protocol, serve: accepting() })
          const { connection, owner } = yield* openWith({ address: listener.address, writeTimeout: 60_000 })
          answer(owner, (packets) => connection.send(packets))
          const peer = yield* listener.peer()
          let read = 0
          peer.onBytes = (bytes) => {
            read += bytes.length
          }
          peer.pause()
          const chunk = bytesOf(pubrels(16_000))
          let sent = 0
          // Until nothing moves any more: the network between them is full.
          let still = 0
          let received = 0
          while (still < 20) {
            if (sent - received < 100_000) {
              peer.sendBytes(chunk)
              sent += 16_000
            }
            yield* Effect.sleep(5)
            const now = connection.counters.packetsReceived
            still = now === received ? still + 1 : 0
            received = now
          }
          assert.isBelow(received, sent, protocol)
          peer.resume()
          yield* Effect.repeat(Effect.sleep(5), { until: () => connection.counters.packetsReceived === 1 + sent })
          yield* Effect.repeat(Effect.sleep(5), { until: () => read >= 4 * sent })
          assert.deepStrictEqual(owner.closed, [])
        }
      }),
    180_000
  )

  it.effect("are counted without the publishes that wait too", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openWith({ connect: { keepAlive: 0 } }).pipe(
        Effect.provideService(Transport, network.transport)
      )
      answer(owner, (packets) => connection.send(packets))
      const stream = network.streams[0]!
      stream.stuck = true
      // Publishes alone never stop the reading.
      for (let index = 0; index < 40; index++) connection.send([publish({ payload: new Uint8Array(100_000) })])
      assert.isFalse(stream.paused)
      // A window of answers neither: the peer may be owed as many.
      for (let index = 0; index < 65; index++) {
        network.peers[0]!.sendBytes(bytesOf(pubrels(1000)))
        while (stream.paused) yield* turn
      }
      assert.isFalse(stream.paused)
      for (let index = 0; index < 10; index++) network.peers[0]!.sendBytes(bytesOf(pubrels(1000)))
      yield* turn
      yield* turn
      assert.isTrue(stream.paused)
      stream.drain()
      assert.isFalse(stream.paused)
    }))

  it.effect("end the connection after the write timeout", () =>
    Effect.gen(function*() {
      const network = acceptingNetwork()
      const { connection, owner } = yield* openWith({ writeTimeout: 30_000, connect: { keepAlive: 0 } }).pipe(
        Effect.provideService(Transport, network.transport)
      )
      answer(owner, (packets) => connection.send(packets))
      const stream = network.streams[0]!
      stream.stuck = true
      for (let index = 0; index < 100; index++) network.peers[0]!.sendBytes(bytesOf(pubrels(1000)))
      yield* turn
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(owner.closed.map((error) => error.isTimeout), [true])
    }))

  it.live(
    "never make two peers wait for each other that both stop reading while they cannot write",
    () =>
      Effect.gen(function*() {
        // The server stops reading whenever more than 16 KiB of its own wait: a strict one.
        const listener = yield* listen({ serve: accepting() })
        const { connection, owner } = yield* openWith({ address: listener.address, connect: { keepAlive: 0 } })
        const peer = yield* listener.peer()
        const [socket] = listener.sockets
        const strict = setInterval(() => {
          if (socket!.writableLength > 16_384) socket!.pause()
          else socket!.resume()
        }, 1)
        yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(strict)))
        const count = 300
        const payload = new Uint8Array(50_000)
        const puback = (packetIdentifier: number): Packet => ({
          _tag: "Puback",
          packetIdentifier,
          reasonCode: 0,
          properties: {}
        })
        const answers = (packets: ReadonlyArray<Packet>): ReadonlyArray<Packet> =>
          packets.flatMap((packet) => packet._tag === "Publish" ? [puback(packet.packetIdentifier)] : [])
        let acknowledged = 0
        owner.answer = (packets) => {
          owner.batches.length = 0
          const due = answers(packets)
          if (due.length > 0) connection.send(due)
          acknowledged += packets.filter(({ _tag }) => _tag === "Puback").length
          return undefined
        }
        yield* Effect.forkScoped(Effect.forEach(Array.from({ length: 2 * count }), (_, index) =>
          Effect.gen(function*() {
            yield* peer.until(() => peer.packets.length > index + 1)
            const due = answers(peer.packets.slice(index + 1, index + 2))
            if (due.length > 0) peer.send(...due)
          }), { discard: true }))
        for (let index = 0; index < count; index++) {
          peer.send(publish({ qos: 1, packetIdentifier: 1 + index, payload }))
          connection.send([publish({ qos: 1, packetIdentifier: 1 + index, payload })])
        }
        yield* within(20_000)(peer.until(() => peer.packets.length === 1 + 2 * count))
        yield* within(20_000)(Effect.repeat(Effect.sleep(5), { until: () => acknowledged === count }))
        assert.deepStrictEqual(owner.closed, [])
      }),
    180_000
  )
})
