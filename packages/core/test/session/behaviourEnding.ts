import type { Message } from "@effect-mqttx/core/Message"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { numbers, owned, texts, type World } from "./behaviourWorld.ts"

/** Fewer than servers have in flight to a client of MQTT 3.1.1 at the most. */
const waiting = 15

/** How programs take some of many messages that wait, and what the first of them is that they have not finished. */
const endings: Readonly<
  Record<string, {
    readonly run: (messages: Stream.Stream<Message, unknown>) => Effect.Effect<unknown, unknown>
    readonly next: number
  }>
> = {
  "Stream.take": { run: (messages) => Stream.runDrain(Stream.take(messages, 1)), next: 2 },
  "Stream.runHead": { run: (messages) => Stream.runHead(messages), next: 2 },
  "Stream.takeUntil": {
    run: (messages) => Stream.runDrain(Stream.takeUntil(messages, ({ text }) => text === "3")),
    next: 4
  },
  "a failure in the third message": {
    run: (messages) =>
      Effect.flip(Stream.runForEach(messages, ({ text }) => text === "3" ? Effect.fail("no") : Effect.void)),
    next: 3
  },
  "an interruption in the third message": {
    run: (messages) =>
      Effect.gen(function*() {
        const third = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(Stream.runForEach(
          messages,
          ({ text }) => text === "3" ? Effect.andThen(Deferred.succeed(third, undefined), Effect.never) : Effect.void
        ))
        yield* Deferred.await(third)
        yield* Fiber.interrupt(fiber)
      }),
    next: 3
  }
}

