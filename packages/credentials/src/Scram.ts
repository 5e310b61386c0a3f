/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) as enhanced authentication of MQTT 5: the password never leaves the client, and
 * the server proves that it knows it too.
 *
 * **Example** (Authenticating by SCRAM)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Scram } from "@effect-mqttx/credentials"
 * import type { Redacted } from "effect"
 *
 * declare const password: Redacted.Redacted<string>
 *
 * const authentication = Scram.sha256({ username: "plant", password })
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://broker.example"], authentication })
 * ```
 */
import { type Authenticator, CredentialsError, type Exchange } from "@effect-mqttx/core/Authentication"
import * as Effect from "effect/Effect"
import { base64, fromBase64, hmac, nonce, pbkdf2, sha256 as digest, textOf, utf8 } from "./internal/crypto.ts"
import { reveal, type SecretInput } from "./internal/secret.ts"

/**
 * The user.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface ScramOptions {
  /** The name of the user at the server. */
  readonly username: string
  /** Normalised by NFKC, which is SASLprep (RFC 4013) for all but rare characters. */
  readonly password: SecretInput
  /** The client's nonce. Default: 18 random bytes. */
  readonly nonce?: Effect.Effect<string> | undefined
}

/** RFC 7677 demands the first at least; a server that asks for more than the second could keep the client busy. */
const fewestIterations = 4096
const mostIterations = 1_000_000

/** An exchange that failed: another attempt would fail too. */
const refused = (detail: string): CredentialsError => new CredentialsError({ detail, isRetryable: false })

/** The attributes of a message, by their letter. */
const attributesOf = (message: string): { readonly [letter: string]: string } =>
  Object.fromEntries(message.split(",").map((part) => [part.slice(0, 1), part.slice(2)]))

const escaped = (username: string): string => username.normalize("NFKC").replaceAll("=", "=3D").replaceAll(",", "=2C")

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, index) => byte ^ b[index]!)

interface ServerFirst {
  readonly nonce: string
  readonly salt: Uint8Array<ArrayBuffer>
  readonly iterations: number
}

const parseServerFirst = (message: string, clientNonce: string): ServerFirst | string => {
  const { i, m, r, s } = attributesOf(message)
  if (m !== undefined) return "the server demands an extension that SCRAM does not have"
  const salt = s === undefined ? undefined : fromBase64(s)
  const iterations = Number(i)
  if (r === undefined || !r.startsWith(clientNonce) || r.length === clientNonce.length) {
    return "the server's nonce does not continue the client's"
  }
  if (salt === undefined || salt.length === 0) return "the server sent no salt"
  return Number.isInteger(iterations) && iterations >= fewestIterations && iterations <= mostIterations
    ? { nonce: r, salt, iterations }
    : `the server asks for ${iterations} iterations; allowed are ${fewestIterations} to ${mostIterations}`
}

/**
 * The authentication of a user by SCRAM-SHA-256.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const sha256 = (options: ScramOptions): Authenticator => ({
  method: "SCRAM-SHA-256",
  initiate: () =>
    Effect.gen(function*() {
      const clientNonce = yield* options.nonce ?? nonce
      const first = `n=${escaped(options.username)},r=${clientNonce}`
      let expected: string | undefined
      return {
        data: utf8(`n,,${first}`),
        respond: (data) =>
          Effect.gen(function*() {
            if (expected !== undefined || data === undefined) return yield* refused("the server asks out of turn")
            const message = textOf(data)
            const server = parseServerFirst(message, clientNonce)
            if (typeof server === "string") return yield* refused(server)
            const password = utf8(reveal(options.password).normalize("NFKC"))
            const salted = yield* pbkdf2(password, server.salt, server.iterations)
            const clientKey = yield* hmac(salted, utf8("Client Key"))
            const serverKey = yield* hmac(salted, utf8("Server Key"))
            const withoutProof = `c=biws,r=${server.nonce}`
            const authMessage = utf8(`${first},${message},${withoutProof}`)
            const signature = yield* hmac(yield* digest(clientKey), authMessage)
            expected = base64(yield* hmac(serverKey, authMessage))
            return utf8(`${withoutProof},p=${base64(xor(clientKey, signature))}`)
          }),
        verify: (data) => {
          const { e, v } = attributesOf(data === undefined ? "" : textOf(data))
          if (e !== undefined) return Effect.fail(refused("the server refuses the proof"))
          return expected !== undefined && v === expected
            ? Effect.void
            : Effect.fail(refused("the server did not prove that it knows the password"))
        }
      } satisfies Exchange
    })
})
