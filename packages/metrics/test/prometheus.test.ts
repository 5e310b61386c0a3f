/**
 * A real Prometheus scrapes a real server, and answers what we counted ourselves.
 */
import * as MetricsRoutes from "@effect-mqttx/metrics/MetricsRoutes"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Schedule } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { freePort } from "../../../test/support/freePort.ts"
import { makeWorld } from "../../../test/support/managers.ts"
import { realServer } from "../../../test/support/servers.ts"

const program = realServer("prometheus")

/** A running Prometheus that scrapes a port once in a while; asks it. */
const makePrometheus = Effect.fnUntraced(function*(target: string) {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "prometheus-"))),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
  )
  const config = Path.join(folder, "prometheus.yml")
  Fs.writeFileSync(
    config,
    `global:
  scrape_interval: 250ms
scrape_configs:
  - job_name: mqtt
    static_configs:
      - targets: ["${target}"]
`
  )
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(program!, [
        `--config.file=${config}`,
        `--storage.tsdb.path=${Path.join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=error"
      ], { stdio: ["ignore", "ignore", "inherit"] })
    ),
    stop
  )
  const ask = (query: string) =>
    Effect.tryPromise(async () => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`)
      const { data, status } = await response.json() as Answer
      if (status !== "success") throw new Error(`${query}: ${status}`)
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
    })
  return { ask }
})

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

interface Answer {
  readonly status: string
  readonly data: {
    readonly result: ReadonlyArray<{
      readonly metric: Readonly<Record<string, string>>
      readonly value: readonly [at: number, value: string]
    }>
  }
}

describe("a real Prometheus", () => {
  it.live.skipIf(program === undefined)("answers queries with what we counted", () =>
    Effect.gen(function*() {
      const { broker, manager, options, ready } = yield* makeWorld()
      const name = "plant \"A\" \\ größe\n2"
      const plant = yield* ready(name)
      yield* ready("cloud")
      let handled = 0
      const route = yield* manager.handleTo("cloud", "t/#", () => Effect.sync(() => handled++), { description: "all" })
      yield* route.active
      const context = yield* Layer.build(
        HttpRouter.serve(MetricsRoutes.layer(), { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provide(Layer.effect(MqttMetrics.MqttMetrics, MqttMetrics.make({ manager }))),
          Layer.provideMerge(NodeHttpServer.layerTest),
          Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
        )
      )
      const { port } = yield* Effect.map(
        Effect.provideContext(HttpServer.HttpServer, context),
        ({ address }) => address as { readonly port: number }
      )
      const prometheus = yield* makePrometheus(`127.0.0.1:${port}`)

      // Traffic while it scrapes.
      for (let n = 0; n < 300; n++) yield* plant.publish(`t/${n % 5}`, "0123456789", { qos: (n % 3) as 0 | 1 | 2 })
      yield* broker.awaitUntil(() => broker.sent("Publish").length === 300)
      yield* broker.awaitIdle
      const clientId = broker.sessions.find(({ subscriptions }) => subscriptions.length === 0)!.clientId
      yield* broker.cut(clientId)
      yield* broker.awaitConnections(2, clientId)
      yield* manager.awaitReady(name)
      yield* broker.refuseNetwork
      yield* manager.add(options("never"))

      const until = (query: string, expected: number) =>
        prometheus.ask(query).pipe(
          Effect.flatMap((answer) =>
            answer.length === 1 && answer[0]!.value === expected
              ? Effect.succeed(answer[0]!)
              : Effect.fail(new Error(`${query}: ${JSON.stringify(answer)} instead of ${expected}`))
          ),
          Effect.retry(Schedule.max([Schedule.spaced("200 millis"), Schedule.during("40 seconds")]))
        )
      const sent = yield* until("mqtt_session_messages_sent_total{session!=\"cloud\",session!=\"never\"}", 300)
      assert.strictEqual(sent.labels.session, name)
      assert.strictEqual(sent.labels.job, "mqtt")
      yield* until("mqtt_session_messages_received_total{session=\"cloud\"}", 300)
      yield* until("mqtt_route_messages_delivered_total{route=\"all\"}", 300)
      assert.strictEqual(handled, 300)
      yield* until("sum(mqtt_session_reconnects_total)", 1)
      yield* until("mqtt_session_reconnects_by_reason_total{reason=\"ConnectionLost\"}", 1)
      yield* until("mqtt_session_acknowledgement_latency_seconds_count{session!~\"cloud|never\"}", 200)
      yield* until("mqtt_session_acknowledgement_latency_seconds_bucket{session!~\"cloud|never\",le=\"+Inf\"}", 200)
      yield* until("count(mqtt_session_connected == 1)", 2)
      yield* until("mqtt_session_connected{session=\"never\"}", 0)
      yield* until("mqtt_manager_sessions{state=\"connecting\"}", 1)
      yield* until("time() - mqtt_session_last_message_timestamp_seconds{session=\"cloud\"} < bool 60", 1)
      // The bytes of the session that was never cut are those of the broker's record.
      const cloud = broker.connections.find((connection) => connection.clientId.startsWith("mqttx-cloud"))!
      yield* until("mqtt_session_bytes_sent_total{session=\"cloud\"}", cloud.bytesReceived)
      yield* until("mqtt_session_bytes_received_total{session=\"cloud\"}", cloud.bytesSent)

      yield* manager.remove("cloud")
      yield* Effect.retry(
        Effect.flatMap(
          prometheus.ask("mqtt_session_connected{session=\"cloud\"}"),
          (answer) => answer.length === 0 ? Effect.void : Effect.fail(new Error("a removed session is still there"))
        ),
        Schedule.max([Schedule.spaced("200 millis"), Schedule.during("40 seconds")])
      )
      yield* until("mqtt_manager_messages_received_total", 300)
    }), 180_000)
})
