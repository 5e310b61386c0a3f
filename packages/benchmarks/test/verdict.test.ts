/**
 * What the runs of a row come to, without any measurement.
 */
import { assert, describe, it } from "@effect/vitest"
import { Fixtures } from "../src/harness/fixtures.ts"
import type { Parts, Plan, Row, Source } from "../src/harness/model.ts"
import { blocksOf, runBlock } from "../src/harness/runner.ts"
import { bestOf, type RowResult, rowResult } from "../src/harness/verdict.ts"

const plan: Plan = {
  rounds: 3,
  seconds: 1,
  warmUp: 1,
  protocolVersion: 5,
  payloadBytes: 64,
  nodeOptions: [],
  budget: 64,
  inFlight: 1000,
  records: 1000,
  messages: 1000
}

/** A source whose runs give these figures, one after the other. */
const source = (name: string, figures: ReadonlyArray<number | Error>, log: Array<string> = []): Source => {
  let run = 0
  return {
    name,
    measure: async (): Promise<Parts> => {
      log.push(name)
      const figure = figures[run++ % figures.length]!
      if (figure instanceof Error) throw figure
      return { rate: { value: figure, cpu: 1 / figure } }
    }
  }
}

const row = (ours: Source, other: Source, more: Partial<Row> = {}): Row => ({
  id: `session.${ours.name}`,
  title: ours.name,
  unit: "msg/s",
  better: "higher",
  sides: [
    { role: "ours", name: ours.name, source: ours, part: "rate" },
    { role: "other", name: other.name, source: other, part: "rate" }
  ],
  ...more
})

const run = async (
  rows: ReadonlyArray<Row>
): Promise<{ readonly results: ReadonlyArray<RowResult>; readonly again: ReadonlyArray<string> }> => {
  const again: Array<string> = []
  const results = await runBlock(rows, plan, new Fixtures(), {
    onRun: () => {},
    onSecondAttempt: (missed) => again.push(...missed.map(({ id }) => id))
  })
  return { results, again }
}

describe("a row", () => {
  it("has the median of its rounds, and the ratio of the medians", async () => {
    const { results: [result] } = await run([row(source("a", [10, 400, 30]), source("b", [15, 10, 1]))])
    assert.strictEqual(bestOf(result!, "ours")!.value, 30)
    assert.strictEqual(bestOf(result!, "ours")!.maximum, 400)
    assert.strictEqual(result!.ratio, 3)
    assert.strictEqual(result!.cpuRatio, 3)
    assert.strictEqual(result!.attempts, 1)
  })

  it("runs its sides in turns", async () => {
    const log: Array<string> = []
    await run([row(source("a", [1], log), source("b", [1], log))])
    assert.deepStrictEqual(log, ["a", "b", "a", "b", "a", "b"])
  })

  it("is compared with the best of the other sides, in the direction of its unit", () => {
    const sides = (["ours", "other", "other"] as const).map((role, index) => ({
      role,
      name: `${index}`,
      source: source("a", [1]),
      part: "rate"
    }))
    const runs = [[{ value: 8 }], [{ value: 4 }], [{ value: 2 }]]
    const base = { id: "session.a", title: "a", unit: "", sides }
    assert.strictEqual(rowResult({ ...base, better: "higher" }, runs, 1, []).ratio, 2)
    assert.strictEqual(rowResult({ ...base, better: "lower" }, runs, 1, []).ratio, 0.25)
  })

  it("shares the runs of a source with other rows", async () => {
    const log: Array<string> = []
    const shared = source("shared", [1], log)
    const rows = [row(source("a", [2], log), shared), row(source("b", [3], log), shared)]
    assert.deepStrictEqual(blocksOf([...rows, row(source("c", [1]), source("d", [1]))]).map(({ length }) => length), [
      2,
      1
    ])
    const { results } = await run(rows)
    assert.deepStrictEqual(log, ["a", "shared", "b", "a", "shared", "b", "a", "shared", "b"])
    assert.deepStrictEqual(results.map(({ ratio }) => ratio), [2, 3])
  })
})

describe("a promise", () => {
  const promise = { atLeast: 2 }

  it("that is kept, or missed by less than the tolerance, is not measured again", async () => {
    const other = source("other", [100])
    const kept = await run([row(source("kept", [200]), other, { promise })])
    assert.deepStrictEqual(kept.results.map(({ verdict }) => verdict), ["kept"])
    const within = await run([row(source("within", [171]), other, { promise })])
    assert.deepStrictEqual(within.results.map(({ verdict }) => verdict), ["within"])
    assert.deepStrictEqual([...kept.again, ...within.again], [])
  })

  it("that noise has missed is measured once more, and only the second attempt counts", async () => {
    const disturbed = source("disturbed", [100, 100, 100, 300, 300, 300])
    const { again, results } = await run([row(disturbed, source("other", [100]), { promise })])
    assert.deepStrictEqual(again, ["session.disturbed"])
    assert.deepStrictEqual(results.map(({ attempts, ratio, verdict }) => [attempts, ratio, verdict]), [[2, 3, "kept"]])
  })

  it("that is missed twice is missed", async () => {
    const { results } = await run([row(source("slow", [169]), source("other", [100]), { promise })])
    assert.deepStrictEqual(results.map(({ attempts, verdict }) => [attempts, verdict]), [[2, "missed"]])
  })

  it("of a side that does not run is missed, and the row says why", async () => {
    const broken = source("broken", [new Error("no such program")])
    const { results: [result] } = await run([row(broken, source("other", [100]), { promise })])
    assert.strictEqual(result!.verdict, "missed")
    assert.isUndefined(result!.ratio)
    assert.deepStrictEqual(result!.notes, ["broken failed: no such program"])
  })
})
