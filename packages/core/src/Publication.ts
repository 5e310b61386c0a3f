/**
 * Types of publishing: payloads, options, and results.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { payloadBytes } from "./internal/payload.ts"
import type { InvalidPayload, MqttError, PacketTooLarge } from "./MqttError.ts"
import type { MessageProperties } from "./Properties.ts"
import type { QoS } from "./QoS.ts"
import type { OriginKey } from "./StoreRecord.ts"

/**
 * A payload. Text is sent as UTF-8, bytes unchanged. Of a typed array, a DataView or a buffer, all bytes in its range
 * are sent in memory order. Any other value is refused with `InvalidPayload`, at run time too.
 *
 * Bytes must not change, nor their buffer be transferred, until the message is settled; `enqueue` copies them.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type Payload = string | ArrayBufferView | ArrayBufferLike

/**
 * The bytes of a payload, as `publish` sends them. Views and buffers are not copied. Fails with `InvalidPayload` for a
 * value that is not a payload, and with `PacketTooLarge` for more than a packet can hold.
 *
 * **Example** (Taking the bytes of a payload)
 *
 * ```ts
 * import { Publication } from "@effect-mqttx/core"
 * import { Result } from "effect"
 *
 * Result.getOrThrow(Publication.toBytes("é")) // => Uint8Array.of(0xc3, 0xa9)
 * ```
 *
 * @stability stable
 * @category encoding
 * @since 0.1.0
 */
export const toBytes = (payload: Payload): Result.Result<Uint8Array, InvalidPayload | PacketTooLarge> => {
  const bytes = payloadBytes(payload)
  return bytes instanceof Uint8Array ? Result.succeed(bytes) : Result.fail(bytes)
}

/**
 * Options of a publish. All but `qos` and `retain` need MQTT 5. On 3.1.1 they are refused with `NotSupported` where
 * leaving them out would change the meaning. An unknown key and a value of a wrong type are refused with
 * `InvalidOptions`.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
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
   * Time limit of the whole operation, including time in the queue; for `enqueue`, until the message is accepted. Fails
   * with `Timeout`, which gives the reason as far as the session knows it. Default: the session's `publishTimeout`.
   */
  readonly timeout?: Duration.Input
  /**
   * The message expires after this time in the queue and fails with `Expired`. Default: the Message Expiry Interval, if
   * any.
   */
  readonly expiresAfter?: Duration.Input
  /**
   * From what the message is made, for packages that move messages into sessions. A durable session writes it as an
   * `OriginRecord` in the commit that stores the message, and deletes it in the commit that takes the message back.
   * Default: none.
   */
  readonly origin?: OriginKey
}

/**
 * A message that a session could publish, checked, with all defaults, see `MqttSession.checkPublish`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CheckedMessage {
  /** The topic name. */
  readonly topic: string
  /** The bytes that were given, or those of the text. */
  readonly payload: Uint8Array
  /** The quality of service. */
  readonly qos: QoS
  /** Whether the server retains the message. */
  readonly retain: boolean
  /** A copy of the MQTT 5 properties. */
  readonly properties: MessageProperties
  /** Milliseconds until the message expires, by `expiresAfter`; undefined: by the Message Expiry Interval, if any. */
  readonly expiresAfter: number | undefined
}

/**
 * A message for bulk publishing.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface OutgoingMessage {
  /** The topic name. */
  readonly topic: string
  /** The payload. */
  readonly payload: Payload
  /** How it is published. Default: see `PublishOptions`. */
  readonly options?: PublishOptions
}

/**
 * The server's answer to a published message.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishReceipt {
  /** 0: success. 0x10: accepted, but there is no subscriber (MQTT 5, QoS 1 and 2). Always 0 for QoS 0. */
  readonly reasonCode: number
  /** A text of the server for people (MQTT 5); undefined: none. */
  readonly reasonString: string | undefined
}

/**
 * An accepted message. Where the session's store is durable, it is stored.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface EnqueueReceipt {
  /** Succeeds when the server completed the handshake. Any number of fibers may await it. */
  readonly acknowledged: Effect.Effect<PublishReceipt, MqttError>
}

/**
 * The result of bulk publishing.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishSummary {
  /** Messages that the server acknowledged in full (QoS 0: that were written). */
  readonly published: number
}
