/**
 * Measures engines for the file store, for decision 8. Each measurement has a process of its own.
 *
 * `node packages/benchmarks/dist/storage/prototypes/main.js` prints all tables. `--engines file,log`, `--tables load`,
 * `--runs 3`, `--millis 1500`, `--records 1000000` and `--directory path` narrow them down. `--suite` runs the suite of
 * stores on the prototypes instead. `sqlite` needs Node 22.13 or newer.
 */
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { outboundKey } from "@effect-mqttx/core/StoreRecord"
import { FileStore } from "@effect-mqttx/store-file"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { median } from "../../harness/median.ts"
import { crowds } from "../contract.ts"
import { sampleRecord } from "../sampleRecord.ts"
import { measureAccepted } from "../sessionSide.ts"
import { layerOf, makeLogStore, makeSqliteStore } from "./stores.ts"
import { runSuite } from "./suite.ts"

const { values } = parseArgs({
  options: {
    engines: { type: "string", default: "file,log,sqlite" },
    tables: { type: "string", default: "session,commits,load" },
    runs: { type: "string", default: "3" },
    millis: { type: "string", default: "1500" },
    records: { type: "string", default: "1000000" },
    directory: { type: "string", default: tmpdir() },
    suite: { type: "boolean", default: false },
    task: { type: "string" }
  }
})

interface Task {
  readonly engine: string
  readonly measure: "session" | "commits" | "fill" | "load"
  readonly directory: string
  readonly sync: boolean
  readonly size: number
}

const layerFor = ({ directory, engine, sync }: Task): Layer.Layer<SessionStore> =>
  engine === "log"
    ? layerOf(makeLogStore, { directory, sync })
    : engine === "sqlite"
    ? layerOf(makeSqliteStore, { directory, sync })
    : Layer.orDie(FileStore.layer({ directory, durability: sync ? "fsync" : "os" }))

/** So many sessions, each of which commits one record after the other and deletes the one before. */
const measureCommits = (size: number) =>
  Effect.gen(function*() {
    const store = yield* SessionStore
    const millis = Number(values.millis)
    let commits = 0
    const state = { isRunning: true }
    const session = Effect.fnUntraced(function*(number: number) {
      const handle = yield* store.open(`session ${number}`)
      for (let sequence = 1; state.isRunning; sequence++) {
        yield* handle.commit([
          { _tag: "Put", record: sampleRecord(sequence) },
          { _tag: "Delete", key: outboundKey(sequence - 1) }
        ])
        commits++
      }
    })
    yield* Effect.forEach(Array.from({ length: size }, (_, i) => i), (number) => Effect.forkChild(session(number)))
    yield* Effect.sleep(millis / 4)
    const [before, begin, cpu] = [commits, performance.now(), process.cpuUsage()]
    yield* Effect.sleep(millis)
    const seconds = (performance.now() - begin) / 1000
    const { system, user } = process.cpuUsage(cpu)
    state.isRunning = false
    return { rate: (commits - before) / seconds, cpu: (system + user) / (commits - before) }
  })

const fill = (records: number) =>
  Effect.gen(function*() {
    const handle = yield* (yield* SessionStore).open("meter")
    const size = 10_000
    for (let first = 1; first <= records; first += size) {
      yield* handle.commit(
        Array.from({ length: Math.min(size, records - first + 1) }, (_, i) => ({
          _tag: "Put",
          record: sampleRecord(first + i)
        }))
      )
    }
    return {}
  })

const megabytes = (bytes: number): number => Math.round(bytes / 1_048_576)

/** The most that the process has had resident, in megabytes. */
const peak = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

const load = Effect.gen(function*() {
  const before = peak()
  const begin = performance.now()
  const store = yield* SessionStore
  const opened = performance.now()
  const resident = megabytes(process.memoryUsage.rss())
  const peakOpened = peak()
  const handle = yield* store.open("meter")
  const loaded = yield* handle.load
  return {
    records: loaded.records.length,
    damage: loaded.damage?.detail,
    begin,
    opened,
    loaded: performance.now(),
    before,
    resident,
    peakOpened,
    peakLoaded: peak()
  }
})

