/**
 * One session for two tabs of a real Chromium.
 */
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { executablePath } from "../../../test/support/browsers.ts"
import { call, makeTabs } from "./tabs.ts"

const texts = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.received("Publish").map(({ packet }) => new TextDecoder().decode(packet.payload))

const two = Effect.fnUntraced(function*(options: { readonly durable?: boolean; readonly windowBytes?: number } = {}) {
  const broker = yield* ScriptedBroker.make({ webSocket: true })
  const tabs = yield* makeTabs
  const owner = yield* tabs.open
  yield* call(owner, "join", broker.urls.ws!, options)
  yield* call(owner, "becomes", "owner")
  const follower = yield* tabs.open
  yield* call(follower, "join", broker.urls.ws!, options)
  yield* call(follower, "becomes", "follower")
  return { broker, tabs, owner, follower }
})

const subscribed = (broker: ScriptedBroker.Service, nth: number) =>
  broker.awaitPacket({ direction: "sent", packet: "Suback", nth })

describe.skipIf(executablePath === undefined)("a session that two tabs share", () => {
  it.live("has one connection, and both publish and receive through it", () =>
    Effect.gen(function*() {
      const { broker, follower, owner } = yield* two()
      yield* call(owner, "subscribe", "t/#")
      yield* subscribed(broker, 1)
      yield* call(follower, "subscribe", "t/a")
      yield* subscribed(broker, 2)
      for (const qos of [0, 1, 2] as const) {
        assert.strictEqual(yield* call(follower, "publish", "t/a", `follower ${qos}`, qos), "ok")
        assert.strictEqual(yield* call(owner, "publish", "t/b", `owner ${qos}`, qos), "ok")
      }
      const a = [0, 1, 2].map((qos) => `t/a: follower ${qos}`)
      assert.deepStrictEqual(yield* call(follower, "until", 3), a)
      assert.sameMembers([...yield* call(owner, "until", 6)], [...a, ...[0, 1, 2].map((qos) => `t/b: owner ${qos}`)])
      assert.lengthOf(broker.received("Connect"), 1)
      assert.deepStrictEqual(broker.violations, [])
    }), 180_000)

  it.live(
    "reports to the follower why a publish or a subscription failed, as the session does",
    () =>
      Effect.gen(function*() {
        const { broker, follower } = yield* two()
        yield* broker.refusePublish("refused", 0x87)
        yield* broker.refuseSubscribe("refused", 0x87)
        assert.strictEqual(yield* call(follower, "publish", "refused", "x"), "PublishRefused")
        assert.strictEqual(yield* call(follower, "publish", "bad/#", "x"), "InvalidTopic")
        assert.strictEqual(yield* call(follower, "publish", "t", 1_048_577), "tooLarge")
        assert.strictEqual(yield* call(follower, "publish", 7 as never, "x"), "invalid")
        assert.strictEqual(yield* call(follower, "publish", "t", "x", 3 as never), "invalid")
        yield* call(follower, "subscribe", "refused")
        assert.deepStrictEqual(yield* call(follower, "ended"), ["SubscriptionRefused"])
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        assert.strictEqual(yield* call(follower, "publish", "t", "x", 1, 300), "Timeout")
      }),
    180_000
  )

  it.live(
    "fails what the owner had not answered when its tab is gone, and the other tab takes over",
    () =>
      Effect.gen(function*() {
        const { broker, follower, owner } = yield* two()
        yield* call(follower, "subscribe", "t")
        yield* subscribed(broker, 1)
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }, { times: 1 }))
        const publishing = yield* Effect.forkChild(call(follower, "publish", "t", "unanswered"), {
          startImmediately: true
        })
        yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
        yield* Effect.promise(() => owner.close())
        assert.strictEqual(yield* Fiber.join(publishing), "ownerLost")
        yield* call(follower, "becomes", "owner")
        // The stream of the tab has followed.
        yield* subscribed(broker, 2)
        assert.strictEqual(yield* call(follower, "publish", "t", "after"), "ok")
        assert.include(yield* call(follower, "until", 2), "t: after")
      }),
    180_000
  )

  it.live(
    "loses no QoS 1 message of a follower without reporting it, in any order in which tabs end",
    () =>
      Effect.gen(function*() {
        const { broker, follower, owner, tabs } = yield* two({ durable: true })
        const third = yield* tabs.open
        yield* call(third, "join", broker.urls.ws!, { durable: true })
        yield* call(third, "becomes", "follower")
        const outcomes = new Map<string, string>()
        const load = (page: typeof follower, name: string, count: number) =>
          Effect.forEach(
            Array.from({ length: count }, (_, n) => `${name} ${n}`),
            (text) => Effect.map(call(page, "publish", "load", text), (outcome) => outcomes.set(text, outcome)),
            { concurrency: 4, discard: true }
          )
        const loading = yield* Effect.forkChild(load(third, "third", 300), { startImmediately: true })
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 50 })
        yield* Effect.promise(() => owner.close())
        yield* call(follower, "becomes", "owner")
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 150 })
        // This one ends in order.
        yield* call(follower, "leave")
        yield* Fiber.join(loading)
        yield* call(third, "becomes", "owner")
        assert.strictEqual(yield* call(third, "publish", "load", "last"), "ok")
        const arrived = new Set(texts(broker))
        assert.strictEqual(outcomes.size, 300)
        for (const [text, outcome] of outcomes) {
          assert.include(["ok", "ownerLost"], outcome, text)
          if (outcome === "ok") assert.isTrue(arrived.has(text), text)
        }
        assert.isAbove([...outcomes.values()].filter((outcome) => outcome === "ok").length, 250)
      }),
    180_000
  )

  it.live("gives messages that a tab has not taken to the tab that takes over", () =>
    Effect.gen(function*() {
      const { broker, follower, owner, tabs } = yield* two({ durable: true, windowBytes: 100 })
      const third = yield* tabs.open
      yield* call(third, "join", broker.urls.ws!, { durable: true })
      yield* call(follower, "hold", "t")
      yield* subscribed(broker, 1)
      for (let n = 0; n < 20; n++) yield* broker.publish("t", `${n}`.padStart(40, "0"), { qos: 1 })
      yield* call(follower, "until", 1)
      yield* broker.awaitPacket({ direction: "received", packet: "Puback" })
      yield* Effect.promise(() => owner.close())
      yield* call(follower, "becomes", "owner")
      yield* Effect.promise(() => follower.close())
      yield* call(third, "becomes", "owner")
      yield* call(third, "subscribe", "t")
      const again = new Set(yield* call(third, "until", 19))
      // The first one was taken, and nothing else was acknowledged.
      assert.lengthOf(broker.received("Puback").filter(({ connection }) => connection < 3), 1)
      for (let n = 1; n < 20; n++) assert.isTrue(again.has(`t: ${`${n}`.padStart(40, "0")}`), `${n}`)
    }), 180_000)

  it.live("ignores what other scripts of the origin say on the channel", () =>
    Effect.gen(function*() {
      const { broker, follower, owner } = yield* two()
      yield* Effect.promise(() =>
        owner.evaluate(() => {
          const channel = new BroadcastChannel("mqttx/tabs")
          const wrong = [
            7,
            null,
            "x",
            {},
            { _tag: "Owner" },
            { _tag: "Owner", owner: 7 },
            { _tag: "Owner", owner: "x".repeat(65) },
            { _tag: "Publish", from: "a", owner: "b", id: 1, topic: 7 },
            { _tag: "Delivery", to: "a", id: -1 },
            { _tag: "Published", to: "nobody", id: 1 },
            { _tag: "Taken", from: "nobody", owner: "nobody", id: 1, sequence: 1 }
          ]
          // oxlint-disable-next-line unicorn/require-post-message-target-origin
          for (const data of wrong) channel.postMessage(data)
        })
      )
      assert.strictEqual(yield* call(follower, "publish", "t", "x"), "ok")
      assert.deepStrictEqual([yield* call(owner, "role"), yield* call(follower, "role")], ["owner", "follower"])
      assert.deepStrictEqual(texts(broker), ["x"])
    }), 180_000)
})
