import { assert, it } from "@effect/vitest"
import { Clock, Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import {
  accepting,
  type connack,
  listen,
  memoryNetwork,
  type MemoryStream,
  type Peer
} from "../../../../test/support/peers.ts"
import { undisturbed, within } from "../../../../test/support/within.ts"
import { Watch } from "../../src/internal/connection/watch.ts"
import { Transport } from "../../src/Transport.ts"
import { openWith, publish, type RequestFields } from "./client.ts"

/** An open connection in memory; the server answers PINGREQ while it is `alive`. */
const openInMemory = Effect.fnUntraced(
  function*(fields: RequestFields = {}, accept: Parameters<typeof connack>[0] = {}) {
    const server = { alive: true, answered: 0 }
    const network = memoryNetwork((peer) => {
      Effect.runFork(accepting(accept)(peer))
    })
    const opened = yield* openWith(fields).pipe(Effect.provideService(Transport, network.transport))
    const peer: Peer = network.peers[0]!
    const stream: MemoryStream = network.streams[0]!
    const pings = () => peer.packets.filter((packet) => packet._tag === "Pingreq").length
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.andThen(
          peer.until(() => server.alive && pings() > server.answered),
          Effect.sync(() => {
            server.answered++
            peer.send({ _tag: "Pingresp" })
          })
        ),
        { disableYield: true }
      ),
      { startImmediately: true }
    )
    return { ...opened, peer, stream, pings, server }
  }
)

it.effect("sends PINGREQ when nothing else was sent for the keep alive [MQTT3-3.1.2-23] [MQTT5-3.1.2-20]", () =>
  Effect.gen(function*() {
    for (const protocolVersion of [4, 5] as const) {
      const { owner, pings } = yield* openInMemory({ protocolVersion, connect: { keepAlive: 10 } })
      for (let second = 1; second <= 100; second++) {
        yield* TestClock.adjust("1 second")
        // Never more than a keep alive without a packet.
        assert.isAtLeast(pings(), Math.floor(second / 10))
      }
      assert.isAtMost(pings(), 12)
      assert.deepStrictEqual(owner.closed, [])
    }
  }))

it.effect("sends no PINGREQ while packets go and come anyway", () =>
  Effect.gen(function*() {
    const { connection, peer, pings } = yield* openInMemory({ connect: { keepAlive: 10 } })
    for (let second = 1; second <= 60; second += 5) {
      yield* TestClock.adjust("5 seconds")
      connection.send([publish()])
      peer.send(publish())
    }
    assert.strictEqual(pings(), 0)
  }))

it.effect("sends PINGREQ while packets come and none goes, as the server would close otherwise", () =>
  Effect.gen(function*() {
    const { peer, pings } = yield* openInMemory({ connect: { keepAlive: 10 } })
    for (let second = 1; second <= 60; second += 5) {
      yield* TestClock.adjust("5 seconds")
      peer.send(publish())
    }
    assert.isAtLeast(pings(), 6)
  }))

it.effect("uses the server's keep alive in place of its own [MQTT5-3.1.2-21] [MQTT5-3.2.2-21]", () =>
  Effect.gen(function*() {
    const faster = yield* openInMemory({ connect: { keepAlive: 60 } }, { properties: { serverKeepAlive: 5 } })
    yield* TestClock.adjust("5 seconds")
    assert.strictEqual(faster.pings(), 1)
    const slower = yield* openInMemory({ connect: { keepAlive: 5 } }, { properties: { serverKeepAlive: 60 } })
    yield* TestClock.adjust("57 seconds")
    assert.strictEqual(slower.pings(), 0)
    const off = yield* openInMemory({ connect: { keepAlive: 5 } }, { properties: { serverKeepAlive: 0 } })
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(off.pings(), 0)
  }))

it.effect("without keep alive neither sends PINGREQ nor ends a silent connection", () =>
  Effect.gen(function*() {
    const { owner, pings } = yield* openInMemory({ connect: { keepAlive: 0 } })
    yield* TestClock.adjust("1 day")
    assert.strictEqual(pings(), 0)
    assert.deepStrictEqual(owner.closed, [])
  }))

it.effect("finds a peer that is gone after one and a half keep alives without a byte", () =>
  Effect.gen(function*() {
    const { owner, server, stream } = yield* openInMemory({ connect: { keepAlive: 10 } })
    yield* TestClock.adjust("95 seconds")
    server.alive = false
    // The last PINGRESP arrived somewhere in the last keep alive.
    yield* TestClock.adjust("15 seconds")
    assert.deepStrictEqual(owner.closed.map((error) => [error.reason._tag, error.isTimeout]), [[
      "ConnectionLost",
      true
    ]])
    assert.isTrue(stream.destroyed)
  }))

it.effect("finds a peer that is gone while we keep on sending", () =>
  Effect.gen(function*() {
    const { connection, owner, pings, server } = yield* openInMemory({ connect: { keepAlive: 10 } })
    server.alive = false
    for (let second = 0; second < 15; second++) {
      assert.deepStrictEqual(owner.closed, [])
      connection.send([publish()])
      yield* TestClock.adjust("1 second")
    }
    assert.strictEqual(pings(), 1)
    assert.strictEqual(owner.closed.length, 1)
  }))

