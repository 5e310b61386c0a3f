/**
 * What is published, how, and what comes back.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { payloadBytes } from "./internal/payload.ts"
import type { InvalidPayload, MqttError, PacketTooLarge } from "./MqttError.ts"
import type { MessageProperties } from "./Properties.ts"
import type { QoS } from "./QoS.ts"

/**
 * A payload: text is sent as UTF-8, bytes as they are. Of a typed array, a DataView or a buffer all bytes that it shows
 * are sent, in the order in which they lie in memory. Anything else is refused with `InvalidPayload`, at run time too.
 *
 * Bytes must not change, nor their buffer be transferred, until the message is settled; `enqueue` copies them.
 */
export type Payload = string | ArrayBufferView | ArrayBufferLike

/**
 * The bytes of a payload, as `publish` sends them; views and buffers are not copied. Fails with `InvalidPayload` for a
 * value that is no payload, whatever its type, and with `PacketTooLarge` for more than a packet can hold.
 */
export const toBytes = (payload: Payload): Result.Result<Uint8Array, InvalidPayload | PacketTooLarge> => {
  const bytes = payloadBytes(payload)
  return bytes instanceof Uint8Array ? Result.succeed(bytes) : Result.fail(bytes)
}

/**
 * How to publish. Everything beyond `qos` and `retain` needs MQTT 5, and is refused with `NotSupported` on 3.1.1 where
 * it cannot be left out without a change of meaning. A key that is no option, and a value of a wrong type, are refused
 * with `InvalidOptions`.
 */
export interface PublishOptions {
  /** Default 0. */
  readonly qos?: QoS
  /** Default false. */
  readonly retain?: boolean
  /** The MQTT 5 properties of the message (MQTT 3.3.2.3). */
  readonly properties?: MessageProperties
  /** A topic alias of your choice, 1 to the server's Topic Alias Maximum (MQTT 3.3.2.3.4). */
  readonly topicAlias?: number
  /**
   * How long the whole operation may take, time in the queue included; of `enqueue`, until the message is accepted.
   * Fails with `Timeout`, which says why it took so long as far as the session knows. Default: the session's
   * `publishTimeout`.
   */
  readonly timeout?: Duration.Input
  /**
   * Not worth sending after this time in the queue: fails with `Expired`. Default: the Message Expiry Interval, if any.
   */
  readonly expiresAfter?: Duration.Input
}

/**
 * A message for bulk publishing.
 */
export interface OutgoingMessage {
  readonly topic: string
  readonly payload: Payload
  readonly options?: PublishOptions
}

/**
 * What the server said to a published message.
 */
export interface PublishReceipt {
  /** 0 success; 0x10 accepted, but nobody subscribes (MQTT 5, QoS 1 and 2). Always 0 for QoS 0. */
  readonly reasonCode: number
  readonly reasonString: string | undefined
}

/**
 * A message that was accepted: stored, where the session's store is durable.
 */
export interface EnqueueReceipt {
  /** Succeeds when the server completed the handshake; may be awaited by many, or by none. */
  readonly acknowledged: Effect.Effect<PublishReceipt, MqttError>
}

/**
 * What bulk publishing did.
 */
export interface PublishSummary {
  /** Messages that the server acknowledged in full (QoS 0: that were written). */
  readonly published: number
}
