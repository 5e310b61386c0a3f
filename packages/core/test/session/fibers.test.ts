import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber } from "effect"
import { Fibers } from "../../src/internal/session/fibers.ts"

class Colour extends Context.Service<Colour, string>()("test/Colour") {}

describe("fibers of a session", () => {
  it.effect("start at once, with the context of its birth", () =>
    Effect.gen(function*() {
      const fibers = new Fibers(Context.empty() as Context.Context<never>)
      let ran = false
      fibers.fork(Effect.sync(() => {
        ran = true
      }))
      assert.isTrue(ran)
      const coloured = new Fibers(Context.make(Colour, "blue") as Context.Context<never>)
      const fiber = coloured.fork(Effect.serviceOption(Colour))
      assert.deepInclude(yield* Fiber.join(fiber), { value: "blue" })
    }))

  it.effect("are interrupted with it, and waited for", () =>
    Effect.gen(function*() {
      const fibers = new Fibers(yield* Effect.context<never>())
      const gone: Array<number> = []
      for (const id of [1, 2]) {
        fibers.fork(
          Effect.onInterrupt(Effect.never, () => Effect.andThen(Effect.yieldNow, Effect.sync(() => gone.push(id))))
        )
      }
      yield* fibers.end
      assert.deepStrictEqual(gone, [1, 2])
    }))

  it.effect("none starts after the end", () =>
    Effect.gen(function*() {
      const fibers = new Fibers(yield* Effect.context<never>())
      yield* fibers.end
      let ran = false
      const fiber = fibers.fork(Effect.sync(() => {
        ran = true
      }))
      assert.isTrue((yield* Fiber.await(fiber))._tag === "Failure")
      assert.isFalse(ran)
    }))
})
