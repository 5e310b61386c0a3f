/**
 * A durable session that enqueues, sends and gets acknowledged millions of messages, over a server in memory, and what
 * the heap and the files of the store have after a tenth, a half and all of them. Runs with `--expose-gc`.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { FileStore } from "@effect-mqttx/store-file"
import * as Effect from "effect/Effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { MemoryServer } from "../engine/memoryServer.ts"
import { transportOf } from "../engine/transport.ts"
import { answerWith, sleep } from "../harness/child.ts"
import { payloadBytes } from "./contract.ts"
import type { FlatRequest, FlatResult, FlatSample } from "./openContract.ts"
import { durableSession } from "./session.ts"

/** Publishers that enqueue one message after the other, at the same time. */
const publishers = 1000

const mebibytes = (bytes: number): number => bytes / 2 ** 20

const bytesIn = (path: string): number => {
  let sum = 0
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    // A table may have been removed since.
    if (entry.isFile()) sum += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0
  }
  return sum
}

const collected = async (): Promise<NodeJS.MemoryUsage> => {
  for (let i = 0; i < 6; i++) {
    await sleep(20)
    gc!()
  }
  return process.memoryUsage()
}

const run = ({ messages, place, store }: FlatRequest): Promise<FlatResult> => {
  const layer = store === "file"
    ? FileStore.layer({ directory: place, durability: "os" })
    : SessionStore.layerMemory
  const server = new MemoryServer({
    client: "session",
    direction: "publish",
    qos: 1,
    turn: 1,
    protocolVersion: 5,
    payloadBytes,
    warmUp: 0,
    seconds: 0
  })
  const program = Effect.gen(function*() {
    const begin = performance.now()
    const session = yield* durableSession("meter", yield* SessionStore.SessionStore, transportOf(server))
    yield* session.awaitReady
    const payload = new Uint8Array(payloadBytes).fill(0x61)
    const options = { qos: 1 } as const
    const samples: Array<FlatSample> = []
    let largestDisk = 0
    let accepted = 0
    const upTo = (count: number) =>
      Effect.all(
        Array.from({ length: publishers }, () =>
          Effect.gen(function*() {
            while (accepted < count) {
              accepted++
              const receipt = yield* session.enqueue("meter/energy", payload, options)
              yield* receipt.acknowledged
            }
          })),
        { concurrency: "unbounded", discard: true }
      )
    const steps = 100
    for (let step = 1; step <= steps; step++) {
      yield* upTo(Math.round(messages * step / steps))
      const disk = mebibytes(bytesIn(place))
      largestDisk = Math.max(largestDisk, disk)
      if (step !== steps / 10 && step !== steps / 2 && step !== steps) continue
      const memory = yield* Effect.promise(collected)
      samples.push({
        messages: accepted,
        heap: mebibytes(memory.heapUsed + Math.max(memory.external, memory.arrayBuffers)),
        resident: mebibytes(memory.rss),
        disk,
        seconds: (performance.now() - begin) / 1000
      })
    }
    if (server.published < messages) throw new Error(`${server.published} of ${messages} messages arrived`)
    return { samples, largestDisk }
  })
  return Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(layer)))
}

answerWith(run)
