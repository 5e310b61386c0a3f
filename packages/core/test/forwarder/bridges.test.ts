/**
 * Forwarders in both directions over the same topics: nothing comes back to a broker that has it.
 */
import type { ForwarderOptionsInput } from "@effect-mqttx/core/ForwarderOptions"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Fault from "@effect-mqttx/testing/Fault"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  makeNet,
  makePair,
  type Net,
  netOf,
  publishedAt,
  roundTrip,
  settled,
  until
} from "../../../../test/support/forwarders.ts"
import type { Options } from "../../../../test/support/managers.ts"
import { realServer } from "../../../../test/support/servers.ts"
import { pass } from "../session/support.ts"

const versions = [[5, "5"], [4, "3.1.1"]] as const

/** One attempt to connect in an hour. */
const slow = { initialDelay: "1 hour", maxDelay: "1 hour", factor: 1, jitter: "none" } as const

/** A forwarder each way between brokers "a" and "b". */
const twoWays = Effect.fnUntraced(function*(net: Net, options: Partial<ForwarderOptionsInput> = {}) {
  const up = yield* net.forward({ name: "up", sources: ["a"], target: "b", filters: ["t/#"], ...options })
  const down = yield* net.forward({ name: "down", sources: ["b"], target: "a", filters: ["t/#"], ...options })
  yield* Effect.all([up.active, down.active])
  return { up, down }
})

/** All that a broker has got, as `topic payload`, from whomever. */
const allAt = (net: Net, name: string): ReadonlyArray<string> =>
  net.brokers[name]!.published.filter(({ topic }) => topic.startsWith("t/")).map(({ payload, topic }) =>
    `${topic} ${new TextDecoder().decode(payload)}`
  )

