import { InvalidTopic } from "@effect-mqttx/core/MqttError"
import * as Topic from "@effect-mqttx/core/Topic"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { applyRules, compileRule, type MappingRule } from "../../src/internal/forwarder/mapping.ts"
import { covers, findLoop, images, intersect, withoutCovered } from "../../src/internal/forwarder/topicImage.ts"
import { seeded } from "../session/seeded.ts"

const compile = (...rules: ReadonlyArray<MappingRule>) => rules.map((rule) => Result.getOrThrow(compileRule(rule)))
const map = (topic: string, ...rules: ReadonlyArray<MappingRule>) => applyRules(compile(...rules), topic)
const issueOf = (rule: MappingRule) => {
  const compiled = compileRule(rule)
  return Result.isFailure(compiled) ? compiled.failure.message : undefined
}

describe("mapping", () => {
  it("takes a topic for itself", () => {
    assert.strictEqual(map("a/b", { from: "a/b", to: "c" }), "c")
    assert.isUndefined(map("a/b/c", { from: "a/b", to: "c" }))
  })

  it("puts what the wildcards stand for into the template, # as the rest", () => {
    const temperatures = { from: "sensors/+/temperature", to: "storage/{1}/temp" }
    assert.strictEqual(map("sensors/room1/temperature", temperatures), "storage/room1/temp")
    assert.strictEqual(map("x/1/2/3", { from: "+/#", to: "{2}/of/{1}" }), "1/2/3/of/x")
    assert.strictEqual(map("a/b", { from: "#", to: "copy/{0}" }), "copy/a/b")
    assert.strictEqual(map("sensors", { from: "sensors/#", to: "all{1}" }), "all")
  })

  it("leaves out the level of an empty rest", () => {
    const topics = ["t", "t/", "t//", "t/a", "t/a/"]
    const all = (rule: MappingRule) => topics.map((topic) => map(topic, rule))
    assert.deepStrictEqual(all({ from: "t/#", to: "x/{1}" }), ["x", "x/", "x//", "x/a", "x/a/"])
    assert.deepStrictEqual(all({ from: "t/#", to: "{1}/x" }), ["x", "/x", "//x", "a/x", "a//x"])
    assert.deepStrictEqual(all({ from: "t/*rest", to: "a/{rest}/{1}/b" }), [
      "a/b",
      "a///b",
      "a/////b",
      "a/a/a/b",
      "a/a//a//b"
    ])
    assert.deepStrictEqual(all({ from: "+/#", to: "{2}/{1}" }), ["t", "/t", "//t", "a/t", "a//t"])
  })

  it("puts in parameters by their names", () => {
    assert.strictEqual(
      map("sensors/kitchen/temperature", { from: "sensors/:room/temperature", to: "storage/{room}/temp" }),
      "storage/kitchen/temp"
    )
    assert.strictEqual(map("plant/a/b/c", { from: "plant/:line/*rest", to: "{rest}/{line}" }), "b/c/a")
    assert.strictEqual(map("plant/a/x", { from: "plant/:line/+", to: "{2}/{line}" }), "x/a")
  })

  it("puts one prefix in place of another", () => {
    assert.strictEqual(map("local/a/b", { strip: "local/", add: "remote/site1/" }), "remote/site1/a/b")
    assert.strictEqual(map("a/b", { strip: "", add: "remote/" }), "remote/a/b")
    assert.strictEqual(map("local/a", { strip: "local/", add: "" }), "a")
    assert.isUndefined(map("other/a", { strip: "local/", add: "" }))
  })

  it("tries the rules in order, and the first one that matches a topic decides", () => {
    const rules = [{ from: "a/+", to: "one/{1}" }, { from: "a/#", to: "two/{1}" }]
    assert.strictEqual(map("a/x", ...rules), "one/x")
    assert.strictEqual(map("a/x/y", ...rules), "two/x/y")
    assert.isUndefined(map("b", ...rules))
  })

  it("maps the server's own topics only by rules that name them", () => {
    assert.isUndefined(map("$SYS/uptime", { from: "#", to: "copy/{0}" }))
    assert.isUndefined(map("$SYS/uptime", { strip: "", add: "copy/" }))
    assert.strictEqual(map("$SYS/uptime", { from: "$SYS/#", to: "sys/{1}" }), "sys/uptime")
  })

  it("says what is wrong when the result is not a topic", () => {
    const results = [
      map("a", { from: "a/#", to: "{1}" }),
      map("local/", { strip: "local/", add: "" }),
      map("x/$SYS/load", { from: "x/#", to: "{1}" }),
      map(`a/${"x".repeat(65_000)}`, { from: "a/+", to: "{1}/{1}" })
    ]
    for (const result of results) assert.instanceOf(result, InvalidTopic)
  })

  it("refuses rules that cannot work", () => {
    const refused: ReadonlyArray<MappingRule> = [
      { from: "a/#/b", to: "x" },
      { from: "a/+", to: "x/{2}" },
      { from: "a/:room", to: "x/{place}" },
      { from: "a/:x/:x", to: "{x}" },
      { from: "a", to: "x/+" },
      { from: "a", to: "" },
      { from: "a", to: "$SYS/x" },
      { from: "$share/g/a", to: "x" },
      { strip: "", add: "" },
      { strip: "a/#", add: "b/" }
    ]
    for (const rule of refused) assert.isString(issueOf(rule), JSON.stringify(rule))
  })
})

