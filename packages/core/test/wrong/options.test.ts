/**
 * Mistakes in options: names that no option has, on every road that options come by, and values of wrong types.
 */
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import { isMqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Exit, Option, Result, Schema } from "effect"

const minimal = { name: "a", servers: "mqtts://a.example" }
const forwarder = { name: "f", sources: "a", filters: "a/#", target: "b" }

/** Each thing that holds options, with keys that are not in it, and what they are called in an issue. */
const typos: ReadonlyArray<readonly [string, object, string]> = [
  ["server", { server: "mqtts://b" }, "server"],
  ["a group", { tsl: { ca: "x" } }, "tsl"],
  ["will", { will: { topic: "a", payload: "", retained: true } }, "will.retained"],
  [
    "will.properties",
    { will: { topic: "a", payload: "", properties: { contentTyp: "x" } } },
    "will.properties.contentTyp"
  ],
  ["will.payload", { will: { topic: "a", payload: { base64: "", bytes: 1 } } }, "will.payload.bytes"],
  ["tls", { tls: { rejectUnauthorized: false } }, "tls.rejectUnauthorized"],
  ["webSocket", { webSocket: { header: {} } }, "webSocket.header"],
  ["proxy", { proxy: { uri: "http://a" } }, "proxy.uri"],
  ["reconnect", { reconnect: { delay: 5 } }, "reconnect.delay"],
  ["queue", { queue: { size: 5 } }, "queue.size"],
  ["unclaimed", { unclaimed: { time: 5 } }, "unclaimed.time"],
  ["a duration", { keepAlive: { seconds: 5, secs: 5 } }, "keepAlive.secs"]
]

const forwarderTypos: ReadonlyArray<readonly [string, object, string]> = [
  ["the forwarder", { filter: "x" }, "filter"],
  ["mapping", { mapping: [{ from: "a", to: "b", qos: 1 }] }, "mapping.0.qos"],
  ["qos", { qos: { cap: 1, max: 2 } }, "qos.max"],
  ["sample", { sample: { every: 2, of: 3 } }, "sample.of"],
  ["rateLimit", { rateLimit: { messages: 1, seconds: 1 } }, "rateLimit.seconds"],
  ["deadLetter", { deadLetter: { topic: "a", target: "b" } }, "deadLetter.target"],
  ["loopGuard", { loopGuard: { secret: "0123456789abcdef", accept: [] } }, "loopGuard.accept"]
]

const issuesOf = (result: Result.Result<unknown, unknown>): ReadonlyArray<string> => {
  if (Result.isSuccess(result)) return []
  const { failure } = result
  return isMqttError(failure) && failure.reason._tag === "InvalidOptions"
    ? failure.reason.issues.map(({ path }) => path)
    : ["?"]
}

const parse = <A>(
  config: Config.Config<A>,
  provider: ConfigProvider.ConfigProvider
): Exit.Exit<A, Config.ConfigError> => Effect.runSyncExit(config.parse(provider))

const textOf = (exit: Exit.Exit<unknown, unknown>): string => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""

const environment = (env: Record<string, string>) => ConfigProvider.fromEnv({ env })