describe("Forwarder: both ways between two brokers", () => {
  for (const [protocolVersion, name] of versions) {
    for (const qos of [0, 1, 2] as const) {
      it.live(`what was published at one is at both once: MQTT ${name}, QoS ${qos}`, () =>
        Effect.gen(function*() {
          const net = yield* makePair({ protocolVersion }, { record: true })
          const { down, up } = yield* twoWays(net)
          for (let i = 0; i < 50; i++) yield* net.brokers.a!.publish("t/a", `message ${i >> 1}`, { qos })
          for (let i = 0; i < 30; i++) yield* net.brokers.b!.publish("t/b", `message ${i >> 1}`, { qos })
          const [upwards, downwards] = yield* Effect.all([settled(up, 80), settled(down, 80)])
          assert.deepStrictEqual([upwards.forwarded, upwards.dropped.looped], [50, 30])
          assert.deepStrictEqual([downwards.forwarded, downwards.dropped.looped], [30, 50])
          assert.strictEqual(allAt(net, "a").length, 80)
          assert.strictEqual(allAt(net, "b").length, 80)
        }))
    }

    it.live(`equal messages of clients on both sides all arrive: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion }, { record: true })
        const { down, up } = yield* twoWays(net)
        for (let i = 0; i < 20; i++) {
          yield* net.brokers.a!.publish("t/x", "on", { qos: 1 })
          yield* net.brokers.b!.publish("t/x", "on", { qos: 1 })
        }
        const [upwards, downwards] = yield* Effect.all([settled(up, 40), settled(down, 40)])
        assert.deepStrictEqual([upwards.forwarded, downwards.forwarded], [20, 20])
        assert.deepStrictEqual([allAt(net, "a").length, allAt(net, "b").length], [40, 40])
      }))

    it.live(`by two sessions at each broker: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion }, { record: true })
        yield* net.ready("a", { name: "a out", protocolVersion })
        yield* net.ready("b", { name: "b out", protocolVersion })
        const up = yield* net.forward({ name: "up", sources: ["a"], target: "b out" })
        const down = yield* net.forward({ name: "down", sources: ["b"], target: "a out" })
        yield* Effect.all([up.active, down.active])
        yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
        yield* Effect.all([settled(up, 1), settled(down, 1)])
        assert.deepStrictEqual([allAt(net, "a"), allAt(net, "b")], [["t/x 1"], ["t/x 1"]])
      }))

    it.live(`under another topic too, unless loops are allowed: MQTT ${name}`, () =>
      Effect.gen(function*() {
        for (const allowLoops of [false, true]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const net = yield* makePair({ protocolVersion }, { record: true })
            const { down, up } = yield* twoWays(net, { allowLoops, mapping: [{ strip: "t/", add: "t/mapped/" }] })
            yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
            const returned = allowLoops ? 1 : 0
            yield* Effect.all([settled(up, 1 + returned), settled(down, 1)])
            assert.deepStrictEqual(
              allAt(net, "a"),
              allowLoops ? ["t/x 1", "t/mapped/mapped/x 1"] : ["t/x 1"]
            )
            assert.deepStrictEqual(allAt(net, "b"), ["t/mapped/x 1"])
          }))
        }
      }))

    it.live(`retained messages that are delivered again: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion, persistence: "none" }, { record: true })
        // On 3.1.1 a server marks only what it sends when a subscription begins.
        const { down } = yield* twoWays(net, { retain: protocolVersion === 4 ? "set" : "keep" })
        for (let i = 0; i < 10; i++) yield* net.brokers.a!.publish(`t/${i}`, "1", { qos: 1, retain: true })
        yield* settled(down, 10)
        assert.strictEqual(net.brokers.b!.retained.length, 10)
        // The subscription begins anew, and the server delivers all that it has.
        yield* down.restart
        yield* down.active
        const metrics = yield* settled(down, 20)
        assert.deepStrictEqual([metrics.forwarded, metrics.dropped.looped], [0, 20])
        assert.strictEqual(allAt(net, "a").length, 10)
      }))

    it.effect(`after the target was away for an hour: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a", { protocolVersion })
        yield* net.ready("b", { protocolVersion, reconnect: slow, clientId: "writer" })
        yield* net.ready("b", { name: "b in", protocolVersion })
        const up = yield* net.forward({ name: "up", sources: ["a"], target: "b", filters: ["t/#"] })
        const down = yield* net.forward({ name: "down", sources: ["b in"], target: "a", filters: ["t/#"] })
        yield* Effect.all([up.active, down.active])
        yield* net.brokers.b!.cut("writer")
        yield* until(up, ({ targetConnected }) => !targetConnected)
        for (let i = 0; i < 5; i++) yield* net.brokers.a!.publish("t/x", String(i), { qos: 1 })
        yield* until(up, ({ inFlight }) => inFlight === 5)
        yield* pass(3_600_000, 600_000)
        const metrics = yield* settled(down, 5)
        assert.strictEqual(metrics.dropped.looped, 5)
        assert.deepStrictEqual([allAt(net, "a").length, allAt(net, "b").length], [5, 5])
      }))

    it.effect(`what waits behind a target that is away: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a", { name: "a in", protocolVersion })
        yield* net.ready("b", { protocolVersion })
        const up = yield* net.forward({ name: "up", sources: ["a in"], target: "b", filters: ["t/#"] })
        const down = yield* net.forward({
          name: "down",
          sources: ["b"],
          target: "a",
          filters: ["t/#"],
          maxInFlight: 2
        })
        yield* Effect.all([up.active, down.active])
        // The way down is full before what came up gets there.
        for (let i = 0; i < 3; i++) yield* net.brokers.b!.publish("t/b", String(i), { qos: 1 })
        yield* until(down, ({ inFlight }) => inFlight === 2)
        for (let i = 0; i < 5; i++) yield* net.brokers.a!.publish("t/a", String(i), { qos: 1 })
        yield* until(up, ({ forwarded }) => forwarded === 5)
        yield* pass(60_000, 10_000)
        yield* net.ready("a", { protocolVersion })
        const metrics = yield* settled(down, 8)
        assert.deepStrictEqual([metrics.forwarded, metrics.dropped.looped], [3, 5])
        assert.strictEqual(allAt(net, "a").length, 8)
        // From now on time counts again: what never came back does not hide an equal message of another client for
        // ever.
        yield* net.brokers.b!.inject(Fault.discard({ direction: "sent", packet: "Publish" }))
        yield* net.brokers.a!.publish("t/a", "late")
        yield* settled(up, 9)
        yield* pass(10_000, 5000)
        yield* net.brokers.b!.publish("t/a", "late")
        assert.strictEqual((yield* settled(down, 9)).forwarded, 4)
      }))

    it.effect(`what the server keeps while the session has no connection: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a", { protocolVersion })
        yield* net.ready("b", { protocolVersion, name: "b out" })
        yield* net.ready("b", { protocolVersion, reconnect: slow, clientId: "reader", persistence: "durable" })
        const up = yield* net.forward({ name: "up", sources: ["a"], target: "b out", filters: ["t/#"] })
        const down = yield* net.forward({ name: "down", sources: ["b"], target: "a", filters: ["t/#"] })
        yield* Effect.all([up.active, down.active])
        yield* net.brokers.b!.cut("reader")
        for (let i = 0; i < 5; i++) {
          yield* net.brokers.a!.publish("t/x", String(i), { qos: 1 })
          yield* settled(up, i + 1)
          yield* pass(60_000, 20_000)
        }
        assert.strictEqual((yield* down.metrics).received, 0)
        yield* pass(3_300_000, 600_000)
        const metrics = yield* settled(down, 5)
        assert.strictEqual(metrics.dropped.looped, 5)
        assert.strictEqual(allAt(net, "a").length, 5)
      }).pipe(Effect.provide(SessionStore.layerMemory)))

    it.live(`a message that the server repeats after a cut: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a", { protocolVersion })
        yield* net.ready("b", { protocolVersion, name: "b out" })
        yield* net.ready("b", { protocolVersion, clientId: "reader", persistence: "durable" })
        const up = yield* net.forward({ name: "up", sources: ["a"], target: "b out", filters: ["t/#"] })
        const down = yield* net.forward({ name: "down", sources: ["b"], target: "a", filters: ["t/#"] })
        yield* Effect.all([up.active, down.active])
        // The acknowledgement of what came back is lost.
        yield* net.brokers.b!.inject(Fault.dropBefore({ direction: "received", packet: "Puback" }))
        yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
        const metrics = yield* settled(down, 2)
        assert.strictEqual(metrics.dropped.looped, 2)
        assert.isTrue(net.brokers.b!.sent("Publish", "reader").some(({ packet }) => packet.dup))
        assert.strictEqual(allAt(net, "a").length, 1)
      }).pipe(Effect.provide(SessionStore.layerMemory)))

    it.live(`a forwarder that restarts while messages come: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const durable: Options = { protocolVersion, persistence: "durable", drainTimeout: "20 millis" }
        const net = yield* makePair(durable, { record: true })
        const { down, up } = yield* twoWays(net)
        for (let round = 0; round < 5; round++) {
          yield* down.stop
          for (let i = 0; i < 10; i++) yield* net.brokers.a!.publish("t/x", `${round} ${i}`, { qos: 1 })
          yield* settled(up, 10 * (round + 1))
          yield* down.start
          yield* down.active
          yield* settled(down, 10 * (round + 1))
        }
        assert.strictEqual(allAt(net, "a").length, 50)
        assert.strictEqual(allAt(net, "b").length, 50)
      }).pipe(Effect.provide(SessionStore.layerMemory)))
  }

  it.live("messages that come back do not count for sample", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const { down } = yield* twoWays(net, { sample: { every: 2 } })
      for (const payload of ["a1", "a2"]) yield* net.brokers.a!.publish("t/x", payload, { qos: 1 })
      yield* settled(down, 1)
      for (const payload of ["b1", "b2"]) yield* net.brokers.b!.publish("t/x", payload, { qos: 1 })
      const metrics = yield* settled(down, 3)
      assert.deepStrictEqual([metrics.dropped.looped, metrics.filtered, metrics.forwarded], [1, 1, 1])
      assert.deepStrictEqual(allAt(net, "a"), ["t/x a1", "t/x a2", "t/x b2"])
    }))

  it.live("by shared subscriptions: MQTT 5", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const { down, up } = yield* twoWays(net, { share: "group" })
      for (let i = 0; i < 10; i++) yield* net.brokers.a!.publish("t/x", String(i), { qos: 1 })
      yield* Effect.all([settled(up, 10), settled(down, 10)])
      assert.deepStrictEqual([allAt(net, "a").length, allAt(net, "b").length], [10, 10])
    }))

  it.live("No Local avoids the way back, where it is asked for", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const { down, up } = yield* twoWays(net, { noLocal: true })
      yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
      yield* net.brokers.b!.publish("t/x", "2", { qos: 1 })
      yield* Effect.all([settled(up, 1), settled(down, 1)])
      yield* Effect.all([roundTrip(net, "a"), roundTrip(net, "b")])
      const metrics = yield* Effect.all([up.metrics, down.metrics])
      assert.deepStrictEqual(metrics.map(({ dropped, received }) => [received, dropped.looped]), [[1, 0], [1, 0]])
      // What the program itself publishes by the session is forwarded without it only.
      yield* (yield* net.manager.get("a")).publish("t/x", "3", { qos: 1 })
      yield* roundTrip(net, "b")
      assert.deepStrictEqual(allAt(net, "b").toSorted(), ["t/x 1", "t/x 2"])
    }))

  it.live("without No Local what the program publishes by the session of a bridge is forwarded", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const { down, up } = yield* twoWays(net)
      yield* (yield* net.manager.get("a")).publish("t/x", "1", { qos: 1 })
      yield* Effect.all([settled(up, 1), settled(down, 1)])
      assert.deepStrictEqual([allAt(net, "a"), allAt(net, "b")], [["t/x 1"], ["t/x 1"]])
    }))

  it.live("several steps within one broker continue, and the result of the last leaves it", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      yield* net.ready("a", { name: "a 2" })
      const steps = [
        ["one", "a", "a", "raw/#", "clean/{1}"],
        ["two", "a", "a 2", "clean/#", "sum/{1}"],
        ["out", "a", "b", "sum/#", "t/{1}"],
        ["back", "b", "a", "t/#", "raw/{1}"]
      ] as const
      const forwarders = yield* Effect.forEach(
        steps,
        ([name, source, target, from, to]) =>
          net.forward({ name, sources: [source], filters: [from], target, mapping: [{ from, to }] })
      )
      for (const forwarder of forwarders) {
        yield* forwarder.active
      }
      yield* net.brokers.a!.publish("raw/x", "1", { qos: 1 })
      const metrics = yield* settled(forwarders[3]!, 1)
      assert.strictEqual(metrics.dropped.looped, 1)
      assert.deepStrictEqual(publishedAt(net.brokers.a!), ["clean/x 1", "sum/x 1"])
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t/x 1"])
    }))

  it.live("a target that is added after messages have come: what has been there goes nowhere", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const up = yield* net.forward({ name: "up" })
      const late = yield* net.forward({ name: "late", sources: ["b"], target: "a 2" })
      yield* Effect.all([up.active, late.active])
      yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
      yield* net.brokers.b!.publish("t/x", "2", { qos: 1 })
      yield* until(late, ({ inFlight }) => inFlight === 2)
      yield* net.ready("a", { name: "a 2" })
      const metrics = yield* settled(late, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.dropped.looped], [1, 1])
      assert.deepStrictEqual(publishedAt(net.brokers.a!), ["t/x 2"])
    }))
})

