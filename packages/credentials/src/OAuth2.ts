/**
 * Access tokens of OAuth 2 by client credentials (RFC 6749, 4.4), as a password or in an enhanced authentication.
 *
 * This module needs Effect's `HttpClient`, which is not stable yet.
 *
 * **Example** (Getting tokens from a login server)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { OAuth2 } from "@effect-mqttx/credentials"
 * import { Layer, type Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * declare const clientSecret: Redacted.Redacted<string>
 *
 * const credentials = OAuth2.credentials({
 *   tokenUrl: "https://login.example/oauth2/token",
 *   clientId: "plant",
 *   clientSecret,
 *   username: "plant"
 * })
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://broker.example"], credentials }).pipe(
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 */
import { type Credentials, CredentialsError } from "@effect-mqttx/core/Credentials"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { base64, utf8 } from "./internal/crypto.ts"
import { reveal, type SecretInput } from "./internal/secret.ts"

/**
 * The client and what it asks for.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface OAuth2Options {
  /** The token endpoint of the authorization server. */
  readonly tokenUrl: string
  /** The client identifier at the authorization server, which is not that of MQTT. */
  readonly clientId: string
  /** The secret of the client. */
  readonly clientSecret: SecretInput
  /** The scopes, separated by spaces. Default: as the server decides. */
  readonly scope?: string | undefined
  /** The audience, which some servers ask for. Default none. */
  readonly audience?: string | undefined
  /** How the client proves itself: the header Authorization, or fields of the form. Default `basic`. */
  readonly clientAuthentication?: "basic" | "form" | undefined
}

/**
 * An access token.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Token {
  /** The access token. */
  readonly token: Redacted.Redacted<string>
  /** Milliseconds since the epoch; undefined: the server does not say. */
  readonly expiresAt: number | undefined
}

const Answer = Schema.Struct({
  access_token: Schema.NonEmptyString,
  expires_in: Schema.optional(Schema.Union([Schema.Number, Schema.NumberFromString]))
})

/** These statuses say that the client is wrong, not the moment (RFC 6749, 5.2). */
const isRefusal = (status: number): boolean => status === 400 || status === 401 || status === 403

/**
 * Asks for a token.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const token = (options: OAuth2Options): Effect.Effect<Token, CredentialsError, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { audience, clientAuthentication = "basic", clientId, clientSecret, scope, tokenUrl } = options
    const secret = reveal(clientSecret)
    const form = {
      grant_type: "client_credentials",
      ...(scope === undefined ? undefined : { scope }),
      ...(audience === undefined ? undefined : { audience }),
      ...(clientAuthentication === "form" ? { client_id: clientId, client_secret: secret } : undefined)
    }
    const basic = base64(utf8(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`))
    const request = HttpClientRequest.post(tokenUrl).pipe(
      HttpClientRequest.bodyUrlParams(form),
      HttpClientRequest.acceptJson,
      clientAuthentication === "basic"
        ? HttpClientRequest.setHeader("authorization", `Basic ${basic}`)
        : (same) => same
    )
    const asked = yield* Clock.currentTimeMillis
    // No cause is kept: the errors of the client hold the request with its secret.
    const response = yield* HttpClient.execute(request).pipe(
      Effect.mapError(() => new CredentialsError({ detail: "the token server cannot be reached" }))
    )
    if (response.status !== 200) {
      return yield* new CredentialsError({
        detail: `the token server answered with status ${response.status}`,
        isRetryable: !isRefusal(response.status)
      })
    }
    const { access_token, expires_in } = yield* HttpClientResponse.schemaBodyJson(Answer)(response).pipe(
      Effect.mapError(() => new CredentialsError({ detail: "the token server answered without an access token" }))
    )
    return {
      token: Redacted.make(access_token),
      expiresAt: expires_in === undefined ? undefined : asked + expires_in * 1000
    }
  })

/**
 * A token as a password. It is renewed before it expires.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const credentials = (
  options: OAuth2Options & { readonly username?: string | undefined }
): Effect.Effect<Credentials, CredentialsError, HttpClient.HttpClient> =>
  Effect.map(token(options), ({ expiresAt, token: password }) => ({
    ...(options.username === undefined ? undefined : { username: options.username }),
    password,
    expiresAt
  }))

/**
 * A token as the data of an enhanced authentication, for `Authentication.token`.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const data = (
  options: OAuth2Options
): Effect.Effect<
  { readonly bytes: Uint8Array; readonly expiresAt: number | undefined },
  CredentialsError,
  HttpClient.HttpClient
> => Effect.map(token(options), ({ expiresAt, token: secret }) => ({ bytes: utf8(Redacted.value(secret)), expiresAt }))
