/**
 * The trials of one session: a scripted broker that flaps, a store, and processes that are killed between and inside
 * their commits.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Orders } from "./contract.ts"
import { numberOf, topicOf } from "./payload.ts"
import { cutAtRandomTimes, keeper, killAgainAndAgain, makeFeed, type Outcome, settled, type Trial } from "./trial.ts"
import { judge } from "./verdict.ts"
import * as Victim from "./victim.ts"

/**
 * Kills a publisher again and again, then lets one send what the store holds, and compares what the broker got with
 * what was accepted.
 */
export const publishing = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { qos, rounds, seed, store } = trial
  const broker = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const cutter = yield* broker.cutEvery({ packets: [5, 80], seed })
  const accepted = new Set<number>()
  let next = 0
  const orders = (role: Orders["role"]): Orders => ({
    role,
    store,
    place: kept.place,
    server: broker.url,
    qos,
    seed,
    from: next
  })
  const start = Effect.suspend(() =>
    Victim.start(orders("publish"), (report) => {
      if (report[0] === "begun") next = Math.max(next, report[1] + 1)
      if (report[0] === "done") accepted.add(report[1])
    })
  )
  const serverKills = yield* killAgainAndAgain(trial, kept, start)
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
 * Kills a consumer again and again while the broker publishes, and compares what its handlers have seen with what was
 * published.
 */
export const consuming = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { qos, rounds, seed, store } = trial
  const broker = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const handled: Array<readonly [string, number]> = []
  const orders: Orders = { role: "consume", store, place: kept.place, server: broker.url, qos, seed, from: 0 }
  const start = Victim.start(orders, (report) => {
    if (report[0] === "done") handled.push([topicOf("feed", report[1]), report[1]])
  })
  // The subscription exists before the first message does.
  yield* Effect.scoped(Effect.flatMap(start, (victim) => victim.reported))
  const { flow, published } = makeFeed(broker, trial)
  const cutter = yield* cutAtRandomTimes(broker)
  const serverKills = yield* killAgainAndAgain(trial, kept, start, { meanwhile: flow })
  yield* cutter.stop
  yield* Effect.scoped(Effect.andThen(
    start,
    settled(() => handled.length, () => new Set(handled.map(([, number]) => number)).size === published.size)
  ))
  return { ...judge(published, handled), kills: rounds, serverKills, cuts: cutter.cuts() }
})
