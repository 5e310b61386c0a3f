/**
 * The options of both sides: schemas, defaults and the decoders that report every issue.
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const timer = (fallback: Duration.Input) =>
  OptionsSchema.duration({
    minimum: 1,
    // The longest delay of the timers of every platform.
    maximum: 2_147_483_647,
    message: "expected a duration from 1 millisecond to 24 days"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(fallback as never)))

const count = (minimum: number, maximum: number, fallback: number) => {
  const message = `expected an integer from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum ? undefined : message
    )
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed(fallback)))
}

const largest = 2 ** 31 - 1

const shared = {
  prefix: Schema.String.annotate({ message: "expected the first levels of topics" }).check(
    Schema.makeFilter((prefix: string) =>
      Result.isFailure(Topic.validateName(prefix)) || prefix.startsWith("$") || prefix.endsWith("/") ||
        prefix.length > 1024
        ? "expected the first levels of topics: at most 1024 characters, no wildcard, no $ first and no / last"
        : undefined
    )
  ),
  qos: Schema.Literals([1, 2]).annotate({ message: "expected 1 or 2" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1 as const))
  ),
  partSize: count(16, 256 * 1024 * 1024, 64 * 1024),
  maxMessageSize: count(1, largest, 4 * 1024 * 1024),
  maxBufferedBytes: count(1, Number.MAX_SAFE_INTEGER, 64 * 1024 * 1024),
  heartbeatInterval: timer("5 seconds"),
  livenessTimeout: timer("20 seconds"),
  willGrace: timer("5 seconds")
}

export const ClientOptionsSchema = OptionsSchema.strict(shared)

export const ServerOptionsSchema = OptionsSchema.strict({
  ...shared,
  share: Schema.optionalKey(
    Schema.String.annotate({ message: "expected a share name" }).check(
      Schema.makeFilter((name: string) =>
        name !== "" && !/[/+#]/.test(name) && Result.isSuccess(Topic.validateName(name))
          ? undefined
          : "expected a share name: not empty, without /, + and #"
      )
    )
  ),
  maxCalls: count(1, 1_000_000, 4096),
  maxClients: count(1, 1_000_000, 10_000)
})

export interface ClientOptions extends Schema.Schema.Type<typeof ClientOptionsSchema> {}

export interface ServerOptions extends Schema.Schema.Type<typeof ServerOptionsSchema> {}

/** A single lost heartbeat must not end calls. */
const checked = <A extends ClientOptions>(
  decoded: Result.Result<A, MqttError>,
  method: string
): Result.Result<A, MqttError> =>
  Result.flatMap(
    decoded,
    (options) =>
      Duration.toMillis(options.livenessTimeout) >= 2 * Duration.toMillis(options.heartbeatInterval)
        ? Result.succeed(options)
        : Result.fail(
          new MqttError({
            method,
            reason: new InvalidOptions({
              issues: [{ path: "livenessTimeout", message: "must be at least twice the heartbeatInterval" }]
            })
          })
        )
  )

export const decodeClientOptions = (input: unknown): Result.Result<ClientOptions, MqttError> =>
  checked(OptionsSchema.decode(ClientOptionsSchema, input, "MqttRpcClient.make"), "MqttRpcClient.make")

export const decodeServerOptions = (input: unknown): Result.Result<ServerOptions, MqttError> =>
  checked(OptionsSchema.decode(ServerOptionsSchema, input, "MqttRpcServer.make"), "MqttRpcServer.make")
