/**
 * RabbitMQ 4 with its MQTT plugin.
 *
 * Sources: [M] https://www.rabbitmq.com/docs/mqtt
 * [D] https://github.com/rabbitmq/rabbitmq-server/blob/main/deps/rabbitmq_mqtt/Makefile
 * [P] https://github.com/rabbitmq/rabbitmq-server, deps/rabbitmq_mqtt/src/rabbit_mqtt_processor.erl
 *
 * Left out: copies of overlapping subscriptions with different QoS, and topic names with dots.
 */
import { type BrokerProfile, disconnects, downgrades } from "./contract.ts"

export const rabbitmq: BrokerProfile = {
  versions: [4, 5],
  limits: {
    // [P] CONNACK has Maximum QoS 1, [D] Topic Alias Maximum 16 and Maximum Packet Size 16 MiB.
    maximumQoS: 1,
    topicAliasMaximum: 16,
    maximumPacketSize: 16_777_216,
    // [M], [P] Shared subscriptions are unsupported.
    sharedSubscriptionAvailable: false,
    // [M] max_session_expiry_interval_seconds 86400.
    maximumSessionExpiryInterval: 86_400,
    // [D] prefetch 10.
    maximumInflight: 10
  },
  behaviour: {},
  quotas: {
    // [M] 3.1.1: "RabbitMQ will downgrade the QoS level to 1". 5: "disconnect the client with reason code 155".
    publishAboveMaximumQoS: { 4: downgrades, 5: disconnects(0x9b) },
    // [M] "if the topic filter contains wildcards [...] no retained messages are sent".
    retainedForWildcards: false
  }
}
