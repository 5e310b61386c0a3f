import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { PublishedMessage } from "@effect-mqttx/testing/BrokerCore"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import {
  assertSum,
  makeNet,
  makePair,
  publishedAt,
  roundTrip,
  settled,
  until
} from "../../../../test/support/forwarders.ts"

const text = (payload: Uint8Array): string => new TextDecoder().decode(payload)

/** What a broker has got at QoS 1, topic by topic: the numbers in their order. */
const numbersByTopic = (published: ReadonlyArray<PublishedMessage>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const numbers = new Map<string, Array<number>>()
  for (const { payload, topic } of published) {
    const before = numbers.get(topic)
    if (before === undefined) numbers.set(topic, [Number(text(payload))])
    else before.push(Number(text(payload)))
  }
  return numbers
}

describe("Forwarder", () => {
  it.live("maps by wildcards", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({
        filters: ["sensors/+/temperature"],
        mapping: [{ from: "sensors/+/temperature", to: "storage/{1}/temp" }]
      })
      yield* forwarder.active
      yield* net.brokers.a!.publish("sensors/room1/temperature", "23.5", { qos: 1 })
      yield* settled(forwarder, 1)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["storage/room1/temp 23.5"])
    }))

  it.live("topic aliases shorten what a forwarder publishes", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ filters: ["sensors/#"] })
      yield* forwarder.active
      const topics = Array.from({ length: 30 }, (_, index) => `sensors/building/room${index % 3}/temperature`)
      for (const topic of topics) yield* net.brokers.a!.publish(topic, "23.5", { qos: 1 })
      yield* settled(forwarder, topics.length)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), topics.map((topic) => `${topic} 23.5`))
      const aliased = net.brokers.b!.received("Publish").filter(({ packet }) => packet.topic === "")
      assert.lengthOf(aliased, topics.length - 3 * 2)
    }))

  it.live("50,000 messages in one burst at QoS 1: 50,000 arrive, once and in order", () =>
    Effect.gen(function*() {
      const count = 50_000
      const topics = 10
      const net = yield* makePair()
      const forwarder = yield* net.forward({ filters: ["t/#"] })
      yield* forwarder.active
      yield* net.brokers.b!.setRecord(true)
      for (let i = 0; i < count; i++) yield* net.brokers.a!.publish(`t/${i % topics}`, String(i), { qos: 1 })
      const metrics = yield* settled(forwarder, count)
      assert.strictEqual(metrics.received, count)
      assert.strictEqual(metrics.forwarded, count)
      const numbers = numbersByTopic(net.brokers.b!.published)
      for (let topic = 0; topic < topics; topic++) {
        assert.deepStrictEqual(
          numbers.get(`t/${topic}`),
          Array.from({ length: count / topics }, (_, index) => index * topics + topic)
        )
      }
    }), 180_000)

  it.live("acknowledges its source only when the target has acknowledged", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      yield* net.brokers.b!.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* net.brokers.b!.awaitPacket({ direction: "received", packet: "Publish" })
      yield* roundTrip(net, "a")
      assert.strictEqual(net.brokers.a!.received("Puback").length, 0)
      assert.strictEqual((yield* forwarder.metrics).inFlight, 1)
      yield* net.brokers.b!.clearFaults
      yield* net.brokers.b!.release(net.brokers.b!.sessions[0]!.clientId)
      yield* net.brokers.a!.awaitPacket({ direction: "received", packet: "Puback" })
      yield* settled(forwarder, 1)
    }))

  it.live("an absent target stops the intake at maxInFlight, and nothing is lost", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      const forwarder = yield* net.forward({ maxInFlight: 50 })
      yield* forwarder.active
      for (let i = 0; i < 500; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      const waiting = yield* until(forwarder, ({ inFlight }) => inFlight === 50)
      assert.strictEqual(waiting.received, 50)
      assert.isFalse(waiting.targetConnected)
      assertSum(waiting)
      assert.strictEqual(net.brokers.a!.received("Puback").length, 0)
      yield* net.ready("b")
      yield* settled(forwarder, 500)
      assert.deepStrictEqual(
        numbersByTopic(net.brokers.b!.published).get("t"),
        Array.from({ length: 500 }, (_, index) => index)
      )
    }))

  it.live("starts before its sessions exist, and continues when one is removed and added again", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      const forwarder = yield* net.forward({})
      yield* net.ready("b")
      yield* net.ready("a")
      yield* until(forwarder, ({ activeSources }) => activeSources === 1)
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* settled(forwarder, 1)
      for (const [index, name] of ["b", "a"].entries()) {
        yield* net.manager.remove(name)
        yield* net.ready(name)
        yield* until(forwarder, ({ activeSources, targetConnected }) => activeSources === 1 && targetConnected)
        yield* net.brokers.a!.publish("t", `after ${name}`, { qos: 1 })
        yield* settled(forwarder, 2 + index)
      }
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t 1", "t after b", "t after a"])
    }))

  it.live("what was at the target when its session ended is published by the next one", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      yield* net.manager.disconnect("b")
      for (let i = 0; i < 20; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 20)
      yield* net.manager.connect("b")
      const metrics = yield* settled(forwarder, 20)
      assert.strictEqual(metrics.forwarded, 20)
      assert.deepStrictEqual(
        numbersByTopic(net.brokers.b!.published).get("t"),
        Array.from({ length: 20 }, (_, index) => index)
      )
    }))

  it.live("collects from several sessions, and leaves out what is excluded", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b", "c"], { record: true })
      yield* Effect.forEach(["a", "b", "c"], (name) => net.ready(name))
      const forwarder = yield* net.forward({ sources: ["a", "c"], filters: ["t/#", "u"], exclude: ["t/secret/#"] })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t/1", "a", { qos: 1 })
      yield* net.brokers.a!.publish("t/secret/1", "a", { qos: 1 })
      yield* net.brokers.c!.publish("u", "c", { qos: 2 })
      const metrics = yield* settled(forwarder, 3)
      assert.deepStrictEqual([metrics.forwarded, metrics.filtered, metrics.activeSources], [2, 1, 2])
      assert.deepStrictEqual(Array.from(publishedAt(net.brokers.b!)).sort(), ["t/1 a", "u c"])
    }))

  it.live("two forwarders on one filter both get everything, and the end of one does not affect the other", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b", "c"], { record: true })
      yield* Effect.forEach(["a", "b", "c"], (name) => net.ready(name))
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(net.forward({ name: "one" }), scope)
      const two = yield* net.forward({ name: "two", target: "c" })
      yield* Effect.all([one.active, two.active])
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* Effect.all([settled(one, 1), settled(two, 1)])
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* one.state, "stopped")
      yield* net.brokers.a!.publish("t", "2", { qos: 1 })
      yield* settled(two, 2)
      assert.deepStrictEqual([publishedAt(net.brokers.b!), publishedAt(net.brokers.c!)], [["t 1"], ["t 1", "t 2"]])
    }))

  it.live("stop finishes what is in flight and takes no more; restarts of a durable source lose nothing", () =>
    Effect.gen(function*() {
      const count = 3000
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a", { persistence: "durable" })
      yield* net.ready("b")
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      const publishing = yield* Effect.forkScoped(Effect.gen(function*() {
        for (let i = 0; i < count; i++) {
          yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
          if (i % 50 === 0) yield* Effect.sleep("1 millis")
        }
      }))
      for (let i = 1; i <= 5; i++) {
        yield* until(forwarder, ({ received }) => received > i * 200)
        yield* forwarder.restart
        yield* forwarder.active
      }
      yield* forwarder.stop
      const stopped = yield* forwarder.metrics
      assert.deepStrictEqual([stopped.state, stopped.inFlight, stopped.activeSources], ["stopped", 0, 0])
      assertSum(stopped)
      yield* forwarder.start
      yield* Fiber.join(publishing)
      yield* until(forwarder, ({ forwarded }) => forwarded >= count)
      const numbers = numbersByTopic(net.brokers.b!.published).get("t")!
      assert.deepStrictEqual(numbers, Array.from({ length: count }, (_, index) => index))
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.live("stop does not wait for a target that never connects: QoS 1 is returned, QoS 0 is counted", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      const forwarder = yield* net.forward({ stopTimeout: "50 millis" })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "0")
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 2)
      yield* forwarder.stop
      const metrics = yield* forwarder.metrics
      assert.deepStrictEqual([metrics.inFlight, metrics.returned, metrics.dropped.stopped], [0, 1, 1])
      assertSum(metrics)
      assert.strictEqual(net.brokers.a!.received("Puback").length, 0)
      yield* net.ready("b")
      yield* forwarder.start
      yield* settled(forwarder, 3)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t 1"])
    }))

  it.live("a start that fails leaves nothing behind", () =>
    Effect.gen(function*() {
      const net = yield* makePair({ protocolVersion: 4 }, { record: true })
      const failure = yield* Effect.flip(net.forward({ target: "a" }))
      assert.strictEqual(failure.reason._tag, "ForwarderFailed")
      yield* roundTrip(net, "a")
      assert.strictEqual(net.brokers.a!.received("Subscribe").length, 0)
    }))

  it.live("a target with a full queue keeps the order", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      yield* net.ready("b", { queue: { messages: 5 }, maxInflight: 3 })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      for (let i = 0; i < 1000; i++) {
        yield* net.brokers.a!.publish(`t/${i % 3}`, String(i), { qos: (i % 2) + 1 as 1 | 2 })
      }
      yield* settled(forwarder, 1000)
      const published = net.brokers.b!.published.map(({ payload }) => Number(text(payload)))
      assert.deepStrictEqual([...published].sort((x, y) => x - y), Array.from({ length: 1000 }, (_, index) => index))
      for (const numbers of numbersByTopic(net.brokers.b!.published).values()) {
        for (const parity of [0, 1]) {
          const ofQoS = numbers.filter((number) => number % 2 === parity)
          assert.deepStrictEqual(ofQoS, [...ofQoS].sort((x, y) => x - y))
        }
      }
    }))

  it.live("QoS 0 that no session can take is dropped, the oldest first, and counted", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      const forwarder = yield* net.forward({ maxInFlight: 10, buffer: 10 })
      yield* forwarder.active
      for (let i = 0; i < 100; i++) yield* net.brokers.a!.publish("t", String(i))
      const waiting = yield* until(forwarder, ({ dropped }) => dropped.overflow === 80)
      assertSum(waiting)
      yield* net.ready("b")
      const metrics = yield* settled(forwarder, 100)
      assert.strictEqual(metrics.forwarded, 20)
      assert.strictEqual(metrics.received, 100)
    }))
})
