/**
 * The values of a gateway's file: what they become, and each mistake with its path.
 */
import { ClusterTimings } from "@effect-mqttx/cluster"
import { SessionOptions } from "@effect-mqttx/core"
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted, Result } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Configuration, decodeConfiguration } from "../../src/internal/gateway/configuration.ts"
import { describe as inWords, describeJson } from "../../src/internal/gateway/description.ts"
import { gatewayJsonSchema, gatewayJsonSchemaText } from "../../src/internal/gateway/jsonSchema.ts"

const plain = {
  sessions: { a: { servers: "mqtt://a" }, b: { servers: ["mqtt://b:1884"] } },
  forwarders: { up: { sources: "a", filters: "t/#", target: "b" } }
}

const decode = (file: unknown): Configuration => Result.getOrThrow(decodeConfiguration(file))

const mistakes = (file: unknown): ReadonlyArray<string> => {
  const decoded = decodeConfiguration(file)
  return Result.isFailure(decoded) ? decoded.failure.map(({ message, path }) => `${path.join(".")}: ${message}`) : []
}

describe("the file of the gateway", () => {
  it("the shortest file has durable sessions in memory, and no metrics server", () => {
    const { forwarders, sessions, settings } = decode(plain)
    assert.deepStrictEqual(
      Array.from(sessions, ([name, { options, store }]) => [name, options.name, options.persistence, store]),
      [["a", "a", "durable", "memory"], ["b", "b", "durable", "memory"]]
    )
    // A message that only the memory of this process holds must stay at its source.
    assert.strictEqual(forwarders.get("up")!.options.acceptance, "acknowledged")
    assert.isUndefined(settings.metrics)
    assert.deepStrictEqual(settings.log, { level: "info", format: "logfmt", sessions: "all" })
  })

  it("a file store keeps sessions, and its queue may accept messages", () => {
    const { forwarders, sessions } = decode({
      ...plain,
      stores: { disk: { type: "file", directory: "state" } },
      sessions: { a: { servers: "mqtt://a", store: "disk" }, b: { servers: "mqtt://b", store: "disk" } }
    })
    assert.strictEqual(sessions.get("a")!.store, "disk")
    assert.isUndefined(forwarders.get("up")!.options.acceptance)
  })

  it("every option of a forwarder has the same name in the file", () => {
    const options = Object.keys(Result.getOrThrow(ForwarderOptions.decode({ name: "up", ...plain.forwarders.up })))
    const { properties } =
      (gatewayJsonSchema()["$defs"] as { readonly forwarder: { readonly properties: object } }).forwarder
    for (const option of options.filter((name) => name !== "name")) assert.property(properties, option)
    const { forwarders } = decode({
      ...plain,
      forwarders: { up: { ...plain.forwarders.up, mapping: [{ from: "t/+", to: "u/{1}" }], qos: { cap: 1 } } }
    })
    assert.deepStrictEqual(forwarders.get("up")!.options.qos, { cap: 1 })
  })

  it("secrets are hidden, and their change is a change of the session", () => {
    const withPassword = (password: string) =>
      decode({ ...plain, sessions: { ...plain.sessions, a: { servers: "mqtt://a", username: "u", password } } })
    const one = withPassword("hunter1")
    assert.strictEqual(Redacted.value(one.sessions.get("a")!.options.password!), "hunter1")
    assert.notStrictEqual(one.sessions.get("a")!.key, withPassword("hunter2").sessions.get("a")!.key)
    assert.strictEqual(one.sessions.get("b")!.key, withPassword("hunter2").sessions.get("b")!.key)
    assert.notInclude(JSON.stringify([inWords(one), describeJson(one)]), "hunter1")
  })

  it("the order of keys makes no difference", () => {
    const a = decode({ ...plain, sessions: { ...plain.sessions, a: { servers: "mqtt://a", keepAlive: 5000 } } })
    const b = decode({ ...plain, sessions: { b: plain.sessions.b, a: { keepAlive: 5000, servers: "mqtt://a" } } })
    assert.strictEqual(a.sessions.get("a")!.key, b.sessions.get("a")!.key)
  })

  it("cluster: the SQL store has the locks and the sessions, whose time limits let another node take over", () => {
    const shared = { type: "sql", url: "postgres://db.example/plant" }
    const file = {
      ...plain,
      cluster: { host: "10.0.0.1" },
      stores: { shared, cache: { type: "redis", url: "redis://cache.example" } },
      sessions: {
        a: { servers: "mqtt://a", reconnect: { maxDelay: "1 minute" } },
        b: { servers: "mqtt://b", store: "cache", drainTimeout: "3 seconds" },
        c: { servers: "mqtt://c", persistence: "none" }
      }
    }
    const { cluster, forwarders, sessions } = decode(file)
    const { key, ...plan } = cluster!
    assert.deepStrictEqual(plan, { host: "10.0.0.1", port: 34_431, timings: "failover", store: "shared" })
    assert.deepStrictEqual(Array.from(sessions.values(), ({ store }) => store), ["shared", "cache", undefined])
    const a = sessions.get("a")!.options
    const defaults = SessionOptions.make({ ...ClusterTimings.session, name: "a", servers: "mqtt://a" })
    assert.deepStrictEqual(a.drainTimeout, Effect.runSync(defaults).drainTimeout)
    assert.deepStrictEqual(a.reconnect, { ...Effect.runSync(defaults).reconnect, maxDelay: Duration.minutes(1) })
    assert.deepStrictEqual(sessions.get("b")!.options.drainTimeout, Duration.seconds(3))
    assert.deepStrictEqual(forwarders.get("up")!.options.stopTimeout, Duration.seconds(1))
    const moved = decode({ ...file, stores: { ...file.stores, shared: { ...shared, tablePrefix: "other" } } })
    assert.notStrictEqual(moved.cluster!.key, key)
    assert.isUndefined(decode(plain).cluster)
  })

  it("cluster: a store that other nodes cannot reach is a mistake", () => {
    const cluster = { host: "10.0.0.1" }
    const disk = { type: "file", directory: "state" }
    const sql = (database: string) => ({ type: "sql", url: `postgres://db.example/${database}` })
    assert.deepStrictEqual(mistakes({ ...plain, cluster }), [
      "cluster: expected a store of the type sql in the file: its database says which node owns the sessions"
    ])
    assert.deepStrictEqual(mistakes({ ...plain, cluster, stores: { x: sql("x"), y: sql("y") } }), [
      "cluster: expected store, one of those of the type sql: x, y"
    ])
    assert.deepStrictEqual(
      mistakes({ ...plain, cluster: { ...cluster, store: "disk" }, stores: { disk, x: sql("x") } }),
      [
        "cluster.store: expected the name of a store of the type sql: x"
      ]
    )
    assert.deepStrictEqual(
      mistakes({
        ...plain,
        cluster,
        stores: { disk, x: sql("x") },
        sessions: { a: { servers: "mqtt://a", store: "disk" }, b: { servers: "mqtt://b", store: "memory" } }
      }),
      ["a", "b"].map((name) =>
        `sessions.${name}.store: expected a store that all nodes of the cluster reach: of the type sql or redis`
      )
    )
    assert.deepStrictEqual(mistakes({ ...plain, cluster: { port: 0, timings: "soon" }, stores: { x: sql("x") } }), [
      "cluster.host: expected the address of this node, for example host = \"${NODE_ADDRESS}\"",
      "cluster.port: expected a port, 1 to 65535",
      "cluster.timings: expected one of failover, patient"
    ])
  })

  it("reports every mistake at once, with its path", () => {
    assert.deepStrictEqual(
      mistakes({
        unknown: 1,
        log: { level: "loud" },
        metrics: { port: 70_000 },
        stores: { disk: { type: "file" }, memory: { type: "memory" }, other: { type: "tape" } },
        sessions: {
          a: { servers: "mqtt://a", store: "tape", keepAlive: "never" },
          b: { server: "mqtt://b" },
          c: { servers: "mqtt://c", persistence: "none", store: "disk" },
          d: { servers: "mqtt://d", name: "e", reconnectSchedule: 1 }
        },
        forwarders: {
          up: { sources: ["a", "x"], filters: "t/#/u", target: "b" },
          down: { sources: "b,y", filters: "t", target: "z", deadLetter: { topic: "dead", session: "w" } }
        }
      }).toSorted(),
      [
        "forwarders.down.deadLetter.session: there is no session w: expected one of a, b, c, d",
        "forwarders.down.sources: there is no session y: expected one of a, b, c, d",
        "forwarders.down.target: there is no session z: expected one of a, b, c, d",
        "forwarders.up.filters: \"t/#/u\": # that is not alone in the last level",
        "log.level: expected one of trace, debug, info, warn, error, off",
        "metrics.port: expected a port, 0 to 65535",
        "sessions.a.keepAlive: expected a duration of whole seconds from 0 to 65535 seconds",
        "sessions.a.store: expected the name of a store: memory, disk, other",
        "sessions.b.server: no such option",
        "sessions.b.servers: expected at least one server, for example mqtts://broker.example",
        "sessions.c.store: only a session with the persistence durable has a store",
        "sessions.d.name: no such option in a file",
        "sessions.d.reconnectSchedule: no such option in a file",
        "stores.disk.directory: a store of the type file needs it",
        "stores.memory: is built in; name a store of your own differently",
        "stores.other.type: expected one of file, redis, sql, memory",
        "unknown: no such option"
      ]
    )
  })

  it.each([
    [undefined],
    [null],
    [[]],
    ["text"],
    [{}],
    [{ sessions: {} }],
    [{ sessions: [] }],
    [{ sessions: { a: 1 } }],
    [{
      ...plain,
      forwarders: { up: 1 }
    }],
    [{ ...plain, stores: 1 }],
    [JSON.parse("{\"__proto__\": {\"sessions\": {}}}")]
  ])("%j is no file of a gateway", (file) => {
    assert.isNotEmpty(mistakes(file))
  })

  it("a store has the options of its type, and its address is a secret", () => {
    const withStore = (store: object) => ({
      ...plain,
      stores: { shared: store },
      sessions: { ...plain.sessions, a: { servers: "mqtt://a", store: "shared" } }
    })
    const url = (password: string) => `redis://:${password}@localhost:6379`
    const redis = (password: string) => decode(withStore({ type: "redis", url: url(password) }))
    assert.deepStrictEqual(mistakes(withStore({ type: "redis" })), [
      "stores.shared.url: a store of the type redis needs it"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "redis", url: "hunter1" })), [
      "stores.shared.url: expected an address such as redis://localhost:6379 or postgres://localhost/plant"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "sql", url: url("x") })), [
      "stores.shared.url: expected an address of PostgreSQL"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "redis", url: "postgres://localhost/x" })), [
      "stores.shared.url: expected an address of Redis"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "sql", url: "postgres://localhost/x", keyPrefix: "x" })), [
      "stores.shared.keyPrefix: a store of the type sql has none"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "file", directory: "d", url: url("x") })), [
      "stores.shared.url: a store of the type file has none"
    ])
    assert.deepStrictEqual(mistakes(withStore({ type: "memory", directory: "d" })), [
      "stores.shared.directory: a store of the type memory has none"
    ])
    assert.notInclude(JSON.stringify([inWords(redis("hunter1")), describeJson(redis("hunter1"))]), "hunter1")
    assert.notStrictEqual(redis("hunter1").sessions.get("a")!.key, redis("hunter2").sessions.get("a")!.key)
  })

  it("the admin interface needs a token where other machines may reach it", () => {
    const admin = (settings: object) => mistakes({ ...plain, admin: settings })
    assert.deepStrictEqual(admin({}), [])
    assert.deepStrictEqual(admin({ host: "::1" }), [])
    assert.deepStrictEqual(admin({ host: "0.0.0.0", token: "0123456789abcdef" }), [])
    assert.deepStrictEqual(admin({ host: "0.0.0.0" }), [
      "admin.token: is needed on an address that other machines may reach"
    ])
    assert.deepStrictEqual(admin({ token: "hunter1" }), ["admin.token: expected a text of at least 16 characters"])
  })

  it("two stores cannot share a directory", () => {
    const disk = { type: "file", directory: "d" }
    assert.deepStrictEqual(mistakes({ ...plain, stores: { one: disk, two: disk } }), [
      "stores.two.directory: is that of the store one"
    ])
  })
})

describe("the JSON Schema", () => {
  it("the published file is the one that the schemas give; `gateway --schema` writes it", () => {
    const path = Path.join(import.meta.dirname, "../../gateway.schema.json")
    assert.strictEqual(Fs.readFileSync(path, "utf8"), gatewayJsonSchemaText())
  })
})
