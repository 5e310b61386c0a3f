import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Duration, Effect, Exit, pipe, Redacted, Result, Schedule, Schema } from "effect"
import { inspect } from "node:util"
import { toPlain } from "../src/internal/options/decode.ts"
import * as SessionOptions from "../src/SessionOptions.ts"

type Input = SessionOptions.SessionOptionsInput

/** With a server, which most tests are not about. */
const complete = (input: unknown): unknown =>
  typeof input === "object" && input !== null && !Array.isArray(input) && !Object.hasOwn(input, "servers")
    ? { servers: "a.example", ...input }
    : input

const made = (input: Omit<Input, "servers"> & Partial<Input>): SessionOptions.SessionOptions =>
  Result.getOrThrow(SessionOptions.decode(complete(input)))

const issues = (input: unknown): ReadonlyArray<readonly [string, string]> => {
  const result = SessionOptions.decode(complete(input))
  if (Result.isSuccess(result) || result.failure.reason._tag !== "InvalidOptions") {
    return []
  }
  return result.failure.reason.issues.map((issue) => [issue.path, issue.message] as const)
}

const paths = (input: unknown): ReadonlyArray<string> => issues(input).map(([path]) => path)

// Durations compare by their milliseconds, secrets by what they hide.
const comparable = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return `${Duration.toMillis(value)} ms`
  if (Redacted.isRedacted(value)) return ["secret", comparable(Redacted.value(value))]
  if (value instanceof Uint8Array) return Array.from(value)
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, comparable(inner)]))
  }
  return value
}

