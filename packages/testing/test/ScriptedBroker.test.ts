import { Transport } from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
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
        assert.deepStrictEqual(broker.deliveries.map(({ outcome }) => outcome), [
          "Sent",
          "Acknowledged",
          "Acknowledged"
        ])
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
      assert.isTrue(
        Exit.isFailure(yield* Effect.exit(Effect.scoped(dial({ onData() {}, onDrain() {}, onClose() {} }))))
      )
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      yield* broker.acceptNetwork
      yield* Raw.connect(dial, 5, "b")
      yield* broker.crash
      yield* client.closed
      assert.isTrue(
        Exit.isFailure(yield* Effect.exit(Effect.scoped(dial({ onData() {}, onDrain() {}, onClose() {} }))))
      )
      yield* broker.start
      yield* Raw.connect(dial, 5, "c")
    }))

  it.live("takes what the client pushes while it stops reading, and continues afterwards", () =>
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
      const scope = yield* Scope.make()
      const broker = yield* make().pipe(Scope.provide(scope))
      const client = yield* Raw.connect(dialOf(broker), 5, "a")
      yield* Scope.close(scope, Exit.void)
      yield* client.closed
    }))
})

const inMemory = (options?: ScriptedBroker.ScriptedBrokerOptions) =>
  Effect.map(ScriptedBroker.makeMemory(options), (broker) => ({ broker, dial: Raw.dialMemory(broker.transport) }))

describe("in memory", () => {
  it.effect("provides the broker and core's Transport together", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const transport = yield* Transport
      assert.strictEqual(transport, broker.transport)
      yield* Raw.connect(Raw.dialMemory(transport), 5, "a")
      assert.deepStrictEqual(broker.connections.map(({ clientId }) => clientId), ["a"])
    }).pipe(Effect.provide(ScriptedBroker.layerMemory())))

  it.effect("enforces keep alive, session expiry and will delay by Effect's clock alone", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const watcher = yield* Raw.connect(dial, 5, "watcher")
      yield* Raw.subscribe(watcher, 1, [Raw.subscribeFilter("w", { qos: 0 })])
      const client = yield* Raw.connect(dial, 5, "a", {
        keepAlive: 10,
        will: {
          topic: "w",
          payload: new TextEncoder().encode("gone"),
          qos: 0,
          retain: false,
          properties: { willDelayInterval: 5 }
        },
        properties: { sessionExpiryInterval: 60 }
      })
      yield* TestClock.adjust("14999 millis")
      assert.isFalse(client.isClosed())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* client.next("Disconnect")).reasonCode, 0x8d)
      yield* client.closed
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(watcher.waiting(), [])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(Raw.text(yield* watcher.next("Publish")), "gone")
      assert.isDefined(broker.session("a"))
      yield* TestClock.adjust("55 seconds")
      yield* broker.awaitUntil(() => broker.session("a") === undefined)
    }))

  it.effect("refuses the network for a while by Effect's clock", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const refused = yield* Effect.forkChild(broker.refuseNetworkFor("5 seconds"), { startImmediately: true })
      const attempt = Effect.exit(Effect.scoped(dial({ onData() {}, onDrain() {}, onClose() {} })))
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(Exit.isFailure(yield* attempt))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(refused)
      assert.isTrue(Exit.isSuccess(yield* attempt))
    }))
})

