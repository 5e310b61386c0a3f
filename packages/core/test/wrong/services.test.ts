/**
 * Every function of every service, with wrong values of every kind in each of its places: it fails with a type or it
 * does not mind, it never throws, never hangs, and the session behind it goes on.
 */
import {
  Forwarder,
  ForwarderManager,
  PayloadCodec,
  RequestResponse,
  SessionManager,
  SessionMap,
  SessionPool,
  SessionStore,
  TopicTemplate,
  Transport
} from "@effect-mqttx/core"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, References, type Scope, Stream } from "effect"
import { impatient } from "../../../../test/support/managers.ts"
import * as T from "../../../../test/support/valueTypes.ts"
import {
  type Answer,
  optional,
  options,
  type Parameter,
  parameter,
  shown,
  violationsOf
} from "../../../../test/support/wrongValues.ts"

interface Subject {
  readonly answer: Answer
  readonly parameters: ReadonlyArray<Parameter>
}

const subject = (answer: Answer, ...parameters: ReadonlyArray<Parameter>): Subject => ({ answer, parameters })

const topic = parameter("topic", T.topic)
const payload = parameter("payload", T.payload)
const filters = parameter("filters", T.filters)
const handler = parameter("handler", T.callable(() => () => Effect.void))
const known = parameter("name", T.type("known name", () => "plant", (value) => value === "plant"))

interface World {
  readonly session: Session
  readonly manager: SessionManager.SessionManager["Service"]
  readonly broker: ScriptedBroker.Service
}

const makeWorld: Effect.Effect<World, MqttError, Scope.Scope> = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.makeMemory()
  const manager = yield* Effect.provideService(SessionManager.make(), Transport.Transport, broker.transport)
  const session = yield* manager.add({ name: "plant", servers: broker.url, reconnect: impatient })
  yield* session.awaitReady
  return { broker, manager, session }
})

type Functions = { readonly [name: string]: (...given: ReadonlyArray<never>) => unknown }

const functionsOf = (object: object): Functions =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => typeof value === "function")) as Functions

const check = (
  name: string,
  make: (world: World) => Effect.Effect<object, MqttError, Scope.Scope>,
  subjects: { readonly [name: string]: Subject }
): void => {
  describe(name, () => {
    it.live("has no function that is not looked at here", () =>
      Effect.gen(function*() {
        const object = yield* Effect.flatMap(makeWorld, make)
        assert.sameMembers(Object.keys(functionsOf(object)), Object.keys(subjects))
      }))

    it.live.each(Object.entries(subjects))(
      "%s refuses wrong values with a type, and continues",
      ([method, { answer, parameters }]) =>
        Effect.gen(function*() {
          const world = yield* makeWorld
          const call = functionsOf(yield* make(world))[method]!
          assert.strictEqual(shown(yield* violationsOf(`${name}.${method}`, answer, parameters, call)), "")
          // Nothing of all that has harmed the session.
          yield* world.session.publish("after", "1", { qos: 1 })
          assert.strictEqual((yield* world.session.metrics).reconnects, 0)
          assert.deepStrictEqual(world.broker.violations, [])
        }).pipe(Effect.provideService(References.MinimumLogLevel, "None"), Effect.provide(SessionStore.layerMemory))
    )
  })
}

check("Session", ({ session }) => Effect.succeed(session), {
  publish: subject("effect", topic, payload, T.publishOptions()),
  enqueue: subject("effect", topic, payload, T.publishOptions()),
  publishAll: subject("effect", parameter("messages", T.stream)),
  subscription: subject("effect", filters, T.subscribeOptions()),
  subscribe: subject("stream", filters, T.subscribeOptions()),
  consume: subject("effect", filters, handler, T.consumeOptions()),
  forgetConsumer: subject("effect", parameter("name", T.anything)),
  unsubscribe: subject("effect", parameter("filter", T.filters))
})

const sessionOptions = options(
  "options",
  {
    name: T.type("name", () => "x", (value) => value === "text" || value === "a/#/b"),
    servers: T.type("servers", () => "a.invalid", (value) => value === "text"),
    keepAlive: T.duration,
    clientId: T.encodable
  },
  () => ({ name: "x", servers: "a.invalid" }),
  false
)

const awaiting = options("options", { timeout: T.duration })

const addParameters: ReadonlyArray<Parameter> = [
  {
    ...sessionOptions,
    options: { ...sessionOptions.options!, types: { name: sessionOptions.options!.types["name"]! } }
  },
  options("addOptions", {
    transport: T.type("transport", () => ({ open: () => Effect.never }), () => false)
  })
]

