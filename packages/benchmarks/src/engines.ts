/**
 * Compares embedded engines for the file store:
 * `npx tsc -b packages/benchmarks && node packages/benchmarks/dist/engines.js [seconds]`.
 *
 * LMDB is compared when it is installed: `npm install --no-save lmdb@3.5.6`. The file store itself stands beside plain
 * batches of LevelDB with the same bytes. The decision that rests on this is docs/decisions/0001-embedded-engine.md.
 */
import { StoreRecordCodec } from "@effect-mqttx/core"
import type { SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import type { OutboundRecord } from "@effect-mqttx/core/StoreRecord"
import { FileStore } from "@effect-mqttx/store-file"
import { ClassicLevel } from "classic-level"
import { Effect, Exit, Scope } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { argv } from "node:process"
import { fileURLToPath } from "node:url"
import { median } from "./harness/median.ts"

interface Entry {
  readonly key: string
  readonly value: Uint8Array
}

interface Database {
  /** Safe on the disk when it resolves. */
  readonly commit: (entries: ReadonlyArray<Entry>) => Promise<unknown>
  readonly get: (key: string) => Promise<Uint8Array | undefined>
  readonly close: () => Promise<void>
}

interface Engine {
  readonly name: string
  readonly open: (directory: string) => Promise<Database>
}

const level: Engine = {
  name: "classic-level",
  open: async (directory) => {
    const database = new ClassicLevel<string, Uint8Array>(directory, { valueEncoding: "view", compression: false })
    await database.open()
    return {
      commit: (entries) => {
        // A third of the time of an array of operations.
        const batch = database.batch()
        for (const { key, value } of entries) batch.put(key, value)
        return batch.write({ sync: true })
      },
      get: (key) => database.get(key),
      close: () => database.close()
    }
  }
}

// What is used of lmdb, which is not among the dependencies.
interface Lmdb {
  readonly put: (key: string, value: Uint8Array) => unknown
  readonly get: (key: string) => Uint8Array | undefined
  readonly batch: (write: () => void) => Promise<unknown>
  readonly flushed: Promise<unknown>
  readonly close: () => Promise<void>
}

const loadLmdb = async (): Promise<Engine | undefined> => {
  const name: string = "lmdb"
  try {
    const { open } = await import(name) as { readonly open: (options: object) => Lmdb }
    return {
      name,
      open: async (directory) => {
        const database = open({ path: directory, encoding: "binary", compression: false })
        return {
          commit: async (entries) => {
            await database.batch(() => {
              for (const { key, value } of entries) database.put(key, value)
            })
            await database.flushed
          },
          get: async (key) => database.get(key),
          close: () => database.close()
        }
      }
    }
  } catch {
    return undefined
  }
}

const withDirectory = async <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = mkdtempSync(join(tmpdir(), "engines-"))
  try {
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const recordOf = (sequence: number, bytes: number): OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "sensors/room1/temperature",
  payload: new Uint8Array(bytes).fill(sequence),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined
})

/** Calls until the time is over, and yields calls per second. */
const rate = async (seconds: number, call: (index: number) => Promise<unknown>): Promise<number> => {
  let index = 0
  while (index < 20) await call(index++)
  const start = performance.now()
  const first = index
  while (performance.now() - start < seconds * 1000) await call(index++)
  return (index - first) / ((performance.now() - start) / 1000)
}

/** Keys and values as the file store writes them. */
const entriesOf = (index: number, batch: number, bytes: number): ReadonlyArray<Entry> =>
  Array.from({ length: batch }, (_, session) => ({
    key: `record/${String(session).padStart(22, "0")}/outbound/${String(index).padStart(16, "0")}`,
    value: StoreRecordCodec.encode(recordOf(index, bytes))
  }))

const engineRate = (engine: Engine, batch: number, bytes: number, seconds: number): Promise<number> =>
  withDirectory(async (directory) => {
    const database = await engine.open(directory)
    const result = await rate(seconds, (index) => database.commit(entriesOf(index, batch, bytes)))
    await database.close()
    return result
  })

/** One commit of each of `batch` sessions at a time. */
const storeRate = (batch: number, bytes: number, seconds: number): Promise<number> =>
  withDirectory(async (directory) => {
    const scope = Scope.makeUnsafe()
    const handles = await Effect.runPromise(
      FileStore.make({ directory }).pipe(
        Effect.flatMap((store) =>
          Effect.forEach(Array.from({ length: batch }, (_, index) => `s${index}`), (name) => store.open(name))
        ),
        Scope.provide(scope)
      )
    )
    const commit = (index: number) => (handle: SessionStoreHandle) =>
      handle.commit([{ _tag: "Put", record: recordOf(index, bytes) }])
    const result = await rate(
      seconds,
      (index) => Effect.runPromise(Effect.forEach(handles, commit(index), { concurrency: "unbounded", discard: true }))
    )
    await Effect.runPromise(Scope.close(scope, Exit.void))
    return result
  })

