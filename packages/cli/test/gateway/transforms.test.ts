/**
 * The transforms of a gateway's file: single values, and what holds for all of them.
 */
import type { Message } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Schema } from "effect"
import { decodeConfiguration } from "../../src/internal/gateway/configuration.ts"
import { hooksOf } from "../../src/internal/gateway/transformHooks.ts"
import {
  type PayloadTransform,
  type TransformInput,
  transformPayload
} from "../../src/internal/gateway/transformPayload.ts"
import { decodeTransform } from "../../src/internal/gateway/transforms.ts"
import { parsePath, replaceAt, valueAt } from "../../src/internal/jsonPath.ts"
import { message } from "../support/message.ts"

const input = (payload: string): TransformInput => ({ topic: "t/\"1\"", session: "plant", timestamp: 1000, payload })

const apply = (transform: object, payload: string): string => {
  const result = transformPayload(Result.getOrThrow(decodeTransform(transform)) as PayloadTransform, input(payload))
  return Result.isSuccess(result) ? result.success : `! ${result.failure}`
}

const json = "{\"a\":{\"b\":[1,{\"c\":\"x\"}],\"t\":20.5},\"__proto__\":7}"

describe("transforms", () => {
  it.each([
    [{ type: "pick", path: "a.b.1.c" }, json, "x"],
    [{ type: "pick", path: "$.a.b" }, json, "[1,{\"c\":\"x\"}]"],
    [{ type: "pick", path: "__proto__" }, json, "7"],
    [{ type: "pick", path: "$" }, "\"x\"", "x"],
    [{ type: "pick", path: "a.x" }, json, "! the payload has nothing at a.x"],
    [{ type: "pick", path: "a.b.2" }, json, "! the payload has nothing at a.b.2"],
    [{ type: "pick", path: "a.b.length" }, json, "! the payload has nothing at a.b.length"],
    [{ type: "pick", path: "toString" }, json, "! the payload has nothing at toString"],
    [{ type: "pick", path: "a" }, "hunter2", "! the payload is no JSON"],
    [{ type: "pick", path: "$.a.b[1]['c']" }, json, "x"],
    [{ type: "pick", path: "a.b[-2]" }, json, "1"],
    [{ type: "pick", path: "a.b[-3]" }, json, "! the payload has nothing at a.b[-3]"],
    [{ type: "pick", path: "[0][\"a.b\"]" }, "[{\"a.b\":7}]", "7"],
    [{ type: "pick", path: "$['it\\'s']" }, "{\"it's\":1}", "1"],
    [{ type: "pick", path: "r[*].v" }, "{\"r\":[{\"v\":1},{},{\"v\":\"x\"}]}", "[1,\"x\"]"],
    [{ type: "pick", path: "$.*" }, "{\"a\":1,\"b\":[2]}", "[1,[2]]"],
    [{ type: "pick", path: "r[*].v" }, "{\"r\":[]}", "! the payload has nothing at r[*].v"],
    [{ type: "convert", from: "F", to: "C", decimals: 2 }, "68.9", "20.5"],
    [
      { type: "convert", path: "$[*].t", from: "C", to: "K" },
      "[{\"t\":0},{\"t\":1}]",
      "[{\"t\":273.15},{\"t\":274.15}]"
    ],
    [{ type: "convert", from: "psi", to: "bar", decimals: 4 }, "14.5", "0.9997"],
    [{ type: "convert", from: "kWh", to: "MJ" }, "1", "3.6"],
    [{ type: "convert", from: "km/h", to: "m/s" }, "36", "10"],
    [{ type: "convert", from: "in", to: "cm", decimals: 2 }, "1", "2.54"],
    [{ type: "convert", from: "C", to: "F" }, "\"1\"", "! what stands at $ is no number"],
    [{ type: "scale", path: "a[*]", factor: 2 }, "{\"a\":[1,2]}", "{\"a\":[2,4]}"],
    [{ type: "rename", path: "$[*].a", to: "b" }, "[{\"a\":1},{\"c\":2}]", "[{\"b\":1},{\"c\":2}]"],
    [{ type: "scale", factor: 1.8, offset: 32, decimals: 1 }, "20.5", "68.9"],
    [
      { type: "scale", path: "a.t", factor: 10 },
      json,
      "{\"a\":{\"b\":[1,{\"c\":\"x\"}],\"t\":205},\"__proto__\":7}"
    ],
    [{ type: "scale", path: "a.b.0", offset: 1 }, "{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":[2]}}"],
    [{ type: "scale" }, "\"1\"", "! what stands at $ is no number"],
    [{ type: "scale", factor: 1e300 }, "1e300", "! the number at $ is too large"],
    [
      { type: "rename", path: "a.t", to: "celsius" },
      json,
      "{\"a\":{\"b\":[1,{\"c\":\"x\"}],\"celsius\":20.5},\"__proto__\":7}"
    ],
    [{ type: "rename", path: "a", to: "b" }, "{\"b\":1,\"a\":2}", "{\"b\":2}"],
    [{ type: "rename", path: "a.0", to: "b" }, "{\"a\":[1]}", "! what stands at a.0 has no name"],
    [{ type: "rename", path: "x", to: "b" }, "{\"a\":1}", "! the payload has nothing at x"],
    [
      { type: "template", template: "{{session}} {{ topic }}: {{$.a.t}} {{$.a.b}} {{payload}} {{timestamp}}" },
      json,
      `plant t/"1": 20.5 [1,{"c":"x"}] ${json} 1000`
    ],
    [
      { type: "template", template: "{ \"v\": {{$.a.b.1.c}}, \"t\": {{topic}} }", format: "json" },
      json,
      "{ \"v\": \"x\", \"t\": \"t/\\\"1\\\"\" }"
    ],
    [{ type: "template", template: "{{$.x}}" }, json, "! the payload has nothing at $.x"],
    [{ type: "template", template: "{{$.x}}" }, "hunter2", "! the payload is no JSON"],
    [{ type: "template", template: "{{payload}}" }, "no JSON", "no JSON"],
    [{ type: "template", template: "x {{topic}}", format: "json" }, json, "! the template gives no JSON"]
  ])("%j of %s", (transform, payload, expected) => {
    assert.strictEqual(apply(transform, payload), expected)
  })

  it("wrong transforms are mistakes with their paths", () => {
    const sessions = { a: { servers: "mqtt://a" }, b: { servers: "mqtt://b" } }
    const up = { sources: "a", filters: "t", target: "b" }
    const issues = (transforms: unknown) => {
      const decoded = decodeConfiguration({ sessions, forwarders: { up: { ...up, transforms } } })
      return Result.isFailure(decoded)
        ? decoded.failure.map(({ message, path }) => `${path.join(".")}: ${message}`)
        : []
    }
    assert.deepStrictEqual(issues([{ type: "pick", path: "a" }]), [])
    assert.deepStrictEqual(
      issues([
        { type: "pick" },
        { type: "pick", path: "a..b" },
        { type: "shout" },
        7,
        { type: "template", template: "{{nobody}}" },
        { type: "scale", factor: "2", decimals: 1.5 },
        { type: "rename", path: "$", to: "" },
        { type: "rename", path: "a[*]", to: "b" },
        { type: "convert", from: "C", to: "bar" },
        { type: "convert", from: "celsius", to: "F" },
        { type: "deduplicate", within: "2 days", entries: 0 },
        { type: "batch", messages: 0, bytes: "1 kB", time: "soon", format: "csv" },
        { type: "unbatch", format: "lines", path: "a" },
        { type: "pick", path: "a[?@.b]" }
      ]).map((issue) => issue.replace("forwarders.up.transforms.", "").replace(/(expected a unit): .*/, "$1")),
      [
        "0.path: Missing key",
        "1.path: expected a path, for example readings.0.value or $.readings[0].value",
        "2.type: expected pick, template, scale, convert, rename, deduplicate, batch or unbatch",
        "3: Expected object",
        "4.template: expected {{topic}}, {{payload}}, {{session}}, {{timestamp}} or {{$.path}}",
        "5.factor: expected a number",
        "5.decimals: expected a whole number from 0 to 15",
        "6.path: expected the path of a key",
        "6.to: expected a key",
        "7.path: expected the path of a key",
        "8.to: expected a unit like C: K, C, F",
        "9.from: expected a unit",
        "10.within: expected 1 ms to 1 day, for example \"5 seconds\"",
        "10.entries: expected a whole number from 1 to 1000000",
        "11.messages: expected a whole number from 1 to 65535",
        "11.bytes: expected a whole number from 1 to 268435456",
        "11.time: expected 1 ms to 1 day, for example \"5 seconds\"",
        "11.format: expected json or lines",
        "12.path: lines have no paths",
        "13.path: expected a path, for example readings.0.value or $.readings[0].value"
      ]
    )
    assert.deepStrictEqual(issues([{ type: "batch" }, { type: "deduplicate" }, { type: "unbatch" }]), [
      "forwarders.up.transforms.1.type: has to stand before batch",
      "forwarders.up.transforms.2.type: a forwarder has one batch or unbatch at most"
    ])
    assert.deepStrictEqual(issues({}), ["forwarders.up.transforms: expected an array of tables"])
  })
})

