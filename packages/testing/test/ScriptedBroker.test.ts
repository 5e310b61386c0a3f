import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { Transport } from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Raw from "./support/rawClient.ts"

const networks: ReadonlyArray<{
  readonly network: string
  readonly make: (options?: ScriptedBroker.ListenOptions) => Effect.Effect<ScriptedBroker.Service, never, Scope.Scope>
  readonly dial: (broker: ScriptedBroker.Service) => Raw.Dial
}> = [
  { network: "memory", make: ScriptedBroker.makeMemory, dial: (broker) => Raw.dialMemory(broker.transport) },
  { network: "tcp", make: ScriptedBroker.make, dial: (broker) => Raw.dialTcp(broker.ports.tcp!) },
  {
    network: "ws",
    make: (options) => ScriptedBroker.make({ ...options, webSocket: true }),
    dial: (broker) => Raw.dialWebSocket(broker.urls.ws!)
  }
]

describe.each(networks)("over $network", ({ dial: dialOf, make, network }) => {
  it.live("carries all three QoS levels from client to client, in both versions", () =>
    Effect.gen(function*() {
      const broker = yield* make()
      const dial = dialOf(broker)
      for (const version of [4, 5] as const) {
        const subscriber = yield* Raw.connect(dial, version, "subscriber")
        yield* Raw.subscribe(subscriber, 1, [Raw.subscribeFilter("t/#")])
        const publisher = yield* Raw.connect(dial, version, "publisher")
        yield* publisher.send(
          Raw.publishPacket("t/0", "zero"),
          Raw.publishPacket("t/1", "one", { qos: 1, packetIdentifier: 1 }),
          Raw.publishPacket("t/2", "two", { qos: 2, packetIdentifier: 2 })
        )
        yield* publisher.next("Puback")
        yield* publisher.next("Pubrec")
        yield* publisher.send(Raw.acknowledge("Pubrel", 2))
        yield* publisher.next("Pubcomp")
        assert.strictEqual(Raw.text(yield* subscriber.next("Publish")), "zero")
        const one = yield* subscriber.next("Publish")
        const two = yield* subscriber.next("Publish")
        assert.deepStrictEqual([Raw.text(one), Raw.text(two), one.qos, two.qos], ["one", "two", 1, 2])
        yield* subscriber.send(
          Raw.acknowledge("Puback", one.packetIdentifier),
          Raw.acknowledge("Pubrec", two.packetIdentifier)
        )
        yield* subscriber.next("Pubrel")
        yield* subscriber.send(Raw.acknowledge("Pubcomp", two.packetIdentifier))
        yield* broker.awaitIdle
        assert.deepStrictEqual(broker.deliveries.map(({ outcome }) => outcome), ["Sent", "Acknowledged", "Acknowledged"])
        assert.deepStrictEqual(broker.violations, [])
        assert.strictEqual(broker.connections.at(-1)!.network, network)
        yield* broker.clearRecord
      }
    }))

  it.live("carries large payloads, and many small ones in one write, unchanged", () =>
    Effect.gen(function*() {
      const broker = yield* make()
      const client = yield* Raw.connect(dialOf(broker), 5, "a")
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      const large = "x".repeat(1_000_000)
      const small = Array.from({ length: 2000 }, (_, i) => Raw.publishPacket("t", `${i}`))
      yield* client.send(Raw.publishPacket("t", large), ...small)
      assert.strictEqual(Raw.text(yield* client.next("Publish")), large)
      for (let i = 0; i < small.length; i++) assert.strictEqual(Raw.text(yield* client.next("Publish")), `${i}`)
    }))

  it.live("answers a malformed packet with DISCONNECT 0x81 and closes", () =>
    Effect.gen(function*() {
      const broker = yield* make()
      const client = yield* Raw.connect(dialOf(broker), 5, "a")
      yield* client.sendRaw(Uint8Array.of(0x36, 0x05, 0x00, 0x01, 0x74, 0x00, 0x01))
      assert.strictEqual((yield* client.next("Disconnect")).reasonCode, 0x81)
      yield* client.closed
      assert.deepStrictEqual(broker.violations.map(({ fatal, reasonCode }) => [fatal, reasonCode]), [[true, 0x81]])
    }))

  it.live("refuses connections while the network is refused, and after a crash until the start", () =>
    Effect.gen(function*() {
      const broker = yield* make()
      const dial = dialOf(broker)
      const client = yield* Raw.connect(dial, 5, "a")
      yield* broker.refuseNetwork
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(dial({ onData() {}, onDrain() {}, onClose() {} })))))
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      yield* broker.acceptNetwork
      yield* Raw.connect(dial, 5, "b")
      yield* broker.crash
      yield* client.closed
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(dial({ onData() {}, onDrain() {}, onClose() {} })))))
      yield* broker.start
      yield* Raw.connect(dial, 5, "c")
    }))

  it.live("takes what the client pushes while it stops reading, and goes on afterwards", () =>
    Effect.gen(function*() {
      const broker = yield* make()
      const client = yield* Raw.connect(dialOf(broker), 5, "a")
      yield* broker.stopReading("a")
      yield* client.send(Raw.publishPacket("t", "x".repeat(200_000), { qos: 1, packetIdentifier: 1 }))
      yield* broker.publish("nobody", "x")
      assert.strictEqual(broker.received("Publish").length, 0)
      yield* broker.resumeReading("a")
      yield* client.next("Puback")
    }))

  it.live("closes every connection with its scope", () =>
    Effect.gen(function*() {
      const client = yield* Effect.scoped(Effect.flatMap(make(), (broker) =>
        // The client's own scope is the test's.
        Effect.flatMap(Effect.scope, () => Effect.succeed(broker))).pipe(
          Effect.flatMap((broker) => Raw.open(dialOf(broker), 5).pipe(Effect.provideService(testScope, outer)))
        ))
      yield* client.closed
    }))
})
