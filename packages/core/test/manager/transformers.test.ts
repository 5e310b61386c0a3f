import { Message } from "@effect-mqttx/core/Message"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect } from "effect"
import { reasonOf } from "../../../../test/support/managers.ts"

const message = (topic: string, text = "") =>
  new Message({
    topic,
    payload: new TextEncoder().encode(text),
    qos: 1,
    retain: true,
    dup: false,
    properties: { contentType: "text/plain" },
    session: "plant",
    receivedAt: 7
  })

const topicOf = <E, R>(transformer: RouteTransformer.RouteTransformer<E, R>, topic: string) =>
  Effect.map(transformer.transform(message(topic)), (changed) => changed?.topic)

const textOf = <E, R>(transformer: RouteTransformer.RouteTransformer<E, R>, text: string) =>
  Effect.map(transformer.transform(message("t", text)), (changed) => changed?.text)

describe("RouteTransformer", () => {
  it.effect("topic puts what the wildcards match into the template", () =>
    Effect.gen(function*() {
      const temperatures = RouteTransformer.topic("sensors/+/temperature", "storage/{1}/temp")
      assert.strictEqual(yield* topicOf(temperatures, "sensors/room1/temperature"), "storage/room1/temp")
      assert.strictEqual(yield* topicOf(RouteTransformer.topic("+/+/#", "{3}/{2}/{1}/{1}"), "a/b/c/d"), "c/d/b/a/a")
      assert.strictEqual(yield* topicOf(RouteTransformer.topic("#", "mirror/{0}"), "a/b"), "mirror/a/b")
      assert.strictEqual(yield* topicOf(RouteTransformer.topic("a", "b"), "a"), "b")
    }))

  it.effect("topic leaves out the level of a # that matches no level", () =>
    Effect.gen(function*() {
      const transformer = RouteTransformer.topic("a/#", "b/{1}/c")
      const topics = yield* Effect.forEach(["a", "a/", "a/x"], (name) => topicOf(transformer, name))
      assert.deepStrictEqual(topics, ["b/c", "b//c", "b/x/c"])
    }))

  it.effect("topic lets pass what does not match", () =>
    Effect.gen(function*() {
      const temperatures = RouteTransformer.topic("sensors/+/temperature", "storage/{1}/temp")
      assert.strictEqual(yield* topicOf(temperatures, "sensors/room1/humidity"), "sensors/room1/humidity")
    }))

  it.effect("an invalid topic is a failure of the message", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOf(topicOf(RouteTransformer.topic("a/+", "{1}"), "a/"))
      assert.strictEqual(reason._tag, "InvalidTopic")
      assert.strictEqual(
        (yield* reasonOf(topicOf(RouteTransformer.topicExpression(/a/, "#"), "a")))._tag,
        "InvalidTopic"
      )
    }))

  it.effect("an expression gets no topic of more than 4096 code units", () =>
    Effect.gen(function*() {
      const renaming = RouteTransformer.topicExpression(/^x/, "y")
      assert.strictEqual(yield* topicOf(renaming, "x".repeat(4096)), `y${"x".repeat(4095)}`)
      const reason = yield* reasonOf(topicOf(renaming, "x".repeat(4097)))
      assert.deepInclude(reason, { _tag: "InvalidTopic", detail: "too long for an expression" })
    }))

  it("a malformed filter and a placeholder without a wildcard are issues of the transformer", () => {
    assert.strictEqual(RouteTransformer.topic("a/#/b", "c").issue?._tag, "InvalidFilter")
    assert.strictEqual(RouteTransformer.topic("a/+", "c/{2}").issue?._tag, "InvalidOptions")
    assert.isUndefined(RouteTransformer.topic("a/+/#", "c/{0}/{1}/{2}").issue)
    assert.strictEqual(RouteTransformer.json("a..b", 1).issue?._tag, "InvalidOptions")
    assert.strictEqual(
      RouteTransformer.compose(RouteTransformer.json("a", 1), RouteTransformer.json([], 1)).issue?._tag,
      "InvalidOptions"
    )
  })

  it.effect("topicExpression replaces as String.replace does, with the same result every time", () =>
    Effect.gen(function*() {
      const swap = RouteTransformer.topicExpression(/^(\w+)\/(\w+)/, "$2/$1")
      assert.strictEqual(yield* topicOf(swap, "a/b/c"), "b/a/c")
      const all = RouteTransformer.topicExpression(/o/g, "0")
      assert.strictEqual(yield* topicOf(all, "foo/boo"), "f00/b00")
      const sticky = RouteTransformer.topicExpression(/a/y, "b")
      assert.deepStrictEqual([yield* topicOf(sticky, "aa"), yield* topicOf(sticky, "aa")], ["ba", "ba"])
    }))

  it.effect("payload replaces or drops, and leaves the rest of the message as it was", () =>
    Effect.gen(function*() {
      const shout = RouteTransformer.payload(({ text }) => text === "" ? undefined : text.toUpperCase())
      const changed = yield* shout.transform(message("t", "hé"))
      assert.strictEqual(changed?.text, "HÉ")
      const { contentType } = changed!.properties
      assert.deepStrictEqual([changed!.topic, changed!.qos, changed!.retain, changed!.session, changed!.receivedAt], [
        "t",
        1,
        true,
        "plant",
        7
      ])
      assert.strictEqual(contentType, "text/plain")
      assert.isUndefined(yield* shout.transform(message("t")))
      const bytes = yield* RouteTransformer.payload(() => new Uint8Array([1, 2])).transform(message("t"))
      assert.deepStrictEqual(Array.from(bytes!.payload), [1, 2])
    }))

  it.effect("json sets a value at a path and keeps the order of the keys", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* textOf(RouteTransformer.json("b", 2), `{"a":1,"b":0,"c":3}`), `{"a":1,"b":2,"c":3}`)
      assert.strictEqual(yield* textOf(RouteTransformer.json("a.b.c", true), `{}`), `{"a":{"b":{"c":true}}}`)
      assert.strictEqual(yield* textOf(RouteTransformer.json("a.b", null), `{"a":5}`), `{"a":{"b":null}}`)
      assert.strictEqual(yield* textOf(RouteTransformer.json(["a.b"], 1), `{}`), `{"a.b":1}`)
      assert.strictEqual(yield* textOf(RouteTransformer.json("a", ({ session }) => session), `1`), `{"a":"plant"}`)
    }))

  it.effect("json counts the places of an array, and one behind the last", () =>
    Effect.gen(function*() {
      const at = (path: string) => textOf(RouteTransformer.json(path, 9), `{"a":[1,{"b":2}]}`)
      assert.strictEqual(yield* at("a.0"), `{"a":[9,{"b":2}]}`)
      assert.strictEqual(yield* at("a.1.b"), `{"a":[1,{"b":9}]}`)
      assert.strictEqual(yield* at("a.2"), `{"a":[1,{"b":2},9]}`)
      for (const path of ["a.3", "a.-1", "a.x", "a.length", "a.01"]) {
        assert.strictEqual((yield* reasonOf(at(path)))._tag, "InvalidPayload")
      }
    }))

  it.effect("json never touches a prototype", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* textOf(RouteTransformer.json("__proto__.polluted", 1), `{}`),
        `{"__proto__":{"polluted":1}}`
      )
      assert.strictEqual(yield* textOf(RouteTransformer.json("constructor.x", 1), `{}`), `{"constructor":{"x":1}}`)
      assert.isUndefined(({} as { readonly polluted?: number }).polluted)
    }))

  it.effect("a payload that is no JSON is a failure of the message, with its cause", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(textOf(RouteTransformer.json("a", 1), "{"))
      assert.strictEqual(error.reason._tag, "InvalidPayload")
      assert.instanceOf(error.cause, SyntaxError)
      assert.strictEqual(error.session, "plant")
      assert.strictEqual(error.topic, "t")
    }))

  it.effect("pipe runs one after the other and ends with the first that drops", () =>
    Effect.gen(function*() {
      class Suffix extends Context.Service<Suffix, string>()("test/Suffix") {}
      let calls = 0
      const all = RouteTransformer.compose(
        RouteTransformer.topic("a/+", "b/{1}"),
        RouteTransformer.make((message) =>
          Effect.gen(function*() {
            calls++
            const suffix = yield* Suffix
            if (message.text === "fail") return yield* Effect.fail("typed" as const)
            return message.with({ topic: message.topic + suffix })
          }), "suffix"),
        RouteTransformer.payload(({ text }) => text === "drop" ? undefined : text),
        RouteTransformer.make((message) => Effect.sync(() => (calls++, message)))
      )
      const run = (text: string) => Effect.provideService(all.transform(message("a/1", text)), Suffix, "!")
      assert.strictEqual((yield* run("x"))?.topic, "b/1!")
      assert.strictEqual(calls, 2)
      assert.isUndefined(yield* run("drop"))
      assert.strictEqual(calls, 3)
      const error = yield* Effect.flip(run("fail"))
      assert.strictEqual(error satisfies "typed" | { readonly _tag: "MqttError" }, "typed")
      assert.strictEqual(all.description, "topic a/+ -> b/{1}, suffix, payload, effect")
    }))
})
