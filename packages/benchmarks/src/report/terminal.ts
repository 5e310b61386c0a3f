/**
 * Prints rows as tables for a terminal.
 */
import { bestOf, ratioOf, type RowResult, type SideResult } from "../harness/verdict.ts"
import { figure, ratioText, type Report } from "./report.ts"

const cell = (side: SideResult | undefined, spread: boolean): string => {
  if (side === undefined) return ""
  return spread && side.minimum < side.maximum
    ? `${figure(side.value)} (${figure(side.minimum)}..${figure(side.maximum)})`
    : figure(side.value)
}

const cpu = (side: SideResult | undefined): string => side?.cpu === undefined ? "" : side.cpu.toFixed(2)

const header = [
  "",
  "unit",
  "ours",
  "other",
  "ratio",
  "promised",
  "limit",
  "of limit",
  "C client",
  "CPU µs ours",
  "other",
  "limit",
  "C",
  "other is"
]

const marks = { kept: "", within: " ~", missed: " x" }

const line = (row: RowResult): ReadonlyArray<string> => {
  const [ours, other, limit, c] = (["ours", "other", "limit", "c"] as const).map((role) => bestOf(row, role))
  return [
    row.title,
    row.unit,
    cell(ours, true),
    cell(other, true),
    ratioText(row.ratio),
    row.promise === undefined ? "" : `${row.promise.atLeast}${marks[row.verdict!]}`,
    cell(limit, false),
    ours === undefined || limit === undefined ? "" : ratioOf(row.better, ours.value, limit.value).toFixed(2),
    cell(c, false),
    cpu(ours),
    cpu(other),
    cpu(limit),
    cpu(c),
    other?.name ?? ""
  ]
}

/** Lines of cells as columns; columns without a cell below the header are left out. */
export const columns = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const used = lines[0]!.map((_, column) => lines.slice(1).some((line) => line[column] !== ""))
  const kept = lines.map((line) => line.filter((_, column) => used[column]))
  const widths = kept[0]!.map((_, column) => Math.max(...kept.map((line) => line[column]!.length)))
  return kept.map((line) => line.map((text, column) => text.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n")
}

export const groupTable = (group: string, rows: ReadonlyArray<RowResult>): string => {
  const notes = rows.flatMap((row) => row.notes.map((note) => `! ${row.title}: ${note}`))
  return [`\n${group}`, columns([header, ...rows.map(line)]), ...new Set(notes)].join("\n")
}

export const explanation = ({ command, date, machine, plan, versions }: Omit<Report, "rows">): string =>
  `${command}, ${date}
${machine.processor}, ${machine.processors} processors, ${machine.memoryGiB} GiB, ${machine.system}
Load average before the start: ${machine.loadBefore}
${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}
Each side in a process of its own, taking turns; ${plan.rounds} rounds of ${plan.seconds} s after ${plan.warmUp} s.
Figures: median (minimum..maximum).
Ratio: how much better ours is than the best other side. Limit: the same work by bare sockets and ready-made bytes.
CPU µs: processor time of the measured processes for each message.
Promised ratios: ~ missed by less than the tolerance, x missed.`
