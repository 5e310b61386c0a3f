/**
 * Spans of messages, and the trace context that they carry from publishers to consumers.
 */
import { MqttSession, RequestResponse, TraceContext } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Option, Schema, Stream, Tracer } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { impatient, makeBroker, type Options } from "./support.ts"

/** A tracer that keeps its spans. */
const recording = () => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    spans,
    named: (name: string) => spans.filter((span) => span.name === name),
    layer: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Tracer.Tracer, tracer)
  }
}

const open = (broker: ScriptedBroker.Service, options?: Options<never>) =>
  MqttSession.make({ name: "plant", servers: [broker.url], reconnect: impatient, tracing: "parent", ...options }).pipe(
    Effect.provideService(Transport.Transport, broker.transport),
    Effect.tap((session) => session.awaitReady)
  )

const parentOf = (span: Tracer.Span | undefined): string | undefined =>
  span === undefined ? undefined : Option.getOrUndefined(span.parent)?.spanId

describe("the trace context", () => {
  const span = Tracer.externalSpan({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    sampled: true
  })

  it("is written as the W3C has it, and read back", () => {
    const pairs = TraceContext.toUserProperties(span)
    assert.deepStrictEqual(pairs, [["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]])
    assert.deepInclude(TraceContext.fromUserProperties(pairs), {
      traceId: span.traceId,
      spanId: span.spanId,
      sampled: true
    })
  })

  it("passes on tracestate, from the span of another process through those of this one", () => {
    const read = TraceContext.fromUserProperties([
      ["tracestate", "a=1"],
      ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"],
      ["tracestate", "b=2"]
    ])!
    assert.isFalse(read.sampled)
    const inner = new Tracer.NativeSpan({
      name: "inner",
      parent: Option.some(read),
      annotations: Context.empty(),
      links: [],
      startTime: 0n,
      kind: "internal",
      sampled: false
    })
    const pairs = TraceContext.toUserProperties(inner)
    assert.deepStrictEqual(pairs, [
      ["traceparent", `00-${inner.traceId}-${inner.spanId}-00`],
      ["tracestate", "a=1,b=2"]
    ])
  })

  it("is absent when it is not valid", () => {
    const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    const wrong: ReadonlyArray<ReadonlyArray<readonly [string, string]>> = [
      [],
      [["Traceparent", good]],
      [["traceparent", good], ["traceparent", good]],
      [["traceparent", good.toUpperCase()]],
      [["traceparent", good.slice(1)]],
      [["traceparent", `ff${good.slice(2)}`]],
      [["traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"]],
      [["traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"]]
    ]
    for (const pairs of wrong) assert.isUndefined(TraceContext.fromUserProperties(pairs))
    assert.isUndefined(TraceContext.fromUserProperties(undefined))
    assert.isDefined(TraceContext.fromUserProperties([["traceparent", `01${good.slice(2)}-later`]]))
  })
})

describe("a session with the option tracing", () => {
  it.effect("publishes in a span under the program's, and handles under the publisher's", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      const done = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const session = yield* open(broker)
        const subscribed = yield* Deferred.make<void>()
        yield* Effect.forkScoped(session.consume(
          "a/#",
          () => Effect.withSpan(Deferred.succeed(done, undefined), "inner"),
          { qos: 1, onSubscribed: () => Deferred.succeed(subscribed, undefined) }
        ))
        yield* Deferred.await(subscribed)
        yield* session.publish("a/b", "12345", { qos: 1, properties: { userProperties: [["mine", "1"]] } }).pipe(
          Effect.withSpan("program")
        )
        yield* Deferred.await(done)
        yield* session.drain
      }).pipe(traces.layer)
      const [program] = traces.named("program")
      const [publish] = traces.named("publish")
      const [process] = traces.named("process")
      const [inner] = traces.named("inner")
      assert.strictEqual(parentOf(publish), program?.spanId)
      assert.strictEqual(parentOf(process), publish?.spanId)
      assert.strictEqual(parentOf(inner), process?.spanId)
      assert.strictEqual(process?.traceId, program?.traceId)
      assert.deepStrictEqual([publish?.kind, process?.kind], ["producer", "consumer"])
      assert.deepInclude(Object.fromEntries(publish!.attributes), {
        "messaging.system": "mqtt",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "a/b",
        "messaging.message.body.size": 5
      })
      assert.deepInclude(broker.received("Publish")[0]!.packet.properties, {
        userProperties: [["mine", "1"], ["traceparent", `00-${publish!.traceId}-${publish!.spanId}-01`]]
      })
    }))

  it.effect("links the handler to the publisher instead, in a trace of its own, when it says link", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      const done = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const session = yield* open(broker, { tracing: "link" })
        yield* Effect.forkScoped(session.consume("a/#", () => Deferred.succeed(done, undefined)))
        yield* Effect.yieldNow
        yield* session.publish("a/b", "", { retain: true })
        yield* Deferred.await(done)
      }).pipe(traces.layer)
      const [publish] = traces.named("publish")
      const [process] = traces.named("process")
      assert.notStrictEqual(parentOf(process), publish?.spanId)
      assert.deepStrictEqual(process?.links.map(({ span }) => span.spanId), [publish?.spanId])
    }))

  it.effect("gives streams the sender's span, and acknowledges in a span that links to it", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      yield* Effect.gen(function*() {
        const session = yield* open(broker)
        const { messages } = yield* session.subscription("a/#", { qos: 1, ack: "manual" })
        yield* session.publish("a/b", "", { qos: 1 })
        const [message] = yield* messages.pipe(Stream.take(1), Stream.tap(({ ack }) => ack), Stream.runCollect)
        assert.strictEqual(message?.spanContext?.spanId, traces.named("publish")[0]?.spanId)
      }).pipe(traces.layer)
      assert.deepStrictEqual(
        traces.named("settle")[0]?.links.map(({ span }) => span.spanId),
        traces.named("publish").map(({ spanId }) => spanId)
      )
    }))

  it.effect("writes the span of a bulk into each of its messages, and no other over one that is there", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      const own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* Effect.gen(function*() {
        const session = yield* open(broker)
        yield* session.publishAll(Stream.make(
          { topic: "a", payload: "" },
          { topic: "b", payload: "", options: { properties: { userProperties: [["traceparent", own]] } } }
        )).pipe(Effect.withSpan("bulk"))
        yield* session.drain
      }).pipe(traces.layer)
      const [bulk] = traces.named("bulk")
      assert.deepStrictEqual(broker.received("Publish").map(({ packet }) => packet.properties.userProperties), [
        [["traceparent", `00-${bulk!.traceId}-${bulk!.spanId}-01`]],
        [["traceparent", own]]
      ])
    }))

  it.effect("on MQTT 3.1.1 has spans, and writes nothing", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      yield* Effect.gen(function*() {
        const session = yield* open(broker, { protocolVersion: 4 })
        yield* session.publish("a", "", { qos: 1 })
      }).pipe(traces.layer)
      assert.lengthOf(traces.named("publish"), 1)
      assert.deepStrictEqual(broker.received("Publish")[0]?.packet.properties, {})
    }))

  it.effect("refuses wrong options as without it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* open(broker)
      for (
        const options of [5, { properties: 5 }, { properties: { userProperties: 5 } }, { qos: 3 }, null] as Array<never>
      ) {
        const exit = yield* Effect.exit(session.publish("a", "", options))
        assert.strictEqual(exit._tag, "Failure")
      }
    }))

  it.effect("requests carry the span both ways, and the first is no parent of later ones", () =>
    Effect.gen(function*() {
      const traces = recording()
      const broker = yield* makeBroker("memory")
      const double = RequestResponse.template("double", {
        request: Schema.NumberFromString,
        response: Schema.NumberFromString
      })
      yield* Effect.gen(function*() {
        const session = yield* open(broker)
        const subscribed = yield* Deferred.make<void>()
        yield* Effect.forkScoped(double.respond(session, ({ value }) => Effect.succeed(value * 2), {
          onSubscribed: Deferred.succeed(subscribed, undefined)
        }))
        yield* Deferred.await(subscribed)
        yield* Effect.scoped(Effect.gen(function*() {
          // Holds the subscription for the answers between both requests.
          yield* RequestResponse.requester(session)
          yield* Effect.withSpan(double.request(session, {}, 1), "first")
          yield* Effect.withSpan(double.request(session, {}, 2), "second")
        }))
      }).pipe(traces.layer)
      const [first] = traces.named("first")
      const [second] = traces.named("second")
      assert.notStrictEqual(first?.traceId, second?.traceId)
      for (const outer of [first, second]) {
        const inTrace = traces.spans.filter(({ traceId }) => traceId === outer!.traceId).map(({ name }) => name)
        // The request, its handling, and the answer.
        assert.includeMembers(inTrace, ["publish", "process"])
        assert.strictEqual(inTrace.filter((name) => name === "publish").length, 2)
      }
    }))
})

