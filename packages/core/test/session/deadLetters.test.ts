import type { Message } from "@effect-mqttx/core/Message"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { HandlerFailed } from "@effect-mqttx/core/SessionEvent"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import type { ConsumeOptions, FailurePolicy } from "@effect-mqttx/core/Subscription"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Queue, References } from "effect"
import { eventsOf, Ledger, makeBroker, type Options, pass, readySession, settle } from "./support.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const consume = (
  session: MqttSession.Session,
  filter: string,
  onFailure: FailurePolicy,
  handler: (message: Message) => Effect.Effect<unknown, unknown> = () => Effect.fail("no"),
  options: ConsumeOptions<unknown> = {}
) => Effect.forkScoped(Effect.exit(session.consume(filter, handler, { qos: 1, ...options, onFailure })))

const subscribed = (broker: ScriptedBroker.Service, count: number) =>
  broker.awaitUntil(() => broker.sessions.flatMap(({ subscriptions }) => subscriptions).length === count)

/** Fails for the text `bad`, and notes all others. */
const picky = (ledger: Ledger) => (message: Message): Effect.Effect<void, string> =>
  message.text === "bad" ? Effect.fail("no") : Effect.sync(() => ledger.noteMessage(message))

/** What clients published, without what the broker did. */
const letters = (broker: ScriptedBroker.Service) => broker.published.filter(({ publisher }) => publisher !== undefined)

const topicsOf = (broker: ScriptedBroker.Service) => letters(broker).map(({ topic }) => topic)

const failuresOf = (events: Queue.Dequeue<unknown>) =>
  Effect.map(
    Effect.andThen(settle, Queue.clear(events)),
    (all) => all.filter((event): event is HandlerFailed => (event as HandlerFailed)._tag === "HandlerFailed")
  )

const alone = Effect.fnUntraced(function*(options?: Options, limits?: ScriptedBroker.ListenOptions["limits"]) {
  const broker = yield* makeBroker("memory", limits === undefined ? undefined : { limits })
  return { broker, session: yield* readySession(broker, options) }
})