describe("a name that no option has", () => {
  it.each(typos)("in %s is a mistake in code, and the only one", (_, given, path) => {
    assert.deepStrictEqual(issuesOf(SessionOptions.decode({ ...minimal, ...given })), [path])
  })

  it.each(typos)("in %s is a mistake for the schema by itself, with any parse options", (_, given, path) => {
    for (const options of [undefined, { onExcessProperty: "ignore" }, { errors: "all" }] as const) {
      const result = Schema.decodeUnknownResult(SessionOptions.SessionOptions, options)({ ...minimal, ...given })
      assert.isTrue(Result.isFailure(result))
      const last = path.split(".").at(-1)!
      assert.include(Result.isFailure(result) ? result.failure.message : "", `no such option\n`)
      assert.include(Result.isFailure(result) ? result.failure.message : "", `["${last}"]`)
    }
  })

  it.each(typos)("in %s is a mistake in Config, from records and from the environment", (_, given, path) => {
    const records = ConfigProvider.fromUnknown({ mqtt: { ...minimal, ...given } })
    assert.match(textOf(parse(SessionOptions.config("mqtt"), records)), new RegExp(`${path}(_\\w+)?: no such option`))
    assert.isTrue(Exit.isFailure(parse(Config.schema(SessionOptions.SessionOptions, "mqtt"), records)))
    const flat: Record<string, string> = { mqtt_name: "a", mqtt_servers: "a" }
    const put = (prefix: string, value: unknown): void => {
      if (typeof value !== "object" || value === null) flat[prefix] = String(value)
      else for (const [key, inner] of Object.entries(value)) put(`${prefix}_${key}`, inner)
    }
    put("mqtt", given)
    if (Object.keys(flat).length > 2) {
      const read = parse(Config.schema(SessionOptions.SessionOptions, "mqtt"), environment(flat))
      assert.isTrue(Exit.isFailure(read))
    }
  })

  it.each(forwarderTypos)("in %s of a forwarder is a mistake in code, JSON and Config", (_, given, path) => {
    assert.include(issuesOf(ForwarderOptions.decode({ ...forwarder, ...given })).join(), path)
    const schema = ForwarderOptions.ForwarderOptions
    assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(schema)({ ...forwarder, ...given })))
    const records = ConfigProvider.fromUnknown({ up: { ...forwarder, ...given } })
    assert.isTrue(Exit.isFailure(parse(Config.schema(schema, "up"), records)))
    assert.include(textOf(parse(ForwarderOptions.config("up"), records)), "no such option")
  })

  it("in the environment is a mistake, at any depth, and all of them are reported at once", () => {
    const text = textOf(parse(
      SessionOptions.config(),
      environment({
        MQTT_NAME: "a",
        MQTT_SERVER: "mqtts://typo.example",
        MQTT_CLIENT_IDD: "x",
        MQTT_RECONNECT_INITIAL_DELAYS: "5",
        MQTT_TLS_REJECTUNAUTHORIZED: "false",
        MQTT_RECEIVE_MAXIMUM: "many",
        MQTT_PASSWORT: "hunter2"
      })
    ))
    for (
      const name of [
        "MQTT_SERVER: no such option",
        "MQTT_CLIENT_IDD: no such option",
        "MQTT_RECONNECT_INITIAL_DELAYS: no such option",
        "MQTT_TLS_REJECTUNAUTHORIZED: no such option",
        "MQTT_PASSWORT: no such option",
        "servers: expected at least one server",
        "receiveMaximum: "
      ]
    ) assert.include(text, name)
    assert.notInclude(text, "hunter2")
    assert.notInclude(text, "typo.example")
  })

  it("of another provider is a mistake too", () => {
    const variables = { NAME: "a", SERVERS: "mqtts://a", QUEUE: { POLICY: "fail" }, TLS: { CAA: "x" } }
    const providers = [
      ConfigProvider.fromUnknown({ MQTT: variables }),
      ConfigProvider.constantCase(environment({ MQTT_NAME: "a", MQTT_SERVERS: "a", MQTT_TLS_CAA: "x" })),
      ConfigProvider.nested(environment({ APP_MQTT_NAME: "a", APP_MQTT_SERVERS: "a", APP_MQTT_TLS_CAA: "x" }), "APP"),
      ConfigProvider.fromDotEnvContents("MQTT_NAME=a\nMQTT_SERVERS=a\nMQTT_TLS_CAA=x")
    ]
    for (const provider of providers) {
      assert.include(textOf(parse(SessionOptions.config("MQTT"), provider)), "MQTT_TLS_CAA: no such option")
    }
    const nested = parse(Config.nested(SessionOptions.config(), "APP"), environment({ APP_MQTT_SERVER: "a" }))
    assert.include(textOf(nested), "MQTT_SERVER: no such option")
  })

  it("of a forwarder in the environment is a mistake", () => {
    const text = textOf(parse(
      ForwarderOptions.config("UP"),
      environment({ UP_NAME: "up", UP_SOURCES: "a", UP_FILTERS: "#", UP_TARGETS: "b", UP_MAX_HOPS: "9" })
    ))
    for (const issue of ["UP_TARGETS: no such option", "target: ", "maxHops: "]) assert.include(text, issue)
  })

  it("of what Kubernetes makes for a service called like the prefix is passed over, and nothing else of that kind", () => {
    const links = {
      MQTT_SERVICE_HOST: "10.0.0.1",
      MQTT_SERVICE_PORT: "1883",
      MQTT_SERVICE_PORT_MQTT_TLS: "8883",
      MQTT_PORT: "tcp://10.0.0.1:1883",
      MQTT_PORT_1883_TCP: "tcp://10.0.0.1:1883",
      MQTT_PORT_1883_TCP_ADDR: "10.0.0.1",
      MQTT_PORT_1883_TCP_PORT: "1883",
      MQTT_PORT_1883_TCP_PROTO: "tcp"
    }
    const options = { MQTT_NAME: "a", MQTT_SERVERS: "mqtts://a" }
    assert.isTrue(Exit.isSuccess(parse(SessionOptions.config(), environment({ ...links, ...options }))))
    for (const wrong of [{ MQTT_PORT: "1883" }, { MQTT_HOST: "a" }, { MQTT_SERVICE: "a" }]) {
      assert.include(
        textOf(parse(SessionOptions.config(), environment({ ...options, ...wrong }))),
        `${Object.keys(wrong)[0]}: no such option`
      )
    }
  })
})

