import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch } from "effect"
import { makeWorld } from "../../../../test/support/managers.ts"

const names = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

describe("SessionManager: a thousand sessions", () => {
  it.live(
    "are all ready, feed one route, and lose nothing while 100 others come and 100 go",
    () =>
      Effect.gen(function*() {
        const { broker, manager, options } = yield* makeWorld({}, { record: false })
        const [stable, leaving, coming] = [names("stable", 900), names("leaving", 100), names("coming", 100)]
        const rounds = 10
        const received = new Map<string, Array<number>>()
        const complete = Latch.makeUnsafe()
        let missing = stable.length * rounds
        const route = yield* manager.handle("all/+", (message) =>
          Effect.sync(() => {
            const numbers = received.get(message.session)
            if (numbers === undefined) received.set(message.session, [Number(message.text)])
            else numbers.push(Number(message.text))
            if (message.session.startsWith("stable") && --missing === 0) complete.openUnsafe()
          }), { qos: 1 })

        yield* Effect.forEach([...stable, ...leaving], (name) => manager.add(options(name)), { discard: true })
        yield* manager.awaitAllReady()
        assert.strictEqual((yield* manager.metrics).ready, 1000)

        const traffic = Effect.gen(function*() {
          for (let round = 1; round <= rounds; round++) {
            yield* manager.publishTo("stable-0", `all/${round}`, `${round}`, { qos: 1 })
          }
        })
        const change = Effect.forEach(
          names("", 100),
          (_, n) => Effect.all([manager.remove(leaving[n]!), manager.add(options(coming[n]!))], { concurrency: 2 }),
          {
            concurrency: 10,
            discard: true
          }
        )
        yield* Effect.all([traffic, change], { concurrency: 2 })
        yield* complete.await
        yield* manager.awaitAllReady()

        const all = Array.from({ length: rounds }, (_, n) => n + 1)
        for (const name of stable) assert.deepStrictEqual(received.get(name), all, name)
        assert.deepStrictEqual(yield* manager.list, [...stable, ...coming])
        assert.strictEqual((yield* route.sessions).size, 1000)
        assert.strictEqual(broker.sessions.filter(({ connection }) => connection !== undefined).length, 1000)
        const { connections, errors } = (yield* manager.metrics).totals
        assert.deepStrictEqual([connections, errors], [1100, 0])
      }),
    180_000
  )
})
