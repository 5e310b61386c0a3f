/**
 * Schemas of the options of HTTP routes and servers. Values may be of any type.
 */
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Schema from "effect/Schema"
import { duration, type Fields, integer, opaque, text } from "../options.ts"
import type { MetricsRoutesOptions, MetricsServerOptions, PageOptions } from "./options.ts"

const isPath = (value: unknown): boolean => typeof value === "string" && (value === "*" || value.startsWith("/"))
const path = Schema.optionalKey(opaque(isPath, "a path that begins with /"))

// An empty text would mean every interface, and Node throws at a null character.
const isHost = (value: unknown): boolean => typeof value === "string" && /^[^\s\p{Cc}\p{Cs}]+$/u.test(value)

const routeFields = {
  metricsPath: path,
  healthPath: path,
  readyPath: path,
  holdsBack: Schema.optionalKey(opaque((value) => typeof value === "function", "a function")),
  allowedHosts: Schema.optionalKey(Schema.Array(text).annotate({ message: "expected an array of texts" }))
} satisfies Fields<MetricsRoutesOptions>

const pageFields = {
  title: Schema.optionalKey(text),
  path,
  interval: Schema.optionalKey(duration),
  history: Schema.optionalKey(duration),
  maximumViewers: Schema.optionalKey(integer(1, Number.MAX_SAFE_INTEGER)),
  viewerTimeout: Schema.optionalKey(duration)
} satisfies Fields<PageOptions>

const serverFields = {
  ...routeFields,
  page: Schema.optionalKey(OptionsSchema.strict(pageFields))
} satisfies Fields<MetricsServerOptions>

export const RoutesSchema = OptionsSchema.strict(routeFields)

export const ServerSchema = OptionsSchema.strict(serverFields)

/** The options of a server with its own listener. */
export const NodeServerSchema = OptionsSchema.strict({
  ...serverFields,
  port: integer(0, 65_535),
  host: Schema.optionalKey(opaque(isHost, "a host name or an address")),
  idleTimeout: Schema.optionalKey(duration),
  maximumConnections: Schema.optionalKey(integer(1, Number.MAX_SAFE_INTEGER))
})
