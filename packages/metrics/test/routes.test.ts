/**
 * The routes for a server of one's own.
 */
import type * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as MetricsRoutes from "@effect-mqttx/metrics/MetricsRoutes"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { HttpClient, HttpRouter } from "effect/http"
import { makeWorld } from "../../../test/support/managers.ts"
import { parse, valueOf } from "./textFormat.ts"

/** A real server on a port of its own, and a client of it. */
const serving = (manager: SessionManager.SessionManager["Service"], options?: MetricsRoutes.MetricsRoutesOptions) =>
  HttpRouter.serve(MetricsRoutes.layer(options), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(Layer.effect(MqttMetrics.MqttMetrics, MqttMetrics.make({ manager }))),
    Layer.provideMerge(NodeHttpServer.layerTest),
    Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
  )

describe("MetricsRoutes", () => {
  it.live("/metrics answers the current metrics in the text format", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      const session = yield* ready("plant")
      yield* Effect.gen(function*() {
        yield* session.publish("t", "1", { qos: 1 })
        const response = yield* HttpClient.get("/metrics")
        assert.strictEqual(response.status, 200)
        assert.strictEqual(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        const seen = parse(yield* response.text)
        assert.strictEqual(valueOf(seen, "mqtt_session_messages_sent_total", { session: "plant" }), 1)
        yield* manager.remove("plant")
        yield* ready("cloud")
        const after = parse(yield* Effect.flatMap(HttpClient.get("/metrics"), (response) => response.text))
        assert.isUndefined(valueOf(after, "mqtt_session_connected", { session: "plant" }))
        assert.strictEqual(valueOf(after, "mqtt_session_connected", { session: "cloud" }), 1)
        assert.strictEqual(valueOf(after, "mqtt_manager_messages_sent_total"), 1)
      }).pipe(Effect.provide(serving(manager)))
    }))

  it.live("/healthz answers as long as the process does, whatever the sessions do", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      yield* manager.add(options("plant"))
      const response = yield* Effect.provide(HttpClient.get("/healthz"), serving(manager))
      assert.strictEqual(response.status, 200)
      assert.strictEqual(yield* response.text, "ok\n")
    }))

  it.live("/readyz answers 503 with the sessions that are not ready, and why, until all are", () =>
    Effect.gen(function*() {
      const { broker, manager, options, ready } = yield* makeWorld()
      yield* ready("cloud")
      yield* broker.refuseConnect(0x86, { clientId: "plant-1" })
      yield* manager.add(options("plant", { clientId: "plant-1", password: "secret-1", username: "me" }))
      yield* Effect.exit(manager.awaitReady("plant"))
      yield* Effect.gen(function*() {
        const response = yield* HttpClient.get("/readyz")
        assert.strictEqual(response.status, 503)
        const text = yield* response.text
        assert.notInclude(text, "secret")
        const body = JSON.parse(text)
        assert.isFalse(body.ready)
        assert.deepStrictEqual(
          body.causes.map(({ kind, name, reason, state }: Record<string, unknown>) => ({ kind, name, state, reason })),
          [{ kind: "session", name: "plant", state: "connecting", reason: "BadCredentials" }]
        )
        yield* manager.remove("plant")
        const after = yield* HttpClient.get("/readyz")
        assert.strictEqual(after.status, 200)
        assert.deepStrictEqual(yield* after.json, { ready: true, causes: [] })
      }).pipe(Effect.provide(serving(manager)))
    }))

  it.live("what being ready means is an option, and so are the paths", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      yield* manager.add(options("optional"))
      const response = yield* Effect.provide(
        HttpClient.get("/internal/ready"),
        serving(manager, { readyPath: "/internal/ready", holdsBack: ({ session }) => session !== "optional" })
      )
      assert.strictEqual(response.status, 200)
    }))
})
