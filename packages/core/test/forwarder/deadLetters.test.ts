/**
 * Dead letters of forwarders: what they look like, what becomes of refused ones, and that they never breed.
 */
import type { ForwarderFailure } from "@effect-mqttx/core/ForwarderMetrics"
import { MqttError, NotSupported } from "@effect-mqttx/core/MqttError"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, type Scope, Stream } from "effect"
import { makeNet, makePair, type Net, netOf, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
import type { Forwarder } from "../../src/Forwarder.ts"

const versions = [[5, "5"], [4, "3.1.1"]] as const

/** Fails at what it is told to. */
const failing = (isBad: (topic: string, text: string) => boolean) => ({
  transform: RouteTransformer.make((message) =>
    isBad(message.topic, message.text)
      ? Effect.fail(new MqttError({ reason: new NotSupported({ feature: "this", detail: "never" }) }))
      : Effect.succeed(message)
  )
})

const failuresOf = Effect.fnUntraced(function*(
  forwarder: Forwarder["Service"]
): Effect.fn.Return<Queue.Dequeue<ForwarderFailure>, never, Scope.Scope> {
  const queue = yield* Queue.unbounded<ForwarderFailure>()
  yield* Effect.forkScoped(Stream.runForEach(forwarder.failures, (failure) => Queue.offer(queue, failure)), {
    startImmediately: true
  })
  return queue
})

const deadAt = (net: Net, broker: string, topic = "t/dead"): number =>
  net.brokers[broker]!.published.filter((message) => message.topic === topic).length

/** Everything that a source has got was received, and is done with. */
const untilQuiet = (net: Net, broker: string, forwarders: ReadonlyArray<Forwarder["Service"]>) =>
  Effect.gen(function*() {
    while (true) {
      const all = yield* Effect.forEach(forwarders, ({ metrics }) => metrics)
      const count = net.brokers[broker]!.published.length
      if (all.every(({ inFlight, received }) => inFlight === 0 && received === count)) return all
      assert.isBelow(count, 100, "dead letters breed")
      yield* Effect.sleep("2 millis")
    }
  })

describe("Forwarder: dead letters in its own filter", () => {
  for (const [protocolVersion, name] of versions) {
    it.live(`one message is one dead letter: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion }, { record: true })
        const hooks = failing(() => true)
        const forwarder = yield* net.forward({ filters: ["t/#"], deadLetter: { topic: "t/dead", session: "a" } }, hooks)
        yield* forwarder.active
        yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
        const [metrics] = yield* untilQuiet(net, "a", [forwarder])
        assert.strictEqual(deadAt(net, "a"), 1)
        assert.deepStrictEqual([metrics!.deadLettered, metrics!.dropped.looped], [1, 1])
        // Nor what others write there.
        yield* net.brokers.a!.publish("t/dead", "2", { qos: 1 })
        const { dropped } = yield* settled(forwarder, 3)
        assert.strictEqual(dropped.looped, 2)
      }))

    it.live(`two forwarders that read each other's dead letters come to rest: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion }, { record: true })
        const forwarders = yield* Effect.forEach(["one", "two"], (name) =>
          net.forward(
            { name, filters: ["t/#"], deadLetter: { topic: `t/dead ${name}`, session: "a" } },
            failing(() => true)
          ))
        yield* Effect.forEach(forwarders, ({ active }) => active)
        yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
        yield* untilQuiet(net, "a", forwarders)
        // Each has had the message before, as what it was then.
        assert.deepStrictEqual([deadAt(net, "a", "t/dead one"), deadAt(net, "a", "t/dead two")], [1, 1])
      }))

    it.live(`two programs with the same forwarder: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const brokers = {
          a: yield* ScriptedBroker.makeMemory({ record: true }),
          b: yield* ScriptedBroker.makeMemory({ record: true })
        }
        const nets = [yield* netOf(brokers), yield* netOf(brokers)]
        const forwarders = yield* Effect.forEach(nets, (net) =>
          Effect.gen(function*() {
            yield* net.ready("a", { protocolVersion })
            yield* net.ready("b", { protocolVersion })
            const hooks = failing(() => true)
            return yield* net.forward({ filters: ["t/#"], deadLetter: { topic: "t/dead", session: "a" } }, hooks)
          }))
        yield* Effect.forEach(forwarders, ({ active }) => active)
        yield* brokers.a.publish("t/x", "1", { qos: 1 })
        yield* untilQuiet(nets[0]!, "a", forwarders)
        assert.strictEqual(deadAt(nets[0]!, "a"), 2)
      }))
  }

  it.live("a dead letter on the same topic of another broker is a message like any other", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward(
        { filters: ["t/#"], deadLetter: { topic: "t/dead" } },
        failing((_, text) => text === "bad")
      )
      yield* forwarder.active
      yield* net.brokers.a!.publish("t/dead", "good", { qos: 1 })
      yield* net.brokers.a!.publish("t/dead", "bad", { qos: 1 })
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered], [1, 1])
      assert.deepStrictEqual(publishedAt(net.brokers.b!).toSorted(), ["t/dead bad", "t/dead good"])
    }))

  it.live("the dead letters of others are forwarded, and make no further ones", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      yield* net.brokers.b!.refusePublish("refused/#", 0x87)
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
      yield* forwarder.active
      const dead = (topic: string): MessageProperties => ({
        userProperties: [["mqttx-session", "x"], ["mqttx-topic", topic], ["mqttx-error", "no"]]
      })
      yield* net.brokers.a!.publish("others/dead", "1", { qos: 1, properties: dead("t/1") })
      yield* net.brokers.a!.publish("refused/dead", "2", { qos: 1, properties: dead("t/2") })
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.failed], [1, 0, 1])
    }))
})

describe("Forwarder: refused dead letters", () => {
  it.live("stop nothing, are counted, and are reported", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      yield* net.brokers.b!.refusePublish("secret/#", 0x87)
      const forwarder = yield* net.forward({ deadLetter: { topic: "secret/dead" } })
      yield* forwarder.active
      const failures = yield* failuresOf(forwarder)
      for (let i = 0; i < 5; i++) {
        yield* net.brokers.a!.publish("secret/x", String(i), { qos: 1 })
        yield* net.brokers.a!.publish("t/x", String(i), { qos: 1 })
      }
      const metrics = yield* settled(forwarder, 10)
      assert.deepStrictEqual([metrics.forwarded, metrics.failed, metrics.deadLettered], [5, 5, 0])
      assert.strictEqual(metrics.lastError?.reason._tag, "PublishRefused")
      yield* net.brokers.a!.awaitPacket({ direction: "received", packet: "Puback", nth: 10 })
      for (let i = 0; i < 5; i++) {
        const { at: _at, deadLetterError, error, message, ...failure } = yield* Queue.take(failures)
        assert.deepStrictEqual(failure, {
          forwarder: "forwarder",
          session: "a",
          topic: "secret/x",
          outcome: "failed"
        })
        assert.deepStrictEqual([error.reason._tag, deadLetterError?.reason._tag], ["PublishRefused", "PublishRefused"])
        assert.deepStrictEqual([message.topic, message.text], ["secret/x", String(i)])
      }
      yield* net.brokers.b!.clearRefusals
      yield* net.brokers.b!.refusePublish("secret/x", 0x87)
      yield* net.brokers.a!.publish("secret/x", "6", { qos: 1 })
      const { deadLetterError, outcome } = yield* Queue.take(failures)
      assert.deepStrictEqual([outcome, deadLetterError], ["deadLetter", undefined])
    }))

  for (const [payload, form] of [[1800, "unmarked"], [5000, "marks"]] as const) {
    it.live(`what is too large goes without its ${form === "marks" ? "payload" : "marks"}: ${payload} bytes`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({}, { record: true, limits: { maximumPacketSize: 2000 } })
        const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } }, failing(() => true))
        yield* forwarder.active
        const properties: MessageProperties = { userProperties: [["x", "1"]], contentType: "text/plain" }
        yield* net.brokers.a!.publish("t", new Uint8Array(payload), { qos: 1, properties })
        const metrics = yield* settled(forwarder, 1)
        assert.deepStrictEqual([metrics.deadLettered, metrics.failed], [1, 0])
        const [dead] = net.brokers.b!.published
        const names = dead!.properties.userProperties!.map(([name]) => name)
        const route = ["mqttx-forwarders", "mqttx-brokers"]
        if (form === "unmarked") {
          assert.strictEqual(dead!.payload.length, payload)
          assert.deepStrictEqual(names, ["x", ...route])
          assert.strictEqual(dead!.properties.contentType, "text/plain")
          return
        }
        assert.strictEqual(dead!.payload.length, 0)
        assert.deepStrictEqual(
          names,
          [...route, "mqttx-forwarder", "mqttx-payload-bytes", "mqttx-session", "mqttx-topic", "mqttx-error"]
        )
        assert.deepInclude(dead!.properties.userProperties!, ["mqttx-payload-bytes", String(payload)] as const)
        assert.isUndefined(dead!.properties.contentType)
      }))
  }

  it.live("a server that accepts none of its forms gets nothing, and the next messages are forwarded", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true, limits: { maximumPacketSize: 120 } })
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", new Uint8Array(200), { qos: 1 })
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.failed], [1, 0, 1])
      assert.strictEqual(metrics.lastError?.reason._tag, "PacketTooLarge")
    }))

  it.live("what a durable target refuses later is reported as well, with the dead letter that it refuses", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      yield* net.brokers.b!.refuseNetwork
      yield* net.add("b", { persistence: "durable" })
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
      yield* forwarder.active
      const failures = yield* failuresOf(forwarder)
      yield* net.brokers.b!.refusePublish("#", 0x87)
      yield* net.brokers.a!.publish("secret", "1", { qos: 1 })
      yield* settled(forwarder, 1)
      yield* net.brokers.b!.acceptNetwork
      const { deadLetterError, outcome } = yield* Queue.take(failures)
      assert.deepStrictEqual([outcome, deadLetterError?.reason._tag], ["failed", "PublishRefused"])
      const { forwarded, refusedLater } = yield* until(forwarder, ({ refusedLater }) => refusedLater === 1)
      assert.deepStrictEqual([forwarded, refusedLater], [1, 1])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  for (const comes of [true, false]) {
    const title = comes ? "waits for its session when the forwarder stops" : "is reported when the forwarder stops"
    it.live(`of a message that a durable target refuses later, without a session for it, ${title}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b", "c"], { record: true })
        yield* net.ready("a")
        yield* net.brokers.b!.refusePublish("#", 0x87)
        yield* net.ready("b", { persistence: "durable" })
        const forwarder = yield* net.forward({
          deadLetter: { topic: "dead", session: "c" },
          stopTimeout: comes ? "1 minute" : "20 millis"
        })
        yield* forwarder.active
        const failures = yield* failuresOf(forwarder)
        yield* net.brokers.a!.publish("secret", "1", { qos: 1 })
        yield* until(forwarder, ({ refusedLater }) => refusedLater === 1)
        const stopping = yield* Effect.forkChild(forwarder.stop)
        if (comes) {
          yield* until(forwarder, ({ state }) => state === "stopping")
          yield* net.ready("c")
          yield* Fiber.join(stopping)
          yield* net.brokers.c!.awaitUntil(() => publishedAt(net.brokers.c!).length === 1)
          assert.deepStrictEqual(publishedAt(net.brokers.c!), ["dead 1"])
          assert.strictEqual(yield* Queue.size(failures), 0)
        } else {
          yield* Fiber.join(stopping)
          const { deadLetterError, error, outcome, topic } = yield* Queue.take(failures)
          assert.deepStrictEqual([outcome, topic, error.reason._tag], ["failed", "secret", "PublishRefused"])
          assert.match(deadLetterError!.message, /the forwarder has stopped before it could publish the message/)
        }
      }).pipe(Effect.provide(SessionStore.layerMemory)))
  }
})
