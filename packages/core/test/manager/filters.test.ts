import { Message } from "@effect-mqttx/core/Message"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import { assert, describe, it } from "@effect/vitest"

const message = (topic: string, text: string, session = "plant") =>
  new Message({
    topic,
    payload: new TextEncoder().encode(text),
    qos: 0,
    retain: false,
    dup: false,
    properties: {},
    session,
    receivedAt: 0
  })

const hot = message("sensors/room1/temperature", `{"celsius":81}`)

describe("RouteFilter", () => {
  it("topic takes a topic filter with its wildcards and the rule about $", () => {
    assert.isTrue(RouteFilter.matches(RouteFilter.topic("sensors/+/temperature"), hot))
    assert.isFalse(RouteFilter.matches(RouteFilter.topic("sensors/+"), hot))
    assert.isFalse(RouteFilter.matches(RouteFilter.topic("#"), message("$SYS/uptime", "1")))
  })

  it("a malformed topic filter is found at any depth", () => {
    const bad = RouteFilter.topic("a/#/b")
    for (const filter of [bad, RouteFilter.not(bad), RouteFilter.and(RouteFilter.text("x"), RouteFilter.some([bad]))]) {
      const issue = RouteFilter.validate(filter)
      assert.strictEqual(issue?._tag, "InvalidFilter")
      assert.strictEqual(issue?._tag === "InvalidFilter" ? issue.offset : undefined, 2)
    }
    assert.isUndefined(
      RouteFilter.validate(RouteFilter.and(RouteFilter.topic("a/#"), RouteFilter.not(RouteFilter.text(""))))
    )
  })

  it("expressions look anywhere unless they are anchored, with the same answer every time", () => {
    for (const flags of ["", "g", "y", "gi"]) {
      const test = RouteFilter.compile(RouteFilter.topicExpression(new RegExp("^sensors/room\\d", flags)))
      assert.deepStrictEqual([test(hot), test(hot), test(hot)], [true, true, true])
    }
    assert.isTrue(RouteFilter.matches(RouteFilter.topicExpression(/ROOM1/i), hot))
    assert.isFalse(RouteFilter.matches(RouteFilter.topicExpression(/^room1/), hot))
    assert.isTrue(RouteFilter.matches(RouteFilter.textExpression(/"celsius":[89]\d/), hot))
  })

  it("expressions see 64 KiB of a payload and 4096 code units of a topic, whatever a publisher sends", () => {
    const kilobytes = 64 * 1024
    const behind = RouteFilter.textExpression(/end/)
    assert.isTrue(RouteFilter.matches(behind, message("t", `${"x".repeat(kilobytes - 3)}end`)))
    assert.isFalse(RouteFilter.matches(behind, message("t", `${"x".repeat(kilobytes - 2)}end`)))
    // A character that the bound cuts in two is one that does not match.
    assert.isFalse(RouteFilter.matches(RouteFilter.textExpression(/^xä+$/), message("t", `x${"ä".repeat(kilobytes)}`)))
    const deep = RouteFilter.topicExpression(/end/)
    assert.isTrue(RouteFilter.matches(deep, message(`${"x".repeat(4093)}end`, "")))
    assert.isFalse(RouteFilter.matches(deep, message(`${"x".repeat(4094)}end`, "")))
    // The length that each expression is given, by one that always matches all of it.
    let seen = 0
    const spy = /$/
    spy.test = (text) => {
      seen = text.length
      return true
    }
    RouteFilter.matches(RouteFilter.textExpression(spy), message("t", "x".repeat(10_000_000)))
    assert.strictEqual(seen, kilobytes)
    RouteFilter.matches(RouteFilter.topicExpression(spy), message("t".repeat(65_535), ""))
    assert.strictEqual(seen, 4096)
  })

  it("text looks for a text in the payload, and an empty payload is a text too", () => {
    assert.isTrue(RouteFilter.matches(RouteFilter.text("celsius"), hot))
    assert.isFalse(RouteFilter.matches(RouteFilter.text("kelvin"), hot))
    assert.isTrue(RouteFilter.matches(RouteFilter.text(""), message("t", "")))
  })

  it("session and predicate see the message", () => {
    assert.isTrue(RouteFilter.matches(RouteFilter.session("plant"), hot))
    assert.isFalse(RouteFilter.matches(RouteFilter.session("cloud"), hot))
    assert.isTrue(RouteFilter.matches(RouteFilter.predicate(({ payload }) => payload.length === 14), hot))
  })

  it("and, or and not combine as in logic, also with nothing in them", () => {
    const [yes, no] = [RouteFilter.text("celsius"), RouteFilter.text("kelvin")]
    const answer = (filter: RouteFilter.RouteFilter) => RouteFilter.matches(filter, hot)
    assert.deepStrictEqual([answer(RouteFilter.and(yes, yes)), answer(RouteFilter.and(yes, no))], [true, false])
    assert.deepStrictEqual([answer(RouteFilter.or(no, yes)), answer(RouteFilter.or(no, no))], [true, false])
    assert.deepStrictEqual([answer(RouteFilter.not(no)), answer(RouteFilter.not(yes))], [true, false])
    assert.deepStrictEqual([answer(RouteFilter.every([])), answer(RouteFilter.some([]))], [true, false])
  })

  it("and stops at the first filter that rejects", () => {
    let asked = 0
    const counting = RouteFilter.predicate(() => {
      asked++
      return true
    })
    RouteFilter.matches(RouteFilter.and(RouteFilter.text("kelvin"), counting), hot)
    RouteFilter.matches(RouteFilter.or(RouteFilter.text("celsius"), counting), hot)
    assert.strictEqual(asked, 0)
  })

  it("describes itself in words", () => {
    assert.strictEqual(
      RouteFilter.describe(RouteFilter.every([
        RouteFilter.topic("a/#"),
        RouteFilter.or(RouteFilter.text("x"), RouteFilter.textExpression(/y/)),
        RouteFilter.not(RouteFilter.session("b")),
        RouteFilter.topicExpression(/z/),
        RouteFilter.predicate(() => true, "is fresh")
      ])),
      `(topic a/# and (payload contains "x" or payload /y/) and not session b and topic /z/ and is fresh)`
    )
    assert.strictEqual(RouteFilter.describe(RouteFilter.every([])), "anything")
    assert.strictEqual(RouteFilter.describe(RouteFilter.some([])), "nothing")
  })
})
