/**
 * The messages of Effect's RPC to bytes and back, by the serialization of the program. What arrives may be anything:
 * the decoders check what Effect's server and client take for granted.
 */
import { toBytes } from "@effect-mqttx/core/Publication"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as RpcMessage from "effect/rpc/RpcMessage"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"

type Serialization = RpcSerialization.RpcSerialization["Service"]

/** The bytes of a message. Throws what the serialization throws. */
export const encodeMessage = (
  serialization: Serialization,
  message: RpcMessage.FromClientEncoded | RpcMessage.FromServerEncoded
): Uint8Array => {
  const encoded = serialization.makeUnsafe().encode(message)
  return encoded === undefined ? new Uint8Array(0) : Result.getOrThrow(toBytes(encoded))
}

/** The one message of a frame; undefined: it is none. */
const decodeMessage = (serialization: Serialization, body: Uint8Array): unknown => {
  try {
    // A parser of its own for each frame, so that no remainder of one frame gets into another one.
    const messages = serialization.makeUnsafe().decode(body)
    return messages.length === 1 ? messages[0] : undefined
  } catch {
    return undefined
  }
}

const isId = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number"

const isText = (value: unknown): value is string => typeof value === "string"

const areHeaders = (value: unknown): boolean =>
  Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText))

const isOptional = (value: unknown, is: (value: unknown) => boolean): boolean => value === undefined || is(value)

const isRequest = (value: object): value is RpcMessage.RequestEncoded => {
  const { discard, headers, id, isNotification, sampled, spanId, tag, traceId } = value as Record<string, unknown>
  // A span has all three or none.
  const isTraced = spanId === undefined || (isText(spanId) && isText(traceId) && typeof sampled === "boolean")
  return isId(id) && isText(tag) && areHeaders(headers) && isTraced && isOptional(discard, Predicate.isBoolean) &&
    isOptional(isNotification, Predicate.isBoolean)
}

/** A request that a client sent; undefined: it is none. */
export const decodeRequest = (
  serialization: Serialization,
  body: Uint8Array
): RpcMessage.RequestEncoded | undefined => {
  const message = decodeMessage(serialization, body)
  return Predicate.isTagged(message, "Request") && isRequest(message) ? message : undefined
}

/** A response to the call with this identifier; undefined: it is none. */
export const decodeResponse = (
  serialization: Serialization,
  body: Uint8Array,
  id: string | number
): RpcMessage.ResponseChunkEncoded | RpcMessage.ResponseExitEncoded | undefined => {
  const message = decodeMessage(serialization, body)
  return (Predicate.isTagged(message, "Chunk") || Predicate.isTagged(message, "Exit")) &&
      (message as { readonly requestId?: unknown }).requestId === id
    ? message as unknown as RpcMessage.ResponseChunkEncoded | RpcMessage.ResponseExitEncoded
    : undefined
}

/** A message of a server that belongs to no call; undefined: it is none. */
export const decodeNotice = (
  serialization: Serialization,
  body: Uint8Array
): RpcMessage.ResponseDefectEncoded | RpcMessage.RequestEncoded | undefined => {
  const message = decodeMessage(serialization, body)
  if (Predicate.isTagged(message, "Defect")) return message as unknown as RpcMessage.ResponseDefectEncoded
  return Predicate.isTagged(message, "Request") && isRequest(message) ? message : undefined
}