describe("a server", () => {
  it("has no default, and what is said about it says what to write", () => {
    for (const given of [{ name: "a" }, { name: "a", server: "mqtts://b" }, { name: "a", servers: undefined }]) {
      const result = SessionOptions.decode(given)
      assert.include(issuesOf(result), "servers")
      assert.include(
        Result.isFailure(result) ? result.failure.message : "",
        "servers: expected at least one server, for example mqtts://broker.example"
      )
    }
    assert.deepStrictEqual(issuesOf(SessionOptions.decode({ name: "a", servers: [] })), ["servers"])
    assert.deepStrictEqual(issuesOf(SessionOptions.decode({ name: "a", servers: " , " })), ["servers"])
    for (const env of [{}, { MQTT_SERVER: "" }, { MQTT_SERVERS: "" }, { MQTT_SERVER: "mqtts://b" }]) {
      const exit = parse(SessionOptions.config("MQTT", { name: "a" }), environment(env))
      assert.include(textOf(exit), "servers: expected at least one server")
    }
  })

  it("that is missing does not hide the other mistakes", () => {
    const found = issuesOf(SessionOptions.decode({
      nam: "a",
      protocolVersion: 4,
      password: "p",
      reconnect: { initialDelay: "10 minutes" },
      queue: { messages: 0 }
    }))
    assert.sameMembers([...found], ["name", "servers", "nam", "queue.messages", "reconnect.maxDelay"])
  })
})

describe("the key __proto__, which JSON may have", () => {
  it.each([
    "{\"__proto__\":{\"tls\":{\"rejectUnauthorized\":false}}}",
    "{\"tls\":{\"ca\":\"x\",\"__proto__\":{\"rejectUnauthorized\":false}}}",
    "{\"reconnect\":{\"__proto__\":{\"enabled\":false}}}",
    "{\"queue\":{\"__proto__\":{\"policy\":\"dropOldest\"}}}",
    "{\"will\":{\"topic\":\"a\",\"payload\":\"\",\"__proto__\":{\"retain\":true}}}"
  ])("is a mistake like any other name: %s", (json) => {
    const given: object = { ...minimal, ...JSON.parse(json) as object }
    const own = json.startsWith("{\"__proto__")
      ? JSON.parse(`{"name":"a","servers":"mqtts://a",${json.slice(1)}`)
      : given
    const result = SessionOptions.decode(own)
    assert.match(issuesOf(result).join(), /(^|\.)__proto__$/)
    assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(SessionOptions.SessionOptions)(own)))
    assert.isUndefined(({} as { tls?: unknown }).tls)
  })

  it("changes nothing in what is read of a provider", () => {
    const provider = ConfigProvider.fromUnknown({
      mqtt: JSON.parse(
        "{\"name\":\"a\",\"servers\":\"mqtts://a\",\"tls\":{\"__proto__\":{\"rejectUnauthorized\":\"false\"}}}"
      )
    })
    assert.isTrue(Exit.isFailure(parse(SessionOptions.config("mqtt"), provider)))
  })

  it("is a mistake in the options of a forwarder", () => {
    const given = JSON.parse(`{${JSON.stringify(forwarder).slice(1, -1)},"__proto__":{"allowLoops":true}}`) as unknown
    assert.deepStrictEqual(issuesOf(ForwarderOptions.decode(given)), ["__proto__"])
    const inner = JSON.parse(
      `{${JSON.stringify(forwarder).slice(1, -1)},"deadLetter":{"topic":"a","__proto__":{"session":"x"}}}`
    )
    assert.deepStrictEqual(issuesOf(ForwarderOptions.decode(inner)), ["deadLetter.__proto__"])
  })
})

