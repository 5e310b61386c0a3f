/**
 * The explorations and what is printed of them.
 */
import { describe } from "./actions.ts"
import type { Mutant } from "./mutants.ts"
import { type Bounds, type Result, search } from "./search.ts"
import { load, type Subject } from "./subject.ts"
import { worlds } from "./worlds.ts"

const planOf = (name: string) => {
  const found = worlds.find((plan) => plan.name === name)
  if (found === undefined) throw new Error(`no such world: ${name}`)
  return found
}

/** How a search of a mutant ended. */
export interface Trial {
  readonly mutant: Mutant
  /** The search that has found the fault; undefined: none has. */
  readonly killer: Result | undefined
}

/**
 * Plants a fault, and searches its worlds for it.
 */
export const tryMutant = async (mutant: Mutant, bounds: Bounds): Promise<Trial> => {
  const subject: Subject = await load(mutant.edits)
  for (const name of mutant.worlds) {
    const result = search(subject, planOf(name), bounds)
    if (result.finding !== undefined) return { mutant, killer: result }
  }
  return { mutant, killer: undefined }
}

const number = (value: number): string => value.toLocaleString("en")

export const worldHeader = [
  "| World | States | Transitions | Depth | Whole | Violations |",
  "| --- | ---: | ---: | ---: | --- | ---: |"
]

/** One row of the table of worlds. */
export const worldRow = ({ depth, finding, isComplete, plan, states, transitions }: Result): string =>
  `| ${plan.name} | ${number(states)} | ${number(transitions)} | ${depth} | ${isComplete ? "yes" : "no"} | ${
    finding === undefined ? 0 : 1
  } |`

/** What does not hold, and the way there. */
export const findingLines = ({ finding, plan }: Result): ReadonlyArray<string> => {
  if (finding === undefined) return []
  const steps = finding.trace.map((action, index) => `  ${index + 1}. ${describe(action)} (${action})`)
  const end = finding.isAtEnd ? ["  then no more faults happen, and everything comes to its end"] : []
  return [`${plan.name}: ${finding.detail}`, ...steps, ...end]
}

/** One line about a mutant. */
export const trialLine = ({ killer, mutant }: Trial): string => {
  if (killer?.finding === undefined) return `SURVIVED ${mutant.name}`
  const { invariant, trace } = killer.finding
  return `${mutant.name} -> killed at depth ${trace.length} by "${invariant}" (${killer.plan.name})`
}
