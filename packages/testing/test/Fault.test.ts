import type { Packet } from "@effect-mqttx/core/Packet"
import * as Fault from "@effect-mqttx/testing/Fault"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Raw from "./support/rawClient.ts"

const setup = (options?: ScriptedBroker.ScriptedBrokerOptions) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.makeMemory(options)
    const dial = Raw.dialMemory(broker.transport)
    const client = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
    return { broker, client, dial }
  })

const qos1 = (packetIdentifier: number, payload = `${packetIdentifier}`): Packet =>
  Raw.publishPacket("t", payload, { qos: 1, packetIdentifier })

describe("dropping the connection", () => {
  it.effect("before a received packet: it is never processed", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      const fault = yield* broker.inject(Fault.dropBefore({ direction: "received", packet: "Publish", nth: 2 }))
      yield* client.send(qos1(1), qos1(2), qos1(3))
      yield* client.next("Puback")
      yield* client.closed
      assert.deepStrictEqual(client.waiting(), [])
      assert.deepStrictEqual(broker.published.map(Raw.text), ["1"])
      assert.strictEqual(fault.hits(), 1)
      assert.deepStrictEqual(broker.received("Publish").map(({ fault: name }) => name), [undefined, "DropBefore"])
    }))

  it.effect("after a received packet: it is processed, and its acknowledgement lost", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.dropAfter({ direction: "received", packet: "Publish", nth: 2 }))
      yield* client.send(qos1(1), qos1(2), qos1(3))
      yield* client.next("Puback")
      yield* client.closed
      assert.deepStrictEqual(client.waiting(), [])
      assert.deepStrictEqual(broker.published.map(Raw.text), ["1", "2"])
    }))

  it.effect("before a sent packet: it never leaves", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.dropBefore({ direction: "sent", packet: "Puback", nth: 2 }))
      yield* client.send(qos1(1), qos1(2), qos1(3))
      yield* client.next("Puback")
      yield* client.closed
      assert.deepStrictEqual(client.waiting(), [])
      // What arrived after the cut is not processed any more.
      assert.deepStrictEqual(broker.published.map(Raw.text), ["1", "2"])
    }))

  it.effect("after a sent packet: it arrives, and nothing behind it", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.dropAfter({ direction: "sent", packet: "Puback" }))
      yield* client.send(qos1(1), qos1(2))
      yield* client.next("Puback")
      yield* client.closed
      assert.deepStrictEqual(client.waiting(), [])
      assert.strictEqual(broker.connections[0]!.closedBy, "fault")
    }))

  it.effect("inside a sent packet: only the given bytes arrive", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      const before = broker.connection("a")!.bytesSent
      yield* broker.inject(Fault.cutInside({ direction: "sent", packet: "Publish" }, { bytes: 6 }))
      const publication = yield* broker.publish("t", "hello", { qos: 1 })
      yield* client.closed
      assert.deepStrictEqual(client.waiting(), [])
      assert.strictEqual(broker.connections[0]!.bytesSent - before, 6)
      assert.strictEqual(broker.session("a")!.inflight, publication.deliveries)
    }))

  it.effect("of the next connection only, when the rule says so", () =>
    Effect.gen(function*() {
      const { broker, client, dial } = yield* setup()
      yield* broker.inject(Fault.dropAfter({ connection: "next", direction: "sent", packet: "Connack" }))
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      const next = yield* Raw.connect(dial, 5, "b")
      yield* next.closed
      const later = yield* Raw.connect(dial, 5, "c")
      yield* later.send({ _tag: "Pingreq" })
      yield* later.next("Pingresp")
    }))
})

