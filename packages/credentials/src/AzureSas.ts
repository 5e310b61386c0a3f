/**
 * Shared access signatures of Azure, as IoT Hub takes them instead of a password.
 *
 * @see https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub
 *
 * **Example** (Connecting a device to an IoT Hub)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { AzureSas } from "@effect-mqttx/credentials"
 * import type { Redacted } from "effect"
 *
 * declare const key: Redacted.Redacted<string>
 *
 * export const Hub = MqttSession.layer({
 *   name: "hub",
 *   servers: ["mqtts://plant.azure-devices.net"],
 *   clientId: "device-1",
 *   protocolVersion: 4,
 *   credentials: AzureSas.iotHub({ hostName: "plant.azure-devices.net", deviceId: "device-1", key })
 * })
 * ```
 */
import { type Credentials, CredentialsError } from "@effect-mqttx/core/Credentials"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { base64, fromBase64, hmac, utf8 } from "./internal/crypto.ts"
import { reveal, type SecretInput } from "./internal/secret.ts"
import { lifetimeOf } from "./internal/time.ts"

/**
 * A resource and the key that signs for it.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface SasOptions {
  /** The resource, for example `plant.azure-devices.net/devices/device-1`. */
  readonly resource: string
  /** The shared key, base64. */
  readonly key: SecretInput
  /** The name of a policy; absent for the key of a device. */
  readonly policy?: string | undefined
  /** Default one hour. */
  readonly lifetime?: Duration.Input | undefined
}

/**
 * A signature, and when it expires in milliseconds since the epoch.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Sas {
  /** The text to use as a password. */
  readonly signature: Redacted.Redacted<string>
  /** The end of its lifetime, in milliseconds since the epoch. */
  readonly expiresAt: number
}

/**
 * Signs access to a resource from now on.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const sign = ({ key, lifetime, policy, resource }: SasOptions): Effect.Effect<Sas, CredentialsError> =>
  Effect.gen(function*() {
    const bytes = fromBase64(reveal(key))
    if (bytes === undefined || bytes.length === 0) {
      return yield* new CredentialsError({ detail: "the shared key must be base64", isRetryable: false })
    }
    const { expiresAt } = yield* lifetimeOf(lifetime, "1 hour")
    const uri = encodeURIComponent(resource)
    const expiry = String(expiresAt / 1000)
    const signature = encodeURIComponent(base64(yield* hmac(bytes, utf8(`${uri}\n${expiry}`))))
    const name = policy === undefined ? "" : `&skn=${encodeURIComponent(policy)}`
    return {
      signature: Redacted.make(`SharedAccessSignature sr=${uri}&sig=${signature}&se=${expiry}${name}`),
      expiresAt
    }
  })

/**
 * A device, or a module of one, at an IoT Hub.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface IotHubOptions {
  /** The host name of the hub. */
  readonly hostName: string
  /** The client identifier of the session is the same: `device`, or `device/module`. */
  readonly deviceId: string
  /** The module of the device. Default none. */
  readonly moduleId?: string | undefined
  /** The shared key of the device or the policy, base64. */
  readonly key: SecretInput
  /** The name of a policy; absent for the key of a device. */
  readonly policy?: string | undefined
  /** Default one hour. */
  readonly lifetime?: Duration.Input | undefined
  /** Default `2021-04-12`. */
  readonly apiVersion?: string | undefined
}

/**
 * User name and password for an IoT Hub, which are renewed before they expire.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const iotHub = (options: IotHubOptions): Effect.Effect<Credentials, CredentialsError> => {
  const { apiVersion = "2021-04-12", deviceId, hostName, key, lifetime, moduleId, policy } = options
  const device = moduleId === undefined ? deviceId : `${deviceId}/modules/${moduleId}`
  const client = moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
  return Effect.map(
    sign({ resource: `${hostName}/devices/${device}`, key, policy, lifetime }),
    ({ expiresAt, signature }) => ({
      username: `${hostName}/${client}/?api-version=${apiVersion}`,
      password: signature,
      expiresAt
    })
  )
}