describe("mapping by captures", () => {
  it("makes different topics of different ones, as long as the template drops no capture", () => {
    let compared = 0
    for (let seed = 1; seed <= 5000; seed++) {
      const { below, filter, list, pick, topic } = new Chance(seed)
      const from = filter()
      const wildcards = from.split("/").filter((each) => each === "+" || each === "#")
      // Each capture is a level of its own, in any order, and maybe more than once, between levels of text.
      const levels = wildcards.map((_, index) => `{${index + 1}}`)
      const spare = wildcards.length === 0 ? [] : list(0, 1, () => pick(levels))
      const shuffled = [...levels, ...spare, ...list(0, 2, () => pick(["a", "b", ""]))]
        .map((level) => ({ level, at: below(1000) })).toSorted((one, other) => one.at - other.at)
        .map(({ level }) => level)
      const to = shuffled.join("/")
      if (to === "" || issueOf({ from, to }) !== undefined) continue
      const mapped = new Map<string, string>()
      for (const name of list(2, 30, topic)) {
        const result = map(name, { from, to })
        if (typeof result !== "string") continue
        const before = mapped.get(result)
        assert.isTrue(
          before === undefined || before === name,
          `seed ${seed}: ${from} ${to} ${before} ${name} ${result}`
        )
        if (before === undefined && mapped.size > 0) compared++
        mapped.set(result, name)
      }
    }
    assert.isAbove(compared, 3000)
  })
})

// Few names, so that filters, rules and topics meet.
class Chance {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seeded(seed)
  }

  below = (bound: number): number => Math.floor(this.#next() * bound)
  pick = <A>(values: ReadonlyArray<A>): A => values[this.below(values.length)]!
  list = <A>(least: number, most: number, make: () => A): ReadonlyArray<A> =>
    Array.from({ length: least + this.below(most - least + 1) }, make)

  topic = (): string => this.list(1, 4, () => this.pick(["a", "b", "", "$s"])).join("/") || "a"

  filter = (): string => {
    const levels = this.list(0, 3, () => this.pick(["a", "b", "", "$s", "+", "+"]))
    const filter = [...levels, this.pick(["#", "+", "a", "b", ""])].join("/")
    return Topic.isValidFilter(filter) ? filter : "a/#"
  }

  rule = (): MappingRule => {
    const rule = this.below(3) === 0
      ? { strip: this.pick(["", "a", "a/", "b/a", "$s/", "$"]), add: this.pick(["", "b", "b/", "a/b/"]) }
      : this.template(this.filter())
    return issueOf(rule) === undefined ? rule : this.rule()
  }

  template = (from: string): MappingRule => {
    const wildcards = from.split("/").filter((each) => each === "+" || each === "#").length
    const pieces = ["a", "b", "/", "a/", "/b", ...Array.from({ length: wildcards + 1 }, (_, index) => `{${index}}`)]
    return { from, to: this.list(1, 4, () => this.pick(pieces)).join("") }
  }
}

