/**
 * Kills processes with kill -9 and counts what is lost:
 * `npm run crash -- --store file|redis|sql|sqlite --qos 1|2 --rounds N --seed S`, and with `--only forwarder` (or
 * `publisher`, `consumer`, `inbox`, `outbox`) one trial alone.
 *
 * A publisher is killed while it accepts messages over a connection that is cut at random, and started again on the
 * same store; what it had accepted must reach the broker. A consumer is killed while it handles messages; what the
 * broker had published must be handled. A forwarder is killed between two brokers; what the one had published must
 * reach the other. With PostgreSQL and SQLite, two more are killed: one whose handler writes rows by the inbox, and
 * one that adds messages by the outbox in transactions of which some are rolled back. Their rows are counted in the
 * database: one for each message, at QoS 1 too, and a message for each row.
 *
 * With Redis, the server (appendonly yes, appendfsync always) is killed too, and PostgreSQL ends without a checkpoint
 * (SIGQUIT). The exit code is 1 when anything is lost, altered or out of order, or published twice at QoS 2;
 * `--store memory` is the control, which loses.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { parseArgs } from "node:util"
import { forwarding } from "./forwarding.ts"
import { consuming, publishing } from "./referee.ts"
import { isDatabase, isStoreName, type StoreName } from "./stores.ts"
import { receiving, sending } from "./transactions.ts"
import type { Outcome, Trial } from "./trial.ts"

const trials = {
  publisher: publishing,
  consumer: consuming,
  forwarder: forwarding,
  inbox: receiving,
  outbox: sending
}

type TrialName = keyof typeof trials

const names = Object.keys(trials) as ReadonlyArray<TrialName>

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "file" },
    qos: { type: "string", default: "2" },
    rounds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    only: { type: "string" }
  }
})

const usage = "npm run crash -- --store file|redis|sql|sqlite --qos 1|2 --rounds 20 --seed 1 " +
  "--only publisher|consumer|forwarder|inbox|outbox (the last two with --store sql or sqlite)"

const inDatabase: ReadonlySet<TrialName> = new Set(["inbox", "outbox"])

const readNames = (): ReadonlyArray<TrialName> =>
  names.filter((name) =>
    (values.only === undefined || name === values.only) &&
    (isDatabase(values.store as StoreName) || !inDatabase.has(name))
  )

const readTrial = (): Trial | undefined => {
  const [qos, rounds, seed] = [Number(values.qos), Number(values.rounds), Number(values.seed)]
  if (!isStoreName(values.store) || (qos !== 1 && qos !== 2)) return undefined
  if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) return undefined
  return { store: values.store, qos, rounds, seed }
}

const columns = [
  "kills",
  "serverKills",
  "cuts",
  "promised",
  "arrived",
  "lost",
  "duplicates",
  "altered",
  "disordered"
] as const

const row = (name: string, cells: ReadonlyArray<string | number>): string =>
  name.padEnd(11) + cells.map((cell) => String(cell).padStart(12)).join("")

const print = (name: string, outcome: Outcome): void => {
  console.log(row(name, columns.map((column) => outcome[column])))
}

/** A handler that ran and was not acknowledged before the kill runs again: what it does is its own. */
const isBroken = (name: TrialName, { qos }: Trial, outcome: Outcome): boolean => {
  const { altered, disordered, duplicates, lost } = outcome
  const mayRepeat = name === "consumer" || (name !== "inbox" && qos === 1)
  return altered + disordered + lost > 0 || (!mayRepeat && duplicates > 0)
}

const run = Effect.fnUntraced(function*(chosen: ReadonlyArray<TrialName>, trial: Trial) {
  console.log(`store ${trial.store}, QoS ${trial.qos}, ${trial.rounds} rounds, seed ${trial.seed}\n`)
  console.log(row("", columns))
  let broken = false
  for (const name of chosen) {
    const outcome = yield* Effect.scoped(trials[name](trial))
    print(name, outcome)
    broken ||= isBroken(name, trial, outcome)
  }
  return !broken
}, (effect, _, trial) => Random.withSeed(effect, trial.seed))

const chosen = readNames()
const trial = readTrial()
if (trial === undefined || chosen.length === 0) {
  console.error(usage)
  process.exit(2)
}
process.exitCode = await Effect.runPromise(run(chosen, trial)) ? 0 : 1