check("SessionManager", ({ manager }) => Effect.succeed(manager), {
  add: subject("effect", ...addParameters),
  addDurable: subject("effect", ...addParameters),
  remove: subject(
    "effect",
    parameter("name", T.type("name", () => "nobody", () => false)),
    options("options", { deleteState: T.flag })
  ),
  get: subject("effect", known),
  options: subject("effect", known),
  status: subject("effect", known),
  connect: subject("effect", known),
  disconnect: subject("effect", parameter("name", T.type("name", () => "nobody", () => false))),
  awaitReady: subject("effect", known, awaiting),
  awaitAllReady: subject("effect", awaiting),
  publishTo: subject("effect", known, topic, payload, T.publishOptions()),
  publishToAll: subject(
    "effect",
    parameter("topic", T.anything),
    parameter("payload", T.anything),
    parameter("options", T.anything)
  ),
  subscribeAll: subject("effect", parameter("filters", T.anything), parameter("options", T.anything)),
  unsubscribeAll: subject("effect", parameter("filter", T.anything)),
  handle: subject("effect", filters, handler, T.handleOptions()),
  handleTo: subject("effect", known, filters, handler, T.handleOptions()),
  listen: subject("stream", filters, T.listenOptions()),
  listenTo: subject("stream", known, filters, T.listenOptions()),
  listener: subject("effect", filters, T.listenOptions()),
  listenerTo: subject("effect", known, filters, T.listenOptions()),
  eventsOf: subject(
    "stream",
    options(
      "filter",
      {
        type: T.type(
          "type",
          () => "Ready",
          (value) => typeof value === "string" || (Array.isArray(value) && value.length === 0)
        ),
        session: T.text
      }
    )
  )
})

check(
  "SessionPool",
  ({ broker }) =>
    Effect.provideService(
      SessionPool.make({ name: "pool", size: 2, servers: broker.url }),
      Transport.Transport,
      broker.transport
    ),
  {
    listen: subject("stream", filters, parameter("options", T.anything)),
    handle: subject("effect", filters, handler, parameter("options", T.anything)),
    publish: subject("effect", topic, payload, T.publishOptions())
  }
)

check(
  "SessionMap",
  ({ broker }) =>
    Effect.provideService(
      SessionMap.make({ lookup: (name: string) => ({ name, servers: broker.url }) }),
      Transport.Transport,
      broker.transport
    ),
  {
    get: subject(
      "effect",
      parameter("key", T.type("key", () => "a", (value) => value === "a" || value === "text" || value === "a/#/b"))
    ),
    use: subject(
      "effect",
      parameter("key", T.type("key", () => "a")),
      parameter("f", T.callable(() => () => Effect.void))
    ),
    invalidate: subject("effect", parameter("key", T.anything))
  }
)

const params = parameter("params", T.type("params", () => ({ room: "kitchen" }), () => false))
const reading = parameter("value", T.type("value", () => "21.5", (value) => typeof value === "string"))
const message = parameter("message", T.type("message", () => ({ topic: "a" }), () => false))

check("TopicTemplate", ({ session: it }) => {
  const template = TopicTemplate.make("rooms/:room", PayloadCodec.text())
  return Effect.succeed({
    ...template,
    publish: (...[a, b, c]: [never, never, never]) => template.publish(it, a, b, c),
    enqueue: (...[a, b, c]: [never, never, never]) => template.enqueue(it, a, b, c),
    outgoing: (...[a, b, c]: [never, never, never]) => template.outgoing(it, a, b, c),
    subscription: (a: never) => template.subscription(it, a),
    subscribe: (a: never) => template.subscribe(it, a),
    consume: (...[a, b]: [never, never]) => template.consume(it, a, b)
  })
}, {
  format: subject("value", params),
  parse: subject("value", parameter("topic", T.anything)),
  filterFor: subject(
    "value",
    options("options", { params: T.record, share: T.type("share", () => "g", (value) => value === "text") })
  ),
  publish: subject("effect", params, reading, T.publishOptions()),
  enqueue: subject("effect", params, reading, T.publishOptions()),
  outgoing: subject("effect", params, reading, parameter("options", T.anything)),
  decode: subject("effect", message, parameter("contentType", optional(T.anything))),
  handler: subject("value", parameter("handle", T.anything)),
  subscription: subject("effect", T.typedSubscribeOptions()),
  subscribe: subject("stream", T.typedSubscribeOptions()),
  consume: subject("effect", handler, T.typedConsumeOptions())
})

check("TopicTemplate, as for its session", () => {
  const template = TopicTemplate.make("rooms/:room", PayloadCodec.text())
  return Effect.succeed({
    publish: (it: never) => template.publish(it, { room: "a" }, "x"),
    enqueue: (it: never) => template.enqueue(it, { room: "a" }, "x"),
    outgoing: (it: never) => template.outgoing(it, { room: "a" }, "x"),
    subscription: (it: never) => template.subscription(it),
    subscribe: (it: never) => template.subscribe(it),
    consume: (it: never) => template.consume(it, () => Effect.void)
  })
}, {
  publish: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  enqueue: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  outgoing: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  subscription: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  subscribe: subject("stream", parameter("session", T.type("session", () => undefined, () => false))),
  consume: subject("effect", parameter("session", T.type("session", () => undefined, () => false)))
})

