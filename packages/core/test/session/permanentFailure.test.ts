import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Transport from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import {
  connectsOf,
  eventsOf,
  makeBroker,
  makeSession,
  nextEvent,
  pass,
  readySession,
  reasonOf,
  settle,
  told
} from "./support.ts"

describe("a permanent failure", () => {
  for (const version of [4, 5] as const) {
    it.effect(`bad credentials on ${version}, with default options: at most 5 CONNECTs in 10 s and 12 in 60 s`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { users: { known: "secret" } })
        const session = yield* makeSession(broker, {
          protocolVersion: version,
          username: "unknown",
          reconnect: undefined
        })
        yield* pass(10_000)
        assert.isAtMost(connectsOf(broker).length, 5)
        yield* pass(50_000)
        assert.isAtMost(connectsOf(broker).length, 12)
        assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, "BadCredentials")
        yield* pass(600_000, 1000)
        assert.isAtLeast(connectsOf(broker).length, 3)
        for (const [i, at] of connectsOf(broker).entries()) {
          if (i > 0) assert.isAtLeast(at - connectsOf(broker)[i - 1]!, 60_000)
        }
      }))
  }

  it.effect("fails awaitReady, publish and subscription; enqueued messages wait", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseConnect(0x86)
      const session = yield* makeSession(broker, { reconnect: undefined })
      const operations = [
        session.awaitReady,
        session.publish("t", "awaited before", { qos: 1 }),
        Effect.scoped(session.subscription("s", { qos: 1 }))
      ]
      const before = yield* Effect.forkScoped(Effect.forEach(operations, reasonOf, { concurrency: "unbounded" }), {
        startImmediately: true
      })
      yield* settle
      const all = [...yield* Fiber.join(before), ...yield* Effect.forEach(operations, reasonOf)]
      assert.deepStrictEqual(all.map(({ _tag }) => _tag), Array.from({ length: 6 }, () => "BadCredentials"))
      const { failure, state } = yield* session.status
      assert.strictEqual(failure?.reason._tag, "BadCredentials")
      assert.strictEqual(state, "connecting")

      const receipt = yield* session.enqueue("t", "enqueued", { qos: 1 })
      yield* broker.clearRefusals
      yield* pass(60_000, 1000)
      yield* receipt.acknowledged
      yield* session.awaitReady
      yield* session.publish("t", "awaited after", { qos: 1 })
      const { messages: _messages } = yield* session.subscription("s")
      assert.isUndefined((yield* session.status).failure)
      assert.deepStrictEqual(
        broker.published.map(({ payload }) => new TextDecoder().decode(payload)),
        ["enqueued", "awaited after"]
      )
    }))

  it.effect("ends the session's attempts where the options say so", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseConnect(0x87)
      const session = yield* makeSession(broker, { reconnect: { onPermanentFailure: "stop" } })
      assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, "NotAuthorized")
      assert.strictEqual((yield* session.status).state, "disconnected")
      yield* broker.clearRefusals
      yield* pass(600_000, 10_000)
      assert.lengthOf(connectsOf(broker), 1)
      assert.strictEqual((yield* reasonOf(session.publish("t", "")))._tag, "NotAuthorized")
    }))
})

describe("a session that was taken over", () => {
  it.effect("waits at least a minute, so that two sessions do not alternate", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const options = { clientId: "twin", reconnect: undefined } as const
      const first = yield* readySession(broker, options)
      const events = yield* eventsOf(first)
      const second = yield* readySession(broker, options)
      const { error } = yield* nextEvent(events, "Disconnected")
      assert.strictEqual(error?.reason._tag, "SessionTakenOver")
      assert.strictEqual((yield* reasonOf(first.publish("t", "")))._tag, "SessionTakenOver")
      yield* second.publish("t", "", { qos: 1 })
      yield* pass(59_000, 1000)
      assert.lengthOf(connectsOf(broker), 2)
      yield* pass(600_000, 1000)
      assert.isAtMost(connectsOf(broker).length, 13)
    }))

  it.effect("stays away where the options say so", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const options = { clientId: "twin", reconnect: { onPermanentFailure: "stop" } } as const
      const first = yield* readySession(broker, options)
      const second = yield* readySession(broker, options)
      yield* pass(600_000, 10_000)
      assert.lengthOf(connectsOf(broker), 2)
      assert.strictEqual((yield* first.status).state, "disconnected")
      assert.isTrue((yield* second.status).ready)
    }))
})

/** Two brokers, and a session that prefers the first. */
const twoServers = Effect.fnUntraced(function*() {
  const first = yield* makeBroker("memory")
  const second = yield* makeBroker("memory")
  const transport: Transport.Transport = {
    open: (request, handlers) => (request.address.host === "first" ? first : second).transport.open(request, handlers)
  }
  const session = MqttSession.make({
    name: "plant",
    clientId: "plant",
    servers: ["mqtt://first", "mqtt://second"],
    reconnect: { initialDelay: "2 seconds", factor: 1, jitter: "none" }
  }).pipe(Effect.provideService(Transport.Transport, transport))
  return { first, second, session }
})

describe("several servers", () => {
  it.effect("are tried in order in each round, and the preferred one again when its penalty is over", () =>
    Effect.gen(function*() {
      const { first, second, session: made } = yield* twoServers()
      yield* first.refuseConnect(0x88, { times: 1 })
      const session = yield* made
      const events = yield* eventsOf(session)
      yield* session.awaitReady
      assert.deepStrictEqual(yield* told(events), [
        "0 disconnected -> connecting",
        "0 Connecting 1",
        "0 Connecting 1",
        "0 Connected",
        "0 connecting -> connected",
        "0 Ready"
      ])
      assert.strictEqual((yield* session.status).server, "mqtt://second:1883")
      // 2 s after its failure the preferred server has not been forgiven, 7 s after it has.
      yield* second.cut("plant")
      yield* pass(2000, 250)
      assert.strictEqual((yield* session.status).server, "mqtt://second:1883")
      yield* pass(3000, 250)
      yield* second.cut("plant")
      yield* pass(2000, 250)
      assert.strictEqual((yield* session.status).server, "mqtt://first:1883")
      assert.lengthOf(connectsOf(first), 2)
      assert.lengthOf(connectsOf(second), 2)
    }))

  it.effect("are all tried before the schedule makes the session wait", () =>
    Effect.gen(function*() {
      const { first, second, session: made } = yield* twoServers()
      yield* first.refuseConnect(0x88)
      yield* second.refuseConnect(0x88)
      yield* made
      yield* pass(6000, 250)
      assert.deepStrictEqual(connectsOf(first), [0, 2000, 4000, 6000])
      assert.deepStrictEqual(connectsOf(second), [0, 2000, 4000, 6000])
    }))

  it.effect("report a permanent failure of the first one, and the next one is tried at once", () =>
    Effect.gen(function*() {
      const { first, second, session } = yield* twoServers()
      yield* first.refuseConnect(0x86)
      yield* second.refuseNetwork
      const made = yield* session
      assert.strictEqual((yield* reasonOf(made.awaitReady))._tag, "BadCredentials")
      yield* second.acceptNetwork
      yield* pass(60_000, 1000)
      yield* made.awaitReady
      assert.lengthOf(connectsOf(second), 1)
    }))
})
