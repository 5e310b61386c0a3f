import { assert, describe, it } from "@effect/vitest"
import { digestOf } from "./digest.ts"
import { mutants } from "./mutants.ts"
import { findingLines, tryMutant } from "./report.ts"
import { replay, search } from "./search.ts"
import { edit, engineFile, load, publish } from "./subject.ts"
import { worlds } from "./worlds.ts"

// `npm run explore` visits all states; here the nearest of each world.
const nearest = { depth: 1000, states: 60, seconds: 60 }

describe("the exploration", () => {
  it("every world holds all invariants in its nearest states", async () => {
    const subject = await load()
    for (const plan of worlds) {
      const result = search(subject, plan, nearest)
      assert.deepStrictEqual(findingLines(result), [])
      assert.isAtLeast(result.states, 60, plan.name)
    }
  })

  it("a small world is seen whole", async () => {
    const plan = worlds.find(({ name }) => name === "publish-qos0")!
    const result = search(await load(), plan, { depth: 1000, states: 10_000, seconds: 60 })
    assert.isTrue(result.isComplete)
    assert.isAbove(result.states, 400)
  })

  it("a trace leads to the same state each time, and other traces to others", async () => {
    const subject = await load()
    const plan = worlds.find(({ name }) => name === "both-ways")!
    const digest = (...trace: ReadonlyArray<string>): string => digestOf(replay(subject, plan, trace))
    assert.strictEqual(digest("publish", "serve", "take"), digest("publish", "serve", "take"))
    assert.strictEqual(digest("publish", "serve"), digest("serve", "publish"))
    assert.notStrictEqual(digest("publish", "take"), digest("publish"))
    assert.notStrictEqual(digest("serve", "to-client"), digest("serve", "to-client", "take"))
  })

  it("every planted fault is found", async () => {
    const survivors: Array<string> = []
    for (const mutant of mutants) {
      const { killer } = await tryMutant(mutant, { depth: 10, states: 3000, seconds: 60 })
      if (killer === undefined) survivors.push(mutant.name)
    }
    assert.deepStrictEqual(survivors, [])
  }, 120_000)

  it("a fault that cannot be planted is an error", async () => {
    const file = engineFile("inbound")
    for (const from of ["not a text of the engine", "delivery"]) {
      await load([{ file, from, to: "" }]).then(
        () => assert.fail("it was loaded"),
        (cause: unknown) => assert.match(String(cause), /times what is to be replaced once/)
      )
    }
    await load([{ file: "packages/core/src/MqttSession.ts", from: "a", to: "b" }]).then(
      () => assert.fail("it was loaded"),
      (cause: unknown) => assert.match(String(cause), /is not part of the engine or the broker/)
    )
  })

  it("private names become public, and nothing else that looks like one", () => {
    assert.strictEqual(
      publish("a.ts", `class A { #b = "#b" /* #b */; has(o: object) { return #b in o && this.#b === "s/#" } }`),
      `class A { $b = "#b" /* #b */; has(o: object) { return $b in o && this.$b === "s/#" } }`
    )
    assert.strictEqual(edit("a.ts", "a b", [{ file: "a.ts", from: "b", to: "$&" }]), "a $&")
  })
})
