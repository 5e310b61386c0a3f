/**
 * Readiness is the ability to do the work: what `/readyz` says when a session, store, subscription, route or forwarder
 * cannot.
 */
import * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { layerMemory, SessionStore } from "@effect-mqttx/core/SessionStore"
import * as MetricsRoutes from "@effect-mqttx/metrics/MetricsRoutes"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import type { MqttSnapshot, UnreadyCause } from "@effect-mqttx/metrics/MqttSnapshot"
import { Fault } from "@effect-mqttx/testing"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Stream } from "effect"
import { HttpClient, HttpRouter } from "effect/http"
import * as Faulty from "../../../test/support/faultyStore.ts"
import { makePair, netOf, until } from "../../../test/support/forwarders.ts"
import { makeWorld } from "../../../test/support/managers.ts"
import { makeBroker, makeSession, readySession } from "../../../test/support/sessions.ts"

/** What holds back readiness, as `/readyz` tells it. */
const readyz = (sources: MqttMetrics.MetricsSources, options?: MetricsRoutes.MetricsRoutesOptions) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.get("/readyz")
    const { causes, ready } = (yield* response.json) as unknown as {
      readonly ready: boolean
      readonly causes: ReadonlyArray<UnreadyCause>
    }
    assert.strictEqual(response.status, ready ? 200 : 503)
    assert.strictEqual(ready, causes.length === 0)
    return causes.map(({ kind, name, reason, session }) => `${kind} ${name} at ${session}: ${reason}`)
  }).pipe(Effect.provide(
    HttpRouter.serve(MetricsRoutes.layer(options), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(Layer.effect(MqttMetrics.MqttMetrics, MqttMetrics.make(sources))),
      Layer.provideMerge(NodeHttpServer.layerTest),
      Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
    )
  ))

const refusal = "SubscriptionRefused"

describe("/readyz with routes", () => {
  for (const over of ["one session", "all sessions"] as const) {
    it.live(`names a route over ${over} whose subscription was refused, until the route is gone`, () =>
      Effect.gen(function*() {
        const { broker, manager, ready } = yield* makeWorld()
        yield* ready("plant")
        yield* broker.refuseSubscribe("secret/#", 0x87)
        yield* Effect.scoped(Effect.gen(function*() {
          const options = { description: "alarms" }
          const route = over === "one session"
            ? yield* manager.handleTo("plant", "secret/#", () => Effect.void, options)
            : yield* manager.handle("secret/#", () => Effect.void, options)
          yield* Effect.exit(route.active)
          assert.deepStrictEqual(yield* readyz({ manager }), [`route alarms at plant: ${refusal}`])
        }))
        assert.deepStrictEqual(yield* readyz({ manager }), [])
      }))
  }

  it.live("names a listener whose subscription was refused", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      yield* broker.refuseSubscribe("secret/#", 0x87)
      const route = yield* manager.listenerTo("plant", "secret/#", { description: "alarms" })
      yield* Effect.exit(route.active)
      assert.deepStrictEqual(yield* readyz({ manager }), [`route alarms at plant: ${refusal}`])
    }))

  it.live("names a route whose subscription waits for SUBACK, and one that ended with a failure", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const plant = yield* ready("plant", { drainTimeout: "10 millis" })
      const failing = yield* manager.handle("t", () => Effect.fail("no"), { description: "failing", onFailure: "fail" })
      yield* failing.active
      yield* plant.publish("t", "1", { qos: 1 })
      yield* Effect.exit(failing.await)
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Suback" }))
      yield* manager.handle("late", () => Effect.void, { description: "late" })
      yield* broker.awaitPacket({ direction: "received", packet: "Subscribe", nth: 2 })
      assert.deepStrictEqual(yield* readyz({ manager }), [
        "route failing at undefined: Unknown",
        "route late at plant: Subscribing"
      ])
    }))

  it.live("is ready again when the server grants what it had refused", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      yield* broker.refuseSubscribe("secret/#", 0x87, { times: 1 })
      const route = yield* manager.handle("secret/#", () => Effect.void, { description: "alarms" })
      yield* Effect.exit(route.active)
      assert.deepStrictEqual(yield* readyz({ manager }), [`route alarms at plant: ${refusal}`])
      yield* broker.cut(1)
      yield* Effect.repeat(Effect.andThen(Effect.yieldNow, route.sessions), {
        until: (sessions) => sessions.get("plant")?.state === "active"
      })
      assert.deepStrictEqual(yield* readyz({ manager }), [])
    }))
})

