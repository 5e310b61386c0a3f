/**
 * Microseconds from the moment when a message is due until its publish has ended, on the scripted peer, at a given
 * number of messages a second.
 *
 * The messages are due at even distances whatever the client does: one that stands still makes the following ones late.
 */
import { resultOf } from "../harness/child.ts"
import { type Parts, type Row, type Side, sidesOf, type Source } from "../harness/model.ts"
import { peerOf } from "../session/source.ts"
import type { LatencyRequest, LatencyResult } from "./contract.ts"

const sidePath = new URL("./side.js", import.meta.url)

const sourceOf = (client: LatencyRequest["client"], qos: 0 | 1, rate: number): Source => ({
  name: `${client === "raw" ? "MQTT.js" : client}, latency of publish, QoS ${qos}, ${rate} a second`,
  measure: async ({ nodeOptions, payloadBytes, protocolVersion, seconds, warmUp }, fixtures): Promise<Parts> => {
    const peer = await peerOf(fixtures, payloadBytes)
    await peer.child.ask({ _tag: "Reset" }, "Sample")
    const request: LatencyRequest = {
      client,
      qos,
      rate,
      payloadBytes,
      protocolVersion,
      port: peer.port,
      seconds: Math.max(1, seconds),
      warmUp
    }
    const { late, p50, p99, p999 } = await resultOf<LatencyResult>(sidePath, request, { nodeOptions })
    const note = late === 0 ? {} : { note: `${late} messages had not ended one second after the last` }
    return { p50: { value: p50, ...note }, p99: { value: p99, ...note }, p999: { value: p999, ...note } }
  }
})

const percentiles = [["p50", "p50"], ["p99", "p99"], ["p999", "p99.9"]] as const

export const rows: ReadonlyArray<Row> = ([0, 1] as const).flatMap((qos) =>
  ([["1k", 1000], ["10k", 10_000], ["50k", 50_000]] as const).flatMap(([name, rate]) => {
    const sides: ReadonlyArray<Omit<Side, "part">> = [
      { role: "ours", name: "session", source: sourceOf("session", qos, rate) },
      { role: "other", name: "MQTT.js", source: sourceOf("raw", qos, rate) },
      { role: "limit", name: "bare socket", source: sourceOf("socket", qos, rate) }
    ]
    return percentiles.map(([part, title]): Row => ({
      id: `latency.qos${qos}.${name}.${part}`,
      title: `publish QoS ${qos}, ${rate.toLocaleString("en")} a second, ${title}`,
      unit: "µs",
      better: "lower",
      sides: sidesOf(sides, part)
    }))
  })
)