const run = async (task: Task): Promise<unknown> => {
  const layer = layerFor(task)
  if (task.measure === "session") return measureAccepted(layer, task.size, Number(values.millis))
  if (task.measure === "load") {
    const start = performance.now()
    const measured = await Effect.runPromise(Effect.scoped(Effect.provide(load, layer)))
    return { ...measured, open: measured.opened - start, load: measured.loaded - measured.opened }
  }
  const program = task.measure === "fill" ? fill(task.size) : measureCommits(task.size)
  return Effect.runPromise(Effect.scoped(Effect.provide(program, layer)))
}

const inProcess = (task: Task): Record<string, number> => {
  const args = [
    fileURLToPath(import.meta.url),
    "--millis",
    values.millis,
    "--task",
    JSON.stringify(task)
  ]
  const output = execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], {
    encoding: "utf8",
    maxBuffer: 1e9,
    stdio: ["ignore", "pipe", "inherit"]
  })
  return JSON.parse(output.slice(output.lastIndexOf("\n{") + 1)) as Record<string, number>
}

const inDirectory = <A>(use: (directory: string) => A): A => {
  const directory = mkdtempSync(join(values.directory, "engine-"))
  try {
    return use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const row = (cells: ReadonlyArray<string | number>): void => {
  console.log(cells.map((cell, i) => i === 0 ? String(cell).padEnd(22) : String(cell).padStart(12)).join(""))
}

const bytesIn = (path: string): number =>
  readdirSync(path, { withFileTypes: true }).reduce(
    (sum, entry) =>
      sum + (entry.isDirectory() ? bytesIn(join(path, entry.name)) : statSync(join(path, entry.name)).size),
    0
  )

const tables = (): void => {
  const engines = values.engines.split(",")
  for (const measure of ["session", "commits"] as const) {
    if (!values.tables.includes(measure)) continue
    console.log(
      `\n${measure === "session" ? "messages accepted by one session" : "commits of many sessions"} per second`
    )
    row(["", ...engines, ...(measure === "commits" ? engines.map((engine) => `${engine} us`) : [])])
    for (const sync of [true, false]) {
      for (const size of crowds) {
        const rates = engines.map(() => new Array<number>())
        const cpus = engines.map(() => new Array<number>())
        for (let round = 0; round < Number(values.runs); round++) {
          engines.forEach((engine, i) => {
            const { cpu, rate } = inDirectory((directory) => inProcess({ engine, measure, directory, sync, size }))
            rates[i]!.push(rate!)
            cpus[i]!.push(cpu ?? NaN)
          })
        }
        row([
          `${sync ? "fsync" : "os"}, ${size}`,
          ...rates.map((each) => median(each).toFixed(0)),
          ...(measure === "commits" ? cpus.map((each) => median(each).toFixed(1)) : [])
        ])
      }
    }
  }
  if (!values.tables.includes("load")) return
  console.log(`\n${values.records} records`)
  row(["", "open ms", "load ms", "RSS start", "RSS opened", "peak opened", "peak loaded", "disk MB"])
  for (const engine of engines) {
    inDirectory((directory) => {
      const task = { engine, directory, sync: false, size: Number(values.records) }
      inProcess({ ...task, measure: "fill" })
      const disk = megabytes(bytesIn(directory))
      const found = inProcess({ ...task, measure: "load" })
      if (found.records !== task.size) throw new Error(`${engine} has ${found.records} records`)
      row([
        engine,
        ...[found.open, found.load, found.before, found.resident, found.peakOpened, found.peakLoaded].map((n) =>
          n!.toFixed(0)
        ),
        disk
      ])
    })
  }
}

if (values.suite) {
  for (const engine of values.engines.split(",")) {
    if (engine === "file") continue
    await runSuite(engine, engine === "log" ? makeLogStore : makeSqliteStore, values.directory)
  }
} else if (values.task === undefined) tables()
else console.log(`\n${JSON.stringify(await run(JSON.parse(values.task) as Task))}`)
