/**
 * Checks the parts of a session that are code, and Config values that supply its options.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import type { Checks } from "../options/plain.ts"
import { isRecord, optionsIssues, refusal } from "../options/plain.ts"
import { schedule } from "../options/subscribing.ts"
import { kindOf } from "../valueNames.ts"
import type { Extras } from "./contract.ts"

export const extrasChecks: Checks<Extras> = {
  reconnect: schedule,
  credentials: (value) =>
    typeof value === "function" || Effect.isEffect(value)
      ? undefined
      : `must be an Effect or a function that answers one, got ${kindOf(value)}`,
  authentication: (value) =>
    isRecord(value) && typeof value["method"] === "string" && typeof value["initiate"] === "function"
      ? undefined
      : `must be an Authenticator, got ${kindOf(value)}`
}

/** The checked extras. Fails when one is invalid. */
export const checkExtras = (extras: Extras | undefined, method: string): Effect.Effect<Extras, MqttError> => {
  if (extras === undefined) return Effect.succeed({})
  const issues = optionsIssues(extras, extrasChecks)
  const invalid = refusal(issues.map(({ message, path }) => ({ path: `extras${path && `.${path}`}`, message })), method)
  return invalid === undefined ? Effect.succeed(extras) : Effect.fail(invalid)
}

/** The value of a Config. Fails when the argument is not a Config. */
export const configured = <A>(
  config: Config.Config<A>,
  method: string
): Effect.Effect<A, MqttError | Config.ConfigError> =>
  Effect.suspend((): Effect.Effect<A, MqttError | Config.ConfigError> => {
    if (isRecord(config) && Effect.isEffect(config)) return config
    return Effect.fail(refusal([{ path: "config", message: `must be a Config, got ${kindOf(config)}` }], method)!)
  })
