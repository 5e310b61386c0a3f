/**
 * Every exported function of every module of the core, with wrong values of every kind in each of its places.
 *
 * Services that these functions make have a test of their own, `services.test.ts`.
 */
import { SessionManager, TopicTemplate, type Transport } from "@effect-mqttx/core"
import * as Message from "@effect-mqttx/core/Message"
import * as MqttErrors from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionManagerModule from "@effect-mqttx/core/SessionManager"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as TransportModule from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Layer, Logger, Result, Schema } from "effect"
import * as Path from "node:path"
import * as T from "../../../../test/support/valueTypes.ts"
import {
  any,
  nothing,
  type Subject,
  subject,
  type Subjects,
  testExports
} from "../../../../test/support/wrongExports.ts"
import { optional, options, type Parameter, parameter } from "../../../../test/support/wrongValues.ts"

const topic = parameter("topic", T.topic)
const filter = parameter("filter", T.filters)

const message = new Message.Message({
  topic: "a/b",
  payload: Uint8Array.of(1),
  qos: 0,
  retain: false,
  dup: false,
  properties: {},
  session: "plant",
  receivedAt: 0
})

const sessionOptions = options(
  "options",
  {
    name: T.type("name", () => "x", (value) => value === "text" || value === "a/#/b"),
    servers: T.type("servers", () => "a.invalid", (value) => value === "text"),
    secure: T.flag,
    protocolVersion: T.oneOf(4, 5),
    clientId: T.type("clientId", () => "x", (value) => value === "text" || value === "a/#/b"),
    username: T.encodable,
    password: T.text,
    keepAlive: T.type("whole seconds", () => 0, (value) => value === 0),
    persistence: T.oneOf("none", "process"),
    receiveMaximum: T.integer(1, 65_535),
    connectUserProperties: T.type("pairs", () => [], (value) => Array.isArray(value) && value.length === 0),
    will: nothing("will", () => undefined).type,
    tls: nothing("tls", () => undefined).type,
    webSocket: T.empty,
    queue: T.empty,
    reconnectSchedule: T.schedule,
    drainTimeout: T.duration
  },
  () => ({ name: "x", servers: "a.invalid" }),
  false
)

const durableOptions: Parameter = {
  ...sessionOptions,
  options: { ...sessionOptions.options!, types: { ...sessionOptions.options!.types, persistence: T.oneOf("durable") } }
}

const nowhere: Transport.Transport = { open: () => Effect.never }
const offline = Layer.succeed(TransportModule.Transport, nowhere)
const managers = Layer.provideMerge(SessionManagerModule.layer(), offline)

/** What layers and effects of the modules need, so that they can be tried at all. */
const context = Layer.mergeAll(
  managers,
  Layer.provide(MqttSession.layer({ name: "one", servers: "a.invalid" }), offline),
  Logger.layer([]),
  SessionStore.layerMemory
)

const forwarder = { name: "up", sources: "plant", filters: "a/b", target: "cloud" }
const forwarderOptions = options(
  "options",
  {
    name: T.type("name", () => "x", (value) => value === "text" || value === "a/#/b"),
    filters: T.filters,
    enabled: T.flag,
    subscribeQoS: T.qos,
    maxHops: T.integer(1, 8),
    metadata: T.anything
  },
  () => forwarder,
  false
)

const managerOptions = options("options", {
  sessions: T.type("sessions", () => [], (value) => Array.isArray(value) && value.length === 0),
  eventReplay: T.integer(0),
  eventBuffer: T.integer(1)
})

const mapOptions = options(
  "options",
  { lookup: T.callable(() => () => undefined), idleTimeToLive: T.duration },
  () => ({ lookup: () => undefined }),
  false
)

const poolOptions = (members: Parameter): Parameter =>
  options(
    "options",
    {
      ...members.options!.types,
      size: T.type("size", () => 1, (value) => value === 1),
      share: T.text
    },
    () => ({ name: "x", servers: "a.invalid", size: 1 }),
    false
  )