describe("a refused dead letter", () => {
  it.effect("whose refusal is temporary is published again after a growing delay, and blocks neither its topic nor a handler", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone()
      const events = yield* eventsOf(session)
      const handled = new Ledger()
      yield* broker.refusePublish("dead", 0x97, { times: 3 })
      const consumer = yield* consume(session, "t/#", { deadLetter: "dead" }, picky(handled), { concurrency: 1 })
      yield* subscribed(broker, 1)
      const { settled } = yield* broker.publish("t/1", "bad", { qos: 1 })
      for (let i = 1; i <= 20; i++) {
        for (const topic of ["t/1", "t/2"]) yield* broker.publish(topic, String(i), { qos: 1 })
      }
      yield* settle
      assert.strictEqual(handled.count, 40)
      assert.lengthOf(broker.received("Puback"), 0)
      assert.strictEqual((yield* session.status).handlers.failing, 1)
      yield* pass(7100)
      assert.deepStrictEqual(topicsOf(broker), ["dead"])
      assert.deepStrictEqual((yield* settled).map(({ outcome }) => outcome), ["Acknowledged"])
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 41)
      const told = yield* failuresOf(events)
      assert.deepStrictEqual(
        told.map(({ error, outcome }) => [outcome, error?.reason._tag]),
        [
          ["deadLetterRetry", "PublishRefused"],
          ["deadLetterRetry", "PublishRefused"],
          ["deadLetterRetry", "PublishRefused"],
          ["deadLetter", undefined]
        ]
      )
      told.slice(0, 3).forEach(({ delay }, i) => assert.isTrue(delay! >= 500 * 2 ** i && delay! <= 1000 * 2 ** i))
      const { deadLettered, failing, failures, givenUp } = (yield* session.metrics).handlers
      assert.deepStrictEqual({ deadLettered, failing, failures, givenUp }, {
        deadLettered: 1,
        failing: 0,
        failures: 1,
        givenUp: 0
      })
      assert.isUndefined(consumer.pollUnsafe())
    }).pipe(quietly))

  it.effect("whose refusal is permanent is lost: its message is acknowledged, counted, reported and logged as an error, and all others are handled", () =>
    Effect.gen(function*() {
      const lines: Array<readonly [string, string, unknown]> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        lines.push([
          logLevel,
          (message as ReadonlyArray<string>)[0]!,
          fiber.getRef(References.CurrentLogAnnotations).reason
        ])
      })
      yield* Effect.gen(function*() {
        const { broker, session } = yield* alone()
        const events = yield* eventsOf(session)
        const handled = new Ledger()
        yield* broker.refusePublish("dead", 0x87)
        yield* consume(session, "t/#", { deadLetter: "dead" }, picky(handled))
        yield* subscribed(broker, 1)
        yield* broker.publish("t/1", "bad", { qos: 1 })
        for (let i = 1; i <= 5; i++) yield* broker.publish("t/1", String(i), { qos: 1 })
        yield* broker.awaitIdle
        assert.strictEqual(handled.count, 5)
        assert.lengthOf(broker.received("Puback"), 6)
        const told = yield* failuresOf(events)
        assert.deepStrictEqual(
          told.map(({ count, error, outcome, topic }) => [outcome, error?.reason._tag, topic, count]),
          [
            ["deadLetterRefused", "PublishRefused", "t/1", 1]
          ]
        )
        const { deadLettered, failing, givenUp } = (yield* session.metrics).handlers
        assert.deepStrictEqual({ deadLettered, failing, givenUp }, { deadLettered: 0, failing: 0, givenUp: 1 })
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(lines, [[
        "Error",
        "a message handler failed: its dead letter was refused, and the message is given up and acknowledged: " +
        "the server refused the message: Not authorized (0x87)",
        "PublishRefused"
      ]])
    }))

  it.effect("whose refusal is permanent keeps its message where that is asked for, until it is accepted", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone()
      const handled = new Ledger()
      yield* broker.refusePublish("dead", 0x87)
      yield* consume(session, "t/#", { deadLetter: "dead", onRefused: "retry" }, picky(handled))
      yield* subscribed(broker, 1)
      yield* broker.publish("t/1", "bad", { qos: 1 })
      for (let i = 1; i <= 5; i++) yield* broker.publish("t/1", String(i), { qos: 1 })
      yield* pass(300_000, 1000)
      assert.strictEqual(handled.count, 5)
      assert.lengthOf(broker.received("Puback"), 0)
      yield* broker.clearRefusals
      yield* pass(60_000, 1000)
      assert.deepStrictEqual(topicsOf(broker), ["dead"])
      yield* broker.awaitIdle
      assert.lengthOf(broker.received("Puback"), 6)
    }).pipe(quietly))

  it.effect("that only its marks make too large goes without them, and of one that is too large itself only they go", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone({}, { maximumPacketSize: 1000 })
      const events = yield* eventsOf(session)
      yield* consume(session, "t/#", { deadLetter: "dead" }, () => Effect.fail("x".repeat(500)))
      yield* subscribed(broker, 1)
      yield* broker.publish("t/1", "y".repeat(900), { qos: 1 })
      yield* broker.publish("t/2", "z".repeat(1100), { qos: 1 })
      yield* broker.awaitIdle
      assert.deepStrictEqual(
        letters(broker).map(({ payload, properties }) => [payload.length, properties.userProperties]),
        [
          [900, undefined],
          [0, [
            ["mqttx-payload-bytes", "1100"],
            ["mqttx-session", session.name],
            ["mqttx-topic", "t/2"],
            ["mqttx-error", "x".repeat(500)]
          ]]
        ]
      )
      assert.lengthOf(broker.received("Puback"), 2)
      const told = yield* failuresOf(events)
      assert.sameDeepMembers(told.map(({ error, outcome }) => [outcome, error?.reason._tag]), [
        ["deadLetter", undefined],
        ["deadLetterRefused", "PacketTooLarge"]
      ])
    }).pipe(quietly))

  for (const version of [4, 5] as const) {
    it.effect(`that a lost connection leaves open is published again, and its message acknowledged after it, version ${version}`, () =>
      Effect.gen(function*() {
        const { broker, session } = yield* alone({ protocolVersion: version, clientId: "c" })
        yield* consume(session, "t", { deadLetter: "dead" })
        yield* subscribed(broker, 1)
        yield* broker.stopReading("c")
        yield* broker.publish("t", "bad", { qos: 1 })
        yield* settle
        assert.strictEqual((yield* session.status).handlers.failing, 1)
        yield* broker.cut("c")
        yield* pass(5000, 1000)
        yield* broker.awaitConnections(2)
        assert.isAtLeast(topicsOf(broker).length, 1)
        yield* broker.awaitIdle
        assert.lengthOf(broker.deliveries.filter(({ outcome }) => outcome === "Acknowledged"), 1)
      }).pipe(quietly))
  }

  it.effect("is not waited for by drain, nor by the interruption of its consumer: its message stays unacknowledged", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone({ persistence: "durable", clientId: "durable" })
      yield* broker.refusePublish("dead", 0x97)
      const first = yield* consume(session, "t", { deadLetter: "dead" })
      yield* subscribed(broker, 1)
      yield* broker.publish("t", "bad", { qos: 1 })
      yield* pass(20_000, 1000)
      yield* Fiber.interrupt(first)
      const second = yield* consume(session, "t", { deadLetter: "dead" })
      yield* pass(20_000, 1000)
      assert.strictEqual((yield* session.metrics).handlers.failures, 2)
      // No time passes.
      yield* session.drain
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(second)))
      assert.lengthOf(broker.received("Puback"), 0)
      assert.lengthOf(topicsOf(broker), 0)
    }).pipe(quietly, Effect.provide(SessionStore.layerMemory)))

  it.effect("at QoS 0 is bounded by the buffer", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { clientId: "c", queue: { messages: 1, policy: "fail" } })
      yield* consume(session, "t", { deadLetter: "dead" }, () => Effect.fail("no"), { qos: 0, buffer: 5 })
      yield* subscribed(broker, 1)
      // What is written stays unread, until nothing more can be written and the queue is full.
      yield* broker.stopReading("c")
      for (let i = 0; i < 50; i++) {
        yield* broker.publish("t", new Uint8Array(65_536))
        yield* settle
      }
      const held = (yield* session.status).handlers.failing
      yield* broker.resumeReading("c")
      assert.strictEqual(held, 5)
      yield* pass(5000)
      const { deadLettered, failing } = (yield* session.metrics).handlers
      assert.strictEqual(failing, 0)
      assert.strictEqual(deadLettered + (yield* session.metrics).dropped.streamOverflow, 50)
    }).pipe(quietly))
})

