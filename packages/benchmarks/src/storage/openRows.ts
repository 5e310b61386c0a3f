/**
 * What it takes to open a store whose session has a million queued messages, in a fresh process, and what stays the
 * same over millions of messages.
 */
import * as Effect from "effect/Effect"
import { resultOf } from "../harness/child.ts"
import type { Parts, Plan, Row, Source } from "../harness/model.ts"
import type { FlatRequest, FlatResult, OpenedStore, OpenRequest, OpenResult, Step } from "./openContract.ts"
import { openedStores } from "./openContract.ts"
import { placeOf } from "./places.ts"

const openSide = new URL("./openSide.js", import.meta.url)
const flatSide = new URL("./flatSide.js", import.meta.url)

/** Milliseconds: the longest that one run may take. */
const limit = 600_000
const flatLimit = 7_200_000

const runIn = <Result extends object>(
  side: URL,
  request: object,
  { nodeOptions }: Plan,
  millis: number
): Promise<Result> => resultOf<Result>(side, request, { nodeOptions: ["--expose-gc", ...nodeOptions], millis })

const stepParts = (name: string, { cpu, millis, peak }: Step): Parts => ({
  [`${name}Millis`]: { value: millis },
  [`${name}Cpu`]: { value: cpu },
  [`${name}Peak`]: { value: peak }
})

/** The store, and its engine alone, which reads the same bytes. */
const openSource = (store: OpenedStore): Source => ({
  name: `${store} store, opened`,
  measure: (plan) =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const place = yield* placeOf(store === "file" ? "file, os" : "redis, no AOF")
      const run = (side: OpenRequest["side"]) =>
        Effect.promise(() => {
          const request: OpenRequest = { store, side, place, records: plan.records }
          return runIn<OpenResult>(openSide, request, plan, limit)
        })
      yield* run("fill")
      const found = yield* run("store")
      const engine = yield* run("engine")
      const note = found.records === plan.records ? "" : `${found.records} of ${plan.records} messages`
      return {
        ...stepParts("open", found.open),
        ...stepParts("load", found.load),
        loadMillis: { value: found.load.millis, note },
        held: { value: found.held },
        engineOpenMillis: { value: engine.open.millis },
        engineOpenCpu: { value: engine.open.cpu },
        engineOpenPeak: { value: engine.open.peak },
        engineLoadMillis: { value: engine.load.millis },
        engineLoadCpu: { value: engine.load.cpu },
        engineLoadPeak: { value: engine.load.peak },
        engineHeld: { value: engine.held }
      }
    }))),
  maxRounds: 3
})

const figures = [
  ["openMillis", "engineOpenMillis", "ms", "opening, without a session"],
  ["openCpu", "engineOpenCpu", "CPU ms", "opening, processor time"],
  ["openPeak", "engineOpenPeak", "MiB", "opening, peak of resident memory"],
  ["loadMillis", "engineLoadMillis", "ms", "making the session"],
  ["loadCpu", "engineLoadCpu", "CPU ms", "making the session, processor time"],
  ["loadPeak", "engineLoadPeak", "MiB", "making the session, peak of resident memory"],
  ["held", "engineHeld", "MiB", "heap and buffers that the session keeps; the keys and values"]
] as const

export const openRows: ReadonlyArray<Row> = openedStores.flatMap((store) => {
  const source = openSource(store)
  return figures.map(([part, engine, unit, what]): Row => ({
    id: `storage.open.${store}.${part}`,
    title: `${store} store with a million queued messages: ${what}`,
    unit,
    better: "lower",
    sides: [
      { role: "ours", name: "store", source, part },
      { role: "limit", name: "its engine alone", source, part: engine }
    ]
  }))
})

/** The heap after all messages is compared with that after a tenth of them. */
const flatSource = (store: FlatRequest["store"]): Source => ({
  name: `${store} store, over millions of messages`,
  measure: (plan) =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const place = yield* placeOf("file, os")
      const request: FlatRequest = { store, place, messages: plan.messages }
      const { largestDisk, samples } = yield* Effect.promise(() =>
        runIn<FlatResult>(flatSide, request, plan, flatLimit)
      )
      const note = samples.map(({ disk, heap, messages, resident, seconds }) =>
        `${messages} messages, ${seconds.toFixed(0)} s: heap ${heap.toFixed(1)}, resident ${resident.toFixed(0)}, ` +
        `files ${disk.toFixed(1)} MiB`
      ).join("; ")
      return {
        end: { value: samples.at(-1)!.heap, note: `${note}; files at most ${largestDisk.toFixed(1)} MiB` },
        tenth: { value: samples[0]!.heap }
      }
    }))),
  maxRounds: 1
})

export const flatRows: ReadonlyArray<Row> = (["file", "memory"] as const).map((store): Row => {
  const source = flatSource(store)
  return {
    id: `storage.flat.${store}`,
    title: `${store} store: heap after all messages, and after a tenth of them`,
    unit: "MiB",
    better: "lower",
    promise: { atLeast: 1 },
    sides: [
      { role: "ours", name: "after all", source, part: "end" },
      { role: "other", name: "after a tenth", source, part: "tenth" }
    ]
  }
})
