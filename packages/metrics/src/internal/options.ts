/**
 * Schemas for the options of this package. Invalid options are a defect, because the layers and effects of this package
 * have no failure for them.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** A schema for every option of a type. The compiler reports a missing one. */
export type Fields<Options> = { readonly [Name in keyof Required<Options>]: Schema.Top }

export const text: Schema.String = Schema.String.annotate({ message: "expected a text" })

export const duration: Schema.Codec<Duration.Duration, OptionsSchema.EncodedDuration> = OptionsSchema.duration({
  minimum: Duration.zero,
  maximum: Duration.infinity,
  message: "expected a duration of 0 or more, for example \"30 seconds\""
})

/** A whole number. */
export const integer = (minimum: number, maximum: number): Schema.Number => {
  const message = `expected a whole number from ${minimum} to ${maximum}`
  return Schema.Number.annotate({ message }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum ? undefined : message
    )
  )
}

/** Values that no schema can describe: functions, effects, services. */
export const opaque = (is: (value: unknown) => boolean, what: string): Schema.declare<unknown> =>
  Schema.declare((value): value is unknown => is(value), { message: `expected ${what}` })

/** Whether a value can have members. */
export const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Dies with the error, if there is one. */
export const orDie = (result: () => Result.Result<unknown, MqttError>): Effect.Effect<void> =>
  Effect.suspend(() => Effect.asVoid(Effect.orDie(Effect.fromResult(result()))))

/** Dies with an `MqttError` for invalid options. Undefined counts as no options. */
export const check = (
  schema: Schema.Codec<unknown, unknown>,
  options: unknown,
  method: string
): Effect.Effect<void> => orDie(() => OptionsSchema.decode(schema, options === undefined ? {} : options, method))

/** A layer that dies with an `MqttError` for invalid options. */
export const checkedLayer = <A, E, R>(
  schema: Schema.Codec<unknown, unknown>,
  options: unknown,
  method: string,
  make: () => Layer.Layer<A, E, R>
): Layer.Layer<A, E, R> => Layer.unwrap(Effect.map(check(schema, options, method), make))
