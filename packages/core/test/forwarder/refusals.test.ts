import { MqttError, NotSupported, StorageFailed } from "@effect-mqttx/core/MqttError"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { assertSum, makeNet, makePair, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
import { impatient } from "../../../../test/support/managers.ts"

describe("Forwarder: refusals", () => {
  it.live("a message that the target refuses goes to the dead-letter topic with its reason, and later messages are forwarded", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead/letters" } })
      yield* forwarder.active
      yield* net.brokers.b!.refusePublish("secret/#", 0x87)
      yield* net.brokers.b!.refusePublish("quota/#", 0x97)
      for (const topic of ["t", "secret/1", "quota/1", "t"]) yield* net.brokers.a!.publish(topic, topic, { qos: 1 })
      const metrics = yield* settled(forwarder, 4)
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.failed], [2, 2, 0])
      yield* net.brokers.a!.awaitPacket({ direction: "received", packet: "Puback", nth: 4 })
      const dead = net.brokers.b!.published.filter(({ topic }) => topic === "dead/letters")
      assert.deepStrictEqual(
        dead.map(({ properties }) =>
          properties.userProperties!.filter(([name]) => name !== "mqttx-error" && name !== "mqttx-brokers").map((
            [name, value]
          ) => [name, value])
        ),
        ["secret/1", "quota/1"].map((topic) => [
          ["mqttx-forwarders", "forwarder"],
          ["mqttx-forwarder", "forwarder"],
          ["mqttx-session", "a"],
          ["mqttx-topic", topic]
        ])
      )
      assert.include(dead[0]!.properties.userProperties!.find(([name]) => name === "mqttx-error")![1], "authorized")
      assert.strictEqual(metrics.lastError?.reason._tag, "PublishRefused")
    }))

  it.live("dead letters can go to another session", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({ filters: ["t/#"], deadLetter: { topic: "dead", session: "a" } })
      yield* forwarder.active
      yield* net.brokers.b!.refusePublish("t/#", 0x87)
      yield* net.brokers.a!.publish("t/1", "1", { qos: 2 })
      const { deadLettered } = yield* settled(forwarder, 1)
      assert.strictEqual(deadLettered, 1)
      assert.deepStrictEqual(publishedAt(net.brokers.a!), ["dead 1"])
    }))

  for (const protocolVersion of [4, 5] as const) {
    it.live(`dead letters that the forwarder reads back do not die again: MQTT ${protocolVersion === 5 ? "5" : "3.1.1"}`, () =>
      Effect.gen(function*() {
        const net = yield* makePair({ protocolVersion }, { record: true })
        const forwarder = yield* net.forward({
          mapping: [{ from: "bad/#", to: "{1}" }],
          deadLetter: { topic: "bad", session: "a" }
        })
        yield* forwarder.active
        yield* net.brokers.a!.publish("bad/", "1", { qos: 1 })
        const metrics = yield* until(forwarder, ({ dropped }) => dropped.looped === 1)
        assert.deepStrictEqual([metrics.received, metrics.deadLettered], [2, 1])
      }))
  }

  it.live("without a dead-letter topic, and when that is refused too, the message is counted as failed", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const plain = yield* net.forward({ name: "plain" })
      const dead = yield* net.forward({ name: "dead", deadLetter: { topic: "dead" } })
      yield* Effect.all([plain.active, dead.active])
      yield* net.brokers.b!.refusePublish("#", 0x87)
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      const metrics = yield* Effect.all([settled(plain, 1), settled(dead, 1)])
      assert.deepStrictEqual(metrics.map(({ failed }) => failed), [1, 1])
    }))

  it.live("a packet that is too large, and an invalid topic", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true, limits: { maximumPacketSize: 2000 } })
      const forwarder = yield* net.forward({
        mapping: [{ from: "strip/#", to: "{1}" }],
        deadLetter: { topic: "dead" }
      })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", new Uint8Array(5000), { qos: 1 })
      yield* net.brokers.a!.publish("strip", "nothing is left", { qos: 1 })
      yield* net.brokers.a!.publish("strip/x", "x is left", { qos: 1 })
      const metrics = yield* settled(forwarder, 3)
      // The large one is too large for the dead-letter topic as well: its dead letter has no payload.
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.failed], [1, 2, 0])
      const dead = net.brokers.b!.published.filter(({ topic }) => topic === "dead").map(({ payload }) => payload.length)
      assert.deepStrictEqual(dead.toSorted((one, other) => one - other), [0, "nothing is left".length])
    }))

  for (const policy of ["dropOldest", "dropNewest", "latestPerTopic"] as const) {
    it.live(`what the queue of the target drops is counted as that: ${policy}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a")
        const target = yield* net.ready("b", { queue: { messages: 2, policy }, maxInflight: 1 })
        const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
        yield* forwarder.active
        yield* net.brokers.b!.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        for (let i = 0; i < 8; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
        // One is on its way; the queue keeps two of the others, or the latest.
        const kept = policy === "latestPerTopic" ? 1 : 2
        const waiting = yield* until(forwarder, ({ inFlight, received }) => received === 8 && inFlight === 1 + kept)
        assertSum(waiting)
        assert.deepStrictEqual([waiting.dropped.targetQueue, waiting.failed], [7 - kept, 0])
        const { dropped, published } = yield* target.metrics
        assert.strictEqual(dropped[policy], 7 - kept)
        assert.strictEqual((published.failed.Dropped ?? 0) + (published.refused.Dropped ?? 0), 7 - kept)
        yield* net.brokers.b!.clearFaults
        yield* net.brokers.b!.release(net.brokers.b!.sessions[0]!.clientId)
        const metrics = yield* settled(forwarder, 8)
        assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered], [1 + kept, 0])
      }))
  }

  it.live("a transformation that fails is repeated by its schedule, and then the message fails", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      let attempts = 0
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } }, {
        transform: RouteTransformer.make((message) =>
          Effect.suspend(() => {
            attempts++
            return message.text === "bad" || attempts === 1
              ? Effect.fail(new MqttError({ reason: new NotSupported({ feature: "this", detail: "not now" }) }))
              : Effect.succeed(message)
          })
        ),
        retry: Schedule.recurs(2)
      })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "good", { qos: 1 })
      yield* net.brokers.a!.publish("t", "bad", { qos: 1 })
      yield* net.brokers.a!.publish("t", "good", { qos: 1 })
      const metrics = yield* settled(forwarder, 3)
      assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.retried], [2, 1, 3])
      assert.deepStrictEqual(publishedAt(net.brokers.b!).toSorted(), ["dead bad", "t good", "t good"])
    }))

  it.live("a target that refuses the connection finally is waited for, and nothing is dropped", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      yield* net.brokers.b!.refuseConnect(0x87)
      yield* net.add("b", { reconnect: { ...impatient, permanentDelay: "20 millis" }, queue: { messages: 3 } })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      for (let i = 0; i < 20; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 20)
      yield* net.brokers.b!.awaitPacket({ packet: "Connect", nth: 3 })
      yield* net.brokers.b!.clearRefusals
      const metrics = yield* settled(forwarder, 20)
      assert.strictEqual(metrics.forwarded, 20)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), Array.from({ length: 20 }, (_, index) => `t ${index}`))
    }))

  it.live("a durable target stores and acknowledges while its server is away; a later refusal is reported", () =>
    Effect.gen(function*() {
      const net = yield* makeNet(["a", "b"], { record: true })
      yield* net.ready("a")
      yield* net.brokers.b!.refuseNetwork
      yield* net.add("b", { persistence: "durable" })
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
      yield* forwarder.active
      yield* net.brokers.b!.refusePublish("secret", 0x87)
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* net.brokers.a!.publish("secret", "2", { qos: 1 })
      const stored = yield* settled(forwarder, 2)
      assert.strictEqual(stored.forwarded, 2)
      yield* net.brokers.a!.awaitPacket({ direction: "received", packet: "Puback", nth: 2 })
      yield* net.brokers.b!.acceptNetwork
      const later = yield* until(forwarder, ({ refusedLater }) => refusedLater === 1)
      assert.strictEqual(later.forwarded, 2)
      yield* net.brokers.b!.awaitUntil(() => publishedAt(net.brokers.b!).length === 2)
      assert.deepStrictEqual(publishedAt(net.brokers.b!), ["t 1", "dead 2"])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  for (const onStorageFailure of ["wait", "fail"] as const) {
    it.live(`a store that fails for a while is waited for: onStorageFailure ${onStorageFailure}`, () =>
      Effect.gen(function*() {
        const net = yield* makeNet(["a", "b"], { record: true })
        yield* net.ready("a")
        let failures = 0
        const memory = yield* SessionStore.SessionStore
        const store: SessionStore.SessionStore["Service"] = {
          open: (session) =>
            Effect.map(memory.open(session), (handle) => ({
              ...handle,
              commit: (changes) =>
                failures-- > 0
                  ? Effect.fail(new MqttError({ reason: new StorageFailed({ detail: "not now" }) }))
                  : handle.commit(changes)
            }))
        }
        yield* net.manager.addDurable({
          name: "b",
          servers: ["mqtt://b.invalid"],
          onStorageFailure,
          reconnect: impatient
        }, { transport: net.brokers.b!.transport }).pipe(Effect.provideService(SessionStore.SessionStore, store))
        yield* net.manager.awaitReady("b")
        const forwarder = yield* net.forward({ deadLetter: { topic: "dead" } })
        yield* forwarder.active
        failures = 3
        for (let i = 0; i < 20; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 2 })
        const metrics = yield* settled(forwarder, 20)
        assert.deepStrictEqual([metrics.forwarded, metrics.deadLettered, metrics.failed], [20, 0, 0])
        yield* net.brokers.b!.awaitUntil(() => publishedAt(net.brokers.b!).length === 20)
        assert.deepStrictEqual(publishedAt(net.brokers.b!), Array.from({ length: 20 }, (_, index) => `t ${index}`))
      }).pipe(Effect.provide(SessionStore.layerMemory)))
  }

  it.live("acceptance stored needs a durable target", () =>
    Effect.gen(function*() {
      const net = yield* makePair()
      const { reason } = yield* Effect.flip(net.forward({ acceptance: "stored" }))
      assert.strictEqual(reason._tag, "InvalidOptions")
    }))

  it.live("a source that refuses the subscription is reported, and tried again after a reconnect", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      yield* net.brokers.a!.refuseSubscribe("#", 0x87)
      const forwarder = yield* net.forward({})
      const { lastError } = yield* until(forwarder, ({ lastError }) => lastError !== undefined)
      assert.strictEqual(lastError!.reason._tag, "SubscriptionRefused")
      yield* net.brokers.a!.clearRefusals
      yield* net.brokers.a!.cut(net.brokers.a!.sessions[0]!.clientId)
      yield* until(forwarder, ({ activeSources }) => activeSources === 1)
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* settled(forwarder, 1)
    }))

  it.live("PUBACKs of the target that come late do not stop other sources", () =>
    Effect.gen(function*() {
      const net = yield* makePair({}, { record: true })
      const forwarder = yield* net.forward({})
      yield* forwarder.active
      yield* net.brokers.b!.inject(Fault.delay({ direction: "sent", packet: "Puback" }, "1 millis", { times: 50 }))
      for (let i = 0; i < 200; i++) yield* net.brokers.a!.publish("t", String(i), { qos: 1 })
      const metrics = yield* settled(forwarder, 200)
      assert.strictEqual(metrics.forwarded, 200)
    }))
})