const config = parameter("config", T.type("config", () => Config.succeed(undefined), () => false))
const prefix = parameter("prefix", T.anything)
const logOptions = options("options", {
  log: T.oneOf("warnings", "all", "off"),
  levels: T.empty,
  interval: T.duration
})
const mqttJsOptions = options("options", {
  streamBuilder: T.callable(() => () => undefined),
  socksProxy: T.type("socksProxy", () => "socks5h://127.0.0.1:1080", () => false),
  socksTimeout: T.integer(1, 2_147_483_647),
  createWebsocket: T.callable(() => () => undefined),
  transformWsUrl: T.callable(() => () => ""),
  wsOptions: T.record,
  miniProgram: T.oneOf("wx"),
  forceNativeWebSocket: T.flag,
  browserBufferSize: T.integer(1, 1_073_741_824),
  browserBufferTimeout: T.integer(1, 2_147_483_647)
})
const template = parameter("path", T.type("path", () => "rooms", (value) => value === "text"))
const codec = parameter("payload", T.type("codec", () => Schema.String, () => false))
const schema = parameter("schema", T.type("schema", () => Schema.String, () => false))
/**
 * A combinator of options: it answers a function, which the options go through, and `make` then refuses what is wrong.
 */
const change: Subject = {
  answer: "value",
  parameters: [any("a"), any("b")],
  wrap: (call) => (...given) => (call(...given) as (options: object) => unknown)({ name: "x", servers: "a" })
}

