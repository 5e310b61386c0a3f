/**
 * Says where the time of profiles goes: `node packages/benchmarks/dist/profile.js FILE...`, with files that Node wrote
 * with `--cpu-prof`.
 *
 * Printed are the shares of the floors of the library, of Effect, of Node and of the garbage collector in the time that
 * the process was busy, and the functions that take most by themselves.
 */
import { readFileSync } from "node:fs"

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
}

interface Profile {
  readonly nodes: ReadonlyArray<ProfileNode>
  readonly samples: ReadonlyArray<number>
  /** Microseconds since the sample before. */
  readonly timeDeltas: ReadonlyArray<number>
}

const shownFunctions = 20

const areaOf = ({ functionName, url }: ProfileNode["callFrame"]): string => {
  if (functionName === "(garbage collector)") return "garbage collector"
  if (functionName === "(program)") return "native code"
  const floor = /packages\/core\/dist\/internal\/(\w+)\//.exec(url)?.[1]
  if (floor !== undefined) return floor === "node" ? "connection (node)" : floor
  if (/packages\/core\/dist\//.test(url)) return "leaves"
  if (/packages\/benchmarks\//.test(url)) return "the bench"
  if (/node_modules\/effect\//.test(url)) return "Effect"
  const other = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (other !== undefined) return other
  if (url.startsWith("node:")) return "Node"
  // Functions without a file are compiled into Node: most of them call the operating system.
  return `system calls (${functionName})`
}

const placeOf = ({ functionName, lineNumber, url }: ProfileNode["callFrame"]): string =>
  `${functionName === "" ? "(anonymous)" : functionName}  ${url.split("/").slice(-3).join("/")}:${lineNumber + 1}`

const add = (sums: Map<string, number>, key: string, value: number): void => {
  sums.set(key, (sums.get(key) ?? 0) + value)
}

const print = (sums: ReadonlyMap<string, number>, total: number, count: number): void => {
  const sorted = [...sums].sort(([, a], [, b]) => b - a)
  for (const [name, micros] of sorted.slice(0, count)) {
    console.log(`${(100 * micros / total).toFixed(1).padStart(6)} %  ${name}`)
  }
}

for (const file of process.argv.slice(2)) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8")) as Profile
  const frames = new Map(nodes.map(({ callFrame, id }) => [id, callFrame]))
  const areas = new Map<string, number>()
  const functions = new Map<string, number>()
  const work = samples.flatMap((id, index) => {
    const frame = frames.get(id)!
    return frame.functionName === "(idle)" ? [] : [{ frame, micros: timeDeltas[index]! }]
  })
  let busy = 0
  // The first half is the start of the process and the warm-up.
  for (const { frame, micros } of work.slice(work.length >> 1)) {
    busy += micros
    add(areas, areaOf(frame), micros)
    add(functions, placeOf(frame), micros)
  }
  console.log(`\n${file}: ${(busy / 1000).toFixed(0)} ms, the second half of the time that it was busy\n`)
  print(areas, busy, Infinity)
  console.log()
  print(functions, busy, shownFunctions)
}