describe("/readyz with forwarders", () => {
  it.live("names a forwarder whose subscription was refused, without configuration", () =>
    Effect.gen(function*() {
      const net = yield* makePair()
      yield* net.brokers["a"]!.refuseSubscribe("secret/#", 0x87)
      const forwarder = yield* net.forward({ filters: ["secret/#"] })
      yield* Effect.exit(forwarder.active)
      assert.deepStrictEqual(yield* readyz({ manager: net.manager }), [`forwarder forwarder at a: ${refusal}`])
      yield* forwarder.stop
      assert.deepStrictEqual(yield* readyz({ manager: net.manager }), [])
    }))

  it.live("names the sources and targets that a forwarder misses", () =>
    Effect.gen(function*() {
      const net = yield* netOf({})
      yield* net.forward({ sources: ["x"], target: "y", deadLetter: { topic: "dead", session: "z" } })
      const { sources, targets } = (yield* snapshotOf({ manager: net.manager })).forwarders[0]!
      assert.deepStrictEqual([...sources, ...targets].map(({ name, state }) => [name, state]), [
        ["x", "missing"],
        ["y", "missing"],
        ["z", "missing"]
      ])
      assert.deepStrictEqual(yield* readyz({ manager: net.manager }), [
        "forwarder forwarder at x: SessionNotFound",
        "forwarder forwarder at y: SessionNotFound",
        "forwarder forwarder at z: SessionNotFound"
      ])
    }))

  it.live("names a target that does not fit, and a source that would feed itself", () =>
    Effect.gen(function*() {
      const net = yield* netOf((yield* makePair()).brokers)
      yield* net.forward({ name: "stored", acceptance: "stored" })
      yield* net.forward({ name: "loop", sources: ["a"], target: "a2" })
      yield* net.ready("b")
      yield* net.ready("a", { name: "a2", protocolVersion: 4 })
      yield* net.ready("a", { protocolVersion: 4 })
      assert.deepStrictEqual(yield* readyz({ manager: net.manager }), [
        "forwarder stored at b: InvalidOptions",
        "forwarder loop at a: ForwarderFailed"
      ])
    }))

  it.live("shows a forwarder once, whether it is known by its manager or by a source", () =>
    Effect.gen(function*() {
      const net = yield* makePair()
      const forwarders = yield* ForwarderManager.make().pipe(
        Effect.provideService(SessionManager.SessionManager, net.manager)
      )
      const one = yield* forwarders.add({ name: "one", sources: "a", filters: "t", target: "b" })
      yield* one.active
      const { forwarders: seen } = yield* snapshotOf({ manager: net.manager, forwarders })
      assert.deepStrictEqual(seen.map(({ name }) => name), ["one"])
    }))
})

const snapshotOf = (sources: MqttMetrics.MetricsSources): Effect.Effect<MqttSnapshot> =>
  Effect.scoped(Effect.flatMap(
    Effect.provideService(MqttMetrics.make(sources), Metric.MetricRegistry, new Map()),
    ({ snapshot }) => snapshot
  ))

