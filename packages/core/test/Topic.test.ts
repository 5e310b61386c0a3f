import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Topic from "../src/Topic.ts"

const nameFault = (topic: string) => {
  const result = Topic.validateName(topic)
  assert.strictEqual(Topic.isValidName(topic), Result.isSuccess(result))
  return Result.isFailure(result) ? [result.failure.offset, result.failure.detail] : undefined
}

const filterFault = (filter: string) => {
  const result = Topic.validateFilter(filter)
  assert.strictEqual(Topic.isValidFilter(filter), Result.isSuccess(result))
  return Result.isFailure(result) ? [result.failure.offset, result.failure.detail] : undefined
}

// Few levels from a small alphabet meet often: "" is an empty level, "$x" wakes the rule of $.
const levels = Schema.Array(Schema.Literals(["a", "b", "", "$x", "ab"])).check(Schema.isBetweenLength(1, 5))
const filterLevels = Schema.Array(Schema.Literals(["a", "b", "", "$x", "+"])).check(Schema.isBetweenLength(1, 5))
const endings = Schema.Literals(["", "/#"])
const shares = Schema.Literals(["", "$share/g/"])

const nameOf = (parts: ReadonlyArray<string>): string => parts.join("/") || "a"
const filterOf = (share: string, parts: ReadonlyArray<string>, ending: string): string =>
  share + ((parts.join("/") || "+") + ending)

// The rules of MQTT 4.7.1 and 4.7.2 level by level, as one would explain them.
const matchesByLevels = (filter: string, topic: string): boolean => {
  const inner = filter.startsWith("$share/") ? filter.split("/").slice(2) : filter.split("/")
  const names = topic.split("/")
  const isWild = inner[0] === "+" || inner[0] === "#"
  if (isWild && topic.startsWith("$")) {
    return false
  }
  const open = inner[inner.length - 1] === "#"
  const fixed = open ? inner.slice(0, -1) : inner
  return (open ? names.length >= fixed.length : names.length === fixed.length) &&
    fixed.every((level, i) => level === "+" || level === names[i])
}

