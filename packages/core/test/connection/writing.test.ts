import { assert, it } from "@effect/vitest"
import { Clock, Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { accepting, listen, memoryNetwork } from "../../../../test/support/peers.ts"
import { within } from "../../../../test/support/within.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, publish } from "./client.ts"

const acceptingNetwork = () =>
  memoryNetwork((peer) => {
    Effect.runFork(accepting()(peer))
  })

it.effect("hands a batch of packets to the network in one write", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { connection } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
    connection.send(Array.from({ length: 1000 }, () => publish()))
    assert.strictEqual(network.streams[0]!.written.length, 2)
    assert.strictEqual(network.peers[0]!.packets.length, 1001)
  }))

it.live("writes DISCONNECT at once, and then ends the stream [MQTT3-3.14.1-1]", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { connection } = yield* openWith().pipe(Effect.provideService(Transport, network.transport))
    yield* connection.close(0, 10)
    assert.strictEqual(network.streams[0]!.written.length, 2)
  }))

it.live("sends one WebSocket frame a write, for CONNECT, a batch and DISCONNECT", () =>
  Effect.gen(function*() {
    const server = yield* listen({ protocol: "ws", serve: accepting() })
    const { connection } = yield* openWith({
      address: server.address,
      connect: { username: "u", password: new Uint8Array(3) }
    })
    connection.send(Array.from({ length: 1000 }, () => publish()))
    const peer = yield* server.peer()
    yield* peer.until(() => peer.packets.length === 1001)
    yield* connection.close(0)
    yield* peer.gone
    assert.deepStrictEqual(peer.chunks.map((chunk) => chunk[0]! >> 4), [1, 3, 14])
    assert.deepStrictEqual(peer.packets.at(-1)?._tag, "Disconnect")
  }))

it.live("sends a large payload without harm", () =>
  Effect.gen(function*() {
    const payload = new Uint8Array(3_000_000).map((_, index) => index % 251)
    for (const protocol of ["tcp", "ws"] as const) {
      const server = yield* listen({ protocol, serve: accepting() })
      const { connection } = yield* openWith({ address: server.address })
      connection.send([publish({ topic: "1" }), publish({ topic: "2", payload }), publish({ topic: "3" })])
      const peer = yield* server.peer()
      yield* peer.until(() => peer.packets.length === 4)
      const [, , large] = peer.packets
      assert.isTrue(large?._tag === "Publish" && Buffer.compare(large.payload, payload) === 0)
      assert.isUndefined(peer.violation)
    }
  }))

it.live("answers Congested when the peer stops reading, and reports when it can write again", () =>
  Effect.gen(function*() {
    for (const protocol of ["tcp", "ws"] as const) {
      const server = yield* listen({ protocol, serve: accepting() })
      const { connection, owner } = yield* openWith({ address: server.address })
      const peer = yield* server.peer()
      peer.pause()
      const payload = new Uint8Array(100_000)
      let sent = 0
      while (connection.send([publish({ payload })])._tag === "Sent") {
        sent++
        yield* Effect.sleep(0)
        assert.isBelow(sent, 1000)
      }
      assert.strictEqual(owner.writable, 0)
      // Whatever else has to go out is taken all the same.
      connection.send([{ _tag: "Puback", packetIdentifier: 1, reasonCode: 0, properties: {} }])
      peer.resume()
      yield* owner.until(() => owner.writable === 1)
      yield* peer.until(() => peer.packets.length === sent + 3)
      assert.strictEqual(connection.send([publish()])._tag, "Sent")
    }
  }))

it.live("ends the connection to a peer that does not read for the write timeout", () =>
  Effect.gen(function*() {
    for (const protocol of ["tcp", "ws"] as const) {
      const server = yield* listen({ protocol, serve: accepting() })
      const { connection, owner } = yield* openWith({
        address: server.address,
        writeTimeout: 300,
        connect: { keepAlive: 0 }
      })
      const peer = yield* server.peer()
      peer.pause()
      const payload = new Uint8Array(1_000_000)
      for (let index = 0; index < 20; index++) {
        connection.send([publish({ payload })])
      }
      const start = yield* Clock.currentTimeMillis
      const error = yield* within(2000)(Deferred.await(owner.ended))
      assert.deepStrictEqual([error.reason._tag, error.isTimeout], ["ConnectionLost", true])
      assert.isAtLeast((yield* Clock.currentTimeMillis) - start, 250)
      peer.resume()
      yield* peer.gone
    }
  }))

it.effect("measures the write timeout by Effect's Clock", () =>
  Effect.gen(function*() {
    const network = acceptingNetwork()
    const { connection, owner } = yield* openWith({ writeTimeout: 60_000, connect: { keepAlive: 0 } }).pipe(
      Effect.provideService(Transport, network.transport)
    )
    const stream = network.streams[0]!
    stream.stuck = true
    yield* TestClock.adjust("10 minutes")
    assert.strictEqual(connection.send([publish()])._tag, "Congested")
    yield* TestClock.adjust("55 seconds")
    assert.deepStrictEqual(owner.closed, [])
    stream.drain()
    assert.strictEqual(owner.writable, 1)
    stream.stuck = true
    connection.send([publish()])
    yield* TestClock.adjust("59 seconds")
    assert.deepStrictEqual(owner.closed, [])
    yield* TestClock.adjust("31 seconds")
    assert.strictEqual(owner.closed.length, 1)
    assert.isTrue(stream.destroyed)
  }))
