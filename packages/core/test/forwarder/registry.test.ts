import * as Forwarder from "@effect-mqttx/core/Forwarder"
import * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { assert, describe, it } from "@effect/vitest"
import { Config, Context, Effect, Exit, Layer, Scope } from "effect"
import { makePair, type Net, publishedAt, settled } from "../../../../test/support/forwarders.ts"
import { reasonOf } from "../../../../test/support/managers.ts"

const options = { name: "one", sources: ["a"], filters: ["t/#"], target: "b" }

const makeForwarders = (net: Net, given?: ForwarderManager.ForwarderManagerOptions) =>
  Effect.provideService(ForwarderManager.make(given), SessionManager.SessionManager, net.manager)

const tagOf = <A>(effect: Effect.Effect<A, MqttError>) => Effect.map(reasonOf(effect), ({ _tag }) => _tag)

describe("ForwarderManager", () => {
  it.live("adds, finds and removes by name", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarders = yield* makeForwarders(net)
      const one = yield* forwarders.add(options)
      yield* forwarders.add({ ...options, name: "two", enabled: false })
      assert.deepStrictEqual(yield* forwarders.list, ["one", "two"])
      assert.strictEqual(yield* forwarders.get("one"), one)
      assert.strictEqual(yield* tagOf(forwarders.add(options)), "DuplicateForwarder")
      assert.strictEqual(yield* tagOf(forwarders.get("three")), "ForwarderNotFound")
      assert.strictEqual(yield* tagOf(forwarders.metrics("three")), "ForwarderNotFound")
      assert.deepStrictEqual(
        Array.from(yield* forwarders.allMetrics, ([name, { state }]) => [name, state]),
        [["one", "running"], ["two", "stopped"]]
      )
      yield* forwarders.remove("one")
      assert.strictEqual(yield* one.state, "stopped")
      assert.deepStrictEqual(yield* forwarders.list, ["two"])
      yield* forwarders.add(options)
    }))

  it.live("starts, stops and restarts, and the figures continue", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarders = yield* makeForwarders(net, { forwarders: [options] })
      const one = yield* forwarders.get("one")
      for (
        const step of [
          Effect.void,
          forwarders.restart("one"),
          Effect.andThen(forwarders.stop("one"), forwarders.start("one"))
        ]
      ) {
        yield* step
        yield* one.active
        yield* net.brokers.a!.publish("t/1", "x", { qos: 1 })
        const { received } = yield* forwarders.metrics("one")
        yield* settled(one, received + 1)
      }
      yield* forwarders.stopAll
      assert.strictEqual(yield* one.state, "stopped")
      assert.strictEqual((yield* one.metrics).forwarded, 3)
      assert.strictEqual(publishedAt(net.brokers.b!).length, 3)
      // Once more does nothing.
      yield* forwarders.stopAll
    }))

  it.live("a forwarder that cannot be added leaves nothing behind, and its name is free", () =>
    Effect.gen(function*() {
      const net = yield* makePair({ protocolVersion: 4 })
      const forwarders = yield* makeForwarders(net)
      assert.strictEqual(yield* tagOf(forwarders.add({ ...options, target: "a" })), "ForwarderFailed")
      assert.strictEqual(yield* tagOf(forwarders.add({ ...options, filters: "#/x" })), "InvalidOptions")
      assert.deepStrictEqual(yield* forwarders.list, [])
      yield* forwarders.add(options)
    }))

  it.live("the end of the scope stops all, and afterwards nothing is added", () =>
    Effect.gen(function*() {
      const net = yield* makePair()
      const scope = yield* Scope.make()
      const forwarders = yield* Scope.provide(makeForwarders(net), scope)
      const one = yield* forwarders.add(options)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* one.state, "stopped")
      assert.strictEqual(yield* tagOf(forwarders.add({ ...options, name: "late" })), "Closed")
    }))

  it.live("layers make a forwarder and a manager of forwarders on a manager of sessions", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const context = yield* Layer.build(
        Layer.mergeAll(
          Forwarder.layer({ ...options, name: "alone" }),
          ForwarderManager.layer({ forwarders: [{ ...options, name: "member", target: "b", filters: ["u"] }] })
        ).pipe(Layer.provide(Layer.succeed(SessionManager.SessionManager, net.manager)))
      )
      const alone = Context.get(context, Forwarder.Forwarder)
      const member = yield* Context.get(context, ForwarderManager.ForwarderManager).get("member")
      yield* Effect.all([alone.active, member.active])
      yield* net.brokers.a!.publish("t/1", "1", { qos: 1 })
      yield* net.brokers.a!.publish("u", "2", { qos: 1 })
      yield* Effect.all([settled(alone, 1), settled(member, 1)])
      assert.deepStrictEqual(publishedAt(net.brokers.b!).toSorted(), ["t/1 1", "u 2"])
    }))

  it.live("forwards what a handler publishes, while the handler waits for its acknowledgement", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarders = yield* makeForwarders(net)
      const one = yield* forwarders.add(options)
      const route = yield* net.manager.handleTo(
        "a",
        "in",
        ({ text }) => net.manager.publishTo("a", "t/out", text, { qos: 1 }),
        {
          qos: 1
        }
      )
      yield* Effect.all([one.active, route.active])
      for (let i = 0; i < 2000; i++) yield* net.brokers.a!.publish("in", String(i), { qos: 1 })
      yield* settled(one, 2000)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), Array.from({ length: 2000 }, (_, index) => `t/out ${index}`))
    }))

  it.live("joins a filter that others have subscribed to in another way", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarders = yield* makeForwarders(net)
      const route = yield* net.manager.handleTo("a", "t/#", () => Effect.void, { qos: 1 })
      yield* route.active
      const one = yield* forwarders.add(options)
      yield* one.active
      yield* net.brokers.a!.publish("t/1", "1", { qos: 1 })
      const { lastError } = yield* settled(one, 1)
      assert.strictEqual(lastError?.reason._tag, "SubscriptionConflict")
    }))
})

class Up extends Forwarder.Service<Up>()("up") {}
class Down extends Forwarder.Service<Down>()("down") {}

describe("Forwarder.Service", () => {
  it.live("makes tags for several forwarders of one program, each with the name of its tag", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const layers = Layer.mergeAll(
        Up.layer({ sources: ["a"], filters: ["up/#"], target: "b" }),
        Down.layerConfig(Config.succeed(
          yield* ForwarderOptions.make({
            name: "another",
            sources: ["b"],
            filters: ["down/#"],
            target: "a"
          })
        ))
      ).pipe(Layer.provide(Layer.succeed(SessionManager.SessionManager, net.manager)))
      yield* Effect.gen(function*() {
        const up = yield* Up
        const down = yield* Down
        assert.deepStrictEqual([up.name, down.name], ["up", "down"])
        yield* up.active
        yield* net.brokers.a!.publish("up/1", "x", { qos: 1 })
        yield* settled(up, 1)
        assert.strictEqual((yield* down.metrics).received, 0)
      }).pipe(Effect.provide(layers))
    }))
})
