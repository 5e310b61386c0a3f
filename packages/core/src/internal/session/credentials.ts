/**
 * Asks the program for credentials and authentication before an attempt to connect, and merges them with the options.
 * It connects nothing: `connector.ts` calls it for CONNECT, and `renewal.ts` before they expire.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Exchange } from "../../Authentication.ts"
import type { Attempt, Credentials, CredentialsError } from "../../Credentials.ts"
import { CredentialsFailed, InvalidOptions, MqttError, NotSupported, Timeout } from "../../MqttError.ts"
import type { UserProperty } from "../../Properties.ts"
import type { ServerAddress } from "../../ServerAddress.ts"
import type { SessionOptions, TlsOptions, WebSocketOptions } from "../../SessionOptions.ts"
import { toPlain } from "../options/decode.ts"
import { tls } from "../options/groups.ts"
import { bytes, hidden, secret, text, userProperties } from "../options/leaves.ts"
import { strict } from "../options/strict.ts"
import { kindOf } from "../valueNames.ts"

const CredentialsSchema = strict({
  username: Schema.optionalKey(text),
  password: Schema.optionalKey(hidden(bytes("utf-8"), "password")),
  userProperties: Schema.optionalKey(userProperties),
  tls: Schema.optionalKey(tls),
  webSocket: Schema.optionalKey(strict({
    headers: Schema.optionalKey(Schema.Record(Schema.String, secret("header"))),
    query: Schema.optionalKey(secret("query"))
  })),
  expiresAt: Schema.optionalKey(Schema.Number.annotate({ message: "expected milliseconds since the epoch" }))
})

const decodeCredentials = Schema.decodeUnknownResult(CredentialsSchema, { errors: "all" })

/** What one attempt to connect uses. */
export interface Access {
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly userProperties: ReadonlyArray<UserProperty>
  readonly tls: TlsOptions | undefined
  readonly webSocket: WebSocketOptions
  /** It is that of the options: every attempt uses the same. */
  readonly isFixed: boolean
  /** Replaces the query of the server's URL. */
  readonly query: Redacted.Redacted<string> | undefined
  readonly method: string | undefined
  readonly exchange: Exchange | undefined
  /** When the session must renew it, in milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined
}

const encoder = new TextEncoder()

/** Gives what an attempt to connect uses. */
export interface AccessProvider {
  readonly get: (server: ServerAddress, lastError: MqttError | undefined) => Effect.Effect<Access, MqttError>
}

/** The session, for its credentials. */
export interface AccessHost {
  readonly options: SessionOptions
  /** Empty until the server has assigned one. */
  readonly clientId: string
}

export class AccessSource implements AccessProvider {
  readonly #options: SessionOptions
  readonly #host: AccessHost
  readonly #fixed: Access

  constructor(host: AccessHost) {
    const { options } = host
    this.#options = options
    this.#host = host
    this.#fixed = {
      username: options.username,
      password: options.password === undefined ? undefined : encoder.encode(Redacted.value(options.password)),
      userProperties: options.connectUserProperties,
      tls: options.tls,
      webSocket: options.webSocket,
      isFixed: !this.isDynamic,
      query: undefined,
      method: undefined,
      exchange: undefined,
      expiresAt: undefined
    }
  }

  /** The program is asked before each attempt. */
  get isDynamic(): boolean {
    return this.#options.credentials !== undefined || this.#options.authentication !== undefined
  }

  /** Renewals are sent on the open connection, and the connection stays. */
  get renewsInPlace(): boolean {
    return this.#options.authentication !== undefined && this.#options.credentials === undefined
  }

  /** What the next attempt uses. Fails with `CredentialsFailed`, `InvalidOptions` or `Timeout`. */
  get(server: ServerAddress, lastError: MqttError | undefined): Effect.Effect<Access, MqttError> {
    return this.isDynamic ? this.#limited(this.#ask(server, lastError)) : Effect.succeed(this.#fixed)
  }

  /** Begins another exchange for the open connection. */
  exchange(server: ServerAddress): Effect.Effect<Exchange, MqttError> {
    return this.#limited(this.#initiate(this.#attempt(server, undefined)))
  }