const subjects: Subjects = {
  Authentication: {
    challenge: subject("value", any("method"), any("respond"), any("initial")),
    token: subject("value", any("method"), any("data"))
  },
  Codec: {
    encode: subject("value", nothing("packet", () => ({ _tag: "Pingreq" })), any("version")),
    sizeOf: subject("value", any("packet"), any("version")),
    makeDecoder: subject("value", any("options")),
    makeEncoder: subject("value", any("version"), any("options"))
  },
  Credentials: { failed: subject("value", any("detail"), any("options")) },
  Forwarder: {
    Service: {
      ...subject("value", any("name")),
      wrap: (call) => (name) => (call() as (name: never) => unknown)(name!)
    },
    make: subject("effect", forwarderOptions),
    layer: subject("layer", forwarderOptions),
    layerConfig: subject("layer", config),
    metricsOf: subject("effect", nothing("manager", () => ({ eventsOf: () => undefined })))
  },
  ForwarderManager: {
    make: subject(
      "effect",
      options("options", {
        forwarders: T.type("list", () => [], (value) => Array.isArray(value) && value.length === 0)
      })
    ),
    layer: subject(
      "layer",
      options("options", {
        forwarders: T.type("list", () => [], (value) => Array.isArray(value) && value.length === 0)
      })
    ),
    layerConfig: subject("layer", config)
  },
  ForwarderMetrics: { droppedTotal: subject("value", any("metrics")) },
  ForwarderOptions: {
    config: subject("config", prefix, any("base")),
    decode: subject("value", forwarderOptions),
    make: subject("effect", forwarderOptions)
  },
  MqttError: { isMqttError: subject("predicate", any("u")) },
  MqttJs: {
    make: subject("effect", mqttJsOptions),
    layer: subject("layer", mqttJsOptions)
  },
  Message: { isMessage: subject("predicate", any("u")) },
  MqttSession: {
    isSession: subject("predicate", any("u")),
    checkPublish: subject("value", parameter("topic", T.topic), parameter("payload", T.payload), T.publishOptions()),
    Service: {
      ...subject("value", any("name")),
      wrap: (call) => (name) => (call() as (name: never) => unknown)(name!)
    },
    make: subject("effect", sessionOptions),
    makeDurable: subject("effect", durableOptions),
    layer: subject("layer", sessionOptions),
    layerDurable: subject("layer", durableOptions),
    layerConfig: subject("layer", config),
    layerDurableConfig: subject("layer", config)
  },
  OptionsSchema: {
    strict: subject("value", any("fields")),
    duration: subject("value", any("bounds")),
    decode: subject("value", any("schema"), any("input"), any("method")),
    unwrap: subject("effect", any("config"), any("method"))
  },
  PayloadCodec: {
    fromSchema: subject("value", schema),
    isPayloadCodec: subject("predicate", any("u")),
    json: subject("value", schema),
    make: subject("value", schema, nothing("format", () => ({ encode: () => "", decode: () => "" }))),
    mismatch: subject("value", any("codec"), any("properties"), any("policy")),
    properties: subject("value", any("codec")),
    text: subject("value", parameter("schema", T.type("schema", () => Schema.String, (value) => value === undefined)))
  },
  FlightRecorder: {
    layer: subject("layer", parameter("write", optional(T.callable(() => () => Effect.void)))),
    of: subject("effect", any("session")),
    replay: subject("value", any("firstLine"))
  },
  PeerText: { clean: subject("value", parameter("text", T.text), any("maximum")) },
  Publication: { toBytes: subject("value", parameter("payload", T.payload)) },
  QoS: { isQoS: subject("predicate", any("value")) },
  ReasonCode: {
    describe: subject("value", any("code"), any("packet")),
    fromReturnCode: subject("value", any("code")),
    get: subject("value", any("code"), any("packet")),
    isAllowed: subject("predicate", any("packet"), any("code"), any("version")),
    isError: subject("predicate", any("code")),
    nameOf: subject("value", any("code"), any("packet")),
    isRetryable: subject("value", any("code"), any("packet"))
  },
  RequestResponse: {
    isRequestTemplate: subject("predicate", any("u")),
    requester: subject("effect", nothing("session", () => undefined)),
    template: subject(
      "value",
      template,
      nothing("payloads", () => ({ request: Schema.String, response: Schema.String }))
    )
  },
  RouteFilter: {
    and: subject("value", any("self"), any("that")),
    compile: subject("value", any("filter")),
    describe: subject("value", any("filter")),
    every: subject("value", any("filters")),
    isRouteFilter: subject("predicate", any("u")),
    matches: subject("value", any("filter"), any("message")),
    not: subject("value", any("filter")),
    or: subject("value", any("self"), any("that")),
    predicate: subject("value", any("test"), any("description")),
    session: subject("value", any("name")),
    some: subject("value", any("filters")),
    text: subject("value", any("text")),
    textExpression: subject("value", any("expression")),
    topic: subject("value", any("pattern")),
    topicExpression: subject("value", any("expression")),
    validate: subject("value", any("filter"))
  },
  RouteTransformer: {
    andThen: subject("value", any("self"), any("that")),
    compose: subject("value", any("transformer")),
    isRouteTransformer: subject("predicate", any("u")),
    json: subject("value", any("path"), any("value")),
    make: subject("value", any("transform"), any("description")),
    payload: subject("value", any("change"), any("description")),
    topic: subject("value", any("filter"), any("template")),
    topicExpression: subject("value", any("expression"), any("replacement"))
  },
  ServerAddress: {
    format: subject("value", any("address")),
    isSecure: subject("value", any("address")),
    parse: subject(
      "value",
      parameter("input", T.type("address", () => "a", (value) => value === "text")),
      any("options")
    ),
    webSocketUrl: subject("value", any("address"))
  },
  SessionLog: {
    layer: subject("layer", logOptions)
  },
  SessionManager: {
    make: subject("effect", managerOptions),
    makeDurable: subject("effect", managerOptions),
    layer: subject("layer", managerOptions),
    layerDurable: subject("layer", managerOptions),
    layerConfig: subject("layer", config),
    layerDurableConfig: subject("layer", config),
    totalMetrics: subject("value", any("all"))
  },
  SessionMap: { make: subject("effect", mapOptions), makeDurable: subject("effect", mapOptions) },
  SessionOptions: {
    config: subject("config", prefix, any("base")),
    decode: subject("value", sessionOptions),
    make: subject("effect", sessionOptions),
    quickConnect: subject("value", any("name"), any("server")),
    secureConnect: subject("value", any("name"), any("server"), any("ca")),
    withAuth: change,
    withClientId: change,
    withKeepAlive: change,
    withPersistence: change,
    withProtocolVersion: change,
    withQueue: change,
    withReconnect: change,
    withServers: change,
    withTimeouts: change,
    withTls: change,
    withWebSocket: change,
    withWill: change,
    withoutReconnect: subject("value", any("options"))
  },
  SessionPool: {
    make: subject("effect", poolOptions(sessionOptions)),
    makeDurable: subject("effect", poolOptions(durableOptions))
  },
  StoreRecord: {
    consumerKey: subject("value", any("name")),
    inboundKey: subject("value", any("identifier")),
    keyOf: subject("value", any("record")),
    originKey: subject("value", any("origin")),
    outboundKey: subject("value", any("sequence")),
    subscriptionKey: subject("value", any("filter"))
  },
  StoreRecordCodec: {
    checksum: subject("value", any("bytes"), any("end"), any("previous")),
    decode: subject("value", any("key"), nothing("bytes", () => new Uint8Array(0))),
    encode: subject("value", nothing("record", () => ({ _tag: "InboundQoS2", packetIdentifier: 1 })))
  },
  Topic: {
    captures: subject("value", any("filter"), any("topic")),
    innerFilter: subject("value", any("filter")),
    isShared: subject("predicate", any("filter")),
    isValidFilter: subject("predicate", any("filter")),
    isValidName: subject("predicate", any("topic")),
    matches: subject("value", any("filter"), any("topic")),
    overlaps: subject("value", any("a"), any("b")),
    parseShared: subject("value", any("filter")),
    template: subject("value", template, codec, any("options")),
    validateFilter: subject("value", filter),
    validateName: subject("value", topic)
  },
  TopicTemplate: {
    fromString: subject("value", template, codec, any("options")),
    isTopicTemplate: subject("predicate", any("u")),
    make: subject("value", template, codec, any("options"))
  },
  Subscription: { isSubscription: subject("predicate", any("u")) },
  TopicTree: { isTopicTree: subject("predicate", any("u")), make: subject("value", any("options")) },
  Transport: { failure: subject("value", any("error"), any("address")) },
  TraceContext: {
    fromUserProperties: subject("value", any("userProperties")),
    toUserProperties: subject("value", nothing("span", () => ({ _tag: "ExternalSpan" })))
  }
}

