/**
 * Credentials for a custom authorizer of AWS IoT Core, which takes its parameters in the user name.
 *
 * @see https://docs.aws.amazon.com/iot/latest/developerguide/custom-auth.html
 *
 * **Example** (Connecting through a custom authorizer)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { AwsCustomAuthorizer } from "@effect-mqttx/credentials"
 * import type { Redacted } from "effect"
 *
 * declare const password: Redacted.Redacted<string>
 *
 * export const Aws = MqttSession.layer({
 *   name: "aws",
 *   servers: ["mqtts://abc123-ats.iot.eu-central-1.amazonaws.com:443"],
 *   tls: { alpn: ["mqtt"] },
 *   credentials: AwsCustomAuthorizer.make({ authorizer: "plant", username: "device-1", password })
 * })
 * ```
 */
import type { Credentials } from "@effect-mqttx/core/Credentials"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { reveal, type SecretInput } from "./internal/secret.ts"

/**
 * The authorizer and what it checks.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface AwsCustomAuthorizerOptions {
  /** The name of the authorizer. Absent: the default one of the account. */
  readonly authorizer?: string | undefined
  /** The user name as the authorizer sees it. */
  readonly username?: string | undefined
  /** The password as the authorizer sees it. Default none. */
  readonly password?: SecretInput | Redacted.Redacted<Uint8Array> | undefined
  /** For an authorizer with signed tokens: the token's parameter and value, and its signature in base64. */
  readonly token?: {
    readonly name: string
    readonly value: SecretInput
    readonly signature: SecretInput
  } | undefined
}

/**
 * The credentials with the parameters in the user name.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  { authorizer, password, token, username = "" }: AwsCustomAuthorizerOptions
): Effect.Effect<Credentials> =>
  Effect.sync(() => {
    const parameters = [
      ...(authorizer === undefined ? [] : [["x-amz-customauthorizer-name", authorizer]]),
      ...(token === undefined ? [] : [
        ["x-amz-customauthorizer-signature", reveal(token.signature)],
        [token.name, reveal(token.value)]
      ])
    ].map(([name, value]) => `${name}=${encodeURIComponent(value!)}`)
    return {
      username: parameters.length === 0 ? username : `${username}?${parameters.join("&")}`,
      ...(password === undefined ? undefined : { password })
    }
  })
