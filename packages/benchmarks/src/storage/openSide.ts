/**
 * Fills a store with the queued messages of one session, or opens it in a process of its own and measures what that
 * takes. Runs with `--expose-gc`.
 */
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { FileStore } from "@effect-mqttx/store-file"
import { RedisStore } from "@effect-mqttx/store-redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { ClassicLevel } from "classic-level"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { createClient } from "redis"
import { answerWith, cpuSince } from "../harness/child.ts"
import type { OpenRequest, OpenResult, Step } from "./openContract.ts"
import { sampleRecord } from "./sampleRecord.ts"
import { durableSession } from "./session.ts"

const name = "meter"
/** Records of one commit. */
const portion = 10_000

const layerOf = ({ place, store }: OpenRequest) =>
  store === "file"
    ? FileStore.layer({ directory: place, durability: "os" })
    : RedisStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: place })))

/** MiB; `/proc` is Linux's. */
const peak = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

const collected = (): number => {
  gc!()
  gc!()
  const { arrayBuffers, external, heapUsed } = process.memoryUsage()
  return (heapUsed + Math.max(external, arrayBuffers)) / 2 ** 20
}

const stopwatch = (): () => Step => {
  const [begin, before] = [performance.now(), process.cpuUsage()]
  return () => ({ millis: performance.now() - begin, cpu: cpuSince(before) / 1000, peak: peak() })
}

const nothing: Step = { millis: 0, cpu: 0, peak: 0 }

const fill = (request: OpenRequest): Promise<OpenResult> =>
  Effect.runPromise(Effect.scoped(
    Effect.gen(function*() {
      const handle = yield* (yield* SessionStore).open(name)
      for (let first = 1; first <= request.records; first += portion) {
        const count = Math.min(portion, request.records - first + 1)
        yield* handle.commit(
          Array.from({ length: count }, (_, index) => ({ _tag: "Put", record: sampleRecord(first + index) }))
        )
      }
      return { open: nothing, load: nothing, held: 0, records: request.records }
    }).pipe(Effect.provide(layerOf(request)))
  ))

/** Opens the store, and then makes the session, which loads its records. */
const open = (request: OpenRequest): Promise<OpenResult> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const heap = collected()
    const opened = stopwatch()
    const store = Context.get(yield* Layer.build(layerOf(request)), SessionStore)
    const open = opened()
    const loaded = stopwatch()
    const session = yield* durableSession(name, store)
    const load = loaded()
    const held = collected() - heap
    return { open, load, held, records: (yield* session.metrics).queuedMessages }
  })))

const readLevel = async (directory: string): Promise<OpenResult> => {
  const opened = stopwatch()
  const database = new ClassicLevel<string, Uint8Array>(directory, { valueEncoding: "view" })
  await database.open()
  const open = opened()
  const loaded = stopwatch()
  let [records, bytes] = [0, 0]
  const iterator = database.iterator({ gte: "record/", lt: "record0", fillCache: false })
  for (let entries = await iterator.nextv(1000); entries.length > 0; entries = await iterator.nextv(1000)) {
    records += entries.length
    for (const [key, value] of entries) bytes += key.length + value.length
  }
  const load = loaded()
  await iterator.close()
  await database.close()
  return { open, load, held: bytes / 2 ** 20, records }
}

const readRedis = async (url: string): Promise<OpenResult> => {
  const opened = stopwatch()
  const client = createClient({ url })
  await client.connect()
  const open = opened()
  const loaded = stopwatch()
  // The number of the newest commit is no record.
  let [records, bytes] = [-1, 0]
  for (const key of await client.keys("*records")) {
    for await (const page of client.hScanIterator(key, { COUNT: 1000 })) {
      records += page.length
      for (const { field, value } of page) bytes += field.length + value.length
    }
  }
  const load = loaded()
  await client.close()
  return { open, load, held: bytes / 2 ** 20, records }
}

answerWith((request: OpenRequest): Promise<OpenResult> => {
  if (request.side === "fill") return fill(request)
  if (request.side === "store") return open(request)
  return request.store === "file" ? readLevel(join(request.place, "records")) : readRedis(request.place)
})
