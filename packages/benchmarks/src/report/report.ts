/**
 * One run of the bench with everything that a reader has to know about it: when, on what, how. It is what `--json`
 * writes, and what the table of the README is made from.
 */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os"
import type { Plan } from "../harness/model.ts"
import type { RowResult } from "../harness/verdict.ts"

export interface Report {
  /** ISO 8601, UTC, of the start. */
  readonly date: string
  readonly command: string
  readonly machine: {
    readonly processor: string
    readonly processors: number
    readonly memoryGiB: number
    readonly system: string
    /** The load average of the minute before the start: other programs that ran. */
    readonly loadBefore: number
  }
  readonly versions: Readonly<Record<string, string>>
  readonly plan: Plan
  readonly rows: ReadonlyArray<RowResult>
}

const require = createRequire(import.meta.url)

/** The version of an installed package, found above its entry; a package need not export its manifest. */
const versionOf = (name: string): string => {
  for (let folder = new URL("./", `file://${require.resolve(name)}`);; folder = new URL("../", folder)) {
    try {
      const manifest = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as Record<string, string>
      if (manifest["name"] === name) return manifest["version"]!
    } catch {
      // No manifest in this folder.
    }
    if (folder.pathname === "/") return "unknown"
  }
}

/** Everything but the rows, which come later. */
export const conditionsOf = (command: string, plan: Plan, mosquitto: string): Omit<Report, "rows"> => ({
  date: new Date().toISOString(),
  command,
  machine: {
    processor: cpus()[0]?.model ?? "unknown",
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch} ${release()}`,
    loadBefore: Number(loadavg()[0]!.toFixed(2))
  },
  versions: {
    node: process.version,
    effect: versionOf("effect"),
    mqtt: versionOf("mqtt"),
    "mqtt-packet": versionOf("mqtt-packet"),
    mosquitto
  },
  plan
})

/** A figure with three digits that count: 2.43 M, 426 k, 37.1, 0.52. */
export const figure = (value: number): string => {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e5) return `${Math.round(value / 1e3)} k`
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

export const ratioText = (ratio: number | undefined): string => {
  if (ratio === undefined) return ""
  return ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)
}
