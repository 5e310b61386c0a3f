/**
 * Checks of the options of HTTP routes and servers. Values may be of any type.
 */
import { callable, type Check, type Checks, duration, integer, recordOf, text, texts } from "../options/plain.ts"
import type { MetricsRoutesOptions } from "./options.ts"
import type { MetricsServerOptions, PageOptions } from "./options.ts"

const path: Check = (value) =>
  typeof value === "string" && (value === "*" || value.startsWith("/"))
    ? undefined
    : "must be a path that begins with /"

export const routeChecks: Checks<MetricsRoutesOptions> = {
  metricsPath: path,
  healthPath: path,
  readyPath: path,
  holdsBack: callable,
  allowedHosts: texts
}

const pageChecks: Checks<PageOptions> = {
  title: text,
  path,
  interval: duration,
  history: duration,
  maximumViewers: integer(1),
  viewerTimeout: duration
}

export const serverChecks: Checks<MetricsServerOptions> = { ...routeChecks, page: recordOf(pageChecks) }
