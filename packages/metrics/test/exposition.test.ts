/**
 * What Prometheus gets to see.
 */
import type { ForwarderMetrics } from "@effect-mqttx/core/ForwarderMetrics"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Metric, Scope } from "effect"
import { spawnSync } from "node:child_process"
import { collect } from "../../../test/support/managers.ts"
import { realServer } from "../../../test/support/servers.ts"
import { families } from "../src/internal/series/families.ts"
import { makeWatchedWorld, type Registry } from "./support.ts"
import { parse, valueOf } from "./textFormat.ts"

const promtool = realServer("promtool")

/** The names of the Go library's README. */
const promised = [
  "messages_sent_total",
  "messages_received_total",
  "bytes_sent_total",
  "bytes_received_total",
  "message_rate",
  "avg_message_rate",
  "bytes_rate",
  "connected",
  "status",
  "subscriptions",
  "errors_total",
  "reconnects_total",
  "last_message_timestamp_seconds",
  "last_error_timestamp_seconds",
  "persistent",
  "clean_session",
  "auto_reconnect"
]

/** Names that an operator should not be hurt by, whoever chose them. */
const hostile = [
  "plant \"A\"",
  "back\\slash",
  "new\nline",
  "carriage\rreturn",
  "}evil{x=\"1\"} 5",
  "# HELP mqtt_session_connected none",
  "größe 温度 🌡️",
  " ",
  "tab\ttab"
]

const forwarder: ForwarderMetrics = {
  name: "plant to \"cloud\"",
  state: "running",
  sources: [],
  targets: [],
  activeSources: 2,
  targetConnected: true,
  received: 20,
  forwarded: 7,
  filtered: 2,
  dropped: {
    unmapped: 1,
    transformed: 0,
    looped: 1,
    tooManyHops: 0,
    expired: 1,
    overflow: 0,
    targetQueue: 0,
    stopped: 0
  },
  deadLettered: 1,
  failed: 2,
  duplicates: 1,
  returned: 1,
  inFlight: 3,
  retried: 4,
  refusedLater: 1,
  lag: 1500,
  rates: { received: 2, forwarded: 1.5 },
  bytesForwarded: 700,
  lastForwardedAt: 1_700_000_000_000,
  lastErrorAt: undefined,
  lastError: undefined
}

const forwarders: MqttMetrics.ForwarderSource = {
  allMetrics: Effect.succeed(new Map([[forwarder.name, forwarder]]))
}

