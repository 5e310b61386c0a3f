/**
 * Metrics for Prometheus and for OpenTelemetry: `tsc -b examples && node examples/dist/metrics.js`.
 *
 * The program has its own HTTP server with the routes for Prometheus, and pushes the same metrics to a collector. Here
 * the collector is a few lines that print what has arrived. Brokers and servers are embedded.
 */
import { SessionLog, SessionManager, SessionOptions } from "@effect-mqttx/core"
import * as MetricsRoutes from "@effect-mqttx/metrics/MetricsRoutes"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Deferred, Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { OtlpMetrics, OtlpSerialization } from "effect/observability"
import { createServer } from "node:http"

/** What the collector looks for in what arrives. */
interface Exported {
  readonly resourceMetrics: ReadonlyArray<{
    readonly scopeMetrics: ReadonlyArray<{
      readonly metrics: ReadonlyArray<{
        readonly name: string
        readonly sum?: { readonly dataPoints: ReadonlyArray<{ readonly asDouble: number }> }
      }>
    }>
  }>
}

const valueOf = ({ resourceMetrics }: Exported, name: string): number | undefined =>
  resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics)).find((metric) =>
    metric.name === name
  )?.sum?.dataPoints[0]?.asDouble

/** An HTTP server on a port of its own; answers its address. */
const listen = <E>(routes: Layer.Layer<never, E, HttpRouter.HttpRouter>) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
      )
    )
    return yield* Effect.provideContext(HttpServer.addressFormattedWith(Effect.succeed), context)
  })

const main = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.make()

  // A collector: it waits for the figure that the program counts below.
  const arrived = yield* Deferred.make<number>()
  const collector = yield* listen(HttpRouter.add(
    "POST",
    "/v1/metrics",
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const sent = valueOf(
        (yield* Effect.orDie(request.json)) as unknown as Exported,
        "mqtt_session_messages_sent_total"
      )
      if (sent === 100) yield* Deferred.succeed(arrived, sent)
      return HttpServerResponse.jsonUnsafe({})
    })
  ))

  // Everything, not only what goes wrong.
  const Sessions = SessionManager.layer({ sessions: [SessionOptions.quickConnect("plant", broker.url)] }).pipe(
    Layer.provide(SessionLog.layer({ log: "all" }))
  )
  const Metrics = MqttMetrics.layer().pipe(Layer.provideMerge(Sessions))
  const Export = OtlpMetrics.layer({
    url: `${collector}/v1/metrics`,
    resource: { serviceName: "metrics-example" },
    exportInterval: "200 millis"
  }).pipe(Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]))

  yield* Effect.gen(function*() {
    const manager = yield* SessionManager.SessionManager
    const metrics = yield* MqttMetrics.MqttMetrics
    const server = yield* listen(
      MetricsRoutes.layer().pipe(Layer.provide(Layer.succeed(MqttMetrics.MqttMetrics, metrics)))
    )
    yield* manager.awaitAllReady()
    for (let n = 0; n < 100; n++) yield* manager.publishTo("plant", `readings/${n % 7}`, `${n}`, { qos: 1 })

    const get = (path: string) => Effect.flatMap(HttpClient.get(`${server}${path}`), (response) => response.text)
    const lines = (yield* get("/metrics")).split("\n")
    for (const line of lines.filter((line) => line.startsWith("mqtt_session_messages_sent"))) yield* Effect.log(line)
    yield* Effect.log(`ready: ${(yield* get("/readyz")).trim()}`)

    const { sessions: [plant] } = yield* metrics.snapshot
    yield* Effect.log(`snapshot: ${plant!.name} sent ${plant!.metrics.messagesSent} messages to ${plant!.server}`)
    yield* Effect.log(`the collector got ${yield* Deferred.await(arrived)} as mqtt_session_messages_sent_total`)
  }).pipe(Effect.provide(Layer.merge(Metrics, Export)), Effect.provide(FetchHttpClient.layer))
}).pipe(
  Effect.timeout("30 seconds"),
  Effect.scoped
)

NodeRuntime.runMain(main)
