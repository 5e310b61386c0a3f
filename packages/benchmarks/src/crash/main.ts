/**
 * Kills processes with kill -9 and counts what is lost: `npm run crash -- --store file|redis --qos 1|2 --rounds N --seed S`.
 *
 * A publisher is killed while it accepts messages over a connection that is cut at random, and started again on the same store; what it
 * had accepted must reach the broker. A consumer is killed while it handles messages; what the broker had published must be handled. With
 * Redis, the server (appendonly yes, appendfsync always) is killed too. The exit code is 1 when anything is lost, altered or out of
 * order, or published twice at QoS 2; `--store memory` is the control, which loses.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { parseArgs } from "node:util"
import { consuming, type Outcome, publishing, type Trial } from "./referee.ts"
import { isStoreName } from "./stores.ts"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "file" },
    qos: { type: "string", default: "2" },
    rounds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" }
  }
})

const usage = "npm run crash -- --store file|redis --qos 1|2 --rounds 20 --seed 1"

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

const run = Effect.fnUntraced(function*(trial: Trial) {
  console.log(`store ${trial.store}, QoS ${trial.qos}, ${trial.rounds} rounds, seed ${trial.seed}\n`)
  console.log(row("", columns))
  const published = yield* Effect.scoped(publishing(trial))
  print("publisher", published)
  const consumed = yield* Effect.scoped(consuming(trial))
  print("consumer", consumed)
  // A handler that ran and was not acknowledged before the kill runs again: what it does is its own.
  const broken = [published, consumed].some(({ altered, disordered, lost }) => altered + disordered + lost > 0)
  return !broken && (trial.qos === 1 || published.duplicates === 0)
}, (effect, trial) => Random.withSeed(effect, trial.seed))

const trial = readTrial()
if (trial === undefined) {
  console.error(usage)
  process.exit(2)
}
process.exitCode = await Effect.runPromise(run(trial)) ? 0 : 1