describe.each([4, 5] as const)("a dead letter in a filter, version %s", (version) => {
  const options = { protocolVersion: version } as const

  it.effect("of the consumer that it comes from is acknowledged and never handled", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone(options)
      const topics: Array<string> = []
      yield* consume(session, "sensors/#", { deadLetter: "sensors/dead" }, (message) =>
        Effect.suspend(() => {
          topics.push(message.topic)
          return Effect.fail("no")
        }))
      yield* subscribed(broker, 1)
      for (const text of ["1", "1", "2"]) yield* broker.publish("sensors/1", text, { qos: 1 })
      yield* broker.awaitIdle
      assert.deepStrictEqual(topics, ["sensors/1", "sensors/1", "sensors/1"])
      assert.deepStrictEqual(letters(broker).map(({ payload, topic }) => [topic, new TextDecoder().decode(payload)]), [
        ["sensors/dead", "1"],
        ["sensors/dead", "1"],
        ["sensors/dead", "2"]
      ])
      assert.lengthOf(broker.received("Puback"), 6)
    }).pipe(quietly))

  for (const sessions of [1, 2]) {
    it.effect(`of another consumer is handled, and a ring of them ends, ${sessions} sessions`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory")
        const first = yield* readySession(broker, options)
        const second = sessions === 1 ? first : yield* readySession(broker, options)
        const handled: Array<string> = []
        const handler = (message: Message) =>
          Effect.suspend(() => {
            handled.push(message.topic)
            return Effect.fail("no")
          })
        yield* consume(first, "a/#", { deadLetter: "b/dead" }, handler)
        yield* consume(second, "b/#", { deadLetter: "a/dead" }, handler)
        yield* subscribed(broker, 2)
        yield* broker.publish("a/1", "1", { qos: 1 })
        yield* settle
        yield* broker.awaitIdle
        assert.deepStrictEqual(topicsOf(broker), ["b/dead", "a/dead"])
        assert.deepStrictEqual(handled, ["a/1", "b/dead", "a/dead"])
        const { deadLettered } = (yield* first.metrics).handlers
        const { givenUp } = (yield* first.metrics).handlers
        assert.deepStrictEqual([deadLettered, givenUp], [sessions === 1 ? 2 : 1, 1])
      }).pipe(quietly))
  }

  it.effect("of one of five consumers of everything is not multiplied by the others", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone(options)
      for (let i = 1; i <= 5; i++) yield* consume(session, "sensors/#", { deadLetter: `sensors/dead/${i}` })
      yield* broker.awaitUntil(() => broker.received("Subscribe").length >= 1)
      yield* settle
      yield* broker.publish("sensors/1", "1", { qos: 1 })
      yield* settle
      yield* broker.awaitIdle
      assert.deepStrictEqual(topicsOf(broker).sort(), [1, 2, 3, 4, 5].map((i) => `sensors/dead/${i}`))
    }).pipe(quietly))

  it.effect("may have a dead letter of its own where it has had none before", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone(options)
      yield* consume(session, "sensors/#", { deadLetter: "dead/sensors" })
      yield* consume(session, "dead/+", { deadLetter: "parked" })
      yield* subscribed(broker, 2)
      yield* broker.publish("sensors/1", "1", { qos: 1 })
      yield* settle
      yield* broker.awaitIdle
      assert.deepStrictEqual(topicsOf(broker), ["dead/sensors", "parked"])
      if (version === 5) {
        assert.deepStrictEqual(letters(broker)[1]!.properties.userProperties, [
          ["mqttx-session", session.name],
          ["mqttx-topic", "sensors/1"],
          ["mqttx-topic", "dead/sensors"],
          ["mqttx-error", "no"]
        ])
      }
    }).pipe(quietly))

  it.effect("that is published again on the topic where it failed is a message like others", () =>
    Effect.gen(function*() {
      const { broker, session } = yield* alone(options)
      yield* consume(session, "sensors/#", { deadLetter: "dead" })
      yield* consume(session, "dead", "retry", (letter) =>
        session.publish("sensors/1", letter.payload, {
          qos: 1,
          ...(version === 5 ? { properties: { userProperties: letter.properties.userProperties! } } : undefined)
        }), { concurrency: 1 })
      yield* subscribed(broker, 2)
      yield* broker.publish("sensors/1", "1", { qos: 1 })
      yield* broker.awaitUntil(() => topicsOf(broker).filter((topic) => topic === "dead").length >= 5)
      if (version === 5) {
        const last = letters(broker).findLast(({ topic }) => topic === "dead")
        assert.deepStrictEqual(last!.properties.userProperties, [
          ["mqttx-session", session.name],
          ["mqttx-topic", "sensors/1"],
          ["mqttx-error", "no"]
        ])
      }
    }).pipe(Effect.scoped, quietly))
})

