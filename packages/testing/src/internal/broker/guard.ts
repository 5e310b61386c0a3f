/**
 * What a server enforces beyond the protocol: the interface that the core asks, see `profiles/guard.ts`. It answers,
 * and changes no state of the core.
 */
import type { Connect, Packet, SubscribeFilter } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"

/**
 * What happens to a packet in place of its processing.
 */
export type Verdict =
  | { readonly _tag: "Disconnect"; readonly reasonCode: number; readonly detail: string }
  | { readonly _tag: "Ignore" }
  | { readonly _tag: "Replace"; readonly packet: Packet }

/**
 * The sender of a packet.
 */
export interface Sender {
  readonly connection: number
  readonly clientId: string
  readonly protocolVersion: ProtocolVersion
  readonly subscriptions: ReadonlyMap<string, unknown>
}

export interface BrokerGuard {
  readonly assignsClientIds: boolean
  /** The reason code of CONNACK; 0 accepts. */
  readonly judgeConnect: (connect: Connect, now: number) => number
  /** Seconds: the keep alive in force. */
  readonly keepAlive: (requested: number) => number
  /** Undefined: the packet is processed. */
  readonly judge: (sender: Sender, packet: Packet, now: number) => Verdict | undefined
  /** The reason code of SUBACK; 0 accepts. */
  readonly judgeFilter: (sender: Sender, requested: SubscribeFilter) => number
  /** Whether a subscription to this filter brings retained messages. */
  readonly bringsRetained: (filter: string) => boolean
  /** Whether a filter, which matches the topic in MQTT, matches it at this server too. */
  readonly delivers: (filter: string, topic: string) => boolean
  /** Whether overlapping subscriptions of such a client get a copy each. */
  readonly separatesOverlapping: (version: ProtocolVersion) => boolean
  /** The connection has ended. */
  readonly closed: (connection: number) => void
}
