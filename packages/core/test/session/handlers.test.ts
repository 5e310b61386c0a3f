import type { FailurePolicy } from "@effect-mqttx/core/Subscription"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, References, Stream } from "effect"
import { Ledger, makeBroker, readySession, settle } from "./support.ts"

// The session logs what became of the handler.
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

describe.each([4, 5] as const)("version %s", (version) => {
  for (const qos of [1, 2] as const) {
    it.live(`a handler publishes with QoS ${qos} and awaits the acknowledgement, with windows of one`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { limits: { receiveMaximum: 1, maximumInflight: 1 } })
        const session = yield* readySession(broker, {
          protocolVersion: version,
          receiveMaximum: 1,
          maxInflight: 1
        })
        const answers = new Ledger()
        const { messages } = yield* session.subscription("answer/+", { qos })
        yield* Effect.forkScoped(
          Stream.runForEach(messages, (message) => Effect.sync(() => answers.noteMessage(message)))
        )
        const requests = yield* session.subscription("stream", { qos })
        yield* Effect.forkScoped(
          Stream.runForEach(requests.messages, (message) => session.publish("answer/stream", message.text, { qos }))
        )
        yield* Effect.forkScoped(
          session.consume("handler", (message) => session.publish("answer/handler", message.text, { qos }), {
            qos,
            concurrency: 1
          })
        )
        yield* broker.awaitUntil(() => broker.sessions.some(({ subscriptions }) => subscriptions.length === 3))
        for (let i = 1; i <= 20; i++) {
          yield* broker.publish("stream", String(i), { qos })
          yield* broker.publish("handler", String(i), { qos })
        }
        yield* answers.complete(["answer/stream", "answer/handler"], 20)
        yield* broker.awaitIdle
        assert.strictEqual(answers.count, 40)
        assert.deepStrictEqual(answers.misordered, [])
      }))
  }

  const failing: Record<string, () => Effect.Effect<void, Error>> = {
    throws: () => {
      throw new Error("thrown")
    },
    fails: () => Effect.fail(new Error("failed")),
    dies: () => Effect.die(new Error("died")),
    "throws inside of an effect": () =>
      Effect.sync(() => {
        throw new Error("thrown inside")
      }),
    "interrupts itself": () => Effect.interrupt
  }
  for (const [title, handler] of Object.entries(failing)) {
    it.live(`a handler that ${title} harms no other: under skip its message is dropped, and all others are handled and acknowledged`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory")
        const session = yield* readySession(broker, { protocolVersion: version })
        const handled = new Ledger()
        const consumer = yield* Effect.forkScoped(
          session.consume(
            "bad/+",
            (message) => message.text === "2" ? handler() : Effect.sync(() => handled.noteMessage(message)),
            { qos: 1, onFailure: "skip" }
          )
        )
        const neighbours = new Ledger()
        yield* Effect.forkScoped(
          session.consume("good", (message) => Effect.sync(() => neighbours.noteMessage(message)), { qos: 1 })
        )
        yield* broker.awaitUntil(() => broker.sessions.some(({ subscriptions }) => subscriptions.length === 2))
        for (let i = 1; i <= 5; i++) {
          yield* broker.publish("bad/a", String(i), { qos: 1 })
          yield* broker.publish("bad/b", String(i), { qos: 1 })
          yield* broker.publish("good", String(i), { qos: 1 })
        }
        yield* neighbours.complete(["good"], 5)
        yield* broker.awaitIdle
        assert.deepStrictEqual(handled.missing(["bad/a", "bad/b"], 5), ["bad/a: 2", "bad/b: 2"])
        assert.strictEqual(handled.count, 8)
        yield* session.publish("still/alive", "", { qos: 1 })
        assert.isUndefined(consumer.pollUnsafe())
        assert.lengthOf(broker.received("Puback"), 15)
        assert.strictEqual((yield* session.metrics).reconnects, 0)
      }).pipe(quietly))
  }

  it.live("a handler that never ends holds back its own topic and the acknowledgements behind it, and nothing else", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker, { protocolVersion: version, drainTimeout: "100 millis" })
      const handled = new Ledger()
      const consumer = yield* Effect.forkScoped(
        session.consume(
          "t/+",
          (message) => message.topic === "t/endless" ? Effect.never : Effect.sync(() => handled.noteMessage(message)),
          { qos: 1 }
        )
      )
      const neighbours = new Ledger()
      for (const qos of [0, 1, 2] as const) {
        const { messages } = yield* session.subscription(`other/${qos}`, { qos })
        yield* Effect.forkScoped(
          Stream.runForEach(messages, (message) => Effect.sync(() => neighbours.noteMessage(message)))
        )
      }
      yield* broker.awaitUntil(() => broker.sessions.some(({ subscriptions }) => subscriptions.length === 4))
      for (let i = 1; i <= 50; i++) {
        yield* broker.publish("t/endless", String(i), { qos: 1 })
        yield* broker.publish("t/other", String(i), { qos: 1 })
        for (const qos of [0, 1, 2] as const) yield* broker.publish(`other/${qos}`, String(i), { qos })
      }
      yield* handled.complete(["t/other"], 50)
      yield* neighbours.complete(["other/0", "other/1", "other/2"], 50)
      yield* session.publish("still/alive", "", { qos: 2 })
      yield* broker.awaitUntil(() => broker.received("Pubcomp").length === 50)
      assert.lengthOf(broker.received("Puback"), 0)

      // The end of the consumer hands its messages to the next one.
      const rest = new Ledger()
      yield* Fiber.interrupt(consumer)
      const { messages } = yield* session.subscription("t/+", { qos: 1 })
      yield* Effect.forkScoped(Stream.runForEach(messages, (message) => Effect.sync(() => rest.noteMessage(message))))
      yield* rest.complete(["t/endless"], 50)
      yield* broker.awaitIdle
      assert.strictEqual(rest.count, 50)
    }))
})

describe("a failure policy", () => {
  const run = (onFailure: FailurePolicy) =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      const consumer = yield* Effect.forkScoped(Effect.exit(session.consume("t", (message) =>
        message.text === "1" ? Effect.fail("no" as const) : Effect.void, { qos: 1, onFailure })))
      yield* broker.awaitUntil(() =>
        broker.sessions.some(({ subscriptions }) => subscriptions.length === 1)
      )
      const { settled } = yield* broker.publish("t", "1", { qos: 1 })
      return { broker, consumer, session, settled }
    })

  it.live("deadLetter publishes the message, then acknowledges it", () =>
    Effect.gen(function*() {
      const { broker, settled } = yield* run({ deadLetter: "dead" })
      assert.deepStrictEqual((yield* settled).map(({ outcome }) => outcome), ["Acknowledged"])
      assert.deepStrictEqual(broker.published.map(({ publisher, topic }) => publisher !== undefined && topic), [
        false,
        "dead"
      ])
    }).pipe(quietly))

  it.live("fail ends consume with the handler's error, and the message is not acknowledged", () =>
    Effect.gen(function*() {
      const { broker, consumer, session } = yield* run("fail")
      const exit = yield* Fiber.join(consumer)
      assert.strictEqual(exit._tag === "Failure" ? String(exit.cause.reasons[0]?._tag) : "", "Fail")
      yield* session.publish("fence", "", { qos: 1 })
      yield* settle
      assert.lengthOf(broker.received("Puback"), 0)
    }).pipe(quietly))
})
