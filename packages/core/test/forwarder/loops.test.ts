import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertSum, makeNet, makePair, netOf, settled, until } from "../../../../test/support/forwarders.ts"
import { realServer } from "../../../../test/support/servers.ts"
import { within } from "../../../../test/support/within.ts"

const names = ["a", "b", "c"]

/** Waits until the brokers have got nothing new for a while. */
const quiet = (count: () => number): Effect.Effect<void> =>
  Effect.gen(function*() {
    let before = -1
    let still = 0
    while (still < 10) {
      yield* Effect.sleep("20 millis")
      still = count() === before ? still + 1 : 0
      before = count()
    }
  })

describe("Forwarder: loops", () => {
  for (const protocolVersion of [4, 5] as const) {
    for (const size of [2, 3]) {
      it.live(`a ring of ${size} brokers on MQTT ${protocolVersion === 5 ? "5" : "3.1.1"} writes as many copies of a message as it has members`, () =>
        Effect.gen(function*() {
          const ring = names.slice(0, size)
          const net = yield* makeNet(ring, { record: true })
          yield* Effect.forEach(ring, (name) => net.ready(name, { protocolVersion }))
          const forwarders = yield* Effect.forEach(ring, (name, index) =>
            net.forward({
              name: `from ${name}`,
              sources: [name],
              // They overlap: on MQTT 3.1.1 some servers send a copy for each.
              filters: ["t/#", "+/1"],
              target: ring[(index + 1) % size]!
            }))
          yield* Effect.forEach(forwarders, ({ active }) => active)
          const written = () =>
            ring.reduce(
              (total, name) =>
                total + net.brokers[name]!.published.filter(({ publisher }) => publisher !== undefined).length,
              0
            )
          for (let i = 0; i < 20; i++) {
            // Twice the same: a message that looks like another one is none the less forwarded.
            yield* net.brokers.a!.publish("t/1", `message ${i >> 1}`, { qos: 1 })
            yield* net.brokers.b!.publish("t/2", `message ${i >> 1}`, { qos: 0 })
          }
          // Traffic is back to nothing long before two seconds have passed.
          yield* within(2000)(quiet(written))
          assert.isAtMost(written(), 40 * size)
          // Every broker has all of them.
          for (const name of ring) assert.isAtLeast(net.brokers[name]!.published.length, 40)
          let looped = 0
          for (const forwarder of forwarders) {
            const metrics = yield* until(forwarder, ({ inFlight }) => inFlight === 0)
            assertSum(metrics)
            looped += metrics.dropped.looped
          }
          assert.strictEqual(looped, 40)
        }))
    }
  }

  it.live("on MQTT 5 a forwarder onto its own session writes each message once", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ target: "a" })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* until(forwarder, ({ forwarded }) => forwarded === 1)
      yield* quiet(() => net.brokers.a!.published.length)
      assert.strictEqual(net.brokers.a!.published.length, 2)
      // The server does not even send it back.
      assert.strictEqual((yield* forwarder.metrics).dropped.looped, 0)
      assert.isTrue(net.brokers.a!.subscriptions(net.brokers.a!.sessions[0]!.clientId).every(({ noLocal }) => noLocal))
    }))

  it.live("a shared subscription never asks for no local, which the protocol forbids", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ target: "a", share: "group" })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      const metrics = yield* until(forwarder, ({ dropped }) => dropped.looped === 1)
      assert.strictEqual(metrics.forwarded, 1)
      assert.strictEqual(net.brokers.a!.violations.length, 0)
    }))

  it.live("a message passes eight forwarders and no more", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      const passed = (count: number) => ({
        userProperties: [[
          "mqttx-forwarders",
          Array.from({ length: count }, (_, index) => `f${index}`).join(",")
        ]] as const
      })
      yield* net.brokers.a!.publish("t", "seven", { qos: 1, properties: passed(7) })
      yield* net.brokers.a!.publish("t", "eight", { qos: 1, properties: passed(8) })
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.dropped.tooManyHops], [1, 1])
    }))

  it.live("on MQTT 3.1.1 a configuration that feeds itself is refused, on one session and on two of one server", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a"])
      yield* net.ready("a", { protocolVersion: 4 })
      yield* net.ready("a", { name: "again", protocolVersion: 4 })
      for (const target of ["a", "again"]) {
        const refused = (options: object) =>
          Effect.map(
            Effect.flip(net.forward({ target, filters: ["sensors/#"], ...options })),
            ({ reason }) => reason._tag
          )
        assert.strictEqual(yield* refused({}), "ForwarderFailed")
        assert.strictEqual(
          yield* refused({ mapping: [{ from: "sensors/+", to: "sensors/{1}/copy" }] }),
          "ForwarderFailed"
        )
        yield* net.forward({
          name: `free ${target}`,
          target,
          filters: ["sensors/+/temperature"],
          mapping: [{
            from: "sensors/+/temperature",
            to: "storage/{1}/temp"
          }]
        })
      }
    }))

  it.live("a session that comes later and would close a loop is not joined, and the forwarder says why", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a"], { record: true })
      yield* net.ready("a", { name: "target", protocolVersion: 4 })
      const forwarder = yield* net.forward({ target: "target" })
      yield* net.ready("a", { protocolVersion: 4 })
      const { activeSources, lastError } = yield* until(forwarder, ({ lastError }) => lastError !== undefined)
      assert.strictEqual(lastError!.reason._tag, "ForwarderFailed")
      assert.strictEqual(activeSources, 0)
    }))

  it.live("with allowLoops a message that comes back is recognised, and a repetition of it is not", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a"], { record: true })
      yield* net.ready("a", { protocolVersion: 4 })
      const forwarder = yield* net.forward({ target: "a", filters: ["t"], allowLoops: true })
      yield* forwarder.active
      for (let i = 0; i < 5; i++) yield* net.brokers.a!.publish("t", "the same", { qos: 1 })
      const metrics = yield* until(forwarder, ({ dropped }) => dropped.looped === 5)
      yield* quiet(() => net.brokers.a!.published.length)
      assert.strictEqual(metrics.forwarded, 5)
      assert.strictEqual(net.brokers.a!.published.length, 10)
    }))

  const mosquitto = realServer("mosquitto")
  for (const protocolVersion of [4, 5] as const) {
    it.live.skipIf(mosquitto === undefined)(
      `a ring of three mosquittos on MQTT ${protocolVersion === 5 ? "5" : "3.1.1"} comes to rest`,
      () =>
        Effect.gen(function*() {
          const brokers = yield* Effect.forEach(names, () => MosquittoBroker.make())
          const net = yield* netOf({})
          for (const [index, name] of names.entries()) {
            yield* net.manager.add({ name, servers: [brokers[index]!.url], protocolVersion })
            yield* net.manager.add({ name: `see ${name}`, servers: [brokers[index]!.url] })
          }
          yield* net.manager.awaitAllReady()
          const forwarders = yield* Effect.forEach(names, (name, index) =>
            net.forward({
              name: `from ${name}`,
              sources: [name],
              filters: ["t/#", "t/+/1"],
              target: names[(index + 1) % 3]!
            }))
          let seen = 0
          for (const name of names) {
            yield* net.manager.handleTo(`see ${name}`, "#", () => Effect.sync(() => void seen++), { qos: 1 }).pipe(
              Effect.tap(({ active }) => active)
            )
          }
          yield* Effect.forEach(forwarders, ({ active }) => active)
          for (let i = 0; i < 10; i++) {
            yield* net.manager.publishTo("see a", "t/x/1", `message ${i >> 1}`, { qos: 1 })
          }
          yield* quiet(() => seen)
          // Each of the ten is at every broker at least, and the first one has seen the copy that closed the ring.
          assert.isAtLeast(seen, 30)
          assert.isAtMost(seen, 40)
        }),
      180_000
    )
  }
})
