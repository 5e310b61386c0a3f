/**
 * The referee: a scripted broker that flaps, a store, and processes that are killed between and inside their commits.
 */
import type { QoS } from "@effect-mqttx/core/QoS"
import { RedisServer, ScriptedBroker } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Orders } from "./contract.ts"
import { numberOf, payloadOf, topicOf } from "./payload.ts"
import type { StoreName } from "./stores.ts"
import { judge, type Verdict } from "./verdict.ts"
import * as Victim from "./victim.ts"

export interface Trial {
  readonly store: StoreName
  readonly qos: QoS
  readonly rounds: number
  readonly seed: number
}

export interface Outcome extends Verdict {
  readonly kills: number
  readonly serverKills: number
  readonly cuts: number
}

/** Where records are kept, and how the thing that keeps them is killed. */
interface Keeper {
  readonly place: string
  readonly crash: Effect.Effect<boolean>
}

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "crash-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const keeper = (store: StoreName): Effect.Effect<Keeper, never, Scope.Scope> =>
  store !== "redis"
    ? Effect.map(directory, (place) => ({ place, crash: Effect.succeed(false) }))
    : Effect.map(Effect.orDie(RedisServer.make({ appendonly: true, appendfsync: "always" })), (redis) => ({
      place: redis.url,
      crash: redis.kill.pipe(Effect.andThen(redis.start), Effect.orDie, Effect.as(true))
    }))

const between = (minimum: number, maximum: number): Effect.Effect<number> => Random.nextIntBetween(minimum, maximum)

/** Every fourth round, in its midst. */
const maybeCrash = Effect.fnUntraced(function*({ crash }: Keeper) {
  if ((yield* between(0, 4)) > 0) return false
  yield* Effect.sleep(yield* between(10, 100))
  return yield* crash
})

/**
 * Kills a publisher again and again, then lets one send what the store holds, and compares what the broker got with what was accepted.
 */
export const publishing = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { qos, rounds, seed, store } = trial
  const broker = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const cutter = yield* broker.cutEvery({ packets: [5, 80], seed })
  const accepted = new Set<number>()
  let next = 0
  let serverKills = 0
  const orders = (role: Orders["role"]): Orders => ({
    role,
    store,
    place: kept.place,
    server: broker.url,
    qos,
    seed,
    from: next
  })
  for (let round = 0; round < rounds; round++) {
    yield* Effect.scoped(Effect.gen(function*() {
      const victim = yield* Victim.start(orders("publish"), (report) => {
        if (report[0] === "begun") next = Math.max(next, report[1] + 1)
        if (report[0] === "done") accepted.add(report[1])
      })
      yield* victim.reported
      const killed = yield* Effect.forkChild(maybeCrash(kept))
      yield* Effect.sleep(yield* between(1, 300))
      yield* victim.kill
      if (yield* Fiber.join(killed)) serverKills++
    }))
  }
  yield* cutter.stop
  yield* Effect.scoped(Effect.gen(function*() {
    const victim = yield* Victim.start(orders("finish"), () => {})
    const code = yield* Effect.timeout(victim.ended, "2 minutes")
    if (code !== 0) return yield* Effect.fail(new Error(`the last process did not finish: ${victim.complaints()}`))
  }))
  const decoder = new TextDecoder()
  const verdict = judge(
    accepted,
    broker.published.map(({ payload, topic }) => [topic, numberOf(seed, decoder.decode(payload))])
  )
  return { ...verdict, kills: rounds, serverKills, cuts: cutter.cuts() }
})

/**
 * Kills a consumer again and again while the broker publishes, and compares what its handlers have seen with what was published.
 */
export const consuming = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { qos, rounds, seed, store } = trial
  const broker = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const published = new Set<number>()
  const handled: Array<readonly [string, number]> = []
  let serverKills = 0
  const orders: Orders = { role: "consume", store, place: kept.place, server: broker.url, qos, seed, from: 0 }
  const onReport = (report: readonly [string, number?]): void => {
    if (report[0] === "done") handled.push([topicOf("feed", report[1]!), report[1]!])
  }
  // The subscription exists before the first message does.
  yield* Effect.scoped(Effect.flatMap(Victim.start(orders, onReport), (victim) => victim.reported))
  // By time: what is redelivered after a cut may be more packets than a cut by their number would ever let through.
  let cuts = 0
  const cutting = yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(yield* between(20, 200))
    const { connection } = broker.sessions[0] ?? {}
    if (connection === undefined) return
    yield* broker.cut(connection)
    cuts++
  })))
  const publishSome = Effect.gen(function*() {
    for (let i = yield* between(1, 40); i > 0; i--) {
      const number = published.size
      published.add(number)
      yield* broker.publish(topicOf("feed", number), payloadOf(seed, number), { qos })
    }
  })
  for (let round = 0; round < rounds; round++) {
    yield* Effect.scoped(Effect.gen(function*() {
      const victim = yield* Victim.start(orders, onReport)
      const feeding = yield* Effect.forkChild(
        Effect.repeat(publishSome, Schedule.spaced("15 millis"))
      )
      yield* victim.reported
      const killed = yield* Effect.forkChild(maybeCrash(kept))
      yield* Effect.sleep(yield* between(1, 300))
      yield* victim.kill
      yield* Fiber.interrupt(feeding)
      if (yield* Fiber.join(killed)) serverKills++
    }))
  }
  yield* Fiber.interrupt(cutting)
  yield* Effect.scoped(Effect.gen(function*() {
    yield* Victim.start(orders, onReport)
    let before = -1
    // Until all has come, or nothing has for a while.
    yield* Effect.sync(() => {
      const isQuiet = handled.length === before
      before = handled.length
      return isQuiet || new Set(handled.map(([, number]) => number)).size === published.size
    }).pipe(Effect.repeat({ until: (isOver) => isOver, schedule: Schedule.spaced("10 seconds") }))
  }))
  return { ...judge(published, handled), kills: rounds, serverKills, cuts }
})
