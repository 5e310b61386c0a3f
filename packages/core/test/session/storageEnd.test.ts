/**
 * The end of a durable session at a bad moment: every outcome is settled in time, and what was accepted is there in the
 * next life.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { seeded } from "./seeded.ts"
import { makeBroker, makeSession, type Options, pass, reasonOf, settle } from "./support.ts"

const options: Options = { name: "plant", persistence: "durable", drainTimeout: "1 second" }

interface Fate {
  readonly topic: string
  readonly qos: 1 | 2
  readonly accepted: boolean
  /** It failed while the session went on. */
  readonly refused: boolean
  readonly failure: MqttError["reason"]["_tag"] | undefined
}

describe("the end of a durable session", () => {
  for (const trouble of ["hangs", "fails"] as const) {
    for (const onStorageFailure of ["wait", "fail"] as const) {
      it.effect(`takes no longer than drainTimeout when the store ${trouble}, and settles every outcome (${onStorageFailure})`, () =>
        Effect.gen(function*() {
          const broker = yield* makeBroker("memory")
          const { hang, fail, store } = Faulty.make()
          const scope = yield* Scope.make()
          const session = yield* makeSession(broker, { ...options, onStorageFailure }).pipe(
            Effect.provideService(SessionStore, store),
            Scope.provide(scope)
          )
          yield* settle
          yield* session.awaitReady
          if (trouble === "hangs") hang()
          else fail()
          // QoS 0 last, because it needs no store where no message precedes it.
          const work = yield* Effect.forEach(
            [1, 2, 0] as const,
            (qos) =>
              Effect.all([
                Effect.forkChild(session.enqueue("a", "", { qos })),
                Effect.forkChild(session.publish("b", "", { qos }))
              ])
          )
          yield* pass(300)
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
          yield* pass(1000)
          assert.isDefined(closing.pollUnsafe())
          for (const [enqueued, published] of work) {
            for (const reason of [yield* reasonOf(Fiber.join(enqueued)), yield* reasonOf(Fiber.join(published))]) {
              assert.strictEqual(reason._tag, trouble === "hangs" ? "Closed" : "StorageFailed")
            }
          }
          assert.deepStrictEqual(broker.published, [])
        }))
    }
  }

  it.effect("waits for a commit that is on its way", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const faulty = Faulty.make()
      const scope = yield* Scope.make()
      const session = yield* makeSession(broker, options).pipe(
        Effect.provideService(SessionStore, faulty.store),
        Scope.provide(scope)
      )
      faulty.hang()
      const accepted = yield* Effect.forkChild(session.enqueue("a", "", { qos: 1 }))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(500)
      faulty.mend()
      yield* settle
      assert.isDefined(closing.pollUnsafe())
      yield* Fiber.join(accepted)
      assert.deepStrictEqual(faulty.outbound(), ["a"])
    }))

  for (const onStorageFailure of ["wait", "fail"] as const) {
    it.effect(
      `at random moments loses nothing that was accepted, and sends nothing that was refused (${onStorageFailure})`,
      () =>
        Effect.gen(function*() {
          for (let seed = 1; seed <= 40; seed++) {
            const random = seeded(seed)
            const int = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1))
            // A store that answers with a failure and has applied the commit all the same may keep what was taken back,
            // when nothing reaches it any more before the session ends.
            const applies = seed % 2 === 0
            const broker = yield* makeBroker("memory")
            const faulty = Faulty.make()
            const fates: Array<Fate> = []
            let isClosing = false
            let next = 0
            for (let life = 0; life < 4; life++) {
              isClosing = false
              const scope = yield* Scope.make()
              const session = yield* makeSession(broker, { ...options, onStorageFailure }).pipe(
                Effect.provideService(SessionStore, faulty.store),
                Scope.provide(scope)
              )
              const sending = yield* Effect.forEach(
                Array.from({ length: 20 }),
                () => {
                  const topic = `${++next}`
                  const qos = int(0, 1) === 0 ? 1 : 2
                  return Effect.forkChild(
                    Effect.exit(session.enqueue(topic, topic, { qos })).pipe(
                      Effect.delay(int(0, 900)),
                      Effect.tap((exit) =>
                        Effect.sync(() => {
                          const error = Exit.findErrorOption(exit)
                          fates.push({
                            topic,
                            qos,
                            accepted: Exit.isSuccess(exit),
                            refused: !isClosing && onStorageFailure === "fail" && Exit.isFailure(exit),
                            failure: error._tag === "Some" ? error.value.reason._tag : undefined
                          })
                        })
                      )
                    )
                  )
                }
              )
              for (let step = 0; step < 5; step++) {
                yield* pass(int(1, 200), 50)
                const dice = int(0, 4)
                if (dice === 0) faulty.hang()
                else if (dice === 1) faulty.fail("full", { applies: applies && int(0, 1) === 1 })
                else if (dice === 2) faulty.mend()
                else if (dice === 3) sending[int(0, 19)]!.interruptUnsafe()
                else yield* broker.cut("mqttx-plant")
              }
              isClosing = true
              const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
              yield* pass(1100, 100)
              assert.isDefined(closing.pollUnsafe(), `seed ${seed}: the end takes too long`)
              for (const fiber of sending) yield* Fiber.await(fiber)
              faulty.mend()
            }
            const scope = yield* Scope.make()
            const last = yield* makeSession(broker, options).pipe(
              Effect.provideService(SessionStore, faulty.store),
              Scope.provide(scope)
            )
            yield* settle
            yield* last.publish("end", "", { qos: 2 })
            yield* pass(100)
            const published = broker.published.map(({ topic }) => topic)
            for (const { accepted, failure, qos, refused, topic } of fates) {
              const count = published.filter((each) => each === topic).length
              if (accepted) assert.isAtLeast(count, 1, `seed ${seed}: ${topic} was accepted and is lost`)
              // Nobody can know what became of a commit that the end of the session cut short.
              else assert.include(["StorageFailed", "Closed"], failure)
              if (qos === 2) assert.isAtMost(count, 1, `seed ${seed}: ${topic} came twice`)
              if (refused && !applies) assert.strictEqual(count, 0, `seed ${seed}: ${topic} was refused and is sent`)
            }
            assert.deepStrictEqual(faulty.outbound(), [])
            assert.deepStrictEqual(broker.violations, [])
            yield* Scope.close(scope, Exit.void)
          }
        }),
      180_000
    )
  }
})
