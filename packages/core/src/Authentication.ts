/**
 * Enhanced authentication of MQTT 5 (MQTT 4.12): a challenge and its response instead of a password, such as SCRAM, or
 * a token that is renewed on the open connection.
 *
 * An `Authenticator` begins an exchange for each attempt to connect, and for each renewal on an open connection. The
 * session carries the data between the exchange and the server, in CONNECT, CONNACK and AUTH. MQTT 3.1.1 has no
 * enhanced authentication: such a session is refused with `NotSupported`.
 *
 * **Example** (Renewing a token on the open connection)
 *
 * ```ts
 * import { Authentication, MqttSession } from "@effect-mqttx/core"
 * import type { Effect } from "effect"
 *
 * declare const token: Effect.Effect<
 *   { readonly bytes: Uint8Array; readonly expiresAt: number },
 *   Authentication.CredentialsError
 * >
 *
 * const authentication = Authentication.token("CUSTOM-JWT", token)
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://broker.example"], authentication })
 * ```
 */
import * as Effect from "effect/Effect"
import type { Attempt, CredentialsError } from "./Credentials.ts"

export { type Attempt, CredentialsError } from "./Credentials.ts"

/**
 * One exchange with the server, from the first data to its result.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Exchange<R = never> {
  /** The data of CONNECT, or of the AUTH that begins a renewal; undefined: none. */
  readonly data: Uint8Array | undefined
  /**
   * Answers the data of the server's AUTH (Continue authentication, 0x18). Absent: the server must not ask. The time
   * of the whole exchange is limited by the option `connectTimeout`.
   */
  readonly respond?:
    | ((data: Uint8Array | undefined) => Effect.Effect<Uint8Array | undefined, CredentialsError, R>)
    | undefined
  /**
   * Checks the data with which the server ends the exchange, in CONNACK or AUTH: a client that authenticates the server
   * fails here. Absent: nothing is checked.
   */
  readonly verify?: ((data: Uint8Array | undefined) => Effect.Effect<void, CredentialsError, R>) | undefined
  /**
   * When the server stops accepting this authentication, in milliseconds since the epoch by Effect's Clock. The session
   * authenticates again before, on the same connection. Default: never.
   */
  readonly expiresAt?: number | undefined
}

/**
 * Authenticates a session by a method that the server knows.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Authenticator<R = never> {
  /** The Authentication Method (MQTT 3.1.2.11.9). */
  readonly method: string
  /** Begins an exchange. */
  readonly initiate: (attempt: Attempt) => Effect.Effect<Exchange<R>, CredentialsError, R>
}

/**
 * Authenticates with one piece of data, for example a JWT, without a challenge. The effect runs before each attempt,
 * and before the token expires: the new one is sent on the open connection (AUTH with Re-authenticate, 0x19).
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const token = <R>(
  method: string,
  data: Effect.Effect<{ readonly bytes: Uint8Array; readonly expiresAt?: number | undefined }, CredentialsError, R>
): Authenticator<R> => ({
  method,
  initiate: () => Effect.map(data, ({ bytes, expiresAt }) => ({ data: bytes, expiresAt }))
})

/**
 * Authenticates by answering each challenge of the server. `respond` computes the answer, for example an HMAC of the
 * challenge with a secret.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const challenge = <R>(
  method: string,
  respond: (challenge: Uint8Array | undefined) => Effect.Effect<Uint8Array | undefined, CredentialsError, R>,
  initial?: Uint8Array
): Authenticator<R> => ({ method, initiate: () => Effect.succeed({ data: initial, respond }) })
