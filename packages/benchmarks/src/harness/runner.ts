/**
 * Runs the sources of rows in rounds, and says what each row comes to.
 *
 * The sources of a row take turns, A B C A B C, so that what else the machine does disturbs all of them alike. A row
 * that misses its promise by more than its tolerance runs once more, and only the second miss counts.
 */
import type { Fixtures } from "./fixtures.ts"
import type { Measurement, Parts, Plan, Row, Source } from "./model.ts"
import { type RowResult, rowResult } from "./verdict.ts"

export interface Observer {
  readonly onRun: (source: Source, round: number, parts: Parts | Error) => void
  readonly onSecondAttempt: (rows: ReadonlyArray<RowResult>) => void
}

/** Rows that share sources, directly or through others, so that they are measured together. */
export const blocksOf = (rows: ReadonlyArray<Row>): ReadonlyArray<ReadonlyArray<Row>> => {
  const blocks: Array<Array<Row>> = []
  for (const row of rows) {
    const joined = [row]
    for (let index = blocks.length - 1; index >= 0; index--) {
      const shares = blocks[index]!.some((other) =>
        other.sides.some(({ source }) => row.sides.some((side) => side.source === source))
      )
      if (shares) joined.unshift(...blocks.splice(index, 1)[0]!)
    }
    blocks.push(joined)
  }
  return blocks
}

interface Runs {
  readonly parts: ReadonlyMap<Source, ReadonlyArray<Parts>>
  readonly failures: ReadonlyMap<Source, string>
}

const runSources = async (
  sources: ReadonlyArray<Source>,
  plan: Plan,
  fixtures: Fixtures,
  observer: Observer
): Promise<Runs> => {
  const parts = new Map<Source, Array<Parts>>(sources.map((source) => [source, []]))
  const failures = new Map<Source, string>()
  for (let round = 0; round < plan.rounds; round++) {
    for (const source of sources) {
      if (round >= (source.maxRounds ?? Infinity) || failures.has(source)) continue
      try {
        const result = await source.measure(plan, fixtures)
        parts.get(source)!.push(result)
        observer.onRun(source, round, result)
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause))
        // The lines after it are what the process has written.
        failures.set(source, error.message.split("\n")[0]!)
        observer.onRun(source, round, error)
      }
    }
  }
  return { parts, failures }
}

const sourcesOf = (rows: ReadonlyArray<Row>): ReadonlyArray<Source> => [
  ...new Set(rows.flatMap((row) => row.sides.map(({ source }) => source)))
]

const resultsOf = (rows: ReadonlyArray<Row>, runs: Runs, attempts: number): ReadonlyArray<RowResult> =>
  rows.map((row) => {
    const measurements = row.sides.map(({ part, source }) =>
      runs.parts.get(source)!.flatMap((parts): ReadonlyArray<Measurement> =>
        parts[part] === undefined ? [] : [parts[part]]
      )
    )
    const failures = row.sides.flatMap(({ name, source }) => {
      const failure = runs.failures.get(source)
      return failure === undefined ? [] : [`${name} failed: ${failure}`]
    })
    return rowResult(row, measurements, attempts, failures)
  })

/** Runs one block of rows, a second time those that missed their promise. */
export const runBlock = async (
  rows: ReadonlyArray<Row>,
  plan: Plan,
  fixtures: Fixtures,
  observer: Observer
): Promise<ReadonlyArray<RowResult>> => {
  const first = resultsOf(rows, await runSources(sourcesOf(rows), plan, fixtures, observer), 1)
  const missed = first.filter(({ verdict }) => verdict === "missed")
  if (missed.length === 0) return first
  observer.onSecondAttempt(missed)
  const again = rows.filter((row) => missed.some(({ id }) => id === row.id))
  const second = resultsOf(again, await runSources(sourcesOf(again), plan, fixtures, observer), 2)
  return first.map((result) => second.find(({ id }) => id === result.id) ?? result)
}