  #ask(server: ServerAddress, lastError: MqttError | undefined): Effect.Effect<Access, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const { authentication, credentials } = this.#options
      const attempt = this.#attempt(server, lastError)
      let access = this.#fixed
      if (credentials !== undefined) {
        const effect = typeof credentials === "function" ? yield* this.#called(() => credentials(attempt)) : credentials
        access = yield* this.#merged(yield* this.#failing(effect))
      }
      if (authentication === undefined) return access
      const exchange = yield* this.#initiate(attempt)
      return {
        ...access,
        method: authentication.method,
        exchange,
        expiresAt: earliest(access.expiresAt, exchange.expiresAt)
      }
    })
  }

  #initiate(attempt: Attempt): Effect.Effect<Exchange, MqttError> {
    const { initiate } = this.#options.authentication!
    return Effect.flatMap(
      Effect.flatMap(this.#called(() => initiate(attempt)), (effect) => this.#failing(effect)),
      (exchange) => {
        const issue = exchangeIssue(exchange)
        return issue === undefined
          ? Effect.succeed(exchange)
          : Effect.fail(this.#error(new CredentialsFailed({ detail: issue, isTransient: false })))
      }
    )
  }

  #attempt(server: ServerAddress, lastError: MqttError | undefined): Attempt {
    return { session: this.#options.name, clientId: this.#host.clientId, server, lastError }
  }

  #called<A>(
    make: () => Effect.Effect<A, CredentialsError>
  ): Effect.Effect<Effect.Effect<A, CredentialsError>, MqttError> {
    return Effect.suspend(() => {
      let effect: unknown
      try {
        effect = make()
      } catch (cause) {
        return Effect.fail(this.#died(cause))
      }
      return Effect.isEffect(effect)
        ? Effect.succeed(effect as Effect.Effect<A, CredentialsError>)
        : Effect.fail(this.#died(`expected an Effect, got ${kindOf(effect)}`))
    })
  }

  #failing<A>(effect: Effect.Effect<A, CredentialsError>): Effect.Effect<A, MqttError> {
    return Effect.catchCause(effect, (cause) => {
      const failure = Cause.findErrorOption(cause)
      if (failure._tag === "None") {
        return Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(this.#died(Cause.squash(cause)))
      }
      const { cause: inner, detail, isRetryable } = failure.value
      return Effect.fail(this.#error(
        typeof detail === "string"
          ? new CredentialsFailed({ detail, cause: inner, isTransient: isRetryable })
          : new CredentialsFailed({ detail: "the provider failed", cause: failure.value })
      ))
    })
  }

  #limited<A>(effect: Effect.Effect<A, MqttError>): Effect.Effect<A, MqttError> {
    const millis = Duration.toMillis(this.#options.connectTimeout)
    return Effect.timeoutOrElse(effect, {
      duration: millis,
      orElse: () => Effect.fail(this.#error(new Timeout({ operation: "credentials", millis })))
    })
  }

  #merged(credentials: Credentials): Effect.Effect<Access, MqttError> {
    const decoded = decodeCredentials(toPlain(credentials))
    if (decoded._tag === "Failure") {
      const { issues } = InvalidOptions.fromSchemaError(decoded.failure)
      return Effect.fail(this.#error(
        new InvalidOptions({
          issues: issues.map(({ message, path }) => ({ path: `credentials${path && `.${path}`}`, message }))
        })
      ))
    }
    const { expiresAt, password, tls, userProperties = [], username, webSocket } = decoded.success
    const fixed = this.#fixed
    if (userProperties.length > 0 && this.#options.protocolVersion === 4) {
      return Effect.fail(this.#error(new NotSupported({ feature: "user properties", detail: "they need MQTT 5" })))
    }
    return Effect.succeed({
      ...fixed,
      username: username ?? fixed.username,
      password: password === undefined ? fixed.password : Redacted.value(password),
      userProperties: [...fixed.userProperties, ...userProperties],
      tls: tls === undefined ? fixed.tls : { ...fixed.tls, ...given(credentials.tls, tls) } as TlsOptions,
      webSocket: webSocket?.headers === undefined
        ? fixed.webSocket
        : { ...fixed.webSocket, headers: { ...fixed.webSocket.headers, ...webSocket.headers } },
      query: webSocket?.query,
      expiresAt
    })
  }

  #died(cause: unknown): MqttError {
    return this.#error(new CredentialsFailed({ detail: "the provider died", cause, isTransient: false }))
  }

  #error(reason: MqttError["reason"]): MqttError {
    return new MqttError({ reason, session: this.#options.name })
  }
}

/** The decoded values of the keys that were given: a default must not replace an option. */
const given = (input: object | undefined, decoded: object): object =>
  Object.fromEntries(Object.entries(decoded).filter(([key]) => (input as Record<string, unknown>)[key] !== undefined))

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? a ?? b : Math.min(a, b)

const exchangeIssue = (exchange: unknown): string | undefined => {
  if (typeof exchange !== "object" || exchange === null) return `expected an exchange, got ${kindOf(exchange)}`
  const { data, expiresAt } = exchange as Partial<Exchange>
  if (data !== undefined && !(data instanceof Uint8Array)) return `the data must be bytes, got ${kindOf(data)}`
  if (data !== undefined && data.length > 65_535) return "the data must be at most 65,535 bytes"
  return expiresAt === undefined || typeof expiresAt === "number"
    ? undefined
    : `expiresAt must be a number, got ${kindOf(expiresAt)}`
}
