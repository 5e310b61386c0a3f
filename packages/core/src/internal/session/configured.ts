/**
 * Reads the options of a session, a manager or a forwarder from a Config value, which may be of any type. The layers
 * with options from Config call it.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import { isRecord, refusal } from "../options/plain.ts"
import { kindOf } from "../valueNames.ts"

/** The value of a Config. Fails when the argument is not a Config. */
export const configured = <A>(
  config: Config.Config<A>,
  method: string
): Effect.Effect<A, MqttError | Config.ConfigError> =>
  Effect.suspend((): Effect.Effect<A, MqttError | Config.ConfigError> => {
    if (isRecord(config) && Effect.isEffect(config)) return config
    return Effect.fail(refusal([{ path: "config", message: `must be a Config, got ${kindOf(config)}` }], method)!)
  })
