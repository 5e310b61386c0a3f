/**
 * Guards of the values that programs hold, and functions that take the value first, or last in a pipe.
 */
import {
  Message,
  MqttSession,
  PayloadCodec,
  RequestResponse,
  RouteFilter,
  RouteTransformer,
  Subscription,
  Topic,
  TopicTemplate,
  TopicTree
} from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, pipe } from "effect"
import { makeSession } from "./session/support.ts"

const message = new Message.Message({
  topic: "sensors/room1/temperature",
  payload: new TextEncoder().encode("81"),
  qos: 1,
  retain: false,
  dup: false,
  properties: {},
  session: "plant",
  receivedAt: 0
})

const template = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.text())

const guards: Readonly<Record<string, (u: unknown) => boolean>> = {
  isMessage: Message.isMessage,
  isPayloadCodec: PayloadCodec.isPayloadCodec,
  isRequestTemplate: RequestResponse.isRequestTemplate,
  isRouteFilter: RouteFilter.isRouteFilter,
  isRouteTransformer: RouteTransformer.isRouteTransformer,
  isSession: MqttSession.isSession,
  isSubscription: Subscription.isSubscription,
  isTopicTemplate: TopicTemplate.isTopicTemplate,
  isTopicTree: TopicTree.isTopicTree
}

describe("guards", () => {
  it.effect("know the values of their own module, and no others", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const session = yield* makeSession(broker)
      const values: Readonly<Record<keyof typeof guards, unknown>> = {
        isMessage: message,
        isPayloadCodec: template.codec,
        isRequestTemplate: RequestResponse.template("ask", {
          request: PayloadCodec.text(),
          response: PayloadCodec.text()
        }),
        isRouteFilter: RouteFilter.topic("a/#"),
        isRouteTransformer: RouteTransformer.json("a", 1),
        isSession: session,
        isSubscription: yield* session.subscription("a/#"),
        isTopicTemplate: template,
        isTopicTree: TopicTree.make()
      }
      for (const [guard, is] of Object.entries(guards)) {
        const known = Object.keys(values).filter((each) => is(values[each]))
        assert.deepStrictEqual(known, [guard])
        for (const other of [undefined, null, 1, "a", [], {}, () => undefined]) assert.isFalse(is(other), guard)
      }
      assert.isTrue(Message.isMessage(message.copy()))
      assert.isFalse(RouteFilter.isRouteFilter(RouteFilter.topic("a/#/b")))
    }).pipe(Effect.scoped))
})

describe("functions of two values", () => {
  it("take the first one first, or last in a pipe", () => {
    const { topic } = message
    assert.isTrue(Topic.matches("sensors/+/temperature", topic))
    assert.deepStrictEqual(["sensors/#", "+/x", "#"].filter(Topic.matches(topic)), ["sensors/#", "#"])
    assert.deepStrictEqual(Topic.captures("sensors/+/#", topic), ["room1", "temperature"])
    assert.deepStrictEqual(pipe("sensors/+/#", Topic.captures(topic)), ["room1", "temperature"])
    assert.isTrue(Topic.overlaps("a/+", "+/b"))
    assert.isTrue(pipe("a/+", Topic.overlaps("+/b")))
  })

  it("combine filters of routes", () => {
    const hot = RouteFilter.textExpression(/^8/)
    const alarm = pipe(
      RouteFilter.topic("sensors/+/temperature"),
      RouteFilter.and(hot),
      RouteFilter.or(RouteFilter.session("alarms"))
    )
    assert.strictEqual(
      RouteFilter.describe(alarm),
      "((topic sensors/+/temperature and payload /^8/) or session alarms)"
    )
    assert.deepStrictEqual(RouteFilter.and(hot, alarm), pipe(hot, RouteFilter.and(alarm)))
    assert.deepStrictEqual(RouteFilter.or(hot, alarm), pipe(hot, RouteFilter.or(alarm)))
    assert.isTrue(RouteFilter.matches(alarm, message))
    assert.isTrue(pipe(alarm, RouteFilter.matches(message)))
  })

  it.effect("put transformers of routes one after the other", () =>
    Effect.gen(function*() {
      const upper = RouteTransformer.topic("#", "upper/{1}")
      const fixed = RouteTransformer.payload(() => "1")
      for (const both of [pipe(upper, RouteTransformer.andThen(fixed)), RouteTransformer.andThen(upper, fixed)]) {
        const changed = yield* both.transform(message)
        assert.deepStrictEqual([changed?.topic, changed?.text], [`upper/${message.topic}`, "1"])
      }
    }))
})
