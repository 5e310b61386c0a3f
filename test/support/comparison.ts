/**
 * Holds the README's table of comparison against the evidence of docs/comparison.md.
 */
import { rowsOf, violations } from "./provenTable.ts"
import type { Tree } from "./structure.ts"

export const clients: ReadonlyArray<string> = ["effect-mqttx", "MQTT.js", "HiveMQ (Java)", "autopaho (Go)"]

const evidenceHeader = "| What | Client | Answer | Evidence |"

/** Cells of the README without evidence or with another answer, evidence that is none, and rows without a cell. */
export const evidenceViolations = (
  readme: string,
  page: string,
  tests: Tree,
  header = `| | ${clients.join(" | ")} |`
): ReadonlyArray<string> => {
  const names = header.split("|").slice(2, -1).map((name) => name.trim())
  const table = rowsOf(header, readme)
  if (table.length === 0) return ["the README has no table"]
  const evidence = new Map(rowsOf(evidenceHeader, page).map((row) => [`${row[0]}, ${row[1]}`, row] as const))
  const cells = table.flatMap(([what, ...answers]) =>
    names.map((name, i) => [`${what}, ${name}`, answers[i] ?? ""] as const)
  )
  const problems = cells.flatMap(([cell, answer]) => {
    const row = evidence.get(cell)
    if (row === undefined) return [`${cell}: has no evidence`]
    if (row[2] !== answer) return [`${cell}: is ${answer} in the README and ${row[2]} on the page`]
    if (/\]\(https:\/\/[^)]+\)/.test(row[3]!)) return []
    return violations([row], tests).map((problem) => `${cell}: ${problem.replace(`${row[0]}: `, "")}`)
  })
  const known = new Set(cells.map(([cell]) => cell))
  const others = [...evidence.keys()].filter((cell) => !known.has(cell))
  return [...problems, ...others.map((cell) => `${cell}: is not in the README`)]
}
