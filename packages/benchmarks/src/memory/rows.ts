/**
 * What idle sessions cost, on TCP to the embedded broker in a process of its own, and what MQTT.js takes. The limit is
 * a bare socket: what a session costs beyond it is the library's.
 */
import { resultOf } from "../harness/child.ts"
import { type Parts, type Role, type Row, sidesOf, type Source } from "../harness/model.ts"
import { brokerOf, requireDescriptors } from "./broker.ts"
import type { MemoryRequest, MemoryResult } from "./contract.ts"

const sidePath = new URL("./side.js", import.meta.url)

const sourceOf = (client: MemoryRequest["client"], count: number): Source => ({
  name: `${client === "raw" ? "MQTT.js" : client}, ${count} idle`,
  measure: async ({ nodeOptions }, fixtures): Promise<Parts> => {
    requireDescriptors(count)
    const { port } = await brokerOf(fixtures)
    const request: MemoryRequest = { client, port, count }
    const result = await resultOf<MemoryResult>(sidePath, request, {
      nodeOptions: ["--expose-gc", ...nodeOptions],
      millis: 300_000
    })
    return {
      heap: { value: result.heap / 1024 },
      resident: { value: result.resident / 1024 },
      total: { value: result.total / 2 ** 20 },
      ready: { value: result.millis / 1000 }
    }
  },
  maxRounds: count > 1000 ? 1 : 3
})

const figures = [
  ["heap", "KiB", "heap and buffers of each"],
  ["resident", "KiB", "resident memory of each"],
  ["total", "MiB", "resident memory of the process"],
  ["ready", "s", "until all are ready"]
] as const

export const rows: ReadonlyArray<Row> = [200, 1000, 10_000].flatMap((count) => {
  const clients: ReadonlyArray<readonly [client: MemoryRequest["client"], role: Role, name: string]> = [
    ["session", "ours", "session"],
    ["raw", "other", "MQTT.js"],
    ["socket", "limit", "bare socket"]
  ]
  const sides = clients.map(([client, role, name]) => ({ role, name, source: sourceOf(client, count) }))
  const idle = count.toLocaleString("en")
  const rows = figures.map(([part, unit, what]): Row => ({
    id: `memory.${count}.${part}`,
    title: `${idle} idle sessions, ${what}`,
    unit,
    better: "lower",
    sides: sidesOf(sides, part)
  }))
  if (count !== 1000) return rows
  const inManager = (["managed", "routed"] as const).map((client): Row => ({
    id: `memory.${count}.${client}`,
    title: `${idle} idle sessions of a manager${client === "routed" ? ", on a route" : ""}, heap and buffers of each`,
    unit: "KiB",
    better: "lower",
    sides: [
      { role: "ours", name: client, source: sourceOf(client, count), part: "heap" },
      ...sidesOf(sides.slice(1), "heap")
    ]
  }))
  return rows.concat(inManager)
})