describe.skipIf(realServer("mosquitto") === undefined)("Forwarder: both ways between two mosquittos", () => {
  for (const [protocolVersion, name] of versions) {
    it.live(`each side has all messages once: MQTT ${name}`, () =>
      Effect.gen(function*() {
        const net = yield* netOf({})
        const seen: Record<string, Array<string>> = { a: [], b: [] }
        for (const broker of ["a", "b"]) {
          const { url } = yield* MosquittoBroker.make()
          for (const session of [broker, `see ${broker}`]) {
            yield* net.manager.add({ name: session, servers: [url], protocolVersion })
          }
        }
        yield* net.manager.awaitAllReady()
        const { down, up } = yield* twoWays(net)
        for (const broker of ["a", "b"]) {
          const route = yield* net.manager.handleTo(
            `see ${broker}`,
            "t/#",
            ({ text, topic }) => Effect.sync(() => void seen[broker]!.push(`${topic} ${text}`)),
            { qos: 1 }
          )
          yield* route.active
        }
        const expected: Array<string> = []
        for (let i = 0; i < 20; i++) {
          for (const broker of ["a", "b"]) {
            // Equal ones on both sides.
            yield* net.manager.publishTo(`see ${broker}`, "t/x", `message ${i >> 1}`, { qos: 1 })
            expected.push(`t/x message ${i >> 1}`)
          }
        }
        yield* Effect.all([settled(up, 40), settled(down, 40)])
        const isComplete = () => seen["a"]!.length >= 40 && seen["b"]!.length >= 40
        while (!isComplete()) yield* Effect.sleep("5 millis")
        assert.deepStrictEqual([seen["a"]!.toSorted(), seen["b"]!.toSorted()], [
          expected.toSorted(),
          expected.toSorted()
        ])
        const metrics = yield* Effect.all([up.metrics, down.metrics])
        assert.deepStrictEqual(metrics.map(({ dropped, forwarded }) => [forwarded, dropped.looped]), [[20, 20], [
          20,
          20
        ]])
      }), 180_000)
  }
})