describe("/readyz with sessions", () => {
  it.live("names the program's own subscription that was refused, until one is granted or unsubscribed", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { name: "plant" })
      yield* broker.refuseSubscribe("secret/#", 0x87)
      const refused = Effect.exit(Effect.scoped(session.subscription(["open", "secret/#"])))
      yield* refused
      const causes = readyz({ sessions: [session] })
      assert.deepStrictEqual(yield* causes, [`subscription secret/# at plant: ${refusal}`])
      yield* session.unsubscribe("secret/#")
      assert.deepStrictEqual(yield* causes, [])
      yield* refused
      assert.deepStrictEqual(yield* causes, [`subscription secret/# at plant: ${refusal}`])
      yield* broker.clearRefusals
      yield* session.subscription("secret/#")
      assert.deepStrictEqual(yield* causes, [])
    }))

  it.live("names a subscription that the server refuses after a reconnect, and the stream fails", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { name: "plant", persistence: "none" })
      const subscription = yield* session.subscription("t")
      const streaming = yield* Effect.forkChild(Effect.exit(Stream.runDrain(subscription.messages)))
      yield* broker.refuseSubscribe("t", 0x87)
      yield* broker.cut(1)
      yield* Fiber.await(streaming)
      assert.deepStrictEqual(yield* readyz({ sessions: [session] }), [`subscription t at plant: ${refusal}`])
    }))

  it.live("names a store that takes nothing, and one that is lost", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const faulty = Faulty.make()
      const session = yield* readySession(broker, {
        name: "plant",
        persistence: "durable",
        drainTimeout: "10 millis"
      }).pipe(Effect.provideService(SessionStore, faulty.store))
      faulty.fail("full")
      const waiting = yield* Effect.forkChild(session.enqueue("t", "1", { qos: 1 }))
      yield* session.statusChanges.pipe(
        Stream.takeUntil(({ storage }) => storage?.failure !== undefined),
        Stream.runDrain
      )
      assert.deepStrictEqual(yield* readyz({ sessions: [session] }), ["store plant at plant: StorageFailed"])
      faulty.fail("fenced")
      yield* session.statusChanges.pipe(Stream.takeUntil(({ state }) => state === "disconnected"), Stream.runDrain)
      assert.deepStrictEqual(yield* readyz({ sessions: [session] }), [
        "session plant at plant: StorageFailed",
        "store plant at plant: StorageFailed"
      ])
      waiting.interruptUnsafe()
    }))

  it.live("names a session that is not connected, and one whose subscriptions are not in force yet", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { name: "plant", drainTimeout: "10 millis" })
      yield* session.statusChanges.pipe(Stream.takeUntil(({ lastError }) => lastError !== undefined), Stream.runDrain)
      assert.deepStrictEqual(yield* readyz({ sessions: [session] }), ["session plant at plant: ConnectionRefused"])
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Suback" }))
      yield* Effect.forkScoped(session.subscription("t"))
      yield* broker.acceptNetwork
      yield* broker.awaitPacket({ direction: "received", packet: "Subscribe" })
      assert.deepStrictEqual(yield* readyz({ sessions: [session] }), ["session plant at plant: Subscribing"])
    }))

  it.live("names a consumer that is absent while messages wait for it, until it is back or forgotten", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { name: "plant", drainTimeout: "10 millis" })
      const causes = readyz({ sessions: [session] })
      const billing = session.subscription("t", { qos: 1, consumer: "billing" })
      yield* Effect.scoped(billing)
      assert.deepStrictEqual(yield* causes, [])
      yield* broker.publish("t", "1", { qos: 1 })
      yield* session.publish("other", "", { qos: 1 })
      assert.deepStrictEqual(yield* causes, ["consumer billing at plant: ConsumerAbsent"])
      yield* session.forgetConsumer("billing")
      assert.deepStrictEqual(yield* causes, [])
    }))

  it.live("names a stopped forwarder as a consumer, as long as messages wait for it at a durable source", () =>
    Effect.gen(function*() {
      const net = yield* makePair({ persistence: "durable", drainTimeout: "10 millis" })
      const forwarder = yield* net.forward({ name: "up" })
      yield* forwarder.active
      yield* forwarder.stop
      const causes = readyz({ manager: net.manager })
      assert.deepStrictEqual(yield* causes, [])
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      const source = yield* net.manager.get("a")
      yield* source.publish("$test/round-trip", "", { qos: 1 })
      assert.deepStrictEqual(yield* causes, ["consumer forwarder up at a: ConsumerAbsent"])
      yield* forwarder.start
      yield* until(forwarder, ({ forwarded, inFlight }) => forwarded === 1 && inFlight === 0)
      assert.deepStrictEqual(yield* causes, [])
    }).pipe(Effect.provide(Layer.fresh(layerMemory))))

  it.live("what holds back readiness is an option", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      yield* manager.add(options("optional"))
      const holdsBack = ({ session }: UnreadyCause): boolean => session !== "optional"
      assert.deepStrictEqual(yield* readyz({ manager }, { holdsBack }), [])
    }))
})
