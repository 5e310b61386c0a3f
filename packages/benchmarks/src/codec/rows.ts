/**
 * The codec compared with mqtt-packet: `parser().parse` and `generate`, its two functions between packets and bytes.
 *
 * For comparison stands `writeToStream`, which makes no bytes but writes four to thirty pieces for each packet. Here a
 * sink joins the pieces of 64 packets into one chunk, which no stream does.
 */
import { resultOf } from "../harness/child.ts"
import type { Parts, RatioPromise, Row, Source } from "../harness/model.ts"
import type { CodecRequest, CodecResult, Workload } from "./contract.ts"

const workloads: ReadonlyArray<Workload> = [64, 1024].flatMap((bytes) =>
  ([0, 1] as const).flatMap((qos) => [
    { bytes, qos, version: 4 as const, withProperties: false },
    { bytes, qos, version: 5 as const, withProperties: false },
    { bytes, qos, version: 5 as const, withProperties: true }
  ])
)

const sidePath = new URL("./side.js", import.meta.url)

const sourceOf = (request: CodecRequest, name: string): Source => ({
  name,
  measure: async ({ nodeOptions }): Promise<Parts> => {
    const result = await resultOf<CodecResult>(sidePath, request, { nodeOptions })
    return Object.fromEntries(Object.entries(result).map(([part, value]) => [part, { value }]))
  },
  // One run has 21 rounds of its own.
  maxRounds: 3
})

const sources = new Map<string, Source>()

/** One run of encoding serves two rows. */
const shared = (direction: CodecRequest["direction"], workload: Workload, name: string): Source => {
  const source = sources.get(name) ?? sourceOf({ direction, workload }, name)
  sources.set(name, source)
  return source
}

const promise: RatioPromise = { atLeast: 5 }

export const rows: ReadonlyArray<Row> = (["decode", "encode", "stream"] as const).flatMap((kind) =>
  workloads.map((workload): Row => {
    const direction = kind === "decode" ? "decode" : "encode"
    const { bytes, qos, version, withProperties } = workload
    const what = `${bytes === 64 ? "64 B" : "1 KiB"}, QoS ${qos}, ${
      version === 4 ? "3.1.1" : withProperties ? "5 with properties" : "5"
    }`
    const source = shared(direction, workload, `${direction} ${what}`)
    const other = kind === "decode" ? "parser().parse" : kind === "encode" ? "generate" : "writeToStream"
    return {
      id: `codec.${kind}.${bytes}.qos${qos}.v${version}${withProperties ? ".properties" : ""}`,
      title: `${direction} ${what}${kind === "stream" ? ", compared with writeToStream" : ""}`,
      unit: "CPU ns",
      better: "lower",
      sides: [
        { role: "ours", name: "codec", source, part: "ours" },
        { role: "other", name: other, source, part: kind === "stream" ? "stream" : "other" }
      ],
      promise: kind === "stream" ? undefined : promise
    }
  })
)
