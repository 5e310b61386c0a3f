import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { Broadcast, type BroadcastOptions } from "../../src/internal/session/broadcast.ts"
import { settle } from "./support.ts"

/** What a listener gets that takes one text, and the rest when all were published. */
const heard = (options: BroadcastOptions<string>, texts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const broadcast = new Broadcast(options)
    const published = yield* Deferred.make<void>()
    const listener = yield* broadcast.stream.pipe(
      Stream.tap(() => Deferred.await(published)),
      Stream.runCollect,
      Effect.forkChild
    )
    yield* settle
    broadcast.publish("first")
    yield* settle
    for (const text of texts) broadcast.publish(text)
    broadcast.end()
    yield* Deferred.succeed(published, undefined)
    return yield* Fiber.join(listener)
  })

const bytesOf = (text: string): number => text.length

describe("a broadcast", () => {
  it.effect("keeps so many values for a listener, and drops the oldest", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* heard({ capacity: 2, replay: 0 }, ["a", "b", "c"]), ["first", "b", "c"])
      const memory = { limit: 1000, bytesOf }
      assert.deepStrictEqual(yield* heard({ capacity: 2, memory, replay: 0 }, ["a", "b", "c"]), ["first", "b", "c"])
    }))

  it.effect("keeps so many bytes of values for a listener, and the last value in any case", () =>
    Effect.gen(function*() {
      const memory = { limit: 10, bytesOf }
      const options = { capacity: 100, memory, replay: 0 }
      assert.deepStrictEqual(yield* heard(options, ["aaaa", "bbbb", "cc"]), ["first", "aaaa", "bbbb", "cc"])
      assert.deepStrictEqual(yield* heard(options, ["aaaa", "bbbb", "ccc", "d"]), ["first", "bbbb", "ccc", "d"])
      assert.deepStrictEqual(yield* heard(options, ["aaaa", "a text of more bytes"]), ["first", "a text of more bytes"])
    }))
})