export const ending = (test: Define): void => {
  /** Lives of a durable session, between which messages wait. */
  const lives = (world: World, qos: 1 | 2) =>
    Effect.gen(function*() {
      const options = { name: `${world.unique}-durable`, persistence: "durable" } as const
      const live = <A, E>(body: (session: MqttSession.Session) => Effect.Effect<A, E>) =>
        Effect.scoped(Effect.flatMap(world.session(options), body))
      const subscribed = <A, E>(
        body: (messages: Stream.Stream<Message, unknown>) => Effect.Effect<A, E>
      ) =>
        live((session) =>
          Effect.scoped(Effect.flatMap(
            session.subscription(world.topic("t"), { qos }),
            ({ messages }) => body(messages)
          ))
        )
      const publish = Effect.scoped(Effect.flatMap(world.session(), (publisher) =>
        Effect.forEach([...numbers(1, waiting), "end"], (text) =>
          publisher.publish(world.topic("t"), text, { qos }), {
          concurrency: "unbounded",
          discard: true
        })))
      const rest = subscribed((messages) =>
        Stream.runCollect(Stream.takeUntil(messages, ({ text }) => text === "end"))
      )
      yield* subscribed(() => Effect.void)
      return { live, subscribed, publish, rest }
    })

  for (const qos of [1, 2] as const) {
    for (const [name, { next, run }] of Object.entries(endings)) {
      test(`${name}, QoS ${qos}: messages that were not delivered come after a restart, and delivered ones do not`, (world) =>
        Effect.gen(function*() {
          const { publish, rest, subscribed } = yield* lives(world, qos)
          yield* publish
          yield* subscribed(run)
          assert.deepStrictEqual(texts(yield* rest), [...numbers(next, waiting), "end"])
        }).pipe(Effect.provide(SessionStore.layerMemory)))
    }

    test(`batches, QoS ${qos}: an array is acknowledged as a whole`, (world) =>
      Effect.gen(function*() {
        const { live, publish, rest } = yield* lives(world, qos)
        yield* publish
        const seen = yield* live((session) =>
          Effect.scoped(Effect.flatMap(
            session.subscription(world.topic("t"), { qos }),
            ({ batches }) => Stream.runCollect(Stream.take(batches, 1))
          ))
        )
        const first = texts(seen.flat())
        // All that waited may have been one array.
        const others = first.includes("end") ? [] : texts(yield* rest)
        assert.deepStrictEqual([...first, ...others], [...numbers(1, waiting), "end"])
      }).pipe(Effect.provide(SessionStore.layerMemory)))

    test(`Stream.buffer, QoS ${qos}: messages that it has pulled count as delivered`, (world) =>
      Effect.gen(function*() {
        const { publish, rest, subscribed } = yield* lives(world, qos)
        yield* publish
        yield* subscribed((messages) =>
          Effect.gen(function*() {
            const first = yield* Deferred.make<void>()
            const fiber = yield* Effect.forkChild(Stream.runForEach(
              Stream.buffer(messages, { capacity: 4 }),
              () => Effect.andThen(Deferred.succeed(first, undefined), Effect.never)
            ))
            yield* Deferred.await(first)
            yield* Fiber.interrupt(fiber)
          })
        )
        const left = texts(yield* rest)
        // The buffer, and what is on its way into it and out of it.
        assert.isAtLeast(left.length, waiting + 1 - 10)
        assert.deepStrictEqual(left, [...numbers(1, waiting), "end"].slice(-left.length))
      }).pipe(Effect.provide(SessionStore.layerMemory)))

    test(`two consumers of a filter, QoS ${qos}: messages that one has not finished come after a restart`, (world) =>
      Effect.gen(function*() {
        const { live, publish } = yield* lives(world, qos)
        yield* publish
        yield* live((session) =>
          Effect.gen(function*() {
            const fast = yield* Deferred.make<void>()
            yield* Effect.forkScoped(session.consume(
              world.topic("t"),
              ({ text }) => text === "end" ? Deferred.succeed(fast, undefined) : Effect.void,
              { qos, order: "none", concurrency: 100 }
            ))
            yield* Effect.forkScoped(session.consume(world.topic("t"), () => Effect.never, { qos }))
            yield* Deferred.await(fast)
          }).pipe(Effect.scoped)
        )
        const again = yield* live((session) =>
          Effect.scoped(Effect.flatMap(
            session.subscription(world.topic("t"), { qos }),
            ({ messages }) => Stream.runCollect(Stream.takeUntil(messages, ({ text }) => text === "end"))
          ))
        )
        assert.deepStrictEqual(texts(again), [...numbers(1, waiting), "end"])
      }).pipe(Effect.provide(SessionStore.layerMemory)))

    test(`two consumers of a filter, QoS ${qos}: what an interrupted one has not finished goes to its successor`, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const { messages: fast } = yield* session.subscription(world.topic("t"), { qos, retained: "none" })
        const finished = yield* Effect.forkChild(Stream.runDrain(Stream.take(fast, 10)))
        const slow = yield* owned(session.subscription(world.topic("t"), { qos, retained: "none" }))
        for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n, { qos })
        yield* Fiber.join(finished)
        yield* slow.end
        const { messages } = yield* session.subscription(world.topic("t"), { qos, retained: "none" })
        assert.deepStrictEqual(texts(yield* Stream.runCollect(Stream.take(messages, 10))), numbers(1, 10))
      }))

    test(`consumers with names, QoS ${qos}: a restart knows who still has to see a message`, (world) =>
      Effect.gen(function*() {
        const { live, publish } = yield* lives(world, qos)
        const handled = { audit: new Array<string>(), billing: new Array<string>() }
        const consume = (session: MqttSession.Session, consumer: "audit" | "billing", stopAt?: string) =>
          Effect.gen(function*() {
            const done = yield* Deferred.make<void>()
            yield* Effect.forkScoped(
              session.consume(
                world.topic("t"),
                ({ text }) => {
                  if (text === stopAt) return Effect.andThen(Deferred.succeed(done, undefined), Effect.never)
                  handled[consumer].push(text)
                  return text === "end" ? Deferred.succeed(done, undefined) : Effect.void
                },
                { qos, consumer, retained: "none" }
              ),
              { startImmediately: true }
            )
            return Deferred.await(done)
          })
        yield* live((session) => Effect.scoped(Effect.andThen(consume(session, "audit"), consume(session, "billing"))))
        yield* publish
        yield* live((session) =>
          Effect.scoped(Effect.gen(function*() {
            const audit = yield* consume(session, "audit")
            const billing = yield* consume(session, "billing", "10")
            yield* Effect.all([audit, billing])
          }))
        )
        assert.deepStrictEqual(handled, { audit: [...numbers(1, waiting), "end"], billing: numbers(1, 9) })
        // The next life begins without the one that has not finished.
        yield* live((session) =>
          Effect.scoped(Effect.gen(function*() {
            yield* consume(session, "audit")
            const absent = (yield* session.consumers).filter(({ isAbsent }) => isAbsent)
            assert.deepStrictEqual(absent.map(({ name }) => name), ["billing"])
            yield* yield* consume(session, "billing")
          }))
        )
        assert.deepStrictEqual(handled.billing, [...numbers(1, waiting), "end"])
        // QoS 1 may come again to those that have finished; QoS 2 does not.
        if (qos === 2) assert.deepStrictEqual(handled.audit, [...numbers(1, waiting), "end"])
      }).pipe(Effect.provide(SessionStore.layerMemory)))
  }
}