it.effect("takes any bytes as a sign of life, also those of an incomplete packet", () =>
  Effect.gen(function*() {
    const { owner, peer, server } = yield* openInMemory({ connect: { keepAlive: 10 } })
    server.alive = false
    peer.sendBytes([0x30, 127])
    for (let second = 0; second < 60; second += 5) {
      yield* TestClock.adjust("5 seconds")
      peer.sendBytes([0])
    }
    assert.deepStrictEqual(owner.closed, [])
  }))

it.effect("keeps sending PINGREQ and does not end a silent connection while reading is paused", () =>
  Effect.gen(function*() {
    const { connection, owner, pings, server, stream } = yield* openInMemory({ connect: { keepAlive: 10 } })
    connection.pause()
    assert.isTrue(stream.paused)
    server.alive = false
    yield* TestClock.adjust("100 seconds")
    assert.isAtLeast(pings(), 10)
    assert.deepStrictEqual(owner.closed, [])
    // The time of the pause does not count against the peer.
    connection.resume()
    assert.isFalse(stream.paused)
    yield* TestClock.adjust("14 seconds")
    assert.deepStrictEqual(owner.closed, [])
    yield* TestClock.adjust("1 second")
    assert.strictEqual(owner.closed.length, 1)
  }))

it.live("finds a half-open TCP connection within one and a half keep alives", () =>
  undisturbed(
    Effect.gen(function*() {
      const server = yield* listen({ serve: accepting() })
      const { owner } = yield* openWith({ address: server.address, connect: { keepAlive: 1 } })
      const peer = yield* server.peer()
      const start = yield* Clock.currentTimeMillis
      // The peer acknowledges bytes and answers nothing: what a cut cable looks like, for as long as buffers last.
      const error = yield* within(2200)(Deferred.await(owner.ended))
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      assert.isAtLeast((yield* Clock.currentTimeMillis) - start, 1400)
      yield* peer.gone
      assert.strictEqual(peer.packets.filter((packet) => packet._tag === "Pingreq").length, 1)
    }).pipe(Effect.scoped)
  ))

it.live("stays connected with a keep alive of one second and a server that answers", () =>
  undisturbed(
    Effect.gen(function*() {
      const server = yield* listen({
        serve: (peer) =>
          Effect.gen(function*() {
            yield* accepting()(peer)
            for (let answered = 1; answered <= 3; answered++) {
              yield* peer.until(() => peer.packets.filter((packet) => packet._tag === "Pingreq").length >= answered)
              peer.send({ _tag: "Pingresp" })
            }
          })
      })
      const { owner } = yield* openWith({ address: server.address, connect: { keepAlive: 1 } })
      const peer = yield* server.peer()
      yield* peer.until(() => peer.packets.filter((packet) => packet._tag === "Pingreq").length === 3)
      assert.deepStrictEqual(owner.closed, [])
    }).pipe(Effect.scoped)
  ))

const seen = { lastSent: 0, lastReceived: 0, paused: false, bytesSent: 0, pendingBytes: 0 }

it("does not end the connection when the process stood still: the answer may lie unread in the socket", () => {
  const watch = new Watch(10_000, 0, 0)
  assert.deepStrictEqual(watch.next(0, seen), { _tag: "Wait", wait: 9000 })
  assert.strictEqual(watch.next(9000, seen)._tag, "Ping")
  assert.deepStrictEqual(watch.next(9000, { ...seen, lastSent: 9000 }), { _tag: "Wait", wait: 6000 })
  // Due at 15,000, and an hour late.
  assert.strictEqual(watch.next(3_600_000, { ...seen, lastSent: 9000 })._tag, "Ping")
  const asleep = { ...seen, lastSent: 3_600_000 }
  const wait = watch.next(3_600_000, asleep)
  assert.strictEqual(wait._tag, "Wait")
  assert.strictEqual(watch.next(3_600_000 + (wait._tag === "Wait" ? wait.wait : 0), asleep)._tag, "Silent")
})

it("waits for whole milliseconds, so that nothing is left over by rounding", () => {
  const watch = new Watch(60_000, 0, 0)
  const action = watch.next(58_000.000_000_4, { ...seen, lastSent: 0.000_000_5, lastReceived: 0.000_000_5 })
  assert.deepStrictEqual(action, { _tag: "Wait", wait: 1 })
})

it("takes a network as stuck only when it takes nothing for the whole write timeout", () => {
  const watch = new Watch(0, 1000, 0)
  const at = (now: number, bytesSent: number, pendingBytes: number) =>
    watch.next(now, { ...seen, bytesSent, pendingBytes })._tag
  assert.strictEqual(at(0, 100, 0), "Wait")
  assert.strictEqual(at(250, 5000, 4900), "Wait")
  for (let now = 500; now < 5000; now += 250) {
    // One byte in every step is progress.
    assert.strictEqual(at(now, 5000, 4900 - now), "Wait")
  }
  assert.strictEqual(at(5000, 5000, 100), "Wait")
  assert.strictEqual(at(5999, 6000, 1100), "Wait")
  assert.strictEqual(at(6000, 6000, 1100), "Stuck")
})
