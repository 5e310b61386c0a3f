/**
 * HiveMQ, as HiveMQ Cloud runs it: the documented defaults of the broker.
 *
 * Source: [C] https://github.com/hivemq/hivemq-community-edition/wiki/MQTT-Specific-Configuration
 *
 * Left out: the largest message of HiveMQ Cloud, which its documentation does not state.
 */
import type { BrokerProfile } from "./contract.ts"

export const hivemqCloud: BrokerProfile = {
  // [C] "100% compliant with the MQTT 3.1, MQTT 3.1.1 and MQTT 5.0 specifications".
  versions: [4, 5],
  limits: {
    // [C] Server Receive Maximum 10.
    receiveMaximum: 10,
    // [C] Queued messages 1000.
    maximumQueued: 1000,
    // https://github.com/hivemq/hivemq-community-edition, MqttConfigurationDefaults: 5 topic aliases of a client.
    topicAliasMaximum: 5
  },
  behaviour: {},
  quotas: {}
}
