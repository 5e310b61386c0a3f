/**
 * What becomes of messages whose route somebody else has written.
 */
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import type { UserProperty } from "@effect-mqttx/core/Properties"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted, Result } from "effect"
import { inspect } from "node:util"
import { makePair, publishedAt, settled, until } from "../../../../test/support/forwarders.ts"
import { signatureProperty } from "../../src/internal/forwarder/route.ts"
import { Signer } from "../../src/internal/forwarder/signature.ts"

const secret = "known to the forwarders only"
const named = (broker: string) => ({ brokerName: `plant ${broker}` })

const makeNamedPair = Effect.fnUntraced(function*() {
  const net = yield* makePair({}, { record: true })
  for (const name of ["a", "b"]) {
    yield* net.manager.remove(name)
    yield* net.ready(name, named(name))
  }
  return net
})

const userPropertiesOf = (
  message: { readonly properties: { readonly userProperties?: ReadonlyArray<UserProperty> } }
) => message.properties.userProperties ?? []

describe("Forwarder: forged routes", () => {
  const forged: ReadonlyArray<readonly [string, ReadonlyArray<UserProperty>]> = [
    ["the target's broker", [["mqttx-brokers", "plant a,plant b"]]],
    ["the forwarder itself", [["mqttx-forwarders", "forwarder"]]],
    ["too many forwarders", [["mqttx-forwarders", "1,2,3,4,5,6,7,8"]]],
    ["a list that is too long", [["mqttx-brokers", "x".repeat(9000)]]],
    ["a signature of nothing", [["mqttx-brokers", "plant b"], ["mqttx-signature", ""]]],
    ["a made-up signature", [["mqttx-brokers", "plant b"], ["mqttx-signature", "0".repeat(32)]]]
  ]
  for (const [what, userProperties] of forged) {
    it.live(`${what}: hides a message without a secret, and does not with one`, () =>
      Effect.gen(function*() {
        const net = yield* makeNamedPair()
        for (const loopGuard of [undefined, { secret }]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const forwarder = yield* net.forward({ loopGuard })
            yield* forwarder.active
            yield* net.brokers.a!.publish("t", "alarm", { qos: 1, properties: { userProperties } })
            const { dropped, forwarded } = yield* settled(forwarder, 1)
            const hidden = dropped.looped + dropped.tooManyHops
            assert.deepStrictEqual([forwarded, hidden], loopGuard === undefined ? [0, 1] : [1, 0])
          }))
        }
        const [arrived] = net.brokers.b!.published
        // Nothing of the forged route goes on.
        assert.deepStrictEqual(userPropertiesOf(arrived!).filter(([name]) => name !== signatureProperty), [
          ["mqttx-forwarders", "forwarder"],
          ["mqttx-brokers", "plant a,plant b"]
        ])
      }))
  }

  it.live("the route of a real message does not hide one with another payload or on another topic", () =>
    Effect.gen(function*() {
      const net = yield* makeNamedPair()
      const down = yield* net.forward({ name: "down", sources: ["b"], target: "a", loopGuard: { secret } })
      yield* down.active
      yield* net.brokers.b!.publish("t", "off", { qos: 1 })
      yield* settled(down, 1)
      const userProperties = userPropertiesOf(net.brokers.a!.published[0]!)
      assert.strictEqual(userProperties.find(([name]) => name === signatureProperty)![1].length, 32)
      const up = yield* net.forward({ name: "up", loopGuard: { secret } })
      yield* up.active
      yield* net.brokers.a!.publish("t", "on", { qos: 1, properties: { userProperties } })
      yield* net.brokers.a!.publish("u", "off", { qos: 1, properties: { userProperties } })
      const metrics = yield* settled(up, 2)
      assert.deepStrictEqual([metrics.forwarded, metrics.dropped.looped], [2, 0])
      // The message itself, repeated as it was: that is what a secret does not prevent.
      yield* net.brokers.a!.publish("t", "off", { qos: 1, properties: { userProperties } })
      assert.strictEqual((yield* settled(up, 3)).dropped.looped, 1)
    }))

  it.live("signed messages come back nowhere, also while the secret is replaced", () =>
    Effect.gen(function*() {
      const net = yield* makeNamedPair()
      const other = "the secret of next year"
      const up = yield* net.forward({ name: "up", loopGuard: { secret, accepts: [other] } })
      const down = yield* net.forward({
        name: "down",
        sources: ["b"],
        target: "a",
        loopGuard: { secret: Redacted.make(other), accepts: [Redacted.make(secret)] }
      })
      yield* Effect.all([up.active, down.active])
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* net.brokers.b!.publish("t", "2", { qos: 1, properties: { userProperties: [["x", "1"]] } })
      const metrics = yield* Effect.all([settled(up, 2), settled(down, 2)])
      assert.deepStrictEqual(metrics.map(({ dropped, forwarded }) => [forwarded, dropped.looped]), [[1, 1], [1, 1]])
    }))

  it.live("a signature of another secret counts as none: the message continues, and its lists begin again", () =>
    Effect.gen(function*() {
      const net = yield* makeNamedPair()
      const up = yield* net.forward({ name: "up", loopGuard: { secret } })
      const down = yield* net.forward({
        name: "down",
        sources: ["b"],
        target: "a",
        loopGuard: { secret: `not ${secret}` }
      })
      yield* Effect.all([up.active, down.active])
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      yield* until(down, ({ forwarded }) => forwarded > 0)
      yield* up.stop
      assert.deepStrictEqual(userPropertiesOf(net.brokers.a!.published[1]!).slice(0, 2), [
        ["mqttx-forwarders", "down"],
        ["mqttx-brokers", "plant b,plant a"]
      ])
    }))

  it.live("dead letters that the forwarder reads back are signed too", () =>
    Effect.gen(function*() {
      const net = yield* makeNamedPair()
      yield* net.brokers.b!.refusePublish("t", 0x87)
      const forwarder = yield* net.forward({ deadLetter: { topic: "dead", session: "a" }, loopGuard: { secret } })
      yield* forwarder.active
      yield* net.brokers.a!.publish("t", "1", { qos: 1 })
      const metrics = yield* settled(forwarder, 2)
      assert.deepStrictEqual([metrics.deadLettered, metrics.dropped.looped], [1, 1])
      assert.deepStrictEqual(publishedAt(net.brokers.a!), ["dead 1"])
    }))
})