const property = (name: string, runs: number, holds: (chance: Chance, seed: number) => void): void =>
  it(name, () => {
    for (let seed = 1; seed <= runs; seed++) holds(new Chance(seed), seed)
  })

describe("sets of topics", () => {
  property("covers means that every match of one is a match of the other", 20_000, ({ filter, topic }, seed) => {
    const [wide, narrow, name] = [filter(), filter(), topic()]
    if (covers(wide, narrow) && Topic.matches(narrow, name)) {
      assert.isTrue(Topic.matches(wide, name), `seed ${seed}: ${wide} ${narrow} ${name}`)
    }
  })

  property("the intersection matches exactly what both match", 20_000, ({ filter, topic }, seed) => {
    const [one, other, name] = [filter(), filter(), topic()]
    const both = intersect(one, other)
    assert.strictEqual(
      both !== undefined && Topic.matches(both, name),
      Topic.matches(one, name) && Topic.matches(other, name),
      `seed ${seed}: ${one} ${other} ${name}`
    )
  })

  property("what remains without covered filters matches the same", 5000, ({ filter, list, topic }, seed) => {
    const [filters, name] = [list(1, 5, filter), topic()]
    assert.strictEqual(
      withoutCovered(filters).some((each) => Topic.matches(each, name)),
      filters.some((each) => Topic.matches(each, name)),
      `seed ${seed}: ${filters.join(" ")} ${name}`
    )
  })

  it("the image of a mapping holds everything that it makes, and one that findLoop itself is known", () => {
    let mappings = 0
    let loops = 0
    for (let seed = 1; seed <= 50_000; seed++) {
      const { below, filter, list, rule, topic } = new Chance(seed)
      const [filters, exclude, rules, pass] = [list(1, 3, filter), list(0, 2, filter), list(0, 3, rule), below(2) === 0]
      const name = topic()
      const isTaken = (each: string): boolean =>
        filters.some((one) => Topic.matches(one, each)) && !exclude.some((one) => Topic.matches(one, each))
      if (!isTaken(name)) continue
      const compiled = compile(...rules)
      const mapped = applyRules(compiled, name) ?? (pass ? name : undefined)
      if (typeof mapped !== "string" || mapped.startsWith("$")) continue
      mappings++
      const source = { filters, exclude, rules: compiled, pass, isOpen: false }
      const all = images(source)
      const what = `seed ${seed}: ${JSON.stringify({ filters, exclude, rules, pass })} ${name} -> ${mapped}`
      assert.isTrue(all.some((each) => Topic.matches(each, mapped)), `${what}, which is in none of ${all.join(", ")}`)
      if (!isTaken(mapped)) continue
      loops++
      assert.isDefined(findLoop(source), what)
    }
    assert.isAbove(mappings, 5000)
    assert.isAbove(loops, 1000)
  })

  it("a mapping that leads out of the filter is no loop", () => {
    const free = (
      filters: ReadonlyArray<string>,
      exclude: ReadonlyArray<string>,
      ...rules: ReadonlyArray<MappingRule>
    ) => assert.isUndefined(findLoop({ filters, exclude, rules: compile(...rules), pass: true, isOpen: false }))
    free(["sensors/+/temperature"], [], { from: "sensors/+/temperature", to: "storage/{1}/temp" })
    free(["sensors/+/temperature"], [], { from: "sensors/#", to: "sensors/{1}/copy" })
    free(["local/#"], [], { strip: "local/", add: "remote/" }, { from: "local", to: "remote" })
    free(["#"], ["copy/#"], { strip: "", add: "copy/" })
    free(["a/b"], [], { from: "+/b", to: "{1}/c" })
    free(["a/+"], [], { from: "a/:x", to: "b/{x}" })
  })
})
