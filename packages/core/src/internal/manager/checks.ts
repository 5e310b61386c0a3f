/**
 * Checks the arguments of a manager's operations: names, options and filters of events. Values may be of any type.
 */
import type { HandleOptions, ListenOptions } from "../../SessionRoute.ts"
import {
  type Check,
  type Checks,
  duration,
  flag,
  having,
  integer,
  list,
  oneOf,
  text,
  unchecked
} from "../options/plain.ts"
import { ack, schedule, sharedChecks } from "../options/subscribing.ts"
import { kindOf } from "../valueNames.ts"
import type { AddOptions, AwaitOptions, EventFilter, ManagerOptions, RemoveOptions } from "./contract.ts"

export const managerChecks: Checks<ManagerOptions> = {
  sessions: list,
  eventReplay: integer(0),
  eventBuffer: integer(1)
}

export const addChecks: Checks<AddOptions> = { transport: having("open", "a Transport") }

export const removeChecks: Checks<RemoveOptions> = { deleteState: flag }

export const awaitChecks: Checks<AwaitOptions> = { timeout: duration }

const isText = (value: unknown): boolean => typeof value === "string"

const texts: Check = (value) =>
  typeof value === "string" || (Array.isArray(value) && Array.from(value, isText).every(Boolean))
    ? undefined
    : `must be a text or an array of texts, got ${kindOf(value)}`

export const eventChecks: Checks<EventFilter> = { type: texts, session: text }

const route = {
  ...sharedChecks,
  // Checked separately, in all their parts.
  filter: unchecked,
  transform: having("transform", "a RouteTransformer"),
  onFailure: unchecked,
  onInvalid: unchecked,
  description: text
}

export const handleChecks: Checks<HandleOptions<unknown, unknown, unknown, unknown>> = {
  ...route,
  concurrency: integer(1),
  order: oneOf("topic", "none"),
  retry: schedule
}

export const listenChecks: Checks<ListenOptions<unknown, unknown>> = { ...route, ack, capacity: integer(1) }
