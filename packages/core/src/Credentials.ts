/**
 * Credentials that a session asks for before each attempt to connect: passwords, tokens, signed URLs, certificates.
 *
 * A provider is an effect, or a function of the attempt that answers one. Its services appear in the type of the
 * session's layer. When the credentials expire, the session asks ahead of time for new ones and connects again with
 * them, without losing messages. Nothing here is logged or printed.
 *
 * **Example** (Fetching a token before each connect)
 *
 * ```ts
 * import { Credentials, MqttSession } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * declare const fetchToken: Effect.Effect<{ readonly token: string; readonly expiresAt: number }, Error>
 *
 * const credentials = fetchToken.pipe(
 *   Effect.map(({ expiresAt, token }) => ({ username: "device", password: token, expiresAt })),
 *   Effect.mapError(Credentials.failed("no token"))
 * )
 * export const Plant = MqttSession.layer({ name: "plant", servers: ["mqtts://broker.example"], credentials })
 * ```
 */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { causeText, TaggedError } from "./internal/errors/shared.ts"
import type { TlsInput } from "./internal/options/groups.ts"
import type { SecretInput } from "./internal/options/input.ts"
import type { MqttError } from "./MqttError.ts"
import type { UserProperty } from "./Properties.ts"
import type { ServerAddress } from "./ServerAddress.ts"

/**
 * What a session needs for one attempt to connect. Each part replaces the option of the same name; parts that are
 * absent leave the options as they are. The client identifier is not among them: it names the session at the server,
 * and is an option.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  /** Replaces the option `username`. */
  readonly username?: string | undefined
  /** A text, or bytes such as a signature. */
  readonly password?: SecretInput | Uint8Array | Redacted.Redacted<Uint8Array> | undefined
  /** Added to the user properties of CONNECT (MQTT 5). */
  readonly userProperties?: ReadonlyArray<UserProperty> | undefined
  /** Added to the TLS options, for example a client certificate and its key. */
  readonly tls?: TlsInput | undefined
  /** For servers with `ws` or `wss`. */
  readonly webSocket?: {
    /** Added to the headers of the upgrade request. A browser cannot send any. */
    readonly headers?: { readonly [name: string]: SecretInput } | undefined
    /** Replaces the query of the server's URL, without `?`. */
    readonly query?: SecretInput | undefined
  } | undefined
  /**
   * When the server stops accepting them, in milliseconds since the epoch by Effect's Clock. The session renews them
   * before. Default: they do not expire.
   */
  readonly expiresAt?: number | undefined
}

/**
 * The attempt to connect that the credentials are for.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  /** The name of the session. */
  readonly session: string
  /** The client identifier of CONNECT. */
  readonly clientId: string
  /** The server that is tried. */
  readonly server: ServerAddress
  /** Why the last attempt or connection ended; undefined: it is the first, or credentials are renewed as planned. */
  readonly lastError: MqttError | undefined
}

/**
 * Credentials are not available. The session tries again by its reconnect policy, unless `isRetryable` is false: then
 * it fails as it does for credentials that the server refuses.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export class CredentialsError extends TaggedError<CredentialsError>("@effect-mqttx/core/CredentialsError")(
  "CredentialsError",
  {
    detail: Schema.String,
    isRetryable: Schema.optional(Schema.Boolean),
    cause: Schema.optional(Schema.Defect())
  }
) {
  override get message(): string {
    return this.cause === undefined ? this.detail : `${this.detail}: ${causeText(this.cause)}`
  }
}

/**
 * Makes the error of a provider out of another error. `detail` says in a few words what failed.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const failed =
  (detail: string, options?: { readonly isRetryable?: boolean }) => (cause: unknown): CredentialsError =>
    new CredentialsError({ detail, cause, ...options })

/**
 * Answers credentials before each attempt to connect. It has as much time as the option `connectTimeout` allows, and
 * may be interrupted.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Provider<R = never> =
  | Effect.Effect<Credentials, CredentialsError, R>
  | ((attempt: Attempt) => Effect.Effect<Credentials, CredentialsError, R>)