const hooks = (...transforms: ReadonlyArray<object>) =>
  hooksOf(transforms.map((each) => Result.getOrThrow(decodeTransform(each))))

const outcomeOf = (effect: Effect.Effect<Message.Message | undefined, unknown>): string => {
  const exit = Effect.runSyncExit(effect)
  return Exit.isSuccess(exit) ? exit.value?.text ?? "dropped" : "failed"
}

describe("transforms of several messages", () => {
  it("deduplicate drops a repetition within its time, and no redelivery", () => {
    const { transform } = hooks({ type: "deduplicate", path: "id", within: "1 second", entries: 2 })
    const at = (id: number, receivedAt: number, dup = false) =>
      outcomeOf(transform!.transform(message(`{"id":${id}}`, { receivedAt, dup })))
    assert.strictEqual(at(1, 0), "{\"id\":1}")
    assert.strictEqual(at(1, 999), "dropped")
    assert.strictEqual(at(1, 999, true), "{\"id\":1}")
    assert.strictEqual(at(1, 1000), "{\"id\":1}")
    assert.strictEqual(at(2, 1000), "{\"id\":2}")
    assert.strictEqual(at(3, 1000), "{\"id\":3}")
    // Two are remembered.
    assert.strictEqual(at(1, 1000), "{\"id\":1}")
    const whole = hooks({ type: "deduplicate" }).transform!
    assert.deepStrictEqual(["a", "b", "a"].map((each) => outcomeOf(whole.transform(message(each)))), [
      "a",
      "b",
      "dropped"
    ])
  })

  it("batch joins what the transforms before it make, and those behind it change the batch", () => {
    const { batch, transform } = hooks(
      { type: "pick", path: "v" },
      { type: "batch", messages: 2 },
      { type: "template", template: "{ \"all\": {{$}} }", format: "json" }
    )
    assert.strictEqual(outcomeOf(transform!.transform(message("{\"v\":{\"x\":1}}"))), "{\"x\":1}")
    // A text that is no JSON would spoil the whole batch.
    assert.strictEqual(outcomeOf(transform!.transform(message("{\"v\":\"x\"}"))), "failed")
    assert.strictEqual(batch!.join([message("1"), message("{\"x\":2}")]), "{ \"all\": [1,{\"x\":2}] }")
    assert.strictEqual(batch!.messages, 2)
    const lines = hooks({ type: "batch", format: "lines" })
    assert.strictEqual(lines.batch!.join([message("a"), message("b")]), "a\nb")
    assert.strictEqual(outcomeOf(lines.transform!.transform(message("a\nb"))), "failed")
  })

  it("unbatch answers the items, each with the transforms behind it", () => {
    const split = (...transforms: ReadonlyArray<object>) => (payload: string) =>
      Array.from(hooks(...transforms).split!(message(payload)))
    const readings = split({ type: "unbatch", path: "r" }, { type: "scale", path: "v", factor: 10 })
    assert.deepStrictEqual(readings("{\"r\":[{\"v\":1},{\"v\":2}]}"), ["{\"v\":10}", "{\"v\":20}"])
    assert.deepStrictEqual(split({ type: "unbatch" })("[\"a\",1,[2]]"), ["a", "1", "[2]"])
    assert.deepStrictEqual(split({ type: "unbatch" })("[]"), [])
    assert.throws(() => split({ type: "unbatch" })("{}"), /no array/)
    assert.throws(() => split({ type: "unbatch", messages: 2 })("[1,2,3]"), /more than 2 items/)
    const lines = split({ type: "unbatch", format: "lines", messages: 2 })
    assert.deepStrictEqual(lines("a\r\nb\n"), ["a", "b"])
    assert.throws(() => lines("a\nb\nc"), /more than 2 items/)
  })
})

