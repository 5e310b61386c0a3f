/**
 * Signatures and encodings, on the platform's Web Crypto. Every function is pure but for the random nonce. The modules
 * of the package call it.
 */
import { CredentialsError } from "@effect-mqttx/core/Credentials"
import * as Effect from "effect/Effect"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The UTF-8 bytes of a text. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** The text of UTF-8 bytes. */
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

export const base64 = (bytes: Uint8Array): string => {
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** Base64 with `-` and `_`, without padding (RFC 4648, 5). */
export const base64Url = (bytes: Uint8Array): string =>
  base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")

/** Undefined for a text that is not base64. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/**
 * Runs a function of Web Crypto. Its failure never holds a key: the platform's messages do not, and no cause is kept.
 */
export const attempt = <A>(
  detail: string,
  run: (subtle: SubtleCrypto) => Promise<A>
): Effect.Effect<A, CredentialsError> =>
  Effect.tryPromise({
    try: () => run(globalThis.crypto.subtle),
    catch: () => new CredentialsError({ detail, isRetryable: false })
  })

const hmacKey = (subtle: SubtleCrypto, key: Uint8Array<ArrayBuffer>): Promise<CryptoKey> =>
  subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])

/** HMAC-SHA-256 (RFC 2104). */
export const hmac = (
  key: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>
): Effect.Effect<Uint8Array<ArrayBuffer>, CredentialsError> =>
  attempt(
    "the key cannot sign",
    async (subtle) => new Uint8Array(await subtle.sign("HMAC", await hmacKey(subtle, key), data))
  )

export const sha256 = (data: Uint8Array<ArrayBuffer>): Effect.Effect<Uint8Array<ArrayBuffer>, CredentialsError> =>
  attempt("no digest", async (subtle) => new Uint8Array(await subtle.digest("SHA-256", data)))

/** PBKDF2 with HMAC-SHA-256, 32 bytes (RFC 8018, 5.2). */
export const pbkdf2 = (
  password: Uint8Array<ArrayBuffer>,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number
): Effect.Effect<Uint8Array<ArrayBuffer>, CredentialsError> =>
  attempt("no key can be derived of the password", async (subtle) => {
    const key = await subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"])
    return new Uint8Array(await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256))
  })

/** Random text of 24 characters. */
export const nonce: Effect.Effect<string> = Effect.sync(() =>
  base64Url(globalThis.crypto.getRandomValues(new Uint8Array(18)))
)