const full: Input = {
  name: "plant",
  servers: ["mqtts://a.example", "wss://b.example/mqtt?x=1"],
  brokerName: "plant",
  secure: true,
  protocolVersion: 5,
  clientId: "client",
  assignedClientId: false,
  username: "me",
  password: "hunter2",
  keepAlive: "90 seconds",
  connectTimeout: 5_000,
  persistence: "durable",
  sessionExpiry: Duration.infinity,
  receiveMaximum: 10,
  maximumPacketSize: 2048,
  topicAliasMaximum: 0,
  topicAliases: "explicit",
  maxInflight: 11,
  maxInflightQoS2: 12,
  requestResponseInformation: true,
  requestProblemInformation: false,
  connectUserProperties: [["a", "1"], ["a", "2"]],
  will: {
    topic: "status",
    payload: new Uint8Array([0, 255]),
    qos: 1,
    retain: true,
    delay: { minutes: 1 },
    properties: { contentType: "text/plain", correlationData: new Uint8Array([1]), userProperties: [["x", "y"]] }
  },
  tls: {
    ca: "-----BEGIN CERTIFICATE-----, with a comma",
    cert: "cert",
    key: "private",
    passphrase: Redacted.make("open", { label: "passphrase" }),
    servername: "c.example",
    alpn: ["mqtt"],
    insecureSkipVerify: true,
    minVersion: "TLSv1.3",
    ciphers: "ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256",
    crl: "-----BEGIN X509 CRL-----, with a comma",
    pins: "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  },
  certificateThresholds: [14, 0],
  webSocket: { headers: { authorization: "Bearer token" }, subprotocol: "mqttv3.1" },
  proxy: {
    url: "socks5h://proxy.example",
    username: "me",
    password: Redacted.make("proxy-secret", { label: "password" }),
    ca: "ca",
    environment: false,
    noProxy: "localhost, 10.0.0.0/8"
  },
  reconnect: {
    enabled: false,
    initialDelay: 1n * 1_000_000_000n,
    factor: 2,
    maxDelay: [60, 0],
    jitter: "full",
    stableAfter: 0,
    returnAfter: "5 minutes",
    onPermanentFailure: "stop",
    permanentDelay: "2 minutes"
  },
  redirects: 1,
  onSessionLost: "fail",
  unacknowledgedOnSessionLost: "fail",
  onStorageFailure: "fail",
  queue: { messages: 5, bytes: 6, policy: "latestPerTopic", expiresAfter: "1 hour" },
  memoryLimit: 10_000_000,
  publishTimeout: 7,
  writeTimeout: 8,
  subscribeTimeout: 9,
  streamBuffer: 10,
  onOverflow: "suspend",
  ackDeadline: 11,
  onAckDeadline: "reconnect",
  unclaimed: { hold: 12, fraction: 0.25 },
  subscriptionIdentifiers: "off",
  drainTimeout: 13
}

describe("SessionOptions", () => {
  describe("defaults", () => {
    it("fills in everything but the name and the servers", () => {
      assert.deepEqual(comparable(made({ name: "a" })), {
        name: "a",
        servers: ["mqtt://a.example:1883"],
        secure: false,
        protocolVersion: 5,
        assignedClientId: false,
        keepAlive: "60000 ms",
        connectTimeout: "30000 ms",
        persistence: "process",
        sessionExpiry: "3600000 ms",
        receiveMaximum: 1024,
        maximumPacketSize: 1_048_576,
        topicAliasMaximum: 16,
        topicAliases: "auto",
        maxInflight: 1000,
        maxInflightQoS2: 19,
        requestResponseInformation: false,
        requestProblemInformation: true,
        connectUserProperties: [],
        certificateThresholds: [30, 7, 1],
        webSocket: { headers: {}, subprotocol: "mqtt" },
        redirects: 3,
        reconnect: {
          enabled: true,
          initialDelay: "2000 ms",
          factor: 1.5,
          maxDelay: "120000 ms",
          jitter: "equal",
          stableAfter: "30000 ms",
          onPermanentFailure: "retry",
          permanentDelay: "60000 ms"
        },
        onSessionLost: "resubscribe",
        unacknowledgedOnSessionLost: "resend",
        poisonThreshold: 6,
        onStorageFailure: "wait",
        queue: { messages: 10_000, bytes: 33_554_432, policy: "suspend" },
        memoryLimit: 67_108_864,
        writeTimeout: "30000 ms",
        subscribeTimeout: "30000 ms",
        streamBuffer: 1000,
        onOverflow: "dropOldest",
        ackDeadline: "30000 ms",
        onAckDeadline: "wait",
        tracing: "off",
        flightRecorder: 0,
        unclaimed: { hold: "10000 ms", fraction: 0.5 },
        serverLimits: {
          maximumQoS: 2,
          retainAvailable: true,
          sharedSubscriptionAvailable: true,
          filtersPerSubscribe: 100
        },
        subscriptionIdentifiers: "auto",
        drainTimeout: "10000 ms"
      })
    })

    it("fills in switches and numbers of a group that is given in part, or empty", () => {
      const complete = comparable(made({ name: "a" }))
      const empty = made({ name: "a", reconnect: {}, queue: {}, unclaimed: {}, webSocket: {} })
      assert.deepEqual(comparable(empty), complete)
      const { reconnect } = made({ name: "a", reconnect: { factor: 3 } })
      assert.isTrue(reconnect.enabled)
      assert.strictEqual(reconnect.factor, 3)
      assert.strictEqual(Duration.toSeconds(reconnect.maxDelay), 120)
      const { tls } = made({ name: "a", secure: true, tls: { ca: "ca" } })
      assert.deepEqual(tls, { ca: ["ca"], insecureSkipVerify: false, minVersion: "TLSv1.2" })
    })

    it("takes undefined for not given", () => {
      const { servers: _servers, ...others } = full
      const undefineds = Object.fromEntries(Object.keys(others).map((key) => [key, undefined]))
      assert.deepEqual(comparable(made({ ...undefineds, name: "a" })), comparable(made({ name: "a" })))
    })

    it("expires sessions by their persistence", () => {
      const expiry = (persistence: SessionOptions.Persistence) =>
        Duration.toSeconds(made({ name: "a", persistence }).sessionExpiry)
      assert.deepEqual([expiry("none"), expiry("process"), expiry("durable")], [0, 3600, 7 * 86_400])
    })

    it("has no TLS options unless they are given", () => {
      assert.isUndefined(made({ name: "a", secure: true }).tls)
    })
  })

  describe("every option", () => {
    it("acts", () => {
      const options: Readonly<Record<string, unknown>> = { ...made(full) }
      const defaults: Readonly<Record<string, unknown>> = { ...made({ name: "a" }) }
      for (const key of Object.keys(full)) {
        // The second one excludes `clientId`.
        if (key !== "protocolVersion" && key !== "assignedClientId") {
          assert.notDeepEqual(comparable(options[key]), comparable(defaults[key]), key)
        }
      }
      assert.strictEqual(made({ name: "a", protocolVersion: 4 }).protocolVersion, 4)
    })

    it("is kept when options that were made are made again", () => {
      const options = made(full)
      assert.deepEqual(comparable(made(options)), comparable(options))
      assert.deepEqual(comparable(made({ ...options, keepAlive: 0 }).keepAlive), "0 ms")
    })

    it("is decoded from JSON as it is from values", () => {
      const json = JSON.parse(JSON.stringify({
        ...full,
        sessionExpiry: "Infinity",
        will: {
          ...full.will,
          payload: { base64: "AP8=" },
          properties: { ...full.will?.properties, correlationData: { base64: "AQ==" } }
        },
        tls: { ...full.tls, passphrase: "open" },
        proxy: { ...full.proxy, password: "proxy-secret" },
        reconnect: { ...full.reconnect, initialDelay: 1000 }
      }))
      const fromSchema = Schema.decodeUnknownSync(SessionOptions.SessionOptions)(json)
      assert.deepEqual(comparable(fromSchema), comparable(made(full)))
      assert.deepEqual(comparable(Result.getOrThrow(SessionOptions.decode(json))), comparable(made(full)))
    })

    it("comes back from JSON when there is no secret", () => {
      const { password: _password, proxy: _proxy, tls: _tls, webSocket: _webSocket, ...open } = full
      // The query of a WebSocket is a secret too.
      const options = made({ ...open, servers: ["mqtts://a.example", "wss://b.example/mqtt"] })
      const json = JSON.stringify(Schema.encodeSync(SessionOptions.SessionOptions)(options))
      assert.deepEqual(comparable(Result.getOrThrow(SessionOptions.decode(JSON.parse(json)))), comparable(options))
    })
  })

  describe("durations", () => {
    it.each<[string, SessionOptions.DurationInput, number]>([
      ["milliseconds", 1500, 1500],
      ["milliseconds in a text", "1500", 1500],
      ["a text", "2 seconds", 2000],
      ["a Duration", Duration.minutes(1), 60_000],
      ["units", { hours: 1, seconds: 1 }, 3_601_000],
      ["seconds and nanoseconds", [1, 500_000_000], 1500],
      ["nanoseconds", 2_000_000n, 2]
    ])("may be written as %s", (_, connectTimeout, millis) => {
      assert.strictEqual(Duration.toMillis(made({ name: "a", connectTimeout }).connectTimeout), millis)
    })

    it.each<[Partial<Input>, string]>([
      [{ connectTimeout: "soon" }, "connectTimeout"],
      [{ connectTimeout: 0 }, "connectTimeout"],
      [{ connectTimeout: "Infinity" }, "connectTimeout"],
      [{ keepAlive: 1500 }, "keepAlive"],
      [{ keepAlive: -1000 }, "keepAlive"],
      [{ keepAlive: "65536 seconds" }, "keepAlive"],
      [{ keepAlive: Number.NaN }, "keepAlive"],
      [{ sessionExpiry: 1500 }, "sessionExpiry"]
    ])("are refused as %j", (options, path) => {
      assert.deepEqual(paths({ name: "a", ...options }), [path])
    })
  })

  describe("secrets", () => {
    it("appear in no print of the options", () => {
      const options = made({ ...full, tls: { pfx: new Uint8Array([1, 2, 3]), passphrase: "open sesame" } })
      const more = made({ ...full, servers: "mqtts://me:hunter2@a.example" })
      for (
        const text of [inspect(options, { depth: 9 }), JSON.stringify(options), inspect(more), JSON.stringify(more)]
      ) {
        for (const secret of ["hunter2", "open sesame", "Bearer token", "private", "AQID"]) {
          assert.notInclude(text, secret)
        }
      }
      assert.include(inspect(options), "<redacted:password>")
      assert.strictEqual(options.password && Redacted.value(options.password), "hunter2")
    })

    it("appear in no issue", () => {
      const text = JSON.stringify(issues({
        name: "",
        password: ["hunter2"],
        servers: ["mqtt://me:hunter2@a:b", "mqtt://me:hunter2/x@c"],
        tls: { key: { hunter2: true }, pfx: "hunter2 is not base64" },
        webSocket: { headers: { authorization: 1, other: ["hunter2"] } }
      }))
      assert.include(text, "password")
      assert.include(text, "tls.pfx")
      assert.notInclude(text.replace("tls.key.hunter2", ""), "hunter2")
    })

    it("are never encoded", () => {
      const result = Schema.encodeUnknownResult(SessionOptions.SessionOptions)(made({ name: "a", password: "hunter2" }))
      assert.isTrue(Result.isFailure(result))
    })
  })

  describe("issues", () => {
    it("come all at once, those between options too", () => {
      assert.sameMembers(
        [...paths({
          name: "",
          keepalive: 60,
          keepAlive: -1,
          protocolVersion: 4,
          receiveMaximum: 0,
          servers: ["http://a", "mqtt://ok", "mqtt://:1"],
          queue: { policy: "dropAll" },
          onStorageFailure: "ignore",
          will: { topic: "a/+", payload: "x", delay: "1 second" },
          password: "p",
          sessionExpiry: 0,
          reconnect: { factor: 0.5, initialDelay: "10 minutes" }
        })],
        [
          "name",
          "keepalive",
          "keepAlive",
          "receiveMaximum",
          "servers.0",
          "servers.2",
          "queue.policy",
          "onStorageFailure",
          "will.topic",
          "sessionExpiry",
          "reconnect.factor",
          "reconnect.maxDelay"
        ]
      )
    })

    it("come for an invalid limit on the age of messages", () => {
      for (const expiresAfter of [0, -1, "soon", "25 days"]) {
        assert.deepEqual(paths({ name: "a", queue: { expiresAfter } }), ["queue.expiresAfter"])
      }
    })

    it("leave out what only follows from another issue", () => {
      assert.deepEqual(paths({ name: "a", servers: [""], tls: { ca: "ca" } }), ["servers"].map((path) => `${path}.0`))
      assert.deepEqual(paths({ name: "a", persistence: "never", sessionExpiry: 0 }), ["persistence"])
      assert.deepEqual(
        paths({ name: "a", reconnect: { initialDelay: "soon", maxDelay: 5 } }),
        ["reconnect.initialDelay"]
      )
    })

    it("are a typed error with the name of the session", () => {
      const result = SessionOptions.decode({ name: "plant", servers: "a", streamBuffer: 0 })
      assert.isTrue(Result.isFailure(result))
      if (Result.isFailure(result)) {
        assert.strictEqual(result.failure.session, "plant")
        assert.strictEqual(result.failure.category, "configuration")
        assert.include(result.failure.message, "streamBuffer: expected a whole number from 1 to 1000000")
      }
    })

    it.effect("fail make with a reason to catch", () =>
      Effect.gen(function*() {
        const found = yield* SessionOptions.make({ name: "", servers: "a" }).pipe(
          Effect.as([]),
          Effect.catchReason("MqttError", "InvalidOptions", (reason) => Effect.succeed(reason.issues))
        )
        assert.deepEqual(found.map((issue) => issue.path), ["name"])
      }))

    it.each([undefined, null, 5, "mqtt://a", []])("refuse %j, which is no record", (input) => {
      assert.deepEqual(paths(input), [""])
    })

    it.each<[Partial<Input>, string]>([
      [{ receiveMaximum: 65_536 }, "receiveMaximum"],
      [{ receiveMaximum: 1.5 }, "receiveMaximum"],
      [{ topicAliasMaximum: -1 }, "topicAliasMaximum"],
      [{ maximumPacketSize: 0 }, "maximumPacketSize"],
      [{ maxInflight: 0 }, "maxInflight"],
      [{ maxInflightQoS2: 0 }, "maxInflightQoS2"],
      [{ brokerName: "" }, "brokerName"],
      [{ brokerName: "a,b" }, "brokerName"],
      [{ brokerName: "@a" }, "brokerName"],
      [{ brokerName: "mqtt://a.example" }, "brokerName"],
      [{ brokerName: "a".repeat(257) }, "brokerName"],
      [{ clientId: "" }, "clientId"],
      [{ clientId: "a\u0000" }, "clientId"],
      [{ clientId: "a", assignedClientId: true }, "assignedClientId"],
      [{ protocolVersion: 4, assignedClientId: true }, "assignedClientId"],
      [{ username: "\ud800" }, "username"],
      [{ servers: [] }, "servers"],
      [{ servers: " , " }, "servers"],
      [{ unclaimed: { fraction: 0 } }, "unclaimed.fraction"],
      [{ unclaimed: { fraction: 1.1 } }, "unclaimed.fraction"],
      [{ queue: { messages: 0 } }, "queue.messages"],
      [{ reconnect: { factor: Number.POSITIVE_INFINITY } }, "reconnect.factor"],
      [{ reconnect: { initialDelay: "10 minutes" } }, "reconnect.maxDelay"],
      [{ will: { topic: "", payload: "x" } }, "will.topic"],
      [{ will: { topic: "a", payload: { base64: "!" } } }, "will.payload"],
      [{ will: { topic: "a", payload: "", properties: { responseTopic: "a/#" } } }, "will.properties.responseTopic"],
      [{ webSocket: { path: "mqtt" } }, "webSocket.path"],
      [{ proxy: { url: "ftp://a" } }, "proxy.url"],
      [{ proxy: { url: "http://a/b" } }, "proxy.url"],
      [{ proxy: { url: "http://a:b@c", username: "d" } }, "proxy.url"],
      [{ proxy: { url: "socks5h://a", username: "b" } }, "proxy.username"],
      [{ proxy: { username: "a", password: "b" } }, "proxy.username"],
      [{ proxy: { url: "http://a", environment: true } }, "proxy.environment"],
      [{ proxy: { environment: true, noProxy: "a, 10.0.0.0/40" } }, "proxy.noProxy.1"],
      [{ secure: true, tls: { cert: "c" } }, "tls"],
      [{ secure: true, tls: { cert: "c", key: "k", pfx: new Uint8Array(1) } }, "tls.pfx"],
      [{ secure: true, tls: { pins: [] } }, "tls.pins"],
      [{ secure: true, tls: { pins: "sha256/abc=" } }, "tls.pins.0"],
      [{ secure: true, tls: { ciphers: "" } }, "tls.ciphers"],
      [{ tls: { ca: "ca" } }, "tls"],
      [{ persistence: "none", sessionExpiry: "1 hour" }, "sessionExpiry"],
      [{ persistence: "durable", sessionExpiry: 0 }, "sessionExpiry"],
      [{ protocolVersion: 4, connectUserProperties: [["a", "b"]] }, "connectUserProperties"],
      [{ protocolVersion: 4, will: { topic: "a", payload: "", delay: 1000 } }, "will.delay"],
      [{ protocolVersion: 4, will: { topic: "a", payload: "", properties: { contentType: "x" } } }, "will.properties"]
    ])("refuse %j", (options, path) => {
      assert.deepEqual(paths({ name: "a", ...options }), [path])
    })

    it("refuse a password without a user name on 3.1.1 and allow it on 5", () => {
      assert.deepEqual(paths({ name: "a", protocolVersion: 4, password: "p" }), ["password"])
      assert.deepEqual(paths({ name: "a", protocolVersion: 5, password: "p" }), [])
      assert.deepEqual(paths({ name: "a", protocolVersion: 4, servers: "mqtt://u@h", password: "p" }), [])
    })
  })

  describe("servers", () => {
    it("are written out with protocol and port", () => {
      const plain = made({ name: "a", servers: "localhost, ws://c, unix:///run/x" })
      assert.deepEqual(plain.servers, ["mqtt://localhost:1883", "ws://c:80/", "mqtt+unix:///run/x"])
      assert.deepEqual(made({ name: "a", servers: "mqtts://b, wss://c" }).servers, ["mqtts://b:8883", "wss://c:443/"])
    })

    it.each([
      ["mqtts and mqtt", ["mqtts://a", "mqtt://b"], "servers.1"],
      ["mqtt and mqtts", ["mqtt://b", "mqtts://a"], "servers.0"],
      ["wss and ws", ["wss://a/mqtt", "wss://b/mqtt", "ws://c/mqtt"], "servers.2"],
      ["mqtts and an address without a scheme", ["mqtts://a", "b"], "servers.1"],
      ["wss and mqtt", ["wss://a", "mqtt://a"], "servers.1"],
      ["mqtts and a Unix socket", ["mqtts://a", "unix:///run/x"], "servers.1"]
    ])("all use TLS or none: %s are refused", (_, servers, path) => {
      assert.deepEqual(paths({ name: "a", servers }), [path])
      assert.deepEqual(paths({ name: "a", servers, username: "me", password: "secret" }), [path])
    })

    it("all use TLS with secure, also one without a scheme", () => {
      assert.deepEqual(made({ name: "a", servers: "mqtts://a, b", secure: true }).servers, [
        "mqtts://a:8883",
        "mqtts://b:8883"
      ])
    })

    it("may be behind a proxy, whose credentials leave its URL", () => {
      const { proxy } = made({ name: "a", proxy: { url: "http://me:sec%40ret@proxy:3128", noProxy: "b" } })
      assert.deepEqual(comparable(proxy), {
        url: "http://proxy:3128",
        username: "me",
        password: ["secret", "sec@ret"],
        environment: false,
        noProxy: ["b"]
      })
      assert.deepEqual(comparable(made({ name: "a", proxy }).proxy), comparable(proxy))
      assert.isUndefined(made({ name: "a" }).proxy)
    })

    it("get the path of webSocket where they have none", () => {
      const { servers } = made({ name: "a", servers: ["ws://a", "ws://b/own", "c"], webSocket: { path: "/mqtt" } })
      assert.deepEqual(servers, ["ws://a:80/mqtt", "ws://b:80/own", "mqtt://c:1883"])
    })

    it("move their queries, which are secrets, to the options, and get them back", () => {
      const options = made({
        name: "a",
        servers: ["wss://a/own?token=secret-a", "wss://b", "wss://c/mqtt"],
        webSocket: { path: "/mqtt?token=secret-b", queries: { "wss://c:443/mqtt": "token=secret-c" } }
      })
      assert.deepEqual(options.servers, ["wss://a:443/own", "wss://b:443/mqtt", "wss://c:443/mqtt"])
      assert.deepEqual(comparable(options.webSocket.queries), {
        "wss://a:443/own": ["secret", "token=secret-a"],
        "wss://b:443/mqtt": ["secret", "token=secret-b"],
        "wss://c:443/mqtt": ["secret", "token=secret-c"]
      })
      assert.notInclude(inspect(options, { depth: 9 }) + JSON.stringify(options), "secret-")
      // Options that were made before, and changed.
      const again = Result.getOrThrow(SessionOptions.decode({ ...options, keepAlive: 0 }))
      assert.deepEqual(comparable(again.webSocket), comparable(options.webSocket))
      const fewer = Result.getOrThrow(SessionOptions.decode({ ...options, servers: ["wss://d/mqtt"] }))
      assert.isUndefined(fewer.webSocket.queries)
    })

    it("with a query have no JSON form", () => {
      const options = made({ name: "a", servers: "wss://a/mqtt?token=secret" })
      const encoded = Schema.encodeUnknownResult(SessionOptions.SessionOptions)(options)
      assert.isTrue(Result.isFailure(encoded))
      assert.notInclude(String(encoded), "token=secret")
    })

    it("move their credentials to the options", () => {
      const options = made({ name: "a", servers: ["mqtt://me:p%40ss@a", "mqtt://b"] })
      assert.deepEqual(options.servers, ["mqtt://a:1883", "mqtt://b:1883"])
      assert.strictEqual(options.username, "me")
      assert.strictEqual(options.password && Redacted.value(options.password), "p@ss")
    })

    it("may repeat the credentials and add to them, but not contradict them", () => {
      const credentials = { username: "me", password: "secret" }
      assert.deepEqual(paths({ name: "a", ...credentials, servers: ["mqtt://me:secret@a", "mqtt://me@b"] }), [])
      assert.deepEqual(paths({ name: "a", ...credentials, servers: ["mqtt://you@a"] }), ["servers.0"])
      assert.deepEqual(paths({ name: "a", servers: ["mqtt://me:1@a", "mqtt://me:2@b"] }), ["servers.1"])
    })
  })

  describe("constructors", () => {
    it("quickConnect needs a name and a server", () => {
      assert.deepEqual(made(SessionOptions.quickConnect("plant", "broker:1884")).servers, ["mqtt://broker:1884"])
    })

    it("secureConnect means TLS by a server without a scheme", () => {
      const options = made(SessionOptions.secureConnect("plant", "host:8883", "ca"))
      assert.deepEqual(options.servers, ["mqtts://host:8883"])
      assert.deepEqual(options.tls?.ca, ["ca"])
      assert.isFalse(options.tls?.insecureSkipVerify)
    })

    it.each(["tcp://host:8883", "mqtt://host", "ws://host", "unix:///run/x"])(
      "secureConnect refuses %s, which does not encrypt",
      (server) => {
        const found = issues(SessionOptions.secureConnect("plant", server, "ca")).find(([path]) => path === "servers.0")
        assert.include(found?.[1], "does not encrypt")
      }
    )
  })

  describe("combinators", () => {
    it("change what they say and nothing else, without touching their input", () => {
      const before = Object.freeze(SessionOptions.quickConnect("plant", "a"))
      const options = made(pipe(
        before,
        SessionOptions.withServers("b", "wss://c"),
        SessionOptions.withClientId("client"),
        SessionOptions.withAuth("me", "secret"),
        SessionOptions.withKeepAlive("30 seconds"),
        SessionOptions.withProtocolVersion(5),
        SessionOptions.withTls({ ca: "ca" }),
        SessionOptions.withTls({ servername: "d" }),
        SessionOptions.withWebSocket({ path: "/mqtt" }),
        SessionOptions.withWebSocket({ headers: { a: "b" } }),
        SessionOptions.withPersistence("durable", "1 day"),
        SessionOptions.withQueue({ messages: 5 }),
        SessionOptions.withQueue({ policy: "fail" }),
        SessionOptions.withWill({ topic: "status", payload: "gone" })
      ))
      assert.deepEqual(before, { name: "plant", servers: ["a"] })
      assert.deepEqual(comparable(options), {
        ...comparable(made({ name: "plant" })) as object,
        servers: ["mqtts://b:8883", "wss://c:443/mqtt"],
        secure: true,
        clientId: "client",
        username: "me",
        password: ["secret", "secret"],
        keepAlive: "30000 ms",
        persistence: "durable",
        sessionExpiry: "86400000 ms",
        tls: { ca: ["ca"], servername: "d", insecureSkipVerify: false, minVersion: "TLSv1.2" },
        webSocket: { headers: { a: ["secret", "b"] }, subprotocol: "mqtt" },
        queue: { messages: 5, bytes: 33_554_432, policy: "fail" },
        will: { topic: "status", payload: [103, 111, 110, 101], qos: 0, retain: false, delay: "0 ms", properties: {} }
      })
    })

    it("withTimeouts sets each limit that it is given, and keeps the others", () => {
      const limits = ["connectTimeout", "writeTimeout", "subscribeTimeout", "publishTimeout", "drainTimeout"] as const
      const keys = ["connect", "write", "subscribe", "publish", "drain"] as const
      const all = made(
        SessionOptions.withTimeouts({
          connect: 1,
          write: 2,
          subscribe: 3,
          publish: 4,
          drain: 5
        })({ name: "a", servers: "a" })
      )
      assert.deepEqual(limits.map((limit) => comparable(all[limit])), ["1 ms", "2 ms", "3 ms", "4 ms", "5 ms"])
      for (const [index, key] of keys.entries()) {
        const one = made(SessionOptions.withTimeouts({ [key]: 77 })(all))
        const expected = limits.map((limit, i) => i === index ? "77 ms" : comparable(all[limit]))
        assert.deepEqual(limits.map((limit) => comparable(one[limit])), expected)
      }
    })

    it("withoutReconnect and withReconnect switch it off and on", () => {
      const off = SessionOptions.withoutReconnect({ name: "a", servers: "a", reconnect: { factor: 2 } })
      assert.isFalse(made(off).reconnect.enabled)
      const on = made(SessionOptions.withReconnect({ jitter: "none" })(off)).reconnect
      assert.deepEqual([on.enabled, on.factor, on.jitter], [true, 2, "none"])
    })

    it("withTls refuses servers that do not encrypt", () => {
      assert.deepEqual(
        paths(SessionOptions.withTls()(SessionOptions.quickConnect("a", "mqtt://b"))).includes("servers.0"),
        true
      )
    })
  })

  describe("config", () => {
    const read = (env: Record<string, string>, config = SessionOptions.config("MQTT", { servers: "a.example" })) =>
      config.parse(ConfigProvider.fromEnv({ env }))

    it.effect("reads the environment by names in constant case", () =>
      Effect.gen(function*() {
        const options = yield* read({
          MQTT_NAME: "plant",
          MQTT_SERVERS: "mqtts://me:secret@a, wss://b",
          MQTT_SECURE: "true",
          MQTT_CLIENT_ID: "client",
          MQTT_KEEP_ALIVE: "30 seconds",
          MQTT_CONNECT_TIMEOUT: "5000",
          MQTT_PROTOCOL_VERSION: "5",
          MQTT_RECEIVE_MAXIMUM: "10",
          MQTT_MAX_INFLIGHT_QOS2: "7",
          MQTT_CONNECT_USER_PROPERTIES: "a=1,a=2=3",
          MQTT_WILL_TOPIC: "status",
          MQTT_WILL_PAYLOAD: "gone",
          MQTT_WILL_RETAIN: "true",
          MQTT_TLS_CA: "ca, with a comma",
          MQTT_TLS_INSECURE_SKIP_VERIFY: "true",
          MQTT_TLS_ALPN: "mqtt,x",
          MQTT_WEB_SOCKET_PATH: "/mqtt",
          MQTT_WEB_SOCKET_HEADERS: "authorization=Bearer x",
          MQTT_RECONNECT_INITIAL_DELAY: "1 second",
          MQTT_RECONNECT_FACTOR: "2.5",
          MQTT_QUEUE_POLICY: "fail",
          MQTT_QUEUE_EXPIRES_AFTER: "2 hours",
          MQTT_ON_STORAGE_FAILURE: "fail",
          MQTT_UNCLAIMED_FRACTION: "0.1"
        })
        assert.deepEqual(comparable(options), {
          ...comparable(made({ name: "plant" })) as object,
          servers: ["mqtts://a:8883", "wss://b:443/mqtt"],
          secure: true,
          clientId: "client",
          username: "me",
          password: ["secret", "secret"],
          keepAlive: "30000 ms",
          connectTimeout: "5000 ms",
          receiveMaximum: 10,
          maxInflightQoS2: 7,
          connectUserProperties: [["a", "1"], ["a", "2=3"]],
          will: {
            topic: "status",
            payload: [103, 111, 110, 101],
            qos: 0,
            retain: true,
            delay: "0 ms",
            properties: {}
          },
          tls: { ca: ["ca, with a comma"], alpn: ["mqtt", "x"], insecureSkipVerify: true, minVersion: "TLSv1.2" },
          webSocket: { headers: { authorization: ["secret", "Bearer x"] }, subprotocol: "mqtt" },
          reconnect: {
            enabled: true,
            initialDelay: "1000 ms",
            factor: 2.5,
            maxDelay: "120000 ms",
            jitter: "equal",
            stableAfter: "30000 ms",
            onPermanentFailure: "retry",
            permanentDelay: "60000 ms"
          },
          onStorageFailure: "fail",
          queue: { messages: 10_000, bytes: 33_554_432, policy: "fail", expiresAfter: "7200000 ms" },
          unclaimed: { hold: "10000 ms", fraction: 0.1 }
        })
      }))

    it.effect("has the defaults that make has", () =>
      Effect.gen(function*() {
        assert.deepEqual(comparable(yield* read({ MQTT_NAME: "a" })), comparable(made({ name: "a" })))
      }))

    it.effect("takes another prefix, of several words too", () =>
      Effect.gen(function*() {
        const env = { PLANT_A_NAME: "a", PLANT_A_SERVERS: "a", PLANT_A_CLIENT_ID: "x", MQTT_NAME: "b" }
        for (const prefix of ["plantA", "PLANT_A", "plant-a"]) {
          assert.strictEqual((yield* read(env, SessionOptions.config(prefix))).clientId, "x")
        }
      }))

    it.effect("takes from its base what the environment does not have", () =>
      Effect.gen(function*() {
        const config = SessionOptions.config("MQTT", {
          name: "plant",
          servers: ["a"],
          keepAlive: Duration.seconds(5),
          password: "base",
          receiveMaximum: 3,
          secure: true,
          reconnect: { factor: 9, jitter: "none" }
        })
        const alone = yield* read({}, config)
        assert.strictEqual(alone.name, "plant")
        assert.strictEqual(alone.receiveMaximum, 3)
        assert.isTrue(alone.secure)
        const both = yield* read({ MQTT_RECONNECT_FACTOR: "2", MQTT_PASSWORD: "env" }, config)
        assert.deepEqual([both.reconnect.factor, both.reconnect.jitter], [2, "none"])
        assert.strictEqual(both.password && Redacted.value(both.password), "env")
        assert.strictEqual(Duration.toSeconds(both.keepAlive), 5)
      }))

    it.effect("works in an Effect by the provider in use, and inside other configs", () =>
      Effect.gen(function*() {
        const env = { MQTT_NAME: "a", MQTT_SERVERS: "a", APP_MQTT_NAME: "b", APP_MQTT_SERVERS: "b" }
        const options = yield* SessionOptions.config().pipe(
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
        )
        assert.strictEqual(options.name, "a")
        const nested = yield* read(env, SessionOptions.config().pipe(Config.nested("APP")))
        assert.strictEqual(nested.name, "b")
      }))

    it.effect("fails with all issues at once", () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(read({
          MQTT_KEEP_ALIVE: "1500",
          MQTT_RECEIVE_MAXIMUM: "many",
          MQTT_SERVERS: "http://a",
          MQTT_PASSWORD: "hunter2"
        }))
        const text = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
        for (const key of ["name", "keepAlive", "receiveMaximum", "servers.0"]) {
          assert.include(text, `${key}: `)
        }
        assert.notInclude(text, "hunter2")
      }))

    it.effect("of nested records is the schema's", () =>
      Effect.gen(function*() {
        const provider = ConfigProvider.fromUnknown({
          mqtt: { name: "a", servers: ["mqtt://b"], keepAlive: "5 seconds", reconnect: { factor: "2" } }
        })
        const options = yield* Config.schema(SessionOptions.SessionOptions, "mqtt").parse(provider)
        assert.deepEqual(
          comparable(options),
          comparable(made({ name: "a", servers: "b", keepAlive: 5000, reconnect: { factor: 2 } }))
        )
      }))
  })

  describe("a schedule of code", () => {
    const reconnectSchedule = Schedule.spaced("1 second")

    it("is kept as it is, also when options that were made are made again", () => {
      const options = made({ name: "a", reconnectSchedule })
      assert.strictEqual(options.reconnectSchedule, reconnectSchedule)
      assert.strictEqual(made(options).reconnectSchedule, reconnectSchedule)
      assert.isFalse(Object.hasOwn(made({ name: "a" }), "reconnectSchedule"))
    })

    it("is refused in JSON, where it has no form, and never encoded", () => {
      assert.deepEqual(issues({ name: "a", reconnectSchedule: "1 second" }), [[
        "reconnectSchedule",
        "expected a Schedule"
      ]])
      const encoded = Schema.encodeResult(SessionOptions.SessionOptions)(made({ name: "a", reconnectSchedule }))
      assert.isTrue(Result.isFailure(encoded))
      if (Result.isFailure(encoded)) assert.include(String(encoded.failure), "a Schedule is never encoded")
    })

    it.effect("comes from the base of a Config, and not from the environment", () =>
      Effect.gen(function*() {
        const read = (env: Record<string, string>, base: Partial<Input>) =>
          SessionOptions.config("MQTT", base).parse(ConfigProvider.fromEnv({ env }))
        const env = { MQTT_NAME: "a", MQTT_SERVERS: "a.example" }
        assert.strictEqual((yield* read(env, { reconnectSchedule })).reconnectSchedule, reconnectSchedule)
        const refused = yield* Effect.flip(read({ ...env, MQTT_RECONNECT_SCHEDULE: "1 second" }, {}))
        assert.include(String(refused), "MQTT_RECONNECT_SCHEDULE: no such option")
      }))
  })

  it.prop(
    "decode answers what the schema answers, whichever options are present",
    [
      Schema.Array(Schema.Literals(Object.keys(full) as Array<keyof Input>)),
      Schema.Record(Schema.Literals(["keepAlive", "queue", "qos", "persistence", "username"]), Schema.Json),
      Schema.Boolean
    ],
    ([present, wrong, isWrong]) => {
      const chosen = Object.fromEntries(present.map((key) => [key, full[key]]))
      const input = toPlain({ name: "a", servers: "mqtts://a.example", ...chosen, ...(isWrong ? wrong : {}) })
      const bySchema = Schema.decodeUnknownResult(SessionOptions.SessionOptions, { errors: "all" })(input)
      const decoded = SessionOptions.decode(input)
      assert.strictEqual(Result.isSuccess(decoded), Result.isSuccess(bySchema))
      if (Result.isSuccess(decoded) && Result.isSuccess(bySchema)) {
        assert.deepEqual(comparable(decoded.success), comparable(bySchema.success))
        assert.deepEqual(Object.keys(decoded.success).sort(), Object.keys(bySchema.success).sort())
      }
      return true
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop(
    "never throws, and either names a path or makes options that can be made again",
    [Schema.Record(Schema.Literals(["name", "servers", "keepAlive", "queue", "will", "tls", "password"]), Schema.Json)],
    ([input]) => {
      const result = SessionOptions.decode(complete(input))
      if (Result.isFailure(result)) {
        return issues(input).length > 0
      }
      assert.deepEqual(comparable(made(result.success)), comparable(result.success))
      return true
    },
    { arbitrary: { runs: 300 } }
  )
})