testExports(
  Path.join(import.meta.dirname, "../../src"),
  (name) => import(`../../src/${name}.ts`),
  subjects,
  context as Layer.Layer<never, unknown>
)

describe("what a function without a failure makes of wrong values", () => {
  const kinds: ReadonlyArray<never> = [undefined, null, 5, "a/#/b", {}, [], () => undefined, new Date(0)] as never

  it.live("is refused where it is used: filters and transformers of routes", () =>
    Effect.gen(function*() {
      const { RouteFilter } = yield* Effect.promise(() => import("@effect-mqttx/core"))
      const manager = yield* SessionManager.SessionManager
      const regular = (value: unknown): boolean => value instanceof RegExp
      const makers: ReadonlyArray<readonly [(value: never) => object, (value: unknown) => boolean]> = [
        [(value) => ({ filter: RouteFilter.topic(value) }), (value) => value === "text"],
        [(value) => ({ filter: RouteFilter.topicExpression(value) }), regular],
        [(value) => ({ filter: RouteFilter.textExpression(value) }), regular],
        [(value) => ({ filter: RouteFilter.text(value) }), (value) => typeof value === "string"],
        [(value) => ({ filter: RouteFilter.session(value) }), (value) => typeof value === "string"],
        [(value) => ({ filter: RouteFilter.predicate(value) }), (value) => typeof value === "function"],
        [(value) => ({ filter: RouteFilter.not(value) }), () => false],
        [(value) => ({ filter: RouteFilter.and(value, value) }), () => false],
        [(value) => ({ filter: RouteFilter.or(RouteFilter.and(value, value), value) }), () => false],
        [(value) => ({ filter: RouteFilter.every(value) }), Array.isArray],
        [(value) => ({ filter: RouteFilter.some(value) }), Array.isArray],
        [(value) => ({ transform: RouteTransformer.make(value) }), (value) => typeof value === "function"],
        [(value) => ({ transform: RouteTransformer.payload(value) }), (value) => typeof value === "function"],
        [(value) => ({ transform: RouteTransformer.topicExpression(value, "b") }), regular]
      ]
      for (const [make, isRight] of makers) {
        for (const value of kinds) {
          if (isRight(value)) continue
          const error = yield* Effect.flip(Effect.scoped(manager.handle("a", () => Effect.void, make(value))))
          assert.include(["InvalidOptions", "InvalidFilter"], error.reason._tag)
        }
      }
    }).pipe(Effect.provide(managers)))

  it("throws when a message is made of it that cannot be published", () => {
    for (const payload of kinds) {
      if (payload === undefined || typeof payload === "string") continue
      assert.throws(() => message.with({ payload }), MqttErrors.MqttError)
    }
  })

  it("a template throws what is wrong with it", () => {
    for (const path of [undefined, 5, {}, "", "a/+", ":a/:a"] as never as ReadonlyArray<never>) {
      assert.throws(() => TopicTemplate.make(path, Schema.String), MqttErrors.MqttError)
    }
    for (const payload of [undefined, 5, "json", {}, []] as never as ReadonlyArray<never>) {
      assert.throws(() => TopicTemplate.make("a", payload), MqttErrors.MqttError)
      assert.isTrue(Result.isResult(Result.void))
    }
  })
})
