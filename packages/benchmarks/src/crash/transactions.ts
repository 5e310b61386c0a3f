/**
 * The trials of the inbox and the outbox: processes that are killed in the midst of transactions, and the rows that are
 * then in the database.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql"
import type { Orders } from "./contract.ts"
import { numberOf } from "./payload.ts"
import { sqlLayer } from "./stores.ts"
import { cutAtRandomTimes, keeper, killAgainAndAgain, makeFeed, type Outcome, settled, type Trial } from "./trial.ts"
import { judge } from "./verdict.ts"
import * as Victim from "./victim.ts"

const ordersOf = ({ qos, seed, store }: Trial, role: Orders["role"], place: string, server: string): Orders => ({
  role,
  store,
  place,
  server,
  qos,
  seed,
  from: 0
})

/** The rows of a statement, as soon as the database answers. */
const rowsOf = <A extends object>(place: string, text: string): Effect.Effect<ReadonlyArray<A>> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<A>(text)).pipe(
    Effect.provide(sqlLayer(place), { local: true }),
    Effect.timeout("10 seconds"),
    Effect.retry({ schedule: Schedule.spaced("200 millis"), times: 50 }),
    Effect.orDie
  )

/** The number of rows, read again and again while a last process works. */
const watch = Effect.fnUntraced(function*(place: string, text: string): Effect.fn.Return<
  () => number,
  never,
  Scope.Scope
> {
  let count = -1
  const read = Effect.map(rowsOf<{ n: number }>(place, text), ([row]) => {
    count = Number(row!.n)
  })
  yield* read
  yield* Effect.forkScoped(Effect.repeat(read, Schedule.spaced("300 millis")))
  return () => count
})

/**
 * Kills a process again and again while its handlers write a row for each message that the broker publishes, and counts
 * the rows.
 */
export const receiving = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const broker = yield* ScriptedBroker.make({ seed: trial.seed })
  const kept = yield* keeper(trial.store)
  const start = Victim.start(ordersOf(trial, "inbox", kept.place, broker.url), () => {})
  // The subscription and the tables exist before the first message does.
  yield* Effect.scoped(Effect.flatMap(start, (victim) => victim.reported))
  // Each message is a transaction: what is published while a process starts must not take minutes.
  const { flow, published } = makeFeed(broker, trial, "100 millis")
  const cutter = yield* cutAtRandomTimes(broker)
  const serverKills = yield* killAgainAndAgain(trial, kept, start, {
    // Inside of handlers, and not before the first one.
    begun: ({ begun }) => begun,
    meanwhile: flow
  })
  yield* cutter.stop
  yield* Effect.scoped(Effect.gen(function*() {
    yield* start
    const handled = yield* watch(kept.place, "SELECT count(DISTINCT number) AS n FROM handled")
    yield* settled(handled, () => handled() === published.size)
  }))
  const rows = yield* rowsOf<{ number: number; topic: string }>(
    kept.place,
    "SELECT number, topic FROM handled ORDER BY id"
  )
  const verdict = judge(published, rows.map(({ number, topic }) => [topic, number]))
  return { ...verdict, kills: trial.rounds, serverKills, cuts: cutter.cuts() }
})

/**
 * Kills a process again and again while it commits rows with messages, or rolls them back, and compares the rows with
 * what the broker got. A message without a row counts as altered.
 */
export const sending = Effect.fnUntraced(function*(trial: Trial): Effect.fn.Return<Outcome, Error, Scope.Scope> {
  const { rounds, seed, store } = trial
  const broker = yield* ScriptedBroker.make({ seed })
  const kept = yield* keeper(store)
  const cutter = yield* broker.cutEvery({ packets: [5, 80], seed })
  let next = 0
  const orders = (role: Orders["role"]): Orders => ({ ...ordersOf(trial, role, kept.place, broker.url), from: next })
  const start = Effect.suspend(() =>
    Victim.start(orders("outbox"), (report) => {
      if (report[0] === "begun") next = Math.max(next, report[1] + 1)
    })
  )
  const serverKills = yield* killAgainAndAgain(trial, kept, start)
  yield* cutter.stop
  // Only its relay has something to do: the transactions of this process begin after the last number.
  next = Number.MAX_SAFE_INTEGER
  yield* Effect.scoped(Effect.gen(function*() {
    yield* start
    const waiting = yield* watch(kept.place, "SELECT count(*) AS n FROM mqttx_outbox WHERE accepted_in IS NULL")
    yield* settled(() => broker.published.length, () => waiting() === 0)
  }))
  yield* Effect.scoped(Effect.gen(function*() {
    const victim = yield* Victim.start(orders("finish"), () => {})
    const code = yield* Effect.timeout(victim.ended, "2 minutes")
    if (code !== 0) return yield* Effect.fail(new Error(`the last process did not finish: ${victim.complaints()}`))
  }))
  const rows = yield* rowsOf<{ number: number }>(kept.place, "SELECT number FROM posted")
  const posted = new Set(rows.map(({ number }) => number))
  const decoder = new TextDecoder()
  const arrivals = broker.published.map(({ payload, topic }) => {
    const number = numberOf(seed, decoder.decode(payload))
    return [topic, number !== undefined && posted.has(number) ? number : undefined] as const
  })
  return { ...judge(posted, arrivals), kills: rounds, serverKills, cuts: cutter.cuts() }
})
