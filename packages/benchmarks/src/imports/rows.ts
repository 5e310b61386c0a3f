/**
 * What it takes to import the library in a fresh process, and to import MQTT.js. The limit is Effect alone,
 * which the core stands on.
 */
import { resultOf } from "../harness/child.ts"
import { type Parts, type Role, type Row, sidesOf, type Source } from "../harness/model.ts"
import type { ImportRequest, ImportResult } from "./contract.ts"

const sidePath = new URL("./side.js", import.meta.url)

const sourceOf = (module: string): Source => ({
  name: `import ${module}`,
  measure: async ({ nodeOptions }): Promise<Parts> => {
    const request: ImportRequest = { module }
    const { cpu, heap, millis } = await resultOf<ImportResult>(sidePath, request, { nodeOptions })
    return { millis: { value: millis }, cpu: { value: cpu / 1000 }, heap: { value: heap / 2 ** 20 } }
  }
})

const modules: ReadonlyArray<readonly [module: string, role: Role]> = [
  ["@effect-mqttx/core", "ours"],
  ["mqtt", "other"],
  ["effect", "limit"]
]

const sides = modules.map(([module, role]) => ({ role, name: module, source: sourceOf(module) }))

const figures = [
  ["millis", "ms", "time"],
  ["cpu", "CPU ms", "processor time"],
  ["heap", "MiB", "heap, before a collection"]
] as const

export const rows: ReadonlyArray<Row> = figures.map(([part, unit, what]) => ({
  id: `import.${part}`,
  title: `import, ${what}`,
  unit,
  better: "lower",
  sides: sidesOf(sides, part)
}))
