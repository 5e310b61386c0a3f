/**
 * Checks the arguments of requests and responders, before a request is published or a subscription is made. Values may
 * be of any type.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { MqttError } from "../../MqttError.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import {
  callable,
  type Checks,
  duration,
  integer,
  isRecord,
  oneOf,
  optionsIssues,
  refusal,
  text,
  unchecked
} from "../options/plain.ts"
import { qos } from "../options/subscribing.ts"
import { kindOf } from "../valueNames.ts"
import { type RequestManyOptions, type RespondOptions, TypeId } from "./contract.ts"

const contentType = oneOf("ifPresent", "required", "ignore")

const requestManyChecks: Checks<RequestManyOptions> = {
  timeout: duration,
  qos,
  // Their content is checked when the request is published.
  userProperties: unchecked,
  contentType,
  via: oneOf("properties", "topic"),
  count: integer(1),
  idle: duration
}

const { count: _count, idle: _idle, ...requestChecks } = requestManyChecks

const respondChecks: Checks<RespondOptions<unknown>> = {
  params: (value) => isRecord(value) ? undefined : `must be a record of parameters, got ${kindOf(value)}`,
  share: text,
  concurrency: integer(1),
  order: oneOf("topic", "none"),
  qos,
  contentType,
  via: oneOf("properties", "topic", "both"),
  onSubscribed: (value) => Effect.isEffect(value) ? undefined : `must be an Effect, got ${kindOf(value)}`
}

/** The visible problem with a session; undefined: none. */
export const sessionIssue = (session: unknown): OptionsIssue | undefined =>
  isRecord(session) && isRecord(session["options"]) && typeof session["publish"] === "function" &&
    typeof session["consume"] === "function"
    ? undefined
    : { path: "session", message: `must be a session, got ${kindOf(session)}` }

/** Why this is no request template; undefined: it is one. */
export const refuseTemplate = (template: unknown, session: string, method: string): MqttError | undefined =>
  Predicate.hasProperty(template, TypeId)
    ? undefined
    : refusal([{ path: "template", message: `must be a request template, got ${kindOf(template)}` }], method, session)

const present = (...issues: ReadonlyArray<OptionsIssue | undefined>): ReadonlyArray<OptionsIssue> =>
  issues.filter((issue) => issue !== undefined)

const failure = (issues: ReadonlyArray<OptionsIssue>, session: unknown, method: string): MqttError | undefined =>
  refusal(issues, method, isRecord(session) ? session["name"] : undefined)

/** Why these arguments cannot make a request; undefined: they can. */
export const refuseRequest = (
  session: unknown,
  options: unknown,
  many: boolean
): MqttError | undefined =>
  failure(
    [
      ...present(sessionIssue(session)),
      ...optionsIssues(options, many ? requestManyChecks : requestChecks)
    ],
    session,
    "request"
  )

/** Why these arguments cannot make a responder; undefined: they can. */
export const refuseRespond = (
  session: unknown,
  handler: unknown,
  options: unknown
): MqttError | undefined => {
  const message = callable(handler)
  return failure(
    [
      ...present(
        sessionIssue(session),
        message === undefined ? undefined : { path: "handler", message }
      ),
      ...optionsIssues(options, respondChecks)
    ],
    session,
    "respond"
  )
}

/** Why these arguments cannot make a requester; undefined: they can. */
export const refuseRequester = (session: unknown, options: unknown): MqttError | undefined =>
  failure(
    [...present(sessionIssue(session)), ...optionsIssues(options, { via: requestChecks.via })],
    session,
    "requester"
  )