it.effect("a dead letter says which consumer it is of, where that has a name", () =>
  Effect.gen(function*() {
    const { broker, session } = yield* alone()
    yield* consume(session, "t", { deadLetter: "dead" }, undefined, { consumer: "billing" })
    yield* subscribed(broker, 1)
    yield* broker.publish("t", "1", { qos: 1 })
    yield* broker.awaitIdle
    assert.deepStrictEqual(letters(broker)[0]!.properties.userProperties, [
      ["mqttx-consumer", "billing"],
      ["mqttx-session", session.name],
      ["mqttx-topic", "t"],
      ["mqttx-error", "no"]
    ])
  }).pipe(quietly))

it.effect("a forged mark takes nothing from a handler", () =>
  Effect.gen(function*() {
    const { broker, session } = yield* alone()
    const handled = new Ledger()
    yield* consume(session, "t/#", { deadLetter: "dead" }, picky(handled))
    yield* subscribed(broker, 1)
    const properties = {
      userProperties: [["mqttx-topic", "t/2"], ["mqttx-session", "other"], ["mqttx-error", "forged"]]
    } as const
    yield* broker.publish("t/1", "1", { qos: 1, properties })
    yield* handled.complete(["t/1"], 1)
    // All that is lost is the dead letter of the message that is marked so.
    yield* broker.publish("t/1", "bad", { qos: 1, properties })
    yield* broker.publish("t/1", "bad", { qos: 1 })
    yield* broker.awaitIdle
    assert.deepStrictEqual(topicsOf(broker), ["dead"])
    assert.strictEqual((yield* session.metrics).handlers.givenUp, 1)
  }).pipe(quietly))
