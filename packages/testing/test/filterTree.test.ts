import * as Topic from "@effect-mqttx/core/Topic"
import { assert, it } from "@effect/vitest"
import { makeFilterTree, matches, parseFilter } from "../src/internal/broker/filterTree.ts"
import { makeRandom } from "../src/internal/scripted/random.ts"

const random = makeRandom(42)
const pick = <A>(items: ReadonlyArray<A>): A => items[random.between(0, items.length - 1)]!
const topics = Array.from(
  { length: 60 },
  () =>
    Array.from({ length: random.between(1, 4) }, (_, i) => pick(i === 0 ? ["a", "b", "$SYS", ""] : ["a", "b", ""]))
      .join("/")
)
  .filter((topic) => topic !== "")
const filters = Array.from(
  { length: 300 },
  () =>
    Array.from(
      { length: random.between(1, 4) },
      (_, i) => pick(i === 0 ? ["a", "+", "$SYS", "", "#", "a+"] : ["a", "b", "+", "", "#"])
    )
      .join("/")
)

it("the broker and the client agree on filters and matching, each with its own code", () => {
  for (const filter of filters) {
    assert.strictEqual(parseFilter(filter) !== undefined, Topic.isValidFilter(filter), filter)
    if (!Topic.isValidFilter(filter)) continue
    for (const topic of topics) {
      assert.strictEqual(matches(filter, topic), Topic.matches(filter, topic), `${filter} ${topic}`)
    }
  }
  for (
    const filter of [
      "$share/g/a/+",
      "$share//a",
      "$share/g",
      "$share/g/",
      "$share/g+/a",
      "$share/g#/a",
      "$share/g/a/#/b"
    ]
  ) {
    assert.strictEqual(parseFilter(filter) !== undefined, Topic.isValidFilter(filter), filter)
  }
})

it("the tree finds the same as matching one by one, after removals too", () => {
  const tree = makeFilterTree<string>()
  const valid = [...new Set(filters.filter(Topic.isValidFilter))]
  for (const filter of valid) tree.insert(filter, filter)
  const check = (inside: ReadonlyArray<string>): void => {
    for (const topic of topics) {
      assert.sameMembers([...tree.match(topic)], inside.filter((filter) => matches(filter, topic)), topic)
    }
  }
  check(valid)
  for (const filter of valid.slice(0, valid.length / 2)) tree.remove(filter, filter)
  check(valid.slice(valid.length / 2))
})