const filesBelow = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

/** Flips one bit of a stored value, reads it again, and says what came. */
const flipped = (engine: Engine): Promise<string> =>
  withDirectory(async (directory) => {
    const value = new Uint8Array(1000).fill(0x5a)
    let database = await engine.open(directory)
    await database.commit([{ key: "a", value }])
    await database.close()
    // LevelDB moves its log into a table when it is opened again.
    database = await engine.open(directory)
    await database.close()
    for (const path of filesBelow(directory)) {
      const bytes = readFileSync(path)
      const position = bytes.indexOf(value)
      if (position < 0) continue
      bytes[position + 500]! ^= 1
      writeFileSync(path, bytes)
    }
    try {
      database = await engine.open(directory)
      const found = await database.get("a")
      await database.close()
      if (found === undefined) return "the value is missing, without an error"
      return Buffer.compare(found, value) === 0 ? "the value as it was" : "the altered value, without an error"
    } catch (error) {
      return `an error: ${error instanceof Error ? error.message : String(error)}`
    }
  })

const startWriter = (engine: Engine, directory: string) =>
  fork(fileURLToPath(import.meta.url), ["write", engine.name, directory], {
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })

/** Kills a process that commits, and counts what it said to be safe and is not there. */
const killed = (engine: Engine, rounds: number): Promise<string> =>
  withDirectory(async (directory) => {
    let lost = 0
    let accepted = 0
    let refused = 0
    for (let round = 0; round < rounds; round++) {
      const child = startWriter(engine, directory)
      const said: Array<string> = []
      child.on("message", (key) => said.push(String(key)))
      while (said.length < 50 + round * 20) await once(child, "message")
      if (round === 0) {
        try {
          await (await engine.open(directory)).close()
        } catch {
          refused++
        }
      }
      child.kill("SIGKILL")
      await once(child, "close")
      accepted += said.length
      const database = await engine.open(directory)
      for (const key of said) if (await database.get(key) === undefined) lost++
      await database.close()
    }
    return `${accepted} accepted in ${rounds} rounds, ${lost} lost; a second process is ${
      refused > 0 ? "" : "not "
    }refused`
  })

const write = async (engine: Engine, directory: string): Promise<never> => {
  const database = await engine.open(directory)
  for (let index = 0;; index++) {
    const key = `${process.pid}-${index}`
    await database.commit([{ key, value: new Uint8Array(100) }])
    process.send?.(key)
  }
}

const sizeOf = (engine: Engine): Promise<number> =>
  withDirectory(async (directory) => {
    const database = await engine.open(directory)
    for (let index = 0; index < 200; index++) await database.commit(entriesOf(index, 50, 100))
    await database.close()
    return filesBelow(directory).reduce((sum, path) => sum + statSync(path).size, 0)
  })

const compare = async (seconds: number): Promise<void> => {
  const lmdb = await loadLmdb()
  const engines = lmdb === undefined ? [level] : [level, lmdb]
  if (lmdb === undefined) console.log("lmdb is not installed: npm install --no-save lmdb@3.5.6\n")
  console.log("Batches per second, synced; median of 3 runs\n")
  console.log(`| batch | payload | ${engines.map(({ name }) => name).join(" | ")} | file store | of classic-level |`)
  console.log(`| ---: | ---: | ${engines.map(() => "---:").join(" | ")} | ---: | ---: |`)
  for (const batch of [1, 64]) {
    for (const bytes of [100, 1024]) {
      const runs: ReadonlyArray<Array<number>> = [...engines, "store"].map(() => [])
      for (let run = 0; run < 3; run++) {
        for (const [index, engine] of engines.entries()) {
          runs[index]!.push(await engineRate(engine, batch, bytes, seconds))
        }
        runs[engines.length]!.push(await storeRate(batch, bytes, seconds))
      }
      const medians = runs.map(median)
      const ratio = medians.at(-1)! / medians[0]!
      console.log(
        `| ${batch} | ${bytes} B | ${medians.map((figure) => figure.toFixed(0)).join(" | ")} | ${ratio.toFixed(2)} |`
      )
    }
  }
  for (const engine of engines) {
    console.log(`\n${engine.name}`)
    console.log(`  one flipped bit in a value yields ${await flipped(engine)}`)
    console.log(`  kill -9: ${await killed(engine, 10)}`)
    console.log(`  10,000 records of 100 B take ${((await sizeOf(engine)) / 1e6).toFixed(1)} MB`)
  }
}

if (argv[2] === "write") {
  const engine = argv[3] === level.name ? level : await loadLmdb()
  if (engine !== undefined) await write(engine, argv[4]!)
} else {
  await compare(Number(argv[2] ?? 2))
}
