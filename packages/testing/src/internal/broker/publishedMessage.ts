/**
 * A message that the server accepted. The broker's interface and its journal have it.
 */
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { QoS } from "@effect-mqttx/core/QoS"

/**
 * An application message that the server accepted from a publisher (exactly once for QoS 2), or that it published
 * itself.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PublishedMessage {
  /** Position in the order of acceptance, from 1. */
  readonly sequence: number
  /** Milliseconds when the server accepted it, by the owner's clock. */
  readonly at: number
  /** The publisher's client identifier; undefined for the server's own messages. */
  readonly publisher: string | undefined
  /** The topic name. */
  readonly topic: string
  /** The payload. */
  readonly payload: Uint8Array
  /** The quality of service of the publish. */
  readonly qos: QoS
  /** The retain flag of the publish. */
  readonly retain: boolean
  /** The MQTT 5 properties; empty where the publisher speaks 3.1.1. */
  readonly properties: MessageProperties
  /** Milliseconds when it expires (MQTT 3.3.2.3.3); undefined: never. */
  readonly expiresAt: number | undefined
}
