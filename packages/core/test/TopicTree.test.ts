import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Topic from "../src/Topic.ts"
import * as TopicTree from "../src/TopicTree.ts"

const sorted = (values: ReadonlyArray<string>) => [...values].toSorted()

const filterLevel = Schema.Literals(["a", "b", "", "$x", "+"])
const Change = Schema.Struct({
  action: Schema.Literals(["add", "remove", "removeKnown", "match"]),
  index: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 29 })),
  share: Schema.Literals(["", "", "$share/g/", "$share/h/"]),
  levels: Schema.Array(filterLevel).check(Schema.isBetweenLength(1, 4)),
  ending: Schema.Literals(["", "/#"]),
  value: Schema.Literals(["v", "w"]),
  topic: Schema.Array(Schema.Literals(["a", "b", "", "$x"])).check(Schema.isBetweenLength(1, 5))
})

describe("TopicTree", () => {
  it("gives a value once for each of its filters that match", () => {
    const tree = TopicTree.make<string>()
    tree.add("a/+", "x")
    tree.add("a/#", "x")
    tree.add("a/b", "y")
    tree.add("b", "z")
    assert.deepEqual(sorted(tree.match("a/b")), ["x", "x", "y"])
    assert.deepEqual(sorted(tree.match("a")), ["x"])
    assert.deepEqual(tree.match("c"), [])
    assert.isTrue(tree.has("b"))
    assert.isFalse(tree.has("c"))
  })

  it("keeps a value once under a filter", () => {
    const tree = TopicTree.make<string>()
    assert.isTrue(tree.add("a", "x"))
    assert.isFalse(tree.add("a", "x"))
    assert.isTrue(tree.add("a", "y"))
    assert.strictEqual(tree.size, 2)
    assert.deepEqual(sorted(tree.match("a")), ["x", "y"])
  })

  it("does not match a name that starts with $ by a wildcard in the first level [MQTT3-4.7.2-1] [MQTT5-4.7.2-1]", () => {
    const tree = TopicTree.make<string>()
    tree.add("#", "all")
    tree.add("+/x", "plus")
    tree.add("$share/g/#", "shared")
    tree.add("$SYS/#", "sys")
    assert.deepEqual(tree.match("$SYS/x"), ["sys"])
    assert.deepEqual(tree.match("$SYS"), ["sys"])
    assert.deepEqual(sorted(tree.match("a/x")), ["all", "plus", "shared"])
  })

  it("holds a shared subscription and its inner filter apart", () => {
    const tree = TopicTree.make<string>()
    tree.add("a", "x")
    tree.add("$share/g/a", "x")
    tree.add("$share/h/a", "x")
    assert.deepEqual(tree.match("a"), ["x", "x", "x"])
    assert.isTrue(tree.remove("$share/g/a", "x"))
    assert.isFalse(tree.remove("$share/g/a", "x"))
    assert.deepEqual(tree.match("a"), ["x", "x"])
    assert.deepEqual(tree.match("$share/h/a"), [])
  })

  it("says whether it removed something", () => {
    const tree = TopicTree.make<string>()
    tree.add("a/b", "x")
    assert.isFalse(tree.remove("a", "x"))
    assert.isFalse(tree.remove("a/b", "y"))
    assert.isFalse(tree.remove("a/b/c", "x"))
    assert.isFalse(tree.remove("a/+", "x"))
    assert.isTrue(tree.remove("a/b", "x"))
    assert.strictEqual(tree.size, 0)
    assert.deepEqual(tree.match("a/b"), [])
  })

  it("keeps longer filters when a shorter one goes, and the other way round", () => {
    const tree = TopicTree.make<string>()
    tree.add("a", "short")
    tree.add("a/+/c", "long")
    tree.remove("a", "short")
    assert.deepEqual(tree.match("a/b/c"), ["long"])
    tree.add("a", "short")
    tree.remove("a/+/c", "long")
    assert.deepEqual(tree.match("a"), ["short"])
  })

  it("gives a new answer after every change, for names that matched and names that did not", () => {
    const tree = TopicTree.make<string>()
    assert.deepEqual(tree.match("a"), [])
    tree.add("a", "x")
    assert.deepEqual(tree.match("a"), ["x"])
    tree.add("+", "y")
    assert.deepEqual(sorted(tree.match("a")), ["x", "y"])
    tree.remove("a", "x")
    assert.deepEqual(tree.match("a"), ["y"])
    tree.clear()
    assert.deepEqual(tree.match("a"), [])
    assert.strictEqual(tree.size, 0)
  })

  it("never changes an array that it has returned", () => {
    const tree = TopicTree.make<string>()
    tree.add("a", "x")
    const before = tree.match("a")
    tree.add("a", "y")
    tree.remove("a", "x")
    assert.deepEqual(before, ["x"])
  })

  it("remembers the last answers only", () => {
    const tree = TopicTree.make<string>({ cacheSize: 10 })
    tree.add("#", "x")
    const first = tree.match("t0")
    assert.strictEqual(tree.match("t0"), first)
    for (let i = 1; i <= 20; i++) {
      tree.match(`t${i}`)
    }
    assert.notStrictEqual(tree.match("t0"), first)
    const kept = tree.match("t20")
    for (let i = 0; i < 200; i++) {
      assert.strictEqual(tree.match("t20"), kept)
      tree.match(`u${i}`)
    }
  })

  it("remembers no answer for a very long name, and none at all without a cache", () => {
    const tree = TopicTree.make<string>()
    tree.add("#", "x")
    const long = "x".repeat(300)
    assert.notStrictEqual(tree.match(long), tree.match(long))
    const uncached = TopicTree.make<string>({ cacheSize: 0 })
    uncached.add("#", "x")
    assert.notStrictEqual(uncached.match("a"), uncached.match("a"))
  })

  it("takes filters and names of very many levels", () => {
    const tree = TopicTree.make<string>()
    const deep = "/".repeat(65_535)
    const filter = `${"+/".repeat(32_766)}#`
    tree.add(filter, "x")
    tree.add(deep, "y")
    assert.deepEqual(sorted(tree.match(deep)), ["x", "y"])
    assert.isTrue(tree.remove(filter, "x"))
    assert.isTrue(tree.remove(deep, "y"))
    assert.deepEqual(tree.match(deep), [])
  })

  it.prop(
    "gives what matching each filter alone gives, through any changes",
    [Schema.Array(Change).check(Schema.isMaxLength(30))],
    ([changes]) => {
      const tree = TopicTree.make<string>({ cacheSize: 4 })
      const expected = new Set<string>()
      for (const change of changes) {
        const filter = change.share + (change.levels.join("/") || "+") + change.ending
        const key = JSON.stringify([filter, change.value])
        if (change.action === "add") {
          assert.strictEqual(tree.add(filter, change.value), !expected.has(key))
          expected.add(key)
        } else if (change.action === "removeKnown" && expected.size > 0) {
          const known = [...expected][change.index % expected.size] ?? ""
          const [knownFilter, value]: [string, string] = JSON.parse(known)
          expected.delete(known)
          assert.isTrue(tree.remove(knownFilter, value))
        } else if (change.action === "remove") {
          assert.strictEqual(tree.remove(filter, change.value), expected.delete(key))
        }
        assert.strictEqual(tree.size, expected.size)
        const topic = change.topic.join("/") || "a"
        const values = [...expected].map((text): [string, string] => JSON.parse(text))
          .filter(([filter]) => Topic.matches(filter, topic)).map(([, value]) => value)
        assert.deepEqual(sorted(tree.match(topic)), sorted(values))
      }
    },
    { arbitrary: { runs: 500 } }
  )
})
