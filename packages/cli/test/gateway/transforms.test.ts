/**
 * The transforms of a gateway's file: single values, and what holds for all of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { decodeConfiguration } from "../../src/internal/gateway/configuration.ts"
import { valueAt, withValueAt } from "../../src/internal/gateway/jsonPath.ts"
import { decodeTransform, type TransformInput, transformPayload } from "../../src/internal/gateway/transforms.ts"

const input = (payload: string): TransformInput => ({ topic: "t/\"1\"", session: "plant", timestamp: 1000, payload })

const apply = (transform: object, payload: string): string => {
  const result = transformPayload(Result.getOrThrow(decodeTransform(transform)), input(payload))
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
        { type: "rename", path: "$", to: "" }
      ]).map((issue) => issue.replace("forwarders.up.transforms.", "")),
      [
        "0.path: Missing key",
        "1.path: expected keys with points between them, for example readings.0.value",
        "2.type: expected pick, template, scale or rename",
        "3: Expected object",
        "4.template: expected {{topic}}, {{payload}}, {{session}}, {{timestamp}} or {{$.path}}",
        "5.factor: expected a number",
        "5.decimals: expected a whole number from 0 to 15",
        "6.path: expected the path of a key",
        "6.to: expected a key"
      ]
    )
    assert.deepStrictEqual(issues({}), ["forwarders.up.transforms: expected an array of tables"])
  })
})

const value = Schema.Json
const number = Schema.Finite.check(Schema.isBetween({ minimum: -1e6, maximum: 1e6 }))
const key = Schema.NonEmptyString.check(Schema.makeFilter((name: string) => !name.includes(".") && name !== "$"))

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
      assert.deepStrictEqual(valueAt(withValueAt(original, [a, b], next), [a, b]), next)
      assert.strictEqual(JSON.stringify(original), before)
    }
  )
})
