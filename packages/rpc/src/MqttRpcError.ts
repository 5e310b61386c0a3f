/**
 * Why a call over MQTT failed without an answer. Effect's client fails with `RpcClientError`, whose reason is a
 * `RpcClientDefect`. Its cause is the error of this module, which `fromClientError` finds.
 *
 * **Example** (Calling again what has not run)
 *
 * ```ts
 * import { MqttRpcError } from "@effect-mqttx/rpc"
 * import { Effect, Option } from "effect"
 * import type { RpcClientError } from "effect/rpc"
 *
 * export const again = <A, R>(call: Effect.Effect<A, RpcClientError.RpcClientError, R>) =>
 *   Effect.retry(call, {
 *     times: 3,
 *     while: (error) => Option.exists(MqttRpcError.fromClientError(error), ({ mayHaveRun }) => !mayHaveRun)
 *   })
 * ```
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as Schema from "effect/Schema"

const kinds = [
  "noServer",
  "serverGone",
  "unanswered",
  "overloaded",
  "tooLarge",
  "malformed",
  "lost",
  "closed",
  "mqtt"
] as const

/**
 * What happened to the call.
 *
 * - `noServer`: the broker says that no server subscribes to the requests (MQTT 5).
 * - `serverGone`: the server has ended, or its will was published and it did not come back.
 * - `unanswered`: for the time of the option `livenessTimeout` no server has confirmed the call.
 * - `overloaded`: the server has as many calls as it takes, or this side holds as many bytes as it may.
 * - `tooLarge`: the request or the response has more bytes than the option `maxMessageSize` of its receiver.
 * - `malformed`: one side could not read what the other one sent.
 * - `lost`: a message of the call did not arrive, for example because the broker lost the session of one side.
 * - `closed`: the protocol of this client has ended.
 * - `mqtt`: the session could not publish or receive; the cause is its `MqttError`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type MqttRpcErrorKind = typeof MqttRpcErrorKind.Type

/**
 * The schema of the kinds.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const MqttRpcErrorKind: Schema.Literals<typeof kinds> = Schema.Literals(kinds)

/**
 * A call that failed without an answer of its handler.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class MqttRpcError extends Schema.TaggedError<MqttRpcError>("@effect-mqttx/rpc/MqttRpcError")("MqttRpcError", {
  kind: MqttRpcErrorKind,
  /** Whether the handler may have run, in part or to its end. False: it has not run and will not. */
  mayHaveRun: Schema.Boolean,
  /** The sentence for people. */
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  /** What happened, in one sentence. */
  override get message(): string {
    return this.detail
  }
}

/**
 * Whether a value is an error of this module.
 *
 * @stability unstable
 * @category guards
 * @since 0.1.0
 */
export const isMqttRpcError = (u: unknown): u is MqttRpcError => u instanceof MqttRpcError

/**
 * The error of this module in an error of Effect's client; none: the call failed for another reason.
 *
 * @stability unstable
 * @category getters
 * @since 0.1.0
 */
export const fromClientError = (error: RpcClientError): Option.Option<MqttRpcError> => {
  const reason: unknown = Predicate.hasProperty(error, "reason") ? error.reason : undefined
  return Predicate.isTagged(reason, "RpcClientDefect") && Predicate.hasProperty(reason, "cause") &&
      isMqttRpcError(reason.cause)
    ? Option.some(reason.cause)
    : Option.none()
}