describe("signatures of routes", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const signer = new Signer({ secret: Redacted.make(secret), accepts: [] })
  const route = { forwarders: "up,down", brokers: "a,b" }

  it("are for all of a message that matters", () => {
    const signature = signer.sign(route, "t/1", bytes("payload"))
    const isValid = (
      { brokers = route.brokers, forwarders = route.forwarders, payload = "payload", topic = "t/1", value = signature }
    ) => signer.verify([["mqttx-signature", value]], { brokers, forwarders }, topic, bytes(payload))
    assert.isTrue(isValid({}))
    const others = [
      { brokers: "a" },
      { brokers: "a,b,c" },
      { forwarders: "up" },
      { payload: "payloa" },
      { topic: "t/", payload: "1payload" },
      { topic: "t/2" },
      { brokers: "a\",\"b", forwarders: "" },
      { value: signature.toUpperCase() },
      { value: signature.slice(1) }
    ]
    for (const other of others) assert.isFalse(isValid(other), JSON.stringify(other))
    assert.isFalse(signer.verify(undefined, route, "t/1", bytes("payload")))
  })

  it("need a long secret, which no message shows", () => {
    const minimal = { name: "up", sources: ["a"], filters: ["#"], target: "b" }
    const decoded = Result.getOrThrow(ForwarderOptions.decode({ ...minimal, loopGuard: { secret } }))
    assert.deepStrictEqual(decoded.loopGuard?.accepts, [])
    assert.notInclude(inspect(decoded, { depth: 9 }), secret)
    for (const loopGuard of [{ secret: "hunter2" }, { secret, accepts: ["hunter2"] }, { accepts: [secret] }, {}]) {
      const refused = ForwarderOptions.decode({ ...minimal, loopGuard })
      if (Result.isSuccess(refused)) return assert.fail("accepted")
      assert.notInclude(inspect(refused.failure, { depth: 9 }), "hunter2")
    }
  })

  it.effect("take their secrets from the environment", () =>
    Effect.gen(function*() {
      const env = {
        UP_NAME: "up",
        UP_SOURCES: "a",
        UP_FILTERS: "#",
        UP_TARGET: "b",
        UP_LOOP_GUARD_SECRET: secret,
        UP_LOOP_GUARD_ACCEPTS: `one of last year, ${secret}`
      }
      const options = yield* Effect.provideService(
        Effect.gen(function*() {
          return yield* ForwarderOptions.config("UP")
        }),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env })
      )
      assert.strictEqual(Redacted.value(options.loopGuard!.secret), secret)
      assert.deepStrictEqual(options.loopGuard!.accepts.map(Redacted.value), ["one of last year", secret])
    }))
})
