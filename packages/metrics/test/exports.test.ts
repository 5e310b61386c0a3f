/**
 * Every exported function of the package with wrong values of every kind in each of its places.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as Transport from "@effect-mqttx/core/Transport"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Logger } from "effect"
import { HttpRouter } from "effect/http"
import * as Path from "node:path"
import * as T from "../../../test/support/valueTypes.ts"
import { nothing, type Subject, subject, testExports } from "../../../test/support/wrongExports.ts"
import { type Options, options } from "../../../test/support/wrongValues.ts"

const offline = Layer.succeed(Transport.Transport, { open: () => Effect.never })
const managers = Layer.provideMerge(SessionManager.layer(), offline)

const context = Layer.mergeAll(
  managers,
  Layer.provide(MqttSession.layer({ name: "one", servers: "a.invalid" }), offline),
  NodeHttpServer.layerTest,
  Logger.layer([]),
  Layer.provide(MqttMetrics.layer(), managers)
)

/** Routes go into a router of their own: there cannot be two of one path. */
const routed: Subject["wrap"] = (call) => (...given) =>
  Layer.provide(call(...given) as Layer.Layer<unknown>, Layer.fresh(HttpRouter.layer))

const metricsOptions = options("options", { synchronizeEvery: T.duration, perSessionSeries: T.flag })
const path = T.type("path", () => "/a", () => false)
const paths: Options["types"] = {
  metricsPath: path,
  healthPath: path,
  readyPath: path,
  holdsBack: T.callable(() => () => true),
  allowedHosts: T.type(
    "allowedHosts",
    () => ["a.example"],
    (value) => Array.isArray(value) && value.every((item) => typeof item === "string")
  )
}
const host = T.type(
  "host",
  () => "127.0.0.1",
  (value) => typeof value === "string" && value !== "" && !/[\s\p{Cc}\p{Cs}]/u.test(value)
)
const page = T.empty

const subjects = {
  MetricsRoutes: { layer: { ...subject("layer", options("options", paths)), wrap: routed } },
  MetricsServer: {
    layer: subject("layer", options("options", { ...paths, page })),
    layerRoutes: { ...subject("layer", options("options", { ...paths, page })), wrap: routed }
  },
  MqttMetrics: {
    make: subject(
      "effect",
      options(
        "sources",
        {
          sessions: T.type("list", () => [], (value) => Array.isArray(value) && value.length === 0),
          manager: nothing("manager", () => undefined).type,
          forwarders: nothing("forwarders", () => undefined).type
        }
      ),
      metricsOptions
    ),
    layer: subject("layer", metricsOptions),
    layerSession: subject("layer", metricsOptions)
  },
  NodeMetricsServer: {
    layer: subject(
      "layer",
      options(
        "options",
        { ...paths, page, port: T.type("port", () => 0, (value) => value === 0), host },
        () => ({ port: 0 }),
        false
      )
    )
  }
}

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  subjects,
  context as Layer.Layer<never, unknown>
)
