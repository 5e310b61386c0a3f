/**
 * URLs of AWS IoT Core that are signed with Signature Version 4, for MQTT over WebSocket.
 *
 * @see https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html#mqtt-ws
 *
 * **Example** (Connecting to IoT Core over WebSocket)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { AwsSigV4 } from "@effect-mqttx/credentials"
 * import type { Credentials } from "@effect-mqttx/core"
 * import type { Effect } from "effect"
 *
 * declare const keys: Effect.Effect<AwsSigV4.Keys, Credentials.CredentialsError>
 *
 * export const Aws = MqttSession.layer({
 *   name: "aws",
 *   servers: ["wss://abc123-ats.iot.eu-central-1.amazonaws.com/mqtt"],
 *   credentials: AwsSigV4.iotCore({ region: "eu-central-1", keys })
 * })
 * ```
 */
import { type Attempt, type Credentials, type CredentialsError } from "@effect-mqttx/core/Credentials"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { hex, hmac, sha256, utf8 } from "./internal/crypto.ts"
import { reveal, type SecretInput } from "./internal/secret.ts"

/**
 * An access key, and the token of a session of AWS STS or Cognito.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Keys {
  /** The identifier of the key. */
  readonly accessKeyId: string
  /** The secret of the key. It signs and is not sent. */
  readonly secretAccessKey: SecretInput
  /** The token of temporary keys. Default none. */
  readonly sessionToken?: SecretInput | undefined
  /** When the keys expire, in milliseconds since the epoch. The session connects again with new ones before. */
  readonly expiresAt?: number | undefined
}

/**
 * What is signed.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface PresignOptions {
  /** The host name, as the header `host` has it. */
  readonly host: string
  /** The path of the URL. */
  readonly path: string
  /** The region, for example `eu-central-1`. */
  readonly region: string
  /** The service, for example `iotdevicegateway`. */
  readonly service: string
  /** The keys that sign. */
  readonly keys: Keys
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Seconds for which the URL may be used. */
  readonly expires: number
  /** Default: the digest of an empty body. */
  readonly payloadHash?: string | undefined
  /** Whether the session token is signed too. IoT Core wants it behind the signature. Default false. */
  readonly signsToken?: boolean | undefined
}

/** As RFC 3986 demands, which is stricter than `encodeURIComponent`. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * The query of a signed URL, without `?`.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const presign = (options: PresignOptions): Effect.Effect<Redacted.Redacted<string>, CredentialsError> =>
  Effect.gen(function*() {
    const { at, expires, host, keys, path, region, service, signsToken = false } = options
    const time = new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, "")
    const date = time.slice(0, 8)
    const scope = `${date}/${region}/${service}/aws4_request`
    const token = keys.sessionToken === undefined ? undefined : reveal(keys.sessionToken)
    const query = [
      ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
      ["X-Amz-Credential", `${keys.accessKeyId}/${scope}`],
      ["X-Amz-Date", time],
      ["X-Amz-Expires", String(expires)],
      ...(token !== undefined && signsToken ? [["X-Amz-Security-Token", token]] : []),
      ["X-Amz-SignedHeaders", "host"]
    ].map(([name, value]) => `${name}=${encode(value!)}`).join("&")
    const payloadHash = options.payloadHash ?? hex(yield* sha256(utf8("")))
    const request = `GET\n${path}\n${query}\nhost:${host}\n\nhost\n${payloadHash}`
    const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hex(yield* sha256(utf8(request)))}`
    let key = utf8(`AWS4${reveal(keys.secretAccessKey)}`)
    for (const part of [date, region, service, "aws4_request"]) key = yield* hmac(key, utf8(part))
    const signature = hex(yield* hmac(key, utf8(toSign)))
    const suffix = token !== undefined && !signsToken ? `&X-Amz-Security-Token=${encode(token)}` : ""
    return Redacted.make(`${query}&X-Amz-Signature=${signature}${suffix}`)
  })

/**
 * AWS IoT Core over WebSocket.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface IotCoreOptions<R> {
  /** The region, for example `eu-central-1`. */
  readonly region: string
  /** Answers the keys before each attempt to connect. */
  readonly keys: Effect.Effect<Keys, CredentialsError, R>
}

/** A URL is used at once, so a short time is enough for clocks that differ. */
const urlSeconds = 300

/**
 * Signs the URL of each attempt. The server's address must be `wss://.../mqtt`.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const iotCore =
  <R>({ keys, region }: IotCoreOptions<R>) => ({ server }: Attempt): Effect.Effect<Credentials, CredentialsError, R> =>
    Effect.gen(function*() {
      const current = yield* keys
      const query = yield* presign({
        host: server.host,
        path: server.path ?? "/mqtt",
        region,
        service: "iotdevicegateway",
        keys: current,
        at: yield* Clock.currentTimeMillis,
        expires: urlSeconds
      })
      return {
        webSocket: { query },
        ...(current.expiresAt === undefined ? undefined : { expiresAt: current.expiresAt })
      }
    })
