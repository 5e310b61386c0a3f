/**
 * Makes the table of the README out of a report, and puts it between two comments of the README.
 */
import { bestOf, type RowResult } from "../harness/verdict.ts"
import { figure, ratioText, type Report } from "./report.ts"

export const begin =
  "<!-- `npm run bench -- --readme` writes what follows, up to the next comment. -->\n\n<!-- dprint-ignore-start -->"
export const end = "<!-- dprint-ignore-end -->"

/** The rows of the README, by their identifiers, under the heading of their table. */
export const tables: ReadonlyArray<{ readonly unit: string; readonly ids: ReadonlyArray<string> }> = [
  {
    unit: "messages a second, 64 B, on a scripted peer",
    ids: [
      "session.receive.qos0.batches",
      "session.receive.qos0.messages",
      "session.receive.qos1.batches",
      "session.receive.qos1.messages",
      "session.publishAll.qos0",
      "session.publishAll.qos1",
      "session.publish.qos0.100",
      "session.publish.qos0.1000",
      "session.publish.qos1.100",
      "session.publish.qos1.1000"
    ]
  },
  {
    unit: "messages a second, end to end through mosquitto",
    ids: [0, 1, 2].flatMap((qos) => [20, 256].map((bytes) => `e2e.qos${qos}.${bytes}`))
  },
  {
    unit: "µs from a publish at QoS 1 to its end",
    ids: ["1k", "10k", "50k"].flatMap((rate) => ["p50", "p99", "p999"].map((part) => `latency.qos1.${rate}.${part}`))
  },
  {
    unit: "KiB of heap and buffers for an idle session",
    ids: ["memory.200.heap", "memory.1000.heap", "memory.10000.heap"]
  }
]

const dayOf = (date: string): string => date.slice(0, 10)

const line = (row: RowResult): ReadonlyArray<string> => {
  const [ours, other, limit, c] = (["ours", "other", "limit", "c"] as const).map((role) => bestOf(row, role))
  const cpus = [ours, other, limit].map((side) => side?.cpu === undefined ? "" : side.cpu.toFixed(2))
  return [
    row.title,
    ...[ours, other].map((side) => side === undefined ? "" : figure(side.value)),
    ratioText(row.ratio),
    ...[limit, c].map((side) => side === undefined ? "" : figure(side.value)),
    cpus.every((text) => text === "") ? "" : cpus.map((text) => text === "" ? "–" : text).join(" / ")
  ]
}

const markdown = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const used = lines[0]!.map((_, column) => lines.slice(1).some((line) => line[column] !== ""))
  const kept = lines.map((line) => line.filter((_, column) => used[column]))
  const widths = kept[0]!.map((_, column) => Math.max(3, ...kept.map((line) => line[column]!.length)))
  const rows = kept.map((line) => `| ${line.map((text, column) => text.padEnd(widths[column]!)).join(" | ")} |`)
  return [rows[0], `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.slice(1)].join("\n")
}

/** The words and tables about a report; rows that it does not have are left out. */
export const readmeSection = ({ command, date, machine, plan, rows, versions }: Report): string => {
  const written = tables.flatMap(({ ids, unit }) => {
    const lines = ids.flatMap((id) => rows.filter((row) => row.id === id)).map(line)
    if (lines.length === 0) return []
    const header = [
      unit,
      "session",
      "MQTT.js",
      "ratio",
      "bare sockets",
      "mosquitto's clients",
      "CPU µs a message: session / MQTT.js / bare sockets"
    ]
    return [markdown([header, ...lines])]
  })
  const words = [
    `\`${command}\` on ${dayOf(date)}: ${machine.processor}, ${machine.processors} processors, Node ${
      versions["node"]!.slice(1)
    }, MQTT.js ${versions["mqtt"]}, mosquitto ${versions["mosquitto"]},`,
    `MQTT ${
      plan.protocolVersion === 5 ? "5" : "3.1.1"
    }, defaults on both sides. Each client is a process of its own, on the machine of its server.`,
    `Medians of ${plan.rounds} runs, taking turns. MQTT.js is used in the fastest of several ways. Bare sockets write ready-made bytes and`,
    "count what arrives: they are the limit."
  ]
  return [words.join("\n"), ...written].join("\n\n")
}

/** The README with the section of this report in place of the one that it has. */
export const withSection = (readme: string, report: Report): string => {
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error("the README has no place for the table of the bench")
  return `${readme.slice(0, from + begin.length)}\n\n${readmeSection(report)}\n\n${readme.slice(to)}`
}
