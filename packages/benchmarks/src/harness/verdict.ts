/**
 * What the runs of a row come to: a figure for each side, the ratio, and whether the promise is kept.
 */
import { median } from "./median.ts"
import { groupOf, type Measurement, type RatioPromise, type Role, type Row, type Side } from "./model.ts"

export const defaultTolerance = 0.15

/** What the runs of one side come to. */
export interface SideResult {
  readonly role: Role
  readonly name: string
  /** The median of the runs, or the best one, as the row says. */
  readonly value: number
  readonly minimum: number
  readonly maximum: number
  /** Microseconds of processor time for each message: the median. */
  readonly cpu?: number
}

export interface RowResult {
  readonly id: string
  readonly group: string
  readonly title: string
  readonly unit: string
  readonly better: "higher" | "lower"
  /** Sides that did not run are missing. */
  readonly sides: ReadonlyArray<SideResult>
  /** How much better `ours` is than the best `other` side. */
  readonly ratio?: number
  /** The same by processor time for each message. */
  readonly cpuRatio?: number
  readonly promise?: RatioPromise
  /** `within`: missed by less than the tolerance. `missed`: by more, or not measured. */
  readonly verdict?: "kept" | "within" | "missed"
  /** How often all rounds were run: a second time after a missed promise. */
  readonly attempts: number
  readonly notes: ReadonlyArray<string>
}

const sideResult = (row: Row, side: Side, runs: ReadonlyArray<Measurement>): SideResult | undefined => {
  if (runs.length === 0) return undefined
  const values = runs.map(({ value }) => value)
  const minimum = Math.min(...values)
  const maximum = Math.max(...values)
  const best = row.better === "higher" ? maximum : minimum
  const cpus = runs.flatMap(({ cpu }) => cpu === undefined ? [] : [cpu])
  return {
    role: side.role,
    name: side.name,
    value: row.statistic === "best" ? best : median(values),
    minimum,
    maximum,
    ...(cpus.length === 0 ? {} : { cpu: median(cpus) })
  }
}

/** The best side of a role; undefined if none has run. */
export const bestOf = (
  row: Pick<RowResult, "better" | "sides">,
  role: Role
): SideResult | undefined =>
  row.sides.filter((side) => side.role === role).reduce<SideResult | undefined>(
    (best, side) =>
      best !== undefined && (row.better === "higher" ? best.value >= side.value : best.value <= side.value)
        ? best
        : side,
    undefined
  )

/** How much better `a` is than `b`: above 1 if it is. */
export const ratioOf = (better: "higher" | "lower", a: number, b: number): number => better === "higher" ? a / b : b / a

const verdictOf = (promise: RatioPromise, ratio: number | undefined): "kept" | "within" | "missed" => {
  if (ratio === undefined || Number.isNaN(ratio)) return "missed"
  if (ratio >= promise.atLeast) return "kept"
  return ratio >= promise.atLeast * (1 - (promise.tolerance ?? defaultTolerance)) ? "within" : "missed"
}

/** `runs` has the measurements of each side, in the order of the sides. */
export const rowResult = (
  row: Row,
  runs: ReadonlyArray<ReadonlyArray<Measurement>>,
  attempts: number,
  failures: ReadonlyArray<string>
): RowResult => {
  const sides = row.sides.flatMap((side, index) => sideResult(row, side, runs[index]!) ?? [])
  const base = { better: row.better, sides }
  const ours = bestOf(base, "ours")
  const other = bestOf(base, "other")
  const compared = ours !== undefined && other !== undefined
  const ratio = compared ? ratioOf(row.better, ours.value, other.value) : undefined
  const cpuRatio = compared && ours.cpu !== undefined && other.cpu !== undefined ? other.cpu / ours.cpu : undefined
  const notes = row.sides.flatMap((side, index) =>
    runs[index]!.flatMap(({ note }) => note === undefined || note === "" ? [] : [`${side.name}: ${note}`])
  )
  return {
    id: row.id,
    group: groupOf(row),
    title: row.title,
    unit: row.unit,
    ...base,
    ...(ratio === undefined ? {} : { ratio }),
    ...(cpuRatio === undefined ? {} : { cpuRatio }),
    ...(row.promise === undefined ? {} : { promise: row.promise, verdict: verdictOf(row.promise, ratio) }),
    attempts,
    notes: [...new Set([...notes, ...failures])]
  }
}