it.live("a collector gets the spans of publisher and consumer as one trace", () =>
  Effect.gen(function*() {
    const { FetchHttpClient } = yield* Effect.promise(() => import("effect/http"))
    const { Otlp } = yield* Effect.promise(() => import("effect/observability"))
    const bodies: Array<string> = []
    const arrived = yield* Deferred.make<void>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const listening = Http.createServer((request, response) => {
          let body = ""
          request.on("data", (chunk) => body += String(chunk))
          request.on("end", () => {
            response.end("{}")
            if (request.url !== "/v1/traces") return
            bodies.push(body)
            if (bodies.join("").includes("\"process\"")) Deferred.doneUnsafe(arrived, Effect.void)
          })
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
      }),
      (listening) => Effect.sync(() => listening.close())
    )
    const { port } = server.address() as AddressInfo
    const broker = yield* makeBroker("memory")
    yield* Effect.gen(function*() {
      const session = yield* open(broker)
      const done = yield* Deferred.make<void>()
      const consumer = yield* Effect.forkChild(session.consume("a/#", () => Deferred.succeed(done, undefined)))
      yield* Effect.yieldNow
      yield* session.publish("a/b", "1", { qos: 1, retain: true })
      yield* Deferred.await(done)
      yield* Fiber.interrupt(consumer)
    }).pipe(
      Effect.scoped,
      Effect.provide(Otlp.layerJson({ baseUrl: `http://127.0.0.1:${port}`, resource: { serviceName: "plant" } })),
      Effect.provide(FetchHttpClient.layer)
    )
    yield* Deferred.await(arrived)
    const spans = Array.from(
      bodies.join("\n").matchAll(/"traceId":"([0-9a-f]{32})".*?"name":"(\w+)"/g),
      ([, traceId, name]) => [name, traceId] as const
    )
    const publish = spans.find(([name]) => name === "publish")
    const process = spans.find(([name]) => name === "process")
    assert.isDefined(publish)
    assert.strictEqual(process?.[1], publish?.[1])
  }))
