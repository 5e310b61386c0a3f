/**
 * The configuration of a forwarder: one schema with every default, for JSON, for the environment and for code.
 *
 * Parts that are code, not configuration, are hooks: see `ForwarderHooks`.
 *
 * **Example** (Naming a level of the topic)
 *
 * ```ts
 * import { ForwarderOptions } from "@effect-mqttx/core"
 *
 * export const options: ForwarderOptions.ForwarderOptionsInput = {
 *   name: "temperatures",
 *   sources: ["plant-a", "plant-b"],
 *   filters: ["sensors/+/temperature"],
 *   target: "storage",
 *   mapping: [{ from: "sensors/:room/temperature", to: "storage/{room}/temp" }],
 *   qos: { cap: 1 }
 * }
 *
 * ForwarderOptions.decode(options)._tag // => "Success"
 * ```
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { MappingRule } from "./internal/forwarder/mapping.ts"
import type * as Fields from "./internal/forwarder/options.ts"
import type { ForwarderOptionsEncoded, ForwarderOptionsInput } from "./internal/forwarder/options.ts"
import { decodeOptions, forwarderConfig, ForwarderOptionsSchema } from "./internal/forwarder/schema.ts"
import { MqttError } from "./MqttError.ts"

export type {
  DeadLetter,
  ForwarderBatch,
  ForwarderHooks,
  ForwarderOptionsInput,
  LoopGuardOptions,
  QoSRule,
  RateLimit,
  Sampling
} from "./internal/forwarder/options.ts"

export type { ForwarderOptionsEncoded, MappingRule }

/**
 * The configuration of a forwarder, complete and checked.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export type ForwarderOptions = Fields.ForwarderOptions

/**
 * The schema of the configuration. Decodes JSON, with durations in milliseconds or as texts ("30 seconds"), to a
 * checked configuration with all defaults.
 *
 * @stability stable
 * @category schemas
 * @since 0.1.0
 */
export const ForwarderOptions: Schema.Codec<ForwarderOptions, ForwarderOptionsEncoded> = ForwarderOptionsSchema

/**
 * Checks a configuration and fills in the defaults, as `make` does. An unknown key is an issue as well.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export const decode = (input: unknown): Result.Result<ForwarderOptions, MqttError> =>
  Result.mapError(decodeOptions(input), (reason) => new MqttError({ reason, method: "ForwarderOptions.make" }))

/**
 * Checks a configuration and fills in the defaults. Fails with `InvalidOptions`, which holds all issues with their
 * paths.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: ForwarderOptionsInput): Effect.Effect<ForwarderOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(decode(input)))

/**
 * A configuration from the environment: `FORWARDER_NAME`, `FORWARDER_SOURCES`, `FORWARDER_FILTERS`, `FORWARDER_TARGET`,
 * `FORWARDER_MAX_IN_FLIGHT` and so on after the prefix.
 *
 * Lists are separated by commas. Rules are items `sensors/+/temperature=storage/{1}/temp`, metadata items `name=value`.
 * `FORWARDER_QOS` is `keep`, `cap 1` or `fix 1`. Options of a group follow the group's name, as in
 * `FORWARDER_DEAD_LETTER_TOPIC`. Records, for example of `ConfigProvider.fromUnknown`, are read by the names of the
 * options. A value that the provider does not have is taken from `base`, then from the defaults. An unknown name after
 * the prefix is a mistake.
 *
 * @stability stable
 * @category config
 * @since 0.1.0
 */
export const config = (
  prefix: string = "FORWARDER",
  base: Partial<ForwarderOptionsInput> = {}
): Config.Config<ForwarderOptions> => forwarderConfig(prefix, base)