describe("packets", () => {
  it.effect("are delayed together with those behind them, by Effect's clock", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.delay({ direction: "sent", packet: "Puback" }, "3 seconds"))
      yield* client.send(qos1(1), { _tag: "Pingreq" }, qos1(2))
      yield* broker.awaitUntil(() => broker.published.length === 2)
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(client.waiting(), [])
      yield* TestClock.adjust("1 millis")
      yield* client.next("Puback")
      yield* client.next("Pingresp")
      yield* client.next("Puback")
    }))

  it.effect("are delayed on their way in, too", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.delay({ direction: "received", packet: "Publish" }, "3 seconds"))
      yield* client.send(qos1(1), { _tag: "Pingreq" })
      yield* TestClock.adjust("2999 millis")
      assert.strictEqual(broker.published.length, 0)
      yield* TestClock.adjust("1 millis")
      yield* client.next("Puback")
      yield* client.next("Pingresp")
    }))

  it.effect("are duplicated", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.duplicate({ direction: "sent", packet: "Puback" }))
      yield* client.send(qos1(1), qos1(2))
      for (const identifier of [1, 1, 2]) {
        assert.strictEqual((yield* client.next("Puback")).packetIdentifier, identifier)
      }
    }))

  it.effect("vanish", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.discard({
        direction: "sent",
        packet: "Puback",
        where: (packet) => packet._tag === "Puback" && packet.packetIdentifier === 2
      }))
      yield* client.send(qos1(1), qos1(2), qos1(3))
      for (const identifier of [1, 3]) {
        assert.strictEqual((yield* client.next("Puback")).packetIdentifier, identifier)
      }
    }))

  it.effect("are withheld until they are released, in any order, while others pass", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.withhold({ packet: ["Puback", "Suback"] }))
      yield* client.send(qos1(1), qos1(2), qos1(3), { _tag: "Pingreq" })
      yield* client.next("Pingresp")
      assert.strictEqual(yield* broker.release("a", { order: "reverse", count: 2 }), 2)
      for (const identifier of [2, 1]) assert.strictEqual((yield* client.next("Puback")).packetIdentifier, identifier)
      yield* client.send({
        _tag: "Subscribe",
        packetIdentifier: 9,
        filters: [Raw.subscribeFilter("t")],
        properties: {}
      }, { _tag: "Pingreq" })
      yield* client.next("Pingresp")
      assert.strictEqual(yield* broker.release("a"), 2)
      yield* client.next("Puback")
      yield* client.next("Suback")
    }))

  it.effect("take their place in the broker's receive maximum while they are withheld", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup({ limits: { receiveMaximum: 2 } })
      yield* broker.inject(Fault.withhold({ packet: "Puback" }))
      yield* client.send(qos1(1), qos1(2), qos1(3))
      assert.strictEqual((yield* client.next("Disconnect")).reasonCode, 0x93)
    }))

  it.effect("are misordered in groups", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.misorder({ packet: "Puback" }, { count: 3 }))
      yield* client.send(...[1, 2, 3, 4, 5, 6].map((identifier) => qos1(identifier)))
      for (const identifier of [3, 2, 1, 6, 5, 4]) {
        assert.strictEqual((yield* client.next("Puback")).packetIdentifier, identifier)
      }
    }))

  it.effect("are replaced by others", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(
        Fault.replace({ packet: "Puback" }, () => [Raw.acknowledge("Puback", 9, 0x97), { _tag: "Pingresp" }])
      )
      yield* client.send(qos1(1))
      const puback = yield* client.next("Puback")
      assert.deepStrictEqual([puback.packetIdentifier, puback.reasonCode], [9, 0x97])
      yield* client.next("Pingresp")
    }))

  it.effect("are followed, or replaced, by raw bytes", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.sendRaw({ packet: "Pingresp" }, Uint8Array.of(0x40, 0x02, 0, 5)))
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      assert.strictEqual((yield* client.next("Puback")).packetIdentifier, 5)
      yield* broker.inject(Fault.sendRaw({ packet: "Pingresp" }, Uint8Array.of(0x40, 0x02, 0, 6), { instead: true }))
      yield* client.send({ _tag: "Pingreq" })
      assert.strictEqual((yield* client.next("Puback")).packetIdentifier, 6)
    }))
})