describe("options from a provider", () => {
  const expected = {
    name: "plant",
    servers: ["mqtts://a.example", "wss://b.example/mqtt"],
    secure: true,
    keepAlive: "30 seconds",
    receiveMaximum: 10,
    connectUserProperties: [["a", "1"], ["b", "2"]] as const,
    webSocket: { headers: { authorization: "Bearer x" } },
    queue: { policy: "fail", messages: 5 },
    reconnect: { enabled: false, factor: 2 }
  } as const

  const same = (exit: Exit.Exit<SessionOptions.SessionOptions, unknown>): void => {
    const made = Result.getOrThrow(SessionOptions.decode(expected))
    if (Exit.isFailure(exit)) return assert.fail(textOf(exit))
    assert.strictEqual(JSON.stringify(exit.value), JSON.stringify(made))
  }

  it("may be records with the names of the options", () => {
    const provider = ConfigProvider.fromUnknown({ mqtt: expected, MQTT: expected })
    same(parse(SessionOptions.config("mqtt"), provider))
    same(parse(SessionOptions.config("MQTT"), provider))
    same(
      parse(
        Config.nested(SessionOptions.config("mqtt"), "app"),
        ConfigProvider.fromUnknown({ app: { mqtt: expected } })
      )
    )
  })

  it("may be variables of any form, nested or not", () => {
    const variables = {
      NAME: "plant",
      SERVERS: "mqtts://a.example,wss://b.example/mqtt",
      SECURE: "true",
      KEEP_ALIVE: "30 seconds",
      RECEIVE_MAXIMUM: "10",
      CONNECT_USER_PROPERTIES: "a=1,b=2",
      WEB_SOCKET_HEADERS: "authorization=Bearer x",
      QUEUE: { POLICY: "fail", MESSAGES: "5" },
      RECONNECT: { ENABLED: "false" },
      RECONNECT_FACTOR: "2"
    }
    same(parse(SessionOptions.config(), ConfigProvider.fromUnknown({ MQTT: variables })))
  })

  it("are absent where there are none, and only there", () => {
    const optional = Config.option(SessionOptions.config())
    const nothing = parse(optional, environment({ OTHER: "x" }))
    assert.isTrue(Exit.isSuccess(nothing) && Option.isNone(nothing.value))
    assert.isTrue(Exit.isFailure(parse(optional, environment({ MQTT_SERVER: "a" }))))
    assert.isTrue(Exit.isFailure(parse(optional, environment({ MQTT_NAME: "a" }))))
    const based = parse(SessionOptions.config("MQTT", minimal), environment({}))
    assert.isTrue(Exit.isSuccess(based))
  })

  it.effect("that are no Config are a mistake with a type", () =>
    Effect.gen(function*() {
      for (const wrong of [undefined, 5, {}, "MQTT"]) {
        const layer = MqttSession.layerConfig(wrong as never)
        const error = yield* Effect.flip(Effect.scoped(Effect.provide(MqttSession.MqttSession, layer)))
        assert.isTrue(isMqttError(error) && error.reason._tag === "InvalidOptions")
      }
    }))
})

describe("a duration", () => {
  it.each([
    {},
    { secs: 5 },
    { seconds: "5" },
    { seconds: Number.NaN },
    [],
    [1],
    [1, 2, 3],
    ["1", "2"],
    new Date(0),
    true,
    null,
    "",
    "soon",
    "-1 seconds",
    -1,
    -1n,
    Number.NaN,
    Symbol("x"),
    () => 5
  ])("is none: %o", (drainTimeout) => {
    const [path] = issuesOf(SessionOptions.decode({ ...minimal, drainTimeout }))
    assert.match(path!, /^drainTimeout/)
    const [delay] = issuesOf(SessionOptions.decode({ ...minimal, reconnect: { stableAfter: drainTimeout } }))
    assert.match(delay!, /^reconnect\.stableAfter/)
  })
})
