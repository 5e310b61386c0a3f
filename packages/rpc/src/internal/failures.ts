/**
 * The failures of calls, as Effect's client fails with them.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { RpcClientDefect, RpcClientError } from "effect/rpc/RpcClientError"
import { MqttRpcError, type MqttRpcErrorKind } from "../MqttRpcError.ts"
import type { Refusal } from "./packets.ts"

export const failure = (
  kind: MqttRpcErrorKind,
  mayHaveRun: boolean,
  detail: string,
  cause?: unknown
): RpcClientError => {
  const error = new MqttRpcError({ kind, mayHaveRun, detail, ...(cause === undefined ? undefined : { cause }) })
  return new RpcClientError({ reason: new RpcClientDefect({ message: detail, cause: error }) })
}

export const mqttFailure = (error: MqttError, mayHaveRun: boolean): RpcClientError =>
  failure("mqtt", mayHaveRun, error.message, error)

export const refusalFailure = (refusal: Refusal): RpcClientError => {
  switch (refusal) {
    case "overloaded":
      return failure("overloaded", false, "the server has as many calls, or holds as many bytes, as it may")
    case "malformed":
      return failure("malformed", false, "the server cannot read the request")
    case "tooLarge":
      return failure("tooLarge", false, "the request has more bytes than the server takes")
    case "closing":
      return failure("serverGone", false, "the server is ending")
    case "lost":
      return failure("lost", true, "messages of the call did not reach the server")
    case "responseTooLarge":
      return failure("tooLarge", true, "the response has more bytes than the server sends")
  }
}
