/**
 * The object that programs get for a session: it can be copied to wrap it, and its members can be taken out of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Hash, MutableHashMap, Option, Stream } from "effect"
import type { Session } from "../../src/internal/session/contract.ts"
import { makeBroker, readySession } from "./support.ts"

describe("the session of a program", () => {
  it.live("can be copied to wrap it, and its members work without it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      let published = 0
      const wrapped: Session = {
        ...session,
        publish: (topic, payload, options) => {
          published++
          return session.publish(topic, payload, options)
        }
      }
      assert.sameMembers(Object.keys(wrapped), Object.keys(session))
      const { events, publish, status, subscription } = wrapped
      const { messages } = yield* subscription("a/#")
      yield* publish("a/b", "1")
      const received = yield* Stream.runCollect(Stream.take(messages, 1))
      assert.deepStrictEqual(Array.from(received, ({ text }) => text), ["1"])
      assert.strictEqual(published, 1)
      assert.strictEqual((yield* status).state, "connected")
      const [first] = yield* Stream.runCollect(Stream.take(events, 1))
      assert.strictEqual(first?.session, session.name)
      assert.strictEqual((yield* wrapped.metrics).connections, (yield* session.metrics).connections)
    }).pipe(Effect.scoped))

  it.live("equals itself only, and neither hash nor comparison reads what it reaches", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const [one, other] = [yield* readySession(broker), yield* readySession(broker)]
      const read: Array<string | symbol> = []
      const watched: Session = new Proxy(one, {
        get: (target, key, receiver) => {
          read.push(key)
          return Reflect.get(target, key, receiver)
        },
        ownKeys: (target) => {
          read.push("all keys")
          return Reflect.ownKeys(target)
        }
      })
      assert.strictEqual(Hash.hash(watched), Hash.hash(watched))
      assert.isTrue(Equal.equals(watched, watched))
      assert.isFalse(Equal.equals(watched, other))
      assert.deepStrictEqual(read.filter((key) => key !== Hash.symbol && key !== Equal.symbol), [])
      const names = MutableHashMap.make([one, "one"], [other, "other"])
      assert.deepStrictEqual([MutableHashMap.get(names, one), MutableHashMap.get(names, other)].map(Option.getOrNull), [
        "one",
        "other"
      ])
    }).pipe(Effect.scoped))

  it.live("its streams can run again after their end, and not twice at the same time", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* readySession(broker)
      const { messages } = yield* session.subscription("a", { qos: 1 })
      yield* session.publish("a", "1", { qos: 1 })
      yield* session.publish("a", "2", { qos: 1 })
      const texts = Effect.map(Stream.runCollect(Stream.take(messages, 1)), (all) => all.map(({ text }) => text))
      assert.deepStrictEqual(yield* texts, ["1"])
      assert.deepStrictEqual(yield* texts, ["2"])
      const run = Stream.runDrain(messages)
      const error = yield* Effect.flip(Effect.all([run, run], { concurrency: 2 }))
      assert.strictEqual(error.reason._tag, "InvalidOptions")
    }).pipe(Effect.scoped))
})
