/**
 * Explores the session engine: `npm run explore -- [--world NAME] [--depth N] [--seconds N] [--no-mutants]`.
 *
 * Prints every world with its states, transitions, depth and violations, then every planted fault and what has found
 * it. Exits with 1 when an invariant does not hold or a planted fault is not found.
 */
import { parseArgs } from "node:util"
import { mutants } from "./mutants.ts"
import { findingLines, trialLine, tryMutant, worldHeader, worldRow } from "./report.ts"
import { search } from "./search.ts"
import { load } from "./subject.ts"
import { worlds } from "./worlds.ts"

const { values } = parseArgs({
  options: {
    world: { type: "string" },
    depth: { type: "string", default: "1000" },
    /** For each world, and for each world of a mutant. */
    seconds: { type: "string", default: "120" },
    "no-mutants": { type: "boolean", default: false }
  }
})

const natural = (name: "depth" | "seconds"): number => {
  const value = Number(values[name])
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} is a whole number from 1 on`)
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)

const main = async (): Promise<boolean> => {
  const bounds = { depth: natural("depth"), states: Infinity, seconds: natural("seconds") }
  const chosen = worlds.filter(({ name }) => values.world === undefined || name.startsWith(values.world))
  if (chosen.length === 0) throw new Error(`no world begins with ${values.world}: ${worlds.map(({ name }) => name)}`)
  const subject = await load()
  let isGood = true
  worldHeader.forEach(print)
  for (const plan of chosen) {
    const result = search(subject, plan, bounds)
    print(worldRow(result))
    findingLines(result).forEach(print)
    if (result.finding !== undefined) isGood = false
  }
  if (values["no-mutants"]) return isGood
  print("")
  for (
    const mutant of mutants.filter(({ worlds }) => worlds.some((name) => chosen.some((plan) => plan.name === name)))
  ) {
    const trial = await tryMutant(mutant, bounds)
    print(trialLine(trial))
    if (trial.killer === undefined) isGood = false
  }
  return isGood
}

main().then(
  (isGood) => {
    process.exitCode = isGood ? 0 : 1
  },
  (cause: unknown) => {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
    process.exitCode = 1
  }
)