describe("Forwarder: meshes", () => {
  for (const [protocolVersion, name] of versions) {
    for (const [size, maxHops, copies] of [[3, 8, 2], [4, 8, 5], [4, 1, 1]] as const) {
      it.live(`of ${size} brokers, with ${maxHops} hops at most: ${copies} copies each, MQTT ${name}`, () =>
        Effect.gen(function*() {
          const names = ["a", "b", "c", "d"].slice(0, size)
          const net = yield* makeNet(names, { record: true })
          for (const each of names) yield* net.ready(each, { protocolVersion })
          const forwarders = yield* Effect.forEach(
            names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const)),
            ([from, to]) => net.forward({ name: `${from} to ${to}`, sources: [from], target: to, maxHops })
          )
          for (const forwarder of forwarders) yield* forwarder.active
          yield* net.brokers.a!.publish("t/x", "1", { qos: 1 })
          for (const forwarder of forwarders) {
            const from = forwarder.options.sources[0]!
            yield* settled(forwarder, from === "a" ? 1 : copies)
          }
          assert.deepStrictEqual(
            names.map((each) => allAt(net, each).length),
            names.map((each) => each === "a" ? 1 : copies)
          )
        }))
    }
  }
})

describe("Forwarder: both ways by two programs", () => {
  const makePrograms = Effect.fnUntraced(function*(named: boolean) {
    const a = yield* ScriptedBroker.makeMemory({ record: true })
    const b = yield* ScriptedBroker.makeMemory({ record: true })
    const nets = [yield* netOf({ a, b }), yield* netOf({ a, b })] as const
    for (const [index, net] of nets.entries()) {
      for (const name of ["a", "b"]) {
        const address = { servers: [`mqtt://${name}.in-program-${index}.invalid`] }
        yield* net.ready(name, named ? { ...address, brokerName: `plant ${name}` } : undefined)
      }
    }
    const up = yield* nets[0].forward({ name: "up", filters: ["t/#"] })
    const down = yield* nets[1].forward({ name: "down", sources: ["b"], target: "a", filters: ["t/#"] })
    yield* Effect.all([up.active, down.active])
    yield* a.publish("t/x", "1", { qos: 1 })
    return { a, b, down, up, net: nets[0] }
  })

  it.live("nothing comes back between brokers that have the same names in both", () =>
    Effect.gen(function*() {
      const { a, b, down, up } = yield* makePrograms(true)
      const metrics = yield* settled(down, 1)
      yield* settled(up, 1)
      assert.strictEqual(metrics.dropped.looped, 1)
      assert.deepStrictEqual([a.published.length, b.published.length], [1, 1])
      assert.deepStrictEqual(
        b.published[0]!.properties.userProperties,
        [["mqttx-forwarders", "up"], ["mqttx-brokers", "plant a,plant b"]]
      )
    }))

  it.live("without names a message comes back once, since the same address may be another broker elsewhere", () =>
    Effect.gen(function*() {
      const { a, b, down, up } = yield* makePrograms(false)
      yield* settled(down, 1)
      const metrics = yield* settled(up, 2)
      assert.strictEqual(metrics.dropped.looped, 1)
      assert.deepStrictEqual([a.published.length, b.published.length], [2, 1])
    }))
})
