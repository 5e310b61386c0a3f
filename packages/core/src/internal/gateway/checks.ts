/**
 * Checks of the options of HTTP routes and servers. Values may be of any type.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MetricsRoutesOptions } from "../../MetricsRoutes.ts"
import type { MetricsServerOptions, PageOptions } from "../../MetricsServer.ts"
import { callable, type Check, type Checks, duration, integer, orDie, recordOf, text } from "../options/plain.ts"

const path: Check = (value) =>
  typeof value === "string" && (value === "*" || value.startsWith("/"))
    ? undefined
    : "must be a path that begins with /"

export const routeChecks: Checks<MetricsRoutesOptions> = {
  metricsPath: path,
  healthPath: path,
  readyPath: path,
  isReady: callable
}

const pageChecks: Checks<PageOptions> = {
  title: text,
  path,
  interval: duration,
  history: duration,
  maximumViewers: integer(1)
}

export const serverChecks: Checks<MetricsServerOptions> = { ...routeChecks, page: recordOf(pageChecks) }

/** A layer that dies with an `MqttError` for options that are wrong. */
export const checkedLayer = <A, E, R>(
  options: unknown,
  checks: { readonly [name: string]: Check },
  method: string,
  make: () => Layer.Layer<A, E, R>
): Layer.Layer<A, E, R> => Layer.unwrap(Effect.map(orDie(options, checks, method), make))
