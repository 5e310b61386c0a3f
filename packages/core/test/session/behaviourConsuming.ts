import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch, Schedule } from "effect"
import type { Define } from "./behaviour.ts"
import { fence, numbers, reason, subscribe, texts } from "./behaviourWorld.ts"

export const consuming = (test: Define): void => {
  test("consume acknowledges after the handler's success", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const started = yield* Deferred.make<void>()
      const finish = yield* Latch.make()
      yield* session.consume(
        world.topic("t"),
        () => Effect.andThen(Deferred.succeed(started, undefined), finish.await),
        { qos: 1 }
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      yield* Deferred.await(started)
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 1)
      yield* finish.open
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("a handler publishes and awaits the acknowledgement", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const answers = yield* subscribe(session, world.topic("answer/+"), { qos: 2 })
      yield* session.consume(
        world.topic("question"),
        ({ text }) => session.publish(world.topic(`answer/${text}`), text, { qos: 2 }),
        { qos: 1 }
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      for (const n of numbers(1, 20)) yield* session.publish(world.topic("question"), n, { qos: 1 })
      assert.deepStrictEqual(texts(yield* answers.take(20)), numbers(1, 20))
    }))

  const bad = {
    throws: () => {
      throw new Error("thrown")
    },
    fails: () => Effect.fail(new Error("failed")),
    dies: () => Effect.die(new Error("died")),
    "never ends": () => Effect.never
  } as const
  for (const [name, handler] of Object.entries(bad)) {
    test(`a handler that ${name} harms no other`, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session()
        const handled: Array<string> = []
        const called = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const other = yield* subscribe(session, world.topic("+"), { qos: 1 })
        yield* session.consume(
          [world.topic("good"), world.topic("bad")],
          (message): Effect.Effect<unknown, Error> => {
            if (message.topic === world.topic("bad")) {
              Deferred.doneUnsafe(called, Effect.void)
              return handler()
            }
            handled.push(message.text)
            return handled.length === 3 ? Deferred.succeed(done, undefined) : Effect.void
          },
          { qos: 1 }
        ).pipe(Effect.forkScoped({ startImmediately: true }))
        yield* session.publish(world.topic("bad"), "bad", { qos: 1 })
        yield* Deferred.await(called)
        for (const n of numbers(1, 3)) yield* session.publish(world.topic("good"), n, { qos: 1 })
        yield* Deferred.await(done)
        assert.deepStrictEqual(handled, numbers(1, 3))
        assert.deepStrictEqual(texts(yield* other.take(4)), ["bad", "1", "2", "3"])
        assert.strictEqual((yield* session.status).state, "connected")
      }))
  }

  test("consume runs one handler at a time for each topic, in order, and several topics concurrently", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const topics = ["a", "b", "c"].map(world.topic)
      const running = new Map<string, number>()
      const seen = new Map<string, Array<string>>(topics.map((topic) => [topic, []]))
      let together = 0
      let highest = 0
      const all = yield* Deferred.make<void>()
      yield* session.consume(world.topic("+"), ({ text, topic }) =>
        Effect.gen(function*() {
          highest = Math.max(highest, ++together)
          running.set(topic, (running.get(topic) ?? 0) + 1)
          assert.strictEqual(running.get(topic), 1)
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          seen.get(topic)!.push(text)
          running.set(topic, 0)
          together--
          if (topics.every((each) => seen.get(each)!.length === 20)) yield* Deferred.succeed(all, undefined)
        }), { qos: 1, concurrency: 8, onFailure: "fail" }).pipe(Effect.forkScoped({ startImmediately: true }))
      yield* Effect.forEach(
        topics,
        (topic) => Effect.forEach(numbers(1, 20), (n) => session.publish(topic, n, { qos: 1 })),
        { concurrency: 3 }
      )
      yield* Deferred.await(all)
      for (const topic of topics) assert.deepStrictEqual(seen.get(topic), numbers(1, 20))
      assert.isAbove(highest, 1)
    }))

  test("consume runs as many handlers as the options say, also of one topic without order", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const three = yield* Deferred.make<void>()
      const finish = yield* Latch.make()
      const all = yield* Deferred.make<void>()
      let together = 0
      let highest = 0
      let done = 0
      yield* session.consume(world.topic("t"), () =>
        Effect.gen(function*() {
          highest = Math.max(highest, ++together)
          if (together === 3) yield* Deferred.succeed(three, undefined)
          yield* finish.await
          together--
          if (++done === 10) yield* Deferred.succeed(all, undefined)
        }), { qos: 1, concurrency: 3, order: "none" }).pipe(Effect.forkScoped({ startImmediately: true }))
      for (const n of numbers(1, 10)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* Deferred.await(three)
      yield* finish.open
      yield* Deferred.await(all)
      assert.strictEqual(highest, 3)
    }))

  test("consume repeats a failed handler by its schedule", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const done = yield* Deferred.make<void>()
      let attempts = 0
      yield* session.consume(
        world.topic("t"),
        () => ++attempts < 3 ? Effect.fail("not yet") : Deferred.succeed(done, undefined),
        { qos: 1, retry: Schedule.recurs(5), onFailure: "fail" }
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      yield* Deferred.await(done)
      yield* fence(session)
      assert.strictEqual(attempts, 3)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("a message whose handler failed permanently goes to the dead letter topic and is acknowledged", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const dead = yield* subscribe(session, world.topic("dead"), { qos: 2 })
      let attempts = 0
      yield* session.consume(
        world.topic("t"),
        () => {
          attempts++
          return Effect.fail("no")
        },
        { qos: 1, retry: Schedule.recurs(1), onFailure: { deadLetter: world.topic("dead") } }
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      const properties = { contentType: "text/plain", userProperties: [["a", "1"], ["a", "2"]] } as const
      yield* session.publish(world.topic("t"), "poison", {
        qos: 1,
        ...(world.version === 5 ? { properties } : undefined)
      })
      const letter = yield* dead.next
      assert.strictEqual(letter.text, "poison")
      assert.strictEqual(letter.qos, 1)
      if (world.version === 5) {
        assert.strictEqual(letter.properties.contentType, "text/plain")
        assert.deepStrictEqual(letter.properties.userProperties, [
          ["a", "1"],
          ["a", "2"],
          ["mqttx-session", session.name],
          ["mqttx-topic", world.topic("t")],
          ["mqttx-error", "no"]
        ])
      }
      assert.strictEqual(attempts, 2)
      yield* fence(session)
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("skip acknowledges a message whose handler failed, and continues", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const done = yield* Deferred.make<void>()
      yield* session.consume(
        world.topic("t"),
        ({ text }) => text === "2" ? Deferred.succeed(done, undefined) : Effect.die("no"),
        { qos: 1, onFailure: "skip" }
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      for (const n of numbers(1, 2)) yield* session.publish(world.topic("t"), n, { qos: 1 })
      yield* Deferred.await(done)
      yield* fence(session)
      assert.strictEqual((yield* session.metrics).unacknowledged, 0)
    }))

  test("fail ends consume with the handler's error, and the message comes again", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const consuming = yield* Effect.forkChild(
        session.consume(world.topic("t"), () => Effect.fail("the handler's own error" as const), {
          qos: 1,
          keep: true,
          onFailure: "fail"
        }),
        { startImmediately: true }
      )
      yield* session.publish(world.topic("t"), "again", { qos: 1 })
      assert.strictEqual(yield* Effect.flip(Fiber.join(consuming)), "the handler's own error")
      const next = yield* subscribe(session, world.topic("t"), { qos: 1 })
      assert.deepStrictEqual(texts(yield* next.take(1)), ["again"])
    }))

  test("interrupting consume interrupts its handlers and leaves their messages to the next one", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const consuming = yield* Effect.forkChild(
        session.consume(world.topic("t"), () =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          ), { qos: 1, keep: true }),
        { startImmediately: true }
      )
      yield* session.publish(world.topic("t"), "unfinished", { qos: 1 })
      yield* Deferred.await(started)
      yield* Fiber.interrupt(consuming)
      yield* Deferred.await(interrupted)
      const next = yield* subscribe(session, world.topic("t"), { qos: 1 })
      assert.deepStrictEqual(texts(yield* next.take(1)), ["unfinished"])
    }))

  test("consume fails with what is wrong with its filter", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      yield* reason(session.consume("a/#/b", () => Effect.void), "InvalidFilter")
    }))

  test("drain waits for the handlers that run, and takes nothing new", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const started = yield* Deferred.make<void>()
      const finish = yield* Latch.make()
      const handled: Array<string> = []
      const consuming = yield* Effect.forkChild(
        session.consume(world.topic("t"), ({ text }) =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(finish.await),
            Effect.andThen(Effect.sync(() => handled.push(text)))
          ), { qos: 1 }),
        { startImmediately: true }
      )
      yield* session.publish(world.topic("t"), "1", { qos: 1 })
      yield* Deferred.await(started)
      const draining = yield* Effect.forkChild(session.drain, { startImmediately: true })
      while (yield* world.isSubscribed(world.topic("t")));
      assert.strictEqual((yield* session.status).state, "connected")
      yield* finish.open
      yield* Fiber.join(draining)
      yield* Fiber.join(consuming)
      assert.strictEqual(handled[0], "1")
      assert.strictEqual((yield* session.status).state, "closed")
    }))
}
