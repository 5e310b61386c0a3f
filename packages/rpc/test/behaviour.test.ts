/**
 * What callers see, on every broker, in both versions of MQTT.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Fiber, Stream, Tracer } from "effect"
import { causeOf, everywhere, until } from "./support.ts"

everywhere("calls", (test) => {
  test("are answered with the value or the error of their handler", ({ client, server }) =>
    Effect.gen(function*() {
      yield* server()
      const { client: group } = yield* client()
      assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
      const error = yield* Effect.flip(group.Add({ a: -1, b: 2 }))
      assert.strictEqual(error._tag, "Nope")
      assert.strictEqual((error as { readonly why: string }).why, "negative")
    }))

  test("of several clients and fibers at once each get their own answer, and run once", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const clients = [yield* client(), yield* client(), yield* client()]
      const sums = yield* Effect.forEach(
        clients.flatMap(({ client: group }, c) =>
          Array.from(
            { length: 40 },
            (_, n) => Effect.map(group.Add({ a: c * 1000, b: n }), (sum) => [sum, c * 1000 + n] as const)
          )
        ),
        (call) => call,
        { concurrency: "unbounded" }
      )
      for (const [sum, expected] of sums) assert.strictEqual(sum, expected)
      assert.strictEqual(handled.ran.length, 120)
    }))

  test("that are interrupted interrupt their handler", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group } = yield* client()
      const waiting = yield* Effect.forkChild(group.Wait({ name: "one" }))
      yield* until(handled, () => handled.ran.includes("one"))
      yield* Fiber.interrupt(waiting)
      yield* until(handled, () => handled.interrupted.includes("one"))
      assert.strictEqual(yield* group.Add({ a: 1, b: 1 }), 2)
    }))

  test("whose handler dies die, and others continue", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group } = yield* client()
      const waiting = yield* Effect.forkChild(group.Wait({ name: "survivor" }))
      yield* until(handled, () => handled.waits.has("survivor"))
      const cause = yield* causeOf(group.Die())
      assert.isTrue(Cause.hasDies(cause))
      assert.include(Cause.pretty(cause), "a defect")
      handled.waits.get("survivor")!()
      assert.strictEqual(yield* Fiber.join(waiting), "survivor")
    }))

  test("whose handler dies end all calls of the client where defects are fatal", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server({}, { fatalDefects: true })
      const { client: group } = yield* client()
      const { client: other } = yield* client()
      const waiting = yield* Effect.forkChild(Effect.exit(group.Wait({ name: "victim" })))
      const spared = yield* Effect.forkChild(other.Wait({ name: "spared" }))
      yield* until(handled, () => handled.waits.size === 2)
      assert.isTrue(Cause.hasDies(yield* causeOf(group.Die())))
      const exit = yield* Fiber.join(waiting)
      assert.isTrue(exit._tag === "Failure" && Cause.hasDies(exit.cause))
      handled.waits.get("spared")!()
      assert.strictEqual(yield* Fiber.join(spared), "spared")
      assert.strictEqual(yield* group.Add({ a: 1, b: 1 }), 2)
    }))

  test("with discard succeed when the handler has begun", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group } = yield* client()
      yield* group.Wait({ name: "left alone" }, { discard: true })
      yield* until(handled, () => handled.waits.has("left alone"))
      assert.deepStrictEqual(handled.interrupted, [])
    }))

  test("carry their span to the handler", ({ client, server }) =>
    Effect.gen(function*() {
      yield* server()
      const { client: group } = yield* client()
      const parent = Tracer.externalSpan({ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" })
      assert.strictEqual(yield* Effect.withParentSpan(group.Span(), parent), parent.traceId)
    }))

  test("of one version of MQTT reach servers of the other", ({ client, server, version }) =>
    Effect.gen(function*() {
      yield* server()
      const { client: group } = yield* client({}, { protocolVersion: version === 5 ? 4 : 5 })
      assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
      assert.strictEqual((yield* Stream.runCollect(group.Count({ to: 300 }))).length, 300)
    }), ({ name }) => !name.startsWith("aedes"))

  test("larger than a packet are cut and joined, in both directions", ({ client, server }) =>
    Effect.gen(function*() {
      yield* server({ partSize: 1000 })
      const { client: group } = yield* client({ partSize: 777 })
      const text = Array.from({ length: 20_000 }, (_, n) => String(n)).join(" ")
      const texts = yield* Effect.all([group.Echo({ text }), group.Echo({ text: `${text}!` })], { concurrency: 2 })
      assert.deepStrictEqual(texts, [text, `${text}!`])
    }))
})

everywhere("streams", (test) => {
  test("arrive complete and in order", ({ client, server }) =>
    Effect.gen(function*() {
      yield* server()
      const { client: group } = yield* client()
      const runs = yield* Effect.forEach([5000, 3000, 0], (to) => Stream.runCollect(group.Count({ to })), {
        concurrency: 3
      })
      assert.deepStrictEqual(runs[0], Array.from({ length: 5000 }, (_, n) => n + 1))
      assert.strictEqual(runs[1]!.length, 3000)
    }))

  test("fail with the error of their handler", ({ client, server }) =>
    Effect.gen(function*() {
      yield* server()
      const { client: group } = yield* client()
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(group.Count({ to: -1 }))))._tag, "Nope")
    }))

  test("wait for a slow reader, without a wait of other calls for it", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group } = yield* client()
      const slow = yield* Effect.forkChild(
        group.Slow({ to: 10_000 }, { streamBufferSize: 4 }).pipe(
          Stream.runForEach(() => Effect.never)
        )
      )
      // One with the reader, four in its buffer, one that waits for room, and one on its way.
      yield* until(handled, () => handled.produced >= 6)
      for (let n = 0; n < 20; n++) assert.strictEqual(yield* group.Add({ a: n, b: 1 }), n + 1)
      assert.isAtMost(handled.produced, 7)
      yield* Fiber.interrupt(slow)
      yield* until(handled, () => handled.interrupted.includes("Slow"))
    }))

  test("that are left early interrupt their handler", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group } = yield* client()
      const some = yield* group.Slow({ to: 10_000 }).pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(some, [1, 2, 3])
      yield* until(handled, () => handled.interrupted.includes("Slow"))
    }))
})