describe("Topic", () => {
  describe("names", () => {
    it.each(["a", "/", "a/b", "/a//b/", "$SYS/x", " ", "Äpfel/苹果/🍎", "a\u0001", "a\uffff", "$share/g/a", "\ufeffa"])(
      "accepts %j",
      (topic) => {
        assert.isUndefined(nameFault(topic))
        assert.deepEqual(Topic.validateName(topic), Result.succeed(topic))
      }
    )

    it("refuses a topic name with a wildcard [MQTT3-4.7.1-1] [MQTT5-4.7.0-1] [MQTT3-3.3.2-2] [MQTT5-3.3.2-2]", () => {
      assert.deepEqual(nameFault("a/+"), [2, "wildcard"])
      assert.deepEqual(nameFault("a+"), [1, "wildcard"])
      assert.deepEqual(nameFault("#"), [0, "wildcard"])
      assert.deepEqual(nameFault("a/b#c"), [3, "wildcard"])
    })
  })

  describe("filters", () => {
    it.each([
      "#",
      "+",
      "/",
      "+/+",
      "/+",
      "a/+/b/#",
      "+/#",
      "$SYS/#",
      "$share/g/#",
      "$share/g//",
      "$share/ä/a",
      "$share"
    ])(
      "accepts %j",
      (filter) => {
        assert.isUndefined(filterFault(filter))
        assert.deepEqual(Topic.validateFilter(filter), Result.succeed(filter))
      }
    )

    it("refuses # anywhere but alone in the last level [MQTT3-4.7.1-2] [MQTT5-4.7.1-1]", () => {
      const detail = "# that is not alone in the last level"
      assert.deepEqual(filterFault("a#"), [1, detail])
      assert.deepEqual(filterFault("a/b#"), [3, detail])
      assert.deepEqual(filterFault("#/a"), [0, detail])
      assert.deepEqual(filterFault("a/#/b"), [2, detail])
      assert.deepEqual(filterFault("##"), [0, detail])
      assert.deepEqual(filterFault("$share/g/a#"), [10, detail])
    })

    it("refuses + that does not fill its level [MQTT3-4.7.1-3] [MQTT5-4.7.1-2]", () => {
      const detail = "+ that does not fill its level"
      assert.deepEqual(filterFault("a+"), [1, detail])
      assert.deepEqual(filterFault("+a"), [0, detail])
      assert.deepEqual(filterFault("a/+b/c"), [2, detail])
      assert.deepEqual(filterFault("a/++"), [2, detail])
      assert.deepEqual(filterFault("a/+#"), [2, detail])
    })
  })

  describe("names and filters", () => {
    it("refuses an empty topic name and an empty topic filter [MQTT3-4.7.3-1] [MQTT5-4.7.3-1]", () => {
      assert.deepEqual(nameFault(""), [0, "empty"])
      assert.deepEqual(filterFault(""), [0, "empty"])
    })

    it("refuses U+0000 in a topic name and in a topic filter [MQTT3-4.7.3-2] [MQTT5-4.7.3-2]", () => {
      assert.deepEqual(nameFault("a/\u0000"), [2, "null character"])
      assert.deepEqual(filterFault("+/\u0000"), [2, "null character"])
      assert.deepEqual(filterFault("$share/g\u0000/a"), [8, "null character"])
    })

    it.each(
      [
        ["a", 65_535, 1],
        ["é", 32_767, 2],
        ["苹", 21_845, 3],
        ["🍎", 16_383, 4]
      ] as const
    )(
      "refuses a topic name or topic filter of more than 65,535 UTF-8 bytes, %j repeated [MQTT3-4.7.3-3] [MQTT5-4.7.3-3]",
      (character, times, bytes) => {
        const longest = character.repeat(times)
        assert.isUndefined(nameFault(longest))
        assert.isUndefined(filterFault(longest))
        const longer = longest + character
        assert.isAbove((times + 1) * bytes, 65_535)
        assert.deepEqual(nameFault(longer), [longest.length, "more than 65,535 bytes"])
        assert.deepEqual(filterFault(longer), [longest.length, "more than 65,535 bytes"])
      }
    )

    it("refuses a topic name or topic filter with a lone surrogate [MQTT3-3.8.3-1] [MQTT5-3.8.3-1]", () => {
      for (const fault of [nameFault, filterFault]) {
        assert.deepEqual(fault("a\ud800"), [1, "lone surrogate"])
        assert.deepEqual(fault("a\ud800b"), [1, "lone surrogate"])
        assert.deepEqual(fault("\udc00"), [0, "lone surrogate"])
        assert.deepEqual(fault("🍎\ud83c/x"), [2, "lone surrogate"])
        assert.isUndefined(fault("\ud83c\udf4e"))
      }
    })
  })

  describe("shared subscriptions", () => {
    it("refuses a shared subscription without a share name [MQTT5-4.8.2-1]", () => {
      assert.deepEqual(filterFault("$share/"), [7, "empty share name"])
      assert.deepEqual(filterFault("$share//a"), [7, "empty share name"])
    })

    it("refuses a share name with /, + or #, and one without a topic filter behind it [MQTT5-4.8.2-2]", () => {
      assert.deepEqual(filterFault("$share/+/a"), [7, "wildcard in the share name"])
      assert.deepEqual(filterFault("$share/g#/a"), [8, "wildcard in the share name"])
      assert.deepEqual(filterFault("$share/g+r/a"), [8, "wildcard in the share name"])
      assert.deepEqual(filterFault("$share/g"), [8, "no topic filter behind the share name"])
      assert.deepEqual(filterFault("$share/g/"), [9, "no topic filter behind the share name"])
      assert.deepEqual(Topic.parseShared("$share/g/h/a"), { group: "g", filter: "h/a" })
    })

    it("takes a shared subscription apart", () => {
      assert.deepEqual(Topic.parseShared("$share/group/a/+/#"), { group: "group", filter: "a/+/#" })
      assert.deepEqual(Topic.parseShared("$share/g//"), { group: "g", filter: "/" })
      assert.isUndefined(Topic.parseShared("a/b"))
      assert.isUndefined(Topic.parseShared("$share/g"))
      assert.isUndefined(Topic.parseShared("$SHARE/g/a"))
      assert.strictEqual(Topic.innerFilter("$share/g/a/b"), "a/b")
      assert.strictEqual(Topic.innerFilter("a/b"), "a/b")
      assert.isTrue(Topic.isShared("$share/g/a"))
      assert.isFalse(Topic.isShared("$sharex/g/a"))
    })
  })

  describe("matches", () => {
    it.each([
      ["sport/tennis/player1/#", "sport/tennis/player1"],
      ["sport/tennis/player1/#", "sport/tennis/player1/ranking"],
      ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"],
      ["sport/#", "sport"],
      ["#", "a/b/c"],
      ["sport/tennis/+", "sport/tennis/player1"],
      ["sport/+", "sport/"],
      ["+/+", "/finance"],
      ["/+", "/finance"],
      ["+", "a"],
      ["+/#", "a"],
      ["a//b", "a//b"],
      ["a/+/b", "a//b"],
      ["$SYS/#", "$SYS/broker/load"],
      ["$SYS/monitor/+", "$SYS/monitor/Clients"],
      ["$share/g/sport/#", "sport/tennis"],
      ["a/#", "a/$x"]
    ])("takes %s for %s", (filter, topic) => assert.isTrue(Topic.matches(filter, topic)))

    it.each([
      ["sport/tennis/+", "sport/tennis/player1/ranking"],
      ["sport/+", "sport"],
      ["+", "/finance"],
      ["a", "a/"],
      ["a/", "a"],
      ["a/b", "a"],
      ["a", "A"],
      ["a/b/#", "a"],
      ["ab", "a"],
      ["a", "ab"],
      ["$share/g/a", "$share/g/a"]
    ])("does not take %s for %s", (filter, topic) => assert.isFalse(Topic.matches(filter, topic)))

    it(
      "does not match a topic name that starts with $ by a filter that starts with a wildcard [MQTT3-4.7.2-1] [MQTT5-4.7.2-1]",
      () => {
        assert.isFalse(Topic.matches("#", "$SYS/x"))
        assert.isFalse(Topic.matches("+/x", "$SYS/x"))
        assert.isFalse(Topic.matches("+/#", "$SYS"))
        assert.isFalse(Topic.matches("$share/g/#", "$SYS/x"))
        assert.isFalse(Topic.matches("$share/g/+/x", "$SYS/x"))
        assert.isTrue(Topic.matches("$SYS/+", "$SYS/x"))
      }
    )

    it("matches code point by code point without any normalisation [MQTT3-4.7.3-4] [MQTT5-4.7.3-4]", () => {
      const composed = "caf\u00e9"
      const decomposed = "cafe\u0301"
      assert.strictEqual(composed.normalize("NFD"), decomposed)
      assert.isTrue(Topic.matches(composed, composed))
      assert.isFalse(Topic.matches(composed, decomposed))
      assert.isFalse(Topic.matches("ACCOUNTS", "Accounts"))
      assert.isFalse(Topic.matches("a", "\ufeffa"))
    })

    it.prop(
      "agrees with the rules taken level by level",
      [shares, filterLevels, endings, levels],
      ([share, parts, ending, names]) => {
        const filter = filterOf(share, parts, ending)
        const topic = nameOf(names)
        assert.isUndefined(filterFault(filter))
        assert.strictEqual(Topic.matches(filter, topic), matchesByLevels(filter, topic), `${filter} ${topic}`)
      },
      { arbitrary: { runs: 3000 } }
    )

    it.prop("takes every valid name for itself", [Schema.String], ([topic]) => {
      if (Topic.isValidName(topic)) {
        assert.isTrue(Topic.matches(topic, topic) || Topic.isShared(topic))
      }
    })
  })

  describe("captures", () => {
    it.each([
      ["sensors/+/temperature", "sensors/room1/temperature", ["room1"]],
      ["+/+", "a/b", ["a", "b"]],
      ["sensors/+/#", "sensors/room1/temperature/max", ["room1", "temperature/max"]],
      ["sensors/#", "sensors", [""]],
      ["sensors/#", "sensors/", [""]],
      ["#", "a/b", ["a/b"]],
      ["+/+", "/", ["", ""]],
      ["a/b", "a/b", []],
      ["$share/g/a/+", "a/x", ["x"]]
    ])("gives for %s and %s", (filter, topic, expected) => {
      assert.deepEqual(Topic.captures(filter, topic), expected)
    })

    it("gives nothing when the name does not match", () => {
      assert.isUndefined(Topic.captures("a/+", "b/x"))
      assert.isUndefined(Topic.captures("+", "$SYS"))
    })

    it.prop(
      "gives what makes the name again when it replaces the wildcards",
      [filterLevels, endings, levels],
      ([parts, ending, names]) => {
        const filter = filterOf("", parts, ending)
        const topic = nameOf(names)
        const captured = Topic.captures(filter, topic)
        assert.strictEqual(captured !== undefined, Topic.matches(filter, topic))
        if (captured !== undefined) {
          let next = 0
          const rebuilt = filter.split("/").map((level) => level === "+" || level === "#" ? captured[next++] : level)
            .join("/")
          // For "a/#" and "a" the rest is empty, and so is the one for "a/": both stand for the same capture.
          assert.isTrue(rebuilt === topic || rebuilt === `${topic}/`, `${filter} ${topic} ${rebuilt}`)
          assert.strictEqual(next, captured.length)
        }
      },
      { arbitrary: { runs: 2000 } }
    )
  })

  describe("overlaps", () => {
    it.each([
      ["a/+", "+/b"],
      ["#", "a/b/c"],
      ["a/#", "a"],
      ["a/#", "a/b/#"],
      ["+/+", "a/#"],
      ["$share/g/a", "a"],
      ["$SYS/+", "$SYS/#"]
    ])("finds a name for %s and %s", (a, b) => {
      assert.isTrue(Topic.overlaps(a, b))
      assert.isTrue(Topic.overlaps(b, a))
    })

    it.each([
      ["a/+", "a"],
      ["a/+", "b/+"],
      ["#", "$SYS/x"],
      ["+/x", "$SYS/x"],
      ["a/b/#", "a"],
      ["a", "a/"]
    ])("finds no name for %s and %s", (a, b) => {
      assert.isFalse(Topic.overlaps(a, b))
      assert.isFalse(Topic.overlaps(b, a))
    })

    it.prop(
      "is true exactly when some name matches both",
      [filterLevels, endings, filterLevels, endings],
      ([partsA, endingA, partsB, endingB]) => {
        const a = filterOf("", partsA, endingA)
        const b = filterOf("", partsB, endingB)
        // A wildcard level may always hold "a", so names that take each level from one of the two filters are enough.
        let names: Array<ReadonlyArray<string>> = [[]]
        let found = false
        const depth = Math.max(a.split("/").length, b.split("/").length)
        for (let i = 0; i < depth && !found; i++) {
          const choices = new Set(["a"])
          for (const filter of [a, b]) {
            const level = filter.split("/")[i]
            if (level !== undefined && level !== "+" && level !== "#") {
              choices.add(level)
            }
          }
          names = names.flatMap((name) => Array.from(choices, (level) => name.concat(level)))
          found = names.map((name) => name.join("/")).some((topic) =>
            topic !== "" && Topic.matches(a, topic) && Topic.matches(b, topic)
          )
        }
        assert.strictEqual(Topic.overlaps(a, b), found, `${a} ${b}`)
      },
      { arbitrary: { runs: 2000 } }
    )
  })
})
