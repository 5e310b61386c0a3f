/**
 * What is published, how, and what comes back.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { MqttError } from "./MqttError.ts"
import type { MessageProperties } from "./Properties.ts"
import type { QoS } from "./QoS.ts"

/**
 * A payload: text is sent as UTF-8, bytes as they are. Bytes must not change until the message is settled; `enqueue` copies them.
 */
export type Payload = string | Uint8Array

/**
 * How to publish. Everything beyond `qos` and `retain` needs MQTT 5, and is refused with `NotSupported` on 3.1.1 where it cannot be
 * left out without a change of meaning.
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
  /** Not worth sending after this time in the queue: fails with `Expired`. Default: the Message Expiry Interval, if any. */
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
