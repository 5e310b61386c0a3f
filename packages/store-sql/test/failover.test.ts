/**
 * A PostgreSQL that ends, comes back, and does not answer.
 */
import { PostgresServer } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { drop, kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { within } from "../../../test/support/within.ts"
import { store, withoutSync } from "./support/postgres.ts"

const sequences = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe.skipIf(!PostgresServer.isPresent())("a PostgreSQL that fails", () => {
  for (const end of ["stop", "kill"] as const) {
    it.live(
      `restarted amid commits (${end}): the session continues, and nothing is lost`,
      () =>
        Effect.gen(function*() {
          const server = yield* PostgresServer.PostgresServer
          const one = yield* store(server, { leaseDuration: "1 minute", statementTimeout: "20 seconds" })
          const handle = yield* one.open("plant")
          const many = yield* Deferred.make<void>()
          const committing = yield* Effect.forkChild(
            Effect.forEach(sequences(1, 400), (sequence) =>
              Effect.andThen(
                handle.commit([put(outbound(sequence))]),
                sequence === 50 ? Deferred.succeed(many, undefined) : Effect.void
              ), { discard: true }),
            { startImmediately: true }
          )
          yield* Deferred.await(many)
          yield* server[end]
          assert.isUndefined(committing.pollUnsafe())
          yield* server.start
          yield* Fiber.join(committing)
          assert.deepStrictEqual(sequencesOf(yield* handle.load), sequences(1, 400))
        }).pipe(Effect.scoped, Effect.provide(PostgresServer.layer(withoutSync))),
      180_000
    )
  }

  it.live(
    "away for longer than the time limit of a statement: each call fails in bounded time, and the next ones succeed",
    () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const one = yield* store(server, { leaseDuration: "1 minute", statementTimeout: "2 seconds" })
        const handle = yield* one.open("plant")
        yield* handle.commit([put(outbound(1))])
        yield* server.stop
        assert.strictEqual(yield* kindOf(handle.commit([put(outbound(2))])), "unavailable")
        assert.strictEqual(yield* kindOf(Effect.scoped(one.open("other"))), "unavailable")
        yield* server.start
        yield* Effect.retry(handle.commit([put(outbound(2))]), { times: 10 })
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
      }).pipe(Effect.scoped, Effect.provide(PostgresServer.layer(withoutSync))),
    180_000
  )

  it.live(
    "frozen: each call fails in bounded time, and an abandoned one undoes nothing later",
    () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const one = yield* store(server, { leaseDuration: "1 minute", statementTimeout: "2 seconds" })
        const handle = yield* one.open("plant")
        yield* handle.commit([put(outbound(1))])
        yield* server.freeze
        const failing = kindOf(handle.commit([put(outbound(2))]))
        assert.strictEqual(yield* within(12_000)(failing), "unavailable")
        yield* server.thaw
        yield* Effect.retry(handle.commit([put(outbound(3)), drop(2)]), { times: 10 })
        assert.deepStrictEqual(sequencesOf(yield* Effect.retry(handle.load, { times: 10 })), [1, 3])
      }).pipe(Effect.scoped, Effect.provide(PostgresServer.layer(withoutSync))),
    180_000
  )

  it.live("gone permanently: the end of the session does not wait for it", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      const one = yield* store(server, { statementTimeout: "1 minute" })
      yield* within(20_000)(Effect.scoped(Effect.andThen(one.open("plant"), server.stop)))
    }).pipe(Effect.scoped, Effect.provide(PostgresServer.layer(withoutSync))), 180_000)
})
