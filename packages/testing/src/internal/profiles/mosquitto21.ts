/**
 * mosquitto 2.1 with its default configuration.
 *
 * Source: https://mosquitto.org/blog/2026/01/version-2-1-0-released: `max_packet_size` is 2,000,000 bytes, and the
 * broker uses topic aliases.
 */
import type { BrokerProfile } from "./contract.ts"
import { mosquitto20 } from "./mosquitto20.ts"

export const mosquitto21: BrokerProfile = {
  ...mosquitto20,
  limits: { ...mosquitto20.limits, maximumPacketSize: 2_000_000 },
  behaviour: { ...mosquitto20.behaviour, assignTopicAliases: true }
}
