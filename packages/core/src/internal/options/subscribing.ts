/**
 * Checks of topic filters and of the options of subscriptions and consumers, before anything is registered. Values may
 * be of any type.
 */
import * as Schedule from "effect/Schedule"
import { InvalidOptions, type MqttErrorReason } from "../../MqttError.ts"
import { isQoS } from "../../QoS.ts"
import type { ConsumeOptions, DeadLetterPolicy, FailurePolicy, SubscribeOptions } from "../../Subscription.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import * as Topic from "../topics.ts"
import { kindOf } from "../valueNames.ts"
import {
  callable,
  type Check,
  type Checks,
  flag,
  integer,
  isRecord,
  oneOf,
  optionsIssues,
  text,
  unchecked
} from "./plain.ts"

/**
 * Returns the topic filters as a list without duplicates, or the problem with them.
 */
export const filtersOf = (filters: unknown): ReadonlyArray<string> | MqttErrorReason => {
  const list: ReadonlyArray<unknown> | undefined = Array.isArray(filters)
    ? Array.from(new Set<unknown>(filters))
    : typeof filters === "string"
    ? [filters]
    : undefined
  if (list === undefined) {
    return invalid("filters", `expected a topic filter or an array of them, got ${kindOf(filters)}`)
  }
  if (list.length === 0) return invalid("filters", "at least one topic filter is needed")
  for (const filter of list) {
    const result = Topic.validateFilter(filter as string)
    if (result._tag === "Failure") return result.failure
  }
  return list as ReadonlyArray<string>
}

/**
 * The problem with the options of these checks, or with the policies of a consumer of the filters; undefined: none.
 */
export const refuseOptions = (
  options: unknown,
  checks: { readonly [name: string]: Check },
  filters?: ReadonlyArray<string> | MqttErrorReason
): InvalidOptions | undefined => {
  const issues = optionsIssues(options, checks)
  if (filters !== undefined && isRecord(options)) {
    issues.push(...policyIssues(options, "_tag" in filters ? [] : filters))
  }
  return issues.length === 0 ? undefined : new InvalidOptions({ issues })
}

/** The problem with a handler; undefined: none. */
export const refuseHandler = (handler: unknown): InvalidOptions | undefined => {
  const message = callable(handler)
  return message === undefined ? undefined : invalid("handler", message)
}

export const qos: Check = (value) => isQoS(value) ? undefined : "must be 0, 1 or 2"

export const schedule: Check = (value) =>
  Schedule.isSchedule(value) ? undefined : `must be a Schedule, got ${kindOf(value)}`

const policies: { readonly [Policy in Extract<FailurePolicy, string>]: true } = { retry: true, skip: true, fail: true }

const policyChecks: Checks<DeadLetterPolicy> = {
  deadLetter: (topic) => Topic.isValidName(topic as string) ? undefined : "must be a topic name",
  onRefused: oneOf("skip", "retry")
}

/**
 * The problems with the policies of a consumer of these filters.
 */
export const policyIssues = (
  options: { readonly onFailure?: unknown; readonly onInvalid?: unknown },
  filters: ReadonlyArray<string>
): ReadonlyArray<OptionsIssue> => {
  const issues: Array<OptionsIssue> = []
  for (const path of ["onFailure", "onInvalid"] as const) {
    const policy = options[path]
    if (policy === undefined || (typeof policy === "string" && Object.hasOwn(policies, policy))) continue
    if (!isRecord(policy)) {
      issues.push({ path, message: `must be "retry", "skip", "fail" or { deadLetter }` })
      continue
    }
    const { deadLetter } = policy
    for (const issue of optionsIssues({ ...policy, deadLetter: deadLetter ?? null }, policyChecks)) {
      issues.push({ ...issue, path: `${path}.${issue.path}` })
    }
    if (Topic.isValidName(deadLetter as string) && filters.some((filter) => Topic.innerFilter(filter) === deadLetter)) {
      issues.push({ path: `${path}.deadLetter`, message: "must not be the topic that is subscribed to" })
    }
  }
  return issues
}

const subscription = {
  qos,
  share: text,
  noLocal: flag,
  retainAsPublished: flag,
  retained: oneOf("each", "first", "none"),
  consumer: text,
  keep: flag,
  buffer: integer(1),
  onOverflow: oneOf("dropOldest", "suspend")
}

/** The checks of the options that routes and consumers share. */
export const sharedChecks: Checks<Omit<SubscribeOptions, "ack">> = subscription

export const ack: Check = oneOf("onReceive", "manual")

export const subscribeChecks: Checks<SubscribeOptions> = { ...subscription, ack }

export const consumeChecks: Checks<ConsumeOptions<unknown, unknown>> = {
  ...subscription,
  concurrency: integer(1),
  order: oneOf("topic", "none"),
  retry: schedule,
  // Checked separately, see `policyIssues`.
  onFailure: unchecked,
  onInvalid: unchecked,
  onSubscribed: callable
}

const invalid = (path: string, message: string): InvalidOptions => new InvalidOptions({ issues: [{ path, message }] })
