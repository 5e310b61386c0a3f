import { assert, describe, it } from "@effect/vitest"
import { makePlan } from "./plan.ts"
import { World } from "./world.ts"

// More than CI needs, to look for what is rarer: ENGINE_SEEDS=50000.
const seeds = Number(process.env["ENGINE_SEEDS"] ?? 1000)
const batch = 100

describe("the engine and a server on a link that breaks", () => {
  for (let from = 1; from <= seeds; from += batch) {
    it(`loses no QoS 1, repeats no QoS 2, keeps the order and the window, settles everything once: seeds ${from} to ${from + batch - 1}`, () => {
      for (let seed = from; seed < from + batch; seed++) {
        const world = new World(seed)
        try {
          world.run()
          world.check()
        } catch (cause) {
          throw new Error(`seed ${seed} ${JSON.stringify(makePlan(seed))}`, { cause })
        }
      }
    })
  }

  it("meets everything that the link can do", () => {
    let arrived = 0
    let losses = 0
    let outcomes = 0
    let aliased = 0
    for (let seed = 1; seed <= 50; seed++) {
      const world = new World(seed)
      world.run()
      arrived += world.arrived.length
      losses += world.sessionLosses
      outcomes += world.outcomes.length
      aliased += world.aliased
    }
    assert.isAbove(arrived, 500)
    assert.isAbove(losses, 5)
    assert.isAbove(outcomes, 200)
    assert.isAbove(aliased, 50)
  })
})
