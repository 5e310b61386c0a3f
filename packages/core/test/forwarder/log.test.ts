/**
 * What a forwarder logs: that it has no sessions, that it does not fit, and that it gave messages up.
 */
import * as SessionLog from "@effect-mqttx/core/SessionLog"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeNet, makePair, settled } from "../../../../test/support/forwarders.ts"
import { makeLog } from "../session/logged.ts"
import { pass, settle } from "../session/support.ts"

describe("a forwarder without its sessions", () => {
  it.effect("says so after a moment, at growing intervals, and when they are there", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const net = yield* makeNet(["a", "b"])
      yield* Effect.provide(net.forward({}), log.layer)
      yield* pass(4900)
      assert.deepStrictEqual(log.take(), [])
      yield* pass(200)
      const line = "Warn SessionsMissing: the forwarder misses sessions, and does not work without them"
      assert.deepStrictEqual(log.take(), [line])
      assert.deepStrictEqual(log.lines[0]!.annotations, {
        forwarder: "forwarder",
        event: "SessionsMissing",
        missing: ["a", "b"]
      })
      yield* pass(80_000, 1000)
      assert.deepStrictEqual(log.take(), [line, line, line])
      yield* net.ready("a")
      yield* pass(6000, 1000)
      assert.deepStrictEqual(log.take(), [line])
      assert.deepStrictEqual(log.lines.at(-1)!.annotations["missing"], ["b"])
      yield* net.ready("b")
      yield* settle
      assert.deepStrictEqual(log.take(), ["Info SessionsMissing: the forwarder has all its sessions"])
      yield* net.manager.remove("a")
      yield* pass(6000, 1000)
      assert.deepStrictEqual(log.take(), [line])
      assert.deepStrictEqual(log.lines.at(-1)!.annotations["missing"], ["a"])
    }))

  it.effect("says nothing when they come in time, nor when it is stopped, nor when the log is off", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const net = yield* makeNet(["a", "b"])
      const forwarder = yield* Effect.provide(net.forward({}), log.layer)
      yield* net.forward({ name: "off" }).pipe(
        Effect.provide(Layer.merge(log.layer, SessionLog.layer({ log: "off" })))
      )
      yield* pass(3000)
      yield* net.ready("a")
      yield* net.ready("b")
      yield* pass(20_000, 1000)
      yield* forwarder.stop
      yield* net.manager.remove("a")
      yield* pass(20_000, 1000)
      assert.deepStrictEqual(log.take(), [])
    }))
})

describe("a forwarder whose sessions are there", () => {
  it.effect("names itself when its subscription is refused", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const net = yield* Effect.provide(makePair(), log.layer)
      yield* net.brokers["a"]!.refuseSubscribe("secret/#", 0x87)
      const forwarder = yield* Effect.provide(net.forward({ name: "up", filters: ["secret/#"] }), log.layer)
      yield* Effect.exit(forwarder.active)
      assert.deepStrictEqual(log.take(), [
        "Warn SubscriptionFailed: the subscription of forwarder \"up\" is not in force: the server refused the subscription " +
        "to \"secret/#\": Not authorized (0x87)"
      ])
      assert.strictEqual(log.lines[0]!.annotations["session"], "a")
    }))

  it.effect("says that a target does not fit that comes later", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const net = yield* makeNet(["a", "b"])
      yield* Effect.provide(net.forward({ name: "up", acceptance: "stored" }), log.layer)
      yield* net.ready("b")
      yield* settle
      assert.match(log.take().join("\n"), /^Error TargetUnfit: the target does not fit: invalid options: acceptance/)
      assert.deepInclude(log.lines[0]!.annotations, { forwarder: "up", session: "b", reason: "InvalidOptions" })
    }))

  it.effect("counts the messages that it dropped, until the last one", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const net = yield* makePair()
      yield* net.brokers["b"]!.refusePublish("#", 0x87)
      const forwarder = yield* Effect.provide(net.forward({ filters: ["t"], subscribeQoS: 1 }), log.layer)
      yield* forwarder.active
      const a = yield* net.manager.get("a")
      const publish = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => a.publish("t", "secret", { qos: 1 }), { discard: true })
      yield* publish(5)
      yield* settled(forwarder, 5)
      yield* pass(10_000, 1000)
      assert.deepStrictEqual(log.take(), [
        "Warn MessagesNotForwarded: 5 messages were not forwarded, at last: the server refused the message: Not authorized (0x87)"
      ])
      assert.deepStrictEqual(log.lines[0]!.annotations, {
        forwarder: "forwarder",
        event: "MessagesNotForwarded",
        reason: "PublishRefused",
        failed: 5,
        deadLettered: 0,
        expired: 0
      })
      yield* publish(3)
      yield* settled(forwarder, 8)
      yield* forwarder.stop
      assert.strictEqual(log.take().length, 1)
      assert.deepInclude(log.lines.at(-1)!.annotations, { failed: 3 })
    }))
})
