/**
 * The live page, Prometheus and health checks by one layer: `tsc -b examples && node examples/dist/metrics-page.js`.
 *
 * The program asks its own server once and ends. With `--stay` it runs until it is stopped: open the address that it
 * prints. The broker is embedded.
 */
import { SessionManager } from "@effect-mqttx/core"
import { MetricsServer, MqttMetrics } from "@effect-mqttx/metrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schedule } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"

const program = Effect.gen(function*() {
  const manager = yield* SessionManager.SessionManager
  const { url } = yield* MetricsServer.MetricsServer
  yield* manager.awaitAllReady()
  const publish = (n: number) =>
    manager.publishTo("plant", `sensors/room${n % 5}/temperature`, `${20 + n % 7}`, { qos: 1 })
  for (let n = 0; n < 50; n++) yield* publish(n)
  yield* Effect.log(`the page is at ${url}`)
  if (process.argv.includes("--stay")) yield* Effect.repeat(publish(1), Schedule.spaced("100 millis"))

  const get = (path: string) => Effect.flatMap(HttpClient.get(new URL(path, url)), (response) => response.text)
  const page = yield* get("/")
  const sent = (yield* get("/metrics")).split("\n").find((line) => line.startsWith("mqtt_session_messages_sent_total"))
  yield* Effect.log(`${page.length} characters of page; ${sent}; ready: ${(yield* get("/readyz")).trim()}`)
  if (!page.includes("<html") || sent?.endsWith(" 50") !== true) yield* Effect.die("the server told something else")
})

const main = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.make()
  const Sessions = SessionManager.layer({ sessions: [{ name: "plant", servers: [broker.url] }] })
  const Server = NodeMetricsServer.layer({ port: 0 }).pipe(Layer.provide(MqttMetrics.layer()))
  yield* Effect.provide(program, Layer.provideMerge(Server, Sessions))
}).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))

NodeRuntime.runMain(main)
