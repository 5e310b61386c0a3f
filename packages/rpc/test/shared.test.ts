/**
 * Several servers that share the calls, each with everything of its own calls.
 */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { everywhere, failureOf, until } from "./support.ts"

everywhere("shared servers", (test) => {
  test("divide the calls, and each call runs once", ({ client, server }) =>
    Effect.gen(function*() {
      const servers = [
        yield* server({ share: "group" }, { name: "one" }),
        yield* server({ share: "group" }, { name: "two" })
      ]
      const { client: group } = yield* client()
      const names = yield* Effect.forEach(Array.from({ length: 40 }), () => group.Who(), { concurrency: 8 })
      assert.deepStrictEqual(new Set(names), new Set(["one", "two"]))
      yield* Effect.forEach(Array.from({ length: 40 }), (_, n) => group.Add({ a: n, b: 1 }), { concurrency: 8 })
      assert.strictEqual(servers[0]!.handled.ran.length + servers[1]!.handled.ran.length, 40)
    }))

  test("get the acknowledgements, interruptions and parts of their own calls", ({ client, server }) =>
    Effect.gen(function*() {
      const servers = [yield* server({ share: "group" }), yield* server({ share: "group" })]
      const { client: group } = yield* client({ partSize: 500 })
      const streams = yield* Effect.forEach(
        Array.from({ length: 8 }),
        () => Stream.runCollect(group.Slow({ to: 30 })),
        { concurrency: 8 }
      )
      for (const numbers of streams) assert.deepStrictEqual(numbers, Array.from({ length: 30 }, (_, n) => n + 1))
      assert.isTrue(servers.every(({ handled }) => handled.produced > 0))
      const texts = Array.from({ length: 6 }, (_, n) => String(n).repeat(4000))
      assert.deepStrictEqual(
        yield* Effect.forEach(texts, (text) => group.Echo({ text }), { concurrency: 6 }),
        texts
      )
      const calls = yield* Effect.forEach(
        Array.from({ length: 6 }, (_, n) => `call ${n}`),
        (name) => Effect.forkChild(group.Wait({ name }))
      )
      const count = (what: "ran" | "interrupted") =>
        servers.reduce((sum, { handled }) => sum + handled[what].filter((each) => each.startsWith("call")).length, 0)
      const [first, second] = [servers[0]!.handled, servers[1]!.handled]
      yield* Effect.raceFirst(until(first, () => count("ran") === 6), until(second, () => count("ran") === 6))
      yield* Effect.forEach(calls, (each) => Fiber.interrupt(each), { discard: true })
      yield* Effect.raceFirst(
        until(first, () => count("interrupted") === 6),
        until(second, () => count("interrupted") === 6)
      )
    }))

  test("that end fail their own calls only", ({ client, server }) =>
    Effect.gen(function*() {
      const one = yield* server({ share: "group" })
      const two = yield* server({ share: "group" })
      const { client: group } = yield* client()
      const names = Array.from({ length: 10 }, (_, n) => `call ${n}`)
      const failing = yield* Effect.forEach(names, (name) =>
        Effect.forkChild(Effect.exit(failureOf(group.Wait({ name })))))
      const all = (): boolean =>
        one.handled.waits.size + two.handled.waits.size === 10
      yield* Effect.raceFirst(until(one.handled, all), until(two.handled, all))
      assert.isAbove(two.handled.waits.size, 0)
      yield* one.end
      for (const release of two.handled.waits.values()) release()
      const exits = yield* Effect.forEach(failing, (each) => Fiber.join(each))
      const failed = exits.filter((exit) => exit._tag === "Success" && exit.value.kind === "serverGone")
      assert.strictEqual(failed.length, one.handled.waits.size)
    }))
  // aedes knows no shared subscriptions.
}, ({ name }) => !name.startsWith("aedes"))
