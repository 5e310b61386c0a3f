/**
 * Checks the arguments of topic templates and request templates. Values may be of any type.
 */
import * as Schema from "effect/Schema"
import * as PayloadCodec from "../PayloadCodec.ts"
import type { OptionsIssue } from "./errors/operation.ts"
import { callable, type Check, isRecord, optionsIssues } from "./options/plain.ts"
import { kindOf } from "./valueNames.ts"

/** Returns a codec. A schema whose encoded form is a string becomes a codec without a content type. */
export const codecOf = <A, RE, RD>(
  payload: PayloadCodec.PayloadCodec<A, RE, RD> | Schema.ConstraintCodec<A, string, RD, RE>
): PayloadCodec.PayloadCodec<A, RE, RD> =>
  PayloadCodec.isPayloadCodec(payload)
    ? payload as PayloadCodec.PayloadCodec<A, RE, RD>
    : PayloadCodec.fromSchema(payload as Schema.ConstraintCodec<A, string, RD, RE>)

/** A codec or a schema. */
export const payloadCheck: Check = (value) => {
  if (!PayloadCodec.isPayloadCodec(value)) {
    return Schema.isSchema(value) ? undefined : `must be a PayloadCodec or a Schema, got ${kindOf(value)}`
  }
  return callable(value.encode) ?? callable(value.decode) ?? callable(value.accepts)
}

const schemas: Check = (value) => {
  if (!isRecord(value)) return `must be a record of schemas, got ${kindOf(value)}`
  for (const [name, schema] of Object.entries(value)) {
    if (schema !== undefined && !Schema.isSchema(schema)) return `${name} must be a Schema, got ${kindOf(schema)}`
  }
  return undefined
}

/** Schemas for parameters: there must be one for each parameter of the path. */
export const parameterIssues = (names: ReadonlyArray<string>, params: object): ReadonlyArray<OptionsIssue> =>
  Object.keys(params).filter((name) => !names.includes(name)).map((name) => ({
    path: `params.${name}`,
    message: "no such parameter in the topic"
  }))

/** The problems with the payload and the options of a topic template. */
export const templateIssues = (payload: unknown, options: unknown): ReadonlyArray<OptionsIssue> => {
  const message = payloadCheck(payload)
  return [
    ...(message === undefined ? [] : [{ path: "payload", message }]),
    ...(options === undefined ? [] : optionsIssues(options, { params: schemas }))
  ]
}

/** The problems with the payloads of a request template. */
export const requestIssues = (payloads: unknown): ReadonlyArray<OptionsIssue> => {
  const checks = { request: payloadCheck, response: payloadCheck, failure: payloadCheck, params: schemas }
  if (!isRecord(payloads)) return optionsIssues(payloads, checks)
  const { request = null, response = null } = payloads
  return optionsIssues({ ...payloads, request, response }, checks)
}