describe("the record", () => {
  it.effect("holds every packet of both directions with time, connection, client and size", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      yield* TestClock.setTime(5_000)
      const client = yield* Raw.connect(dial, 5, "a")
      yield* TestClock.adjust("2 seconds")
      yield* client.send(Raw.publishPacket("t", "hello", { qos: 1, packetIdentifier: 3 }))
      yield* client.next("Puback")
      assert.deepStrictEqual(
        broker.packets.map(({ at, clientId, connection, direction, index, packet, size }) => [
          index,
          at,
          direction,
          connection,
          clientId,
          packet._tag,
          size
        ]),
        [
          [0, 5_000, "received", 1, "a", "Connect", 16],
          [1, 5_000, "sent", 1, "a", "Connack", 8],
          [2, 7_000, "received", 1, "a", "Publish", 13],
          [3, 7_000, "sent", 1, "a", "Puback", 6]
        ]
      )
      const [connection] = broker.connections
      assert.deepStrictEqual(
        [connection!.bytesReceived, connection!.bytesSent, connection!.packetsReceived, connection!.packetsSent],
        [29, 14, 2, 2]
      )
      assert.deepStrictEqual([broker.bytesReceived, broker.bytesSent], [29, 14])
      assert.deepStrictEqual(broker.received("Publish", "a").map(({ packet }) => packet.topic), ["t"])
      assert.deepStrictEqual(broker.received("Publish", "b"), [])
      assert.deepStrictEqual(broker.sent("Puback").map(({ packet }) => packet.reasonCode), [0x10])
    }))

  it.effect("answers those who wait for a packet, whether it has come already or comes later", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const second = yield* Effect.forkChild(
        broker.awaitPacket({ direction: "received", packet: "Publish", nth: 2 }),
        { startImmediately: true }
      )
      const client = yield* Raw.connect(dial, 4, "a")
      yield* client.send(Raw.publishPacket("t", "1"), Raw.publishPacket("t", "2"))
      assert.strictEqual(Raw.text((yield* Fiber.join(second)).packet), "2")
      assert.strictEqual(Raw.text((yield* broker.awaitPacket({ packet: "Publish" })).packet), "1")
      const fresh = yield* Effect.forkChild(
        broker.awaitPacket({ packet: "Publish", fromNow: true, where: ({ size }) => size > 2 }),
        { startImmediately: true }
      )
      yield* client.send(Raw.publishPacket("t", "3"))
      assert.strictEqual(Raw.text((yield* Fiber.join(fresh)).packet), "3")
    }))

  it.effect("can be switched off, on, limited and cleared, and waiting works without it", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory({ record: false })
      const client = yield* Raw.connect(dial, 4, "a")
      assert.deepStrictEqual(broker.packets, [])
      const waiting = yield* Effect.forkChild(broker.awaitPacket({ packet: "Publish" }), { startImmediately: true })
      yield* client.send(Raw.publishPacket("t", "x"))
      yield* Fiber.join(waiting)
      assert.deepStrictEqual([broker.packets.length, broker.published.length], [0, 0])
      yield* broker.setRecord(3)
      for (let i = 0; i < 100; i++) yield* client.send(Raw.publishPacket("t", `${i}`))
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      assert.deepStrictEqual(broker.packets.map(({ packet }) => packet._tag), ["Publish", "Pingreq", "Pingresp"])
      yield* broker.clearRecord
      assert.deepStrictEqual([broker.packets.length, broker.published.length], [0, 0])
    }))

  it.effect("knows how many publishes were in flight at the most, in each direction of each connection", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const client = yield* Raw.connect(dial, 5, "a", { properties: { receiveMaximum: 3 } })
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      for (let i = 0; i < 5; i++) yield* broker.publish("t", `${i}`, { qos: 1 })
      for (let i = 0; i < 5; i++) {
        const { packetIdentifier } = yield* client.next("Publish")
        yield* client.send(Raw.acknowledge("Puback", packetIdentifier))
      }
      yield* client.send(
        ...[1, 2, 3, 4].map((packetIdentifier) => Raw.publishPacket("u", "x", { qos: 2, packetIdentifier }))
      )
      for (let i = 1; i <= 4; i++) yield* client.next("Pubrec")
      yield* client.send(Raw.acknowledge("Pubrel", 1))
      yield* client.next("Pubcomp")
      yield* broker.awaitIdle
      const { inflightReceived, inflightSent } = broker.connection("a")!
      assert.deepStrictEqual(inflightSent, { current: 0, highest: 3 })
      assert.deepStrictEqual(inflightReceived, { current: 3, highest: 4 })
    }))

  it.effect("reports which side ended a connection, and counts the accepted ones", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const first = yield* Raw.connect(dial, 5, "a")
      yield* Raw.connect(dial, 5, "a")
      yield* first.closed
      const third = yield* Raw.connect(dial, 5, "b")
      third.stream.end()
      yield* third.closed
      yield* broker.cut("a")
      yield* broker.awaitNoConnections
      yield* broker.awaitConnections(3)
      yield* broker.awaitConnections(2, "a")
      assert.deepStrictEqual(broker.connections.map(({ closedBy }) => closedBy), ["broker", "fault", "client"])
    }))
})

