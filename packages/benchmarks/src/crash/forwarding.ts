/**
 * The trial of a forwarder: two scripted brokers that flap, and between them processes that are killed while they
 * forward.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Orders, Report } from "./contract.ts"
import { numberOf } from "./payload.ts"
import { cutAtRandomTimes, keeper, killAgainAndAgain, makeFeed, type Outcome, settled, type Trial } from "./trial.ts"
import { judge } from "./verdict.ts"
import * as Victim from "./victim.ts"

/**
 * Kills a forwarder again and again while the source publishes, then lets one finish, and compares what the target got
 * with what was published.
 *
 * It is killed from the moment on at which both stores are open: before, while and after the brokers deliver again what
 * they must.
 */
export const forwarding = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { qos, rounds, seed, store } = trial
  const source = yield* ScriptedBroker.make({ seed })
  const target = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const orders: Orders = {
    role: "forward",
    store,
    place: kept.place,
    server: source.url,
    target: target.url,
    qos,
    seed,
    from: 0
  }
  const subscribed = yield* Deferred.make<void>()
  const start = Victim.start(orders, (report: Report) => {
    if (report[0] === "subscribed") Deferred.doneUnsafe(subscribed, Effect.void)
  })
  // The subscription exists before the first message does.
  yield* Effect.scoped(Effect.andThen(start, Effect.timeout(Deferred.await(subscribed), "1 minute")))
  const { flow, published } = makeFeed(source, trial)
  const cutters = [yield* cutAtRandomTimes(source), yield* cutAtRandomTimes(target)]
  const serverKills = yield* killAgainAndAgain(trial, kept, start, { meanwhile: flow })
  for (const cutter of cutters) yield* cutter.stop
  const decoder = new TextDecoder()
  const arrivals = () =>
    target.published.map(({ payload, topic }) => [topic, numberOf(seed, decoder.decode(payload))] as const)
  const isComplete = (): boolean => judge(published, arrivals()).lost === 0
  yield* Effect.scoped(Effect.andThen(start, settled(() => target.published.length, isComplete)))
  const cuts = cutters.reduce((sum, cutter) => sum + cutter.cuts(), 0)
  return { ...judge(published, arrivals()), kills: rounds, serverKills, cuts }
})
