/**
 * Credentials from Config: the values are read again before each attempt to connect.
 *
 * **Example** (Reading a token from the environment)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { ConfigCredentials } from "@effect-mqttx/credentials"
 * import { Config } from "effect"
 *
 * const credentials = ConfigCredentials.make({
 *   username: Config.String("MQTT_USER"),
 *   password: Config.Redacted("MQTT_TOKEN")
 * })
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://broker.example"], credentials })
 * ```
 */
import { type Credentials, CredentialsError } from "@effect-mqttx/core/Credentials"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * The values to read.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface ConfigCredentialsOptions {
  /** The user name. Default: the option of the session. */
  readonly username?: Config.Config<string> | undefined
  /** The password. Default: the option of the session. */
  readonly password?: Config.Config<Redacted.Redacted<string>> | Config.Config<string> | undefined
}

/**
 * Reads user name and password from Config. Fails, and is tried again, while a value is missing.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ password, username }: ConfigCredentialsOptions): Effect.Effect<Credentials, CredentialsError> =>
  Effect.gen(function*() {
    return {
      ...(username === undefined ? undefined : { username: yield* username }),
      ...(password === undefined ? undefined : { password: yield* (password as Config.Config<string>) })
    }
  }).pipe(
    // The cause is left out: it may quote the value.
    Effect.mapError(() => new CredentialsError({ detail: "Config does not have the credentials" }))
  )