describe("commands", () => {
  it.effect("publishes to subscribers and reports how each delivery ended", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const client = yield* Raw.connect(dial, 5, "a")
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      const none = yield* broker.publish("nobody", "x", { qos: 1 })
      assert.deepStrictEqual(yield* none.settled, [])
      const zero = yield* broker.publish("t", "0")
      assert.deepStrictEqual((yield* zero.settled).map(({ outcome }) => outcome), ["Sent"])
      yield* client.next("Publish")
      const one = yield* broker.publish("t", "1", { qos: 1, properties: { contentType: "text" } })
      const waiting = yield* Effect.forkChild(one.settled, { startImmediately: true })
      const packet = yield* client.next("Publish")
      assert.strictEqual(packet.properties.contentType, "text")
      assert.isUndefined(waiting.pollUnsafe())
      yield* client.send(Raw.acknowledge("Puback", packet.packetIdentifier, 0x97))
      assert.deepStrictEqual((yield* Fiber.join(waiting)).map(({ outcome, reasonCode }) => [outcome, reasonCode]), [[
        "Refused",
        0x97
      ]])
    }))

  it.effect("sends packets and bytes of the test's choice", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const client = yield* Raw.connect(dial, 5, "a")
      yield* broker.sendPacket("a", Raw.acknowledge("Puback", 77))
      assert.strictEqual((yield* client.next("Puback")).packetIdentifier, 77)
      yield* broker.sendRaw("a", Uint8Array.of(0xd0))
      yield* broker.sendRaw("a", Uint8Array.of(0x00))
      yield* client.next("Pingresp")
    }))

  it.effect("disconnects with a reason code", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const client = yield* Raw.connect(dial, 5, "a")
      yield* broker.disconnect("a", 0x9c)
      assert.strictEqual((yield* client.next("Disconnect")).reasonCode, 0x9c)
      yield* client.closed
    }))

  it.effect("keeps changed limits over a restart, and loses sessions without a journal", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      yield* broker.setLimits({ receiveMaximum: 7 })
      yield* broker.restart
      const { connack } = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      assert.strictEqual(connack.properties.receiveMaximum, 7)
      assert.isFalse(connack.sessionPresent)
    }))

  it.effect("settles the publications that a crash without a journal has lost", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory()
      const client = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      const publication = yield* broker.publish("t", "x", { qos: 1 })
      yield* broker.restart
      assert.deepStrictEqual(yield* publication.settled, [])
    }))

  it.effect("refuses users, connections, publishes and subscriptions as commanded, as often as commanded", () =>
    Effect.gen(function*() {
      const { broker, dial } = yield* inMemory({ users: { ann: "secret" } })
      const login = { username: "ann", password: new TextEncoder().encode("secret") }
      assert.strictEqual((yield* Raw.connect(dial, 5, "a")).connack.reasonCode, 0x86)
      assert.strictEqual((yield* Raw.connect(dial, 4, "a", { ...login, username: "bob" })).connack.reasonCode, 4)
      yield* broker.refuseConnect(0x88, { times: 1 })
      const refused = yield* Raw.connect(dial, 5, "a", login)
      assert.strictEqual(refused.connack.reasonCode, 0x88)
      yield* refused.closed
      const client = yield* Raw.connect(dial, 5, "a", login)
      assert.strictEqual(client.connack.reasonCode, 0)
      yield* broker.refusePublish("secret/#", 0x87, { times: 1 })
      yield* broker.refuseSubscribe("secret/#", 0x87)
      for (const code of [0x87, 0x10]) {
        yield* client.send(Raw.publishPacket("secret/1", "x", { qos: 1, packetIdentifier: 1 }))
        assert.strictEqual((yield* client.next("Puback")).reasonCode, code)
      }
      const suback = yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("secret/+"), Raw.subscribeFilter("open")])
      assert.deepStrictEqual(suback.reasonCodes, [0x87, 2])
      yield* broker.clearRefusals
      const again = yield* Raw.subscribe(client, 2, [Raw.subscribeFilter("secret/+")])
      assert.deepStrictEqual(again.reasonCodes, [2])
    }))

  it.effect("dies with a clear message when a command names a client that is not connected", () =>
    Effect.gen(function*() {
      const { broker } = yield* inMemory()
      const exit = yield* Effect.exit(broker.cut("nobody"))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "no connection of nobody is open")
    }))
})
