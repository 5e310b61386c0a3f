/**
 * Signs JSON Web Tokens (RFC 7519), which servers take as a password, or in an enhanced authentication.
 *
 * **Example** (Signing tokens for a device)
 *
 * ```ts
 * import { Authentication } from "@effect-mqttx/core"
 * import { Jwt } from "@effect-mqttx/credentials"
 * import { Redacted } from "effect"
 *
 * declare const pem: Redacted.Redacted<string>
 *
 * const options = { algorithm: "RS256", key: pem, claims: { sub: "device-1" }, lifetime: "1 hour" } as const
 * export const asPassword = Jwt.credentials({ ...options, username: "device-1" })
 * export const renewedInPlace = Authentication.token("CUSTOM-JWT", Jwt.data(options))
 * ```
 */
import { type Credentials, CredentialsError } from "@effect-mqttx/core/Credentials"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { attempt, base64Url, fromBase64, utf8 } from "./internal/crypto.ts"
import { reveal, type SecretInput } from "./internal/secret.ts"
import { lifetimeOf } from "./internal/time.ts"

/**
 * The algorithms of RFC 7518 that every platform has.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Algorithm = "HS256" | "RS256" | "ES256"

/**
 * A token and how it is signed.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface JwtOptions {
  /** The algorithm of the signature. */
  readonly algorithm: Algorithm
  /** For HS256 a text, otherwise a private key in PKCS #8 (PEM, `-----BEGIN PRIVATE KEY-----`). */
  readonly key: SecretInput
  /** Claims besides `iat` and `exp`, which are set. */
  readonly claims?: { readonly [name: string]: unknown } | undefined
  /** The header `kid`. */
  readonly keyId?: string | undefined
  /** Default one hour. */
  readonly lifetime?: Duration.Input | undefined
}

/**
 * A signed token.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Token {
  /** The signed token. */
  readonly token: Redacted.Redacted<string>
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

const algorithms = {
  HS256: { name: "HMAC", hash: "SHA-256" },
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
} as const

const importKey = (subtle: SubtleCrypto, algorithm: Algorithm, key: string): Promise<CryptoKey> => {
  if (algorithm === "HS256") return subtle.importKey("raw", utf8(key), algorithms.HS256, false, ["sign"])
  const pem = /-----BEGIN PRIVATE KEY-----([\s\S]+?)-----END PRIVATE KEY-----/.exec(key)?.[1] ?? ""
  const bytes = fromBase64(pem.replaceAll(/\s/g, ""))
  if (bytes === undefined || bytes.length === 0) return Promise.reject(new Error("no key"))
  return subtle.importKey("pkcs8", bytes, algorithms[algorithm], false, ["sign"])
}

/**
 * Signs a token that begins now.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const sign = (options: JwtOptions): Effect.Effect<Token, CredentialsError> =>
  Effect.gen(function*() {
    const { algorithm, claims = {}, key, keyId, lifetime } = options
    if (!Object.hasOwn(algorithms, algorithm)) {
      return yield* new CredentialsError({ detail: "the algorithm must be HS256, RS256 or ES256", isRetryable: false })
    }
    const { expiresAt, issuedAt } = yield* lifetimeOf(lifetime, "1 hour")
    const header = { alg: algorithm, typ: "JWT", ...(keyId === undefined ? undefined : { kid: keyId }) }
    const payload = { ...claims, iat: Math.floor(issuedAt / 1000), exp: expiresAt / 1000 }
    const signed = [header, payload].map((part) => base64Url(utf8(JSON.stringify(part)))).join(".")
    const signature = yield* attempt(`the key cannot sign with ${algorithm}`, async (subtle) =>
      new Uint8Array(
        await subtle.sign(algorithms[algorithm], await importKey(subtle, algorithm, reveal(key)), utf8(signed))
      ))
    return { token: Redacted.make(`${signed}.${base64Url(signature)}`), expiresAt }
  })

/**
 * A token as a password. It is renewed before it expires.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const credentials = (
  options: JwtOptions & { readonly username?: string | undefined }
): Effect.Effect<Credentials, CredentialsError> =>
  Effect.map(sign(options), ({ expiresAt, token }) => ({
    ...(options.username === undefined ? undefined : { username: options.username }),
    password: token,
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
  options: JwtOptions
): Effect.Effect<{ readonly bytes: Uint8Array; readonly expiresAt: number }, CredentialsError> =>
  Effect.map(sign(options), ({ expiresAt, token }) => ({ bytes: utf8(Redacted.value(token)), expiresAt }))
