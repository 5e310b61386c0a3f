/**
 * Measures what an import of the core costs Node in processor time, over an import of `effect`: from its files, and
 * from its build for Node. `npm run pack -- --import` prints it. No test calls it: times depend on the machine.
 */
import * as ChildProcess from "node:child_process"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"

const cost = (folder: string, modules: ReadonlyArray<string>): number => {
  const code = `${modules.map((module) => `await import(${JSON.stringify(module)})`).join("\n")}
    const { system, user } = process.cpuUsage()
    console.log((system + user) / 1000)`
  const { status, stderr, stdout } = ChildProcess.spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    cwd: folder,
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  return Number(stdout)
}

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Milliseconds over `effect` alone, medians of the differences of runs that take turns. */
export const importTime = (core: string, rounds = 21): { readonly files: number; readonly node: number } => {
  const entry = (folder: string) => pathToFileURL(Path.join(core, folder, "index.js")).href
  const files: Array<number> = []
  const node: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const effect = cost(core, ["effect"])
    files.push(cost(core, ["effect", entry("dist")]) - effect)
    node.push(cost(core, ["effect", entry("node")]) - effect)
  }
  return { files: median(files), node: median(node) }
}