describe("paths", () => {
  it.each(["", ".", "a.", "a..b", "a[", "a[]", "a['b]", "a[01]", "a[1:2]", "a[-0]"])("%j is no path", (path) => {
    assert.isUndefined(parsePath(path))
  })
})

const value = Schema.Json
const number = Schema.Finite.check(Schema.isBetween({ minimum: -1e6, maximum: 1e6 }))
const key = Schema.NonEmptyString.check(Schema.makeFilter((name: string) => !/[.[\]*]/.test(name) && name !== "$"))

describe("for all payloads", () => {
  it.prop("template: what is inserted as JSON comes out as it went in", [value, Schema.String], ([inner, other]) => {
    const payload = JSON.stringify({ a: inner, other })
    const filled = apply({ type: "template", template: "[{{$.a}}, {{payload}}, {{$.other}}]", format: "json" }, payload)
    assert.deepStrictEqual(JSON.parse(filled), [JSON.parse(JSON.stringify(inner)), payload, other])
  })

  it.prop(
    "pick answers what a rename has moved, and no other key changes",
    [key, key, value, value],
    ([from, to, inner, other]) => {
      const payload = JSON.stringify(Object.fromEntries([[`${to}.other`, other], [from, inner]]))
      const renamed = apply({ type: "rename", path: from, to }, payload)
      const picked = apply({ type: "pick", path: to }, renamed)
      assert.strictEqual(picked, typeof inner === "string" ? inner : JSON.stringify(inner))
      assert.strictEqual(JSON.stringify(valueAt(JSON.parse(renamed), [`${to}.other`])), JSON.stringify(other))
    }
  )

  it.prop(
    "scale there and back gives the number within rounding, and leaves the rest",
    [number, number, value],
    ([x, offset, rest]) => {
      const payload = JSON.stringify([x, rest])
      const there = apply({ type: "scale", path: "0", factor: 4, offset }, payload)
      const back = apply({ type: "scale", path: "0", factor: 0.25, offset: -offset / 4 }, there)
      const [scaled, kept] = JSON.parse(back) as [number, unknown]
      assert.closeTo(scaled, x, 1e-6)
      assert.deepStrictEqual(kept, JSON.parse(JSON.stringify(rest)))
    }
  )

  it.prop(
    "a value that is put at a path stands there, and the original is as it was",
    [key, key, value, value],
    ([a, b, inner, next]) => {
      const original = Object.fromEntries([[a, Object.fromEntries([[b, inner]])]])
      const before = JSON.stringify(original)
      assert.deepStrictEqual(valueAt(replaceAt(original, [a, b], () => next), [a, b]), next)
      assert.strictEqual(JSON.stringify(original), before)
    }
  )
})