const ask = RequestResponse.template("rooms/:room/ask", { request: PayloadCodec.text(), response: PayloadCodec.text() })
const template = parameter("template", T.type("template", () => ask, (value) => value === ask))

check("Requester", ({ session: it }) => RequestResponse.requester(it), {
  request: subject("effect", template, params, reading, T.requestOptions()),
  requestMany: subject("stream", template, params, reading, T.requestManyOptions())
})

check("RequestResponse", ({ session: it }) =>
  Effect.succeed({
    request: (...[a, b, c]: [never, never, never]) => ask.request(it, a, b, c),
    requestMany: (...[a, b, c]: [never, never, never]) => ask.requestMany(it, a, b, c),
    respond: (...[a, b]: [never, never]) => ask.respond(it, a, b),
    requester: (a: never) => RequestResponse.requester(it, a),
    requestOf: (a: never) => ask.request(a, { room: "a" }, "x"),
    requestManyOf: (a: never) => ask.requestMany(a, { room: "a" }, "x"),
    respondOf: (a: never) => ask.respond(a, () => Effect.succeed("x")),
    requesterOf: (a: never) => RequestResponse.requester(a)
  }), {
  request: subject("effect", params, reading, T.requestOptions()),
  requestMany: subject("stream", params, reading, T.requestManyOptions()),
  respond: subject("effect", handler, T.respondOptions()),
  requester: subject("effect", options("options", { via: T.oneOf("properties", "topic") })),
  requestOf: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  requestManyOf: subject("stream", parameter("session", T.type("session", () => undefined, () => false))),
  respondOf: subject("effect", parameter("session", T.type("session", () => undefined, () => false))),
  requesterOf: subject("effect", parameter("session", T.type("session", () => undefined, () => false)))
})

const forwarding = { name: "up", sources: "plant", filters: "a/#", target: "plant", exclude: "a/#" }

check("Forwarder", ({ manager }) =>
  Effect.succeed({
    make: (...[a, b]: [never, never]) =>
      Effect.provideService(Forwarder.make(a, b), SessionManager.SessionManager, manager)
  }), {
  make: subject(
    "effect",
    options(
      "options",
      {
        name: T.type("name", () => "x", (value) => value === "text" || value === "a/#/b"),
        sources: T.type("sources", () => "plant", (value) => value === "text" || value === "a/#/b"),
        filters: T.filters,
        qos: T.oneOf("keep"),
        maxHops: T.integer(1, 8),
        sample: T.type("sample", () => ({ every: 1 }), () => false)
      },
      () => forwarding,
      false
    ),
    options("hooks", {
      filter: T.type("filter", () => ({ _tag: "Text", text: "a" }), () => false),
      transform: T.type("transform", () => ({ transform: Effect.succeed }), () => false),
      retry: T.schedule,
      map: T.callable(() => () => undefined)
    })
  )
})

check(
  "ForwarderManager",
  ({ manager }) => Effect.provideService(ForwarderManager.make(), SessionManager.SessionManager, manager),
  {
    add: subject(
      "effect",
      options(
        "options",
        { target: T.type("target", () => "plant", (value) => value === "text" || value === "a/#/b") },
        () => forwarding,
        false
      )
    ),
    replace: subject(
      "effect",
      options(
        "options",
        { target: T.type("target", () => "plant", (value) => value === "text" || value === "a/#/b") },
        () => forwarding,
        false
      )
    ),
    ...Object.fromEntries(
      ["remove", "get", "start", "stop", "restart", "metrics"].map((name) =>
        [name, subject("effect", parameter("name", T.type("name", () => "nobody", () => false)))] as const
      )
    )
  }
)

describe("messages of a bulk", () => {
  it.live("of every kind fail the bulk with a type, and nothing else", () =>
    Effect.gen(function*() {
      const { session: it } = yield* makeWorld
      const one = (message: never) => it.publishAll(Stream.make(message))
      const isMessage = T.type("message", () => ({ topic: "a", payload: "1" }), () => false)
      assert.strictEqual(shown(yield* violationsOf("publishAll", "effect", [parameter("message", isMessage)], one)), "")
      const fields = options(
        "message",
        { topic: T.topic, payload: T.payload },
        () => ({ topic: "a", payload: "1" }),
        false
      )
      assert.strictEqual(shown(yield* violationsOf("publishAll", "effect", [fields], one)), "")
      const properties = options("properties", T.propertyTypes)
      const publish = (given: never) => it.publish("a", "1", { qos: 1, properties: given })
      assert.strictEqual(shown(yield* violationsOf("publish", "effect", [properties], publish)), "")
    }))
})