describe("lies and silence", () => {
  it.effect("lies about session present", () =>
    Effect.gen(function*() {
      const { broker, client, dial } = yield* setup()
      yield* broker.inject(Fault.lieAboutSessionPresent())
      client.stream.destroy()
      assert.isFalse((yield* Raw.connect(dial, 5, "a", Raw.persistent(5))).connack.sessionPresent)
      yield* broker.inject(Fault.lieAboutSessionPresent(true))
      assert.isTrue((yield* Raw.connect(dial, 5, "new")).connack.sessionPresent)
    }))

  it.effect("goes silent: bytes are taken, nothing is answered, and the connection stays open", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.goSilent({ direction: "received", packet: "Pingreq" }))
      yield* client.send(qos1(1), { _tag: "Pingreq" }, qos1(2))
      yield* client.next("Puback")
      yield* broker.publish("t", "x")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(client.waiting(), [])
      assert.isFalse(client.isClosed())
      assert.deepStrictEqual(broker.published.map(Raw.text), ["1", "x"])
    }))

  it.effect("lets another connection take over from a silent one, which stays open", () =>
    Effect.gen(function*() {
      const { broker, client, dial } = yield* setup()
      yield* broker.goSilent("a")
      const next = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      assert.isTrue(next.connack.sessionPresent)
      assert.isFalse(client.isClosed())
    }))

  it.effect("stops reading, so that the client's writes pile up", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      yield* broker.inject(Fault.stopReading({ direction: "received", packet: "Pingreq" }))
      yield* client.send({ _tag: "Pingreq" })
      yield* client.next("Pingresp")
      assert.strictEqual(client.stream.write(new Uint8Array(100_000)), "congested")
      assert.strictEqual(client.stream.pendingBytes(), 100_000)
    }))
})

describe("rules", () => {
  it.effect("act as often as they say, are awaited, and can be removed", () =>
    Effect.gen(function*() {
      const { broker, client } = yield* setup()
      const fault = yield* broker.inject(Fault.discard({ packet: "Pingresp" }, { times: 2 }))
      const ping = client.send({ _tag: "Pingreq" })
      yield* ping
      yield* ping
      yield* fault.awaitHits(2)
      yield* ping
      yield* client.next("Pingresp")
      const standing = yield* broker.inject(Fault.discard({ packet: "Pingresp" }, { times: Infinity }))
      yield* ping
      yield* standing.awaitHits()
      yield* standing.remove
      yield* ping
      yield* client.next("Pingresp")
      yield* broker.inject(Fault.discard({ packet: "Pingresp" }))
      yield* broker.clearFaults
      yield* ping
      yield* client.next("Pingresp")
    }))

  it.effect("are random by the broker's seed, the same each time", () =>
    Effect.gen(function*() {
      const play = (seed: number) =>
        Effect.scoped(Effect.gen(function*() {
          const { broker, client } = yield* setup({ seed })
          const fault = yield* broker.inject(
            Fault.discard({ packet: "Pingresp", probability: 0.5 }, { times: Infinity })
          )
          for (let i = 0; i < 100; i++) yield* client.send({ _tag: "Pingreq" })
          yield* broker.awaitUntil(() => broker.received("Pingreq").length === 100)
          return fault.hits()
        }))
      const hits = yield* play(7)
      assert.strictEqual(yield* play(7), hits)
      assert.isAbove(hits, 25)
      assert.isBelow(hits, 75)
    }))

  it.effect("cut every connection after a random number of packets, before, after and inside them, repeatably", () =>
    Effect.gen(function*() {
      const play = Effect.scoped(Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory()
        const dial = Raw.dialMemory(broker.transport)
        const cutter = yield* broker.cutEvery({ packets: [1, 6], seed: 3, limit: 60 })
        while (cutter.cuts() < 60) {
          const client = yield* Raw.connect(dial, 5, "a")
          while (!client.isClosed()) {
            yield* client.send(qos1(1))
            yield* Effect.yieldNow
          }
        }
        yield* cutter.awaitCuts(60)
        const last = yield* Raw.connect(dial, 5, "a")
        for (let i = 0; i < 10; i++) yield* last.send({ _tag: "Pingreq" })
        for (let i = 0; i < 10; i++) yield* last.next("Pingresp")
        return broker.packets.filter(({ fault }) => fault !== undefined).map(({ direction, fault, packet }) =>
          `${direction} ${packet._tag} ${fault}`
        )
      }))
      const cuts = yield* play
      // The others were before a packet of the broker, which is not in the record.
      assert.isBelow(cuts.length, 60)
      assert.sameMembers([...new Set(cuts)], [
        "received Publish DropBefore",
        "received Publish DropAfter",
        "sent Puback DropAfter",
        "sent Puback CutInside"
      ])
      assert.deepStrictEqual(yield* play, cuts)
    }))
})