describe("Prometheus sees", () => {
  it.live("every name that the Go library promises, with the session as a label", () =>
    Effect.gen(function*() {
      const { broker, exposed, manager, ready } = yield* makeWatchedWorld()
      const session = yield* ready("plant")
      const inbox = yield* collect(session.subscribe("t", { qos: 1 }))
      yield* broker.awaitUntil(() => broker.subscriptions(broker.sessions[0]!.clientId).length === 1)
      yield* session.publish("t", "1", { qos: 1 })
      yield* inbox.take(1)
      yield* broker.awaitIdle
      yield* broker.cut(1)
      yield* broker.awaitConnections(2)
      yield* manager.awaitReady("plant")
      const seen = yield* exposed
      for (const name of promised) {
        assert.isDefined(valueOf(seen, `mqtt_session_${name}`, { session: "plant" }), name)
      }
      const value = (name: string, labels = {}) =>
        valueOf(seen, `mqtt_session_${name}`, { session: "plant", ...labels })
      assert.strictEqual(value("messages_sent_total"), 1)
      assert.strictEqual(value("messages_received_total"), 1)
      assert.strictEqual(value("connected"), 1)
      assert.strictEqual(value("status"), 2)
      assert.strictEqual(value("subscriptions"), 1)
      assert.strictEqual(value("errors_total"), 1)
      assert.strictEqual(value("errors_by_reason_total", { reason: "ConnectionLost" }), 1)
      assert.strictEqual(value("reconnects_total"), 1)
      assert.strictEqual(value("reconnects_by_reason_total", { reason: "ConnectionLost" }), 1)
      assert.strictEqual(value("persistent"), 1)
      assert.strictEqual(value("clean_session"), 1)
      assert.strictEqual(value("auto_reconnect"), 1)
      assert.strictEqual(value("acknowledgement_latency_seconds_count"), 1)
      assert.isAbove(value("last_message_timestamp_seconds")!, 1_700_000_000)
      assert.isBelow(value("last_message_timestamp_seconds")!, 10_000_000_000)
    }))

  it.live("HELP and TYPE of every metric, as it is documented", () =>
    Effect.gen(function*() {
      const { exposed, ready } = yield* makeWatchedWorld({}, {}, { forwarders })
      yield* ready("plant", { persistence: "durable" })
      const seen = yield* exposed
      for (const [name, { help, type }] of seen) {
        const family = families.find((family) => family.name === name)
        assert.isDefined(family, name)
        assert.strictEqual(type, family!.type)
        assert.strictEqual(help, family!.help)
      }
      assert.isTrue(seen.has("mqtt_store_commit_duration_seconds"))
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.live("nothing about what never happened", () =>
    Effect.gen(function*() {
      const { exposed, ready } = yield* makeWatchedWorld()
      yield* ready("plant")
      const seen = yield* exposed
      assert.isFalse(seen.has("mqtt_session_last_message_timestamp_seconds"))
      assert.isFalse(seen.has("mqtt_session_last_error_timestamp_seconds"))
      assert.isFalse(seen.has("mqtt_session_errors_by_reason_total"))
    }))

  it.live("the time until the certificates of a connection expire", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const expiresAt = Date.now() + 1_000_000
      const certificates: ReadonlyArray<Transport.StreamCertificate> = [
        { owner: "server", subject: "CN=a", expiresAt },
        { owner: "client", subject: "CN=b", expiresAt: expiresAt - 2_000_000 }
      ]
      const transport: Transport.Transport = {
        open: (request, handlers) =>
          Effect.map(
            broker.transport.open(request, handlers),
            (stream) => Object.assign(stream, { certificates: () => certificates })
          )
      }
      const manager = yield* Effect.provideService(SessionManager.make(), Transport.Transport, transport)
      const { awaitReady } = yield* manager.add({ name: "plant", servers: [broker.url] })
      yield* awaitReady
      const { prometheus } = yield* MqttMetrics.make({ manager })
      const seen = parse(yield* prometheus)
      const value = (certificate: string) =>
        valueOf(seen, "mqtt_session_certificate_expiry_seconds", { session: "plant", certificate })!
      assert.isBelow(Math.abs(value("server") - 1000), 60)
      assert.isBelow(Math.abs(value("client") + 1000), 60)
    }))

  it.live("the outcomes of a forwarder's messages, which add up", () =>
    Effect.gen(function*() {
      const { exposed } = yield* makeWatchedWorld({}, {}, { forwarders })
      const seen = yield* exposed
      const labels = { forwarder: forwarder.name }
      const value = (name: string) => valueOf(seen, `mqtt_forwarder_${name}`, labels)!
      const dropped = seen.get("mqtt_forwarder_messages_dropped_total")!.samples.reduce(
        (sum, { value }) => sum + value,
        0
      )
      assert.strictEqual(
        value("messages_received_total"),
        dropped + value("messages_forwarded_total") + value("messages_filtered_total") +
          value("messages_dead_lettered_total") + value("messages_failed_total") + value("messages_duplicate_total") +
          value("messages_returned_total") + value("inflight_messages")
      )
      assert.strictEqual(value("lag_seconds"), 1.5)
      assert.strictEqual(value("last_forwarded_timestamp_seconds"), 1_700_000_000)
      assert.isUndefined(value("last_error_timestamp_seconds"))
    }))

  it.live("routes by their description or number, never by topic", () =>
    Effect.gen(function*() {
      const { manager, metrics, ready } = yield* makeWatchedWorld()
      yield* ready("plant")
      yield* manager.handle("secret/topic/+", () => Effect.void, { description: "temperatures" })
      yield* manager.handle("secret/topic/+", () => Effect.void, { description: "temperatures" })
      yield* manager.handle("secret/topic/#", () => Effect.void)
      yield* Effect.flatMap(manager.routes, (routes) => Effect.forEach(routes, ({ active }) => active))
      yield* manager.publishTo("plant", "secret/topic/1", "1", { qos: 1 })
      const text = yield* metrics.prometheus
      const seen = parse(text)
      for (const route of ["temperatures", "temperatures (2)", "route 1"]) {
        assert.strictEqual(valueOf(seen, "mqtt_route_sessions", { route, state: "active" }), 1)
      }
      assert.notInclude(text, "secret")
    }))

  it.live("no more names of routes than there are routes at a time", () =>
    Effect.gen(function*() {
      const { exposed, manager } = yield* makeWatchedWorld()
      for (let n = 0; n < 5; n++) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* manager.handle("t", () => Effect.void)
          yield* manager.handle("t", () => Effect.void)
          const seen = yield* exposed
          assert.deepStrictEqual(
            seen.get("mqtt_route_failures_total")!.samples.map(({ labels }) => labels.route),
            ["route 1", "route 2"]
          )
        }))
      }
    }))

  it.live("the forwarders of whatever service knows them", () =>
    Effect.gen(function*() {
      class Forwarders extends Context.Service<Forwarders, MqttMetrics.ForwarderSource>()("Forwarders") {}
      const { manager } = yield* makeWatchedWorld()
      const context = yield* Layer.build(
        MqttMetrics.layer({ forwarders: Forwarders }).pipe(
          Layer.provide([
            Layer.succeed(SessionManager.SessionManager, manager),
            Layer.succeed(Forwarders, forwarders),
            Layer.sync(Metric.MetricRegistry, () => new Map())
          ])
        )
      )
      const snapshot = yield* Context.get(context, MqttMetrics.MqttMetrics).snapshot
      assert.deepStrictEqual(snapshot.forwarders.map(({ forwarded, name }) => [name, forwarded]), [[forwarder.name, 7]])
    }))

  it.live("hostile names as they are, without a line or label that they forge", () =>
    Effect.gen(function*() {
      const { exposed, manager, options } = yield* makeWatchedWorld()
      for (const name of hostile) yield* manager.add(options(name))
      yield* manager.awaitAllReady()
      const seen = yield* exposed
      const names = seen.get("mqtt_session_connected")!.samples.map(({ labels }) => labels.session)
      assert.deepStrictEqual(names, hostile)
      for (const session of hostile) assert.strictEqual(valueOf(seen, "mqtt_session_connected", { session }), 1)
    }))

  it.live.skipIf(promtool === undefined)("an export without errors for promtool", () =>
    Effect.gen(function*() {
      const { manager, metrics, options } = yield* makeWatchedWorld({}, {}, { forwarders })
      for (const name of hostile) yield* manager.add(options(name))
      yield* manager.addDurable(options("durable", { persistence: "durable" }))
      yield* manager.handle("t", () => Effect.void, { description: "a \"route\"" })
      yield* manager.awaitAllReady()
      yield* manager.publishTo("durable", "t", "1", { qos: 1 })
      const checked = spawnSync(promtool!, ["check", "metrics"], { input: yield* metrics.prometheus, encoding: "utf8" })
      assert.strictEqual(checked.stdout + checked.stderr, "")
      assert.strictEqual(checked.status, 0)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.live("hundreds of sessions", () =>
    Effect.gen(function*() {
      const { broker, exposed, manager, options } = yield* makeWatchedWorld()
      yield* broker.refuseNetwork
      for (let n = 0; n < 300; n++) {
        yield* manager.add(options(`s${n}`, { reconnect: { initialDelay: "1 minutes" }, drainTimeout: "1 millis" }))
      }
      const seen = yield* exposed
      assert.strictEqual(seen.get("mqtt_session_connected")!.samples.length, 300)
    }), 180_000)

  it.live("no session that was removed, and at once one that was added", () =>
    Effect.gen(function*() {
      const { exposed, manager, ready, registry } = yield* makeWatchedWorld()
      yield* ready("a")
      yield* ready("b")
      const sessions = Effect.map(exposed, (seen) =>
        seen.get("mqtt_session_connected")?.samples.map(({ labels }) => labels.session) ?? [])
      assert.deepStrictEqual(yield* sessions, ["a", "b"])
      yield* manager.remove("a")
      assert.deepStrictEqual(yield* sessions, ["b"])
      yield* manager.remove("b")
      assert.deepStrictEqual(yield* sessions, [])
      assert.isFalse(
        Array.from(registry.values()).some(({ id }) =>
          id.startsWith("mqtt_session_")
        )
      )
    }))

  it.live("nothing any more when the scope of the metrics has ended", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWatchedWorld()
      yield* ready("a")
      const registry: Registry = new Map()
      const scope = yield* Scope.make()
      yield* MqttMetrics.make({ manager }).pipe(
        Scope.provide(scope),
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      assert.isAbove(registry.size, 20)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(registry.size, 0)
    }))

  it.live("the moment at which it asks, even if others read the registry", () =>
    Effect.gen(function*() {
      const { ready, registry } = yield* makeWatchedWorld()
      const session = yield* ready("plant")
      const read = Effect.sync(() => {
        for (const { attributes, hooks, id } of registry.values()) {
          if (id === "mqtt_session_messages_sent_total" && attributes?.session === "plant") {
            return hooks.get({} as never) as Metric.CounterState<number>
          }
        }
        return undefined
      })
      yield* Effect.yieldNow
      assert.strictEqual((yield* read)?.count, 0)
      yield* session.publish("t", "1", { qos: 1 })
      assert.strictEqual((yield* read)?.count, 1)
    }))
})
