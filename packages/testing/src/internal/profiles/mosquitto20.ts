/**
 * mosquitto 2.0 with its default configuration.
 *
 * Sources: [C] https://mosquitto.org/man/mosquitto-conf-5.html
 * [L] https://github.com/eclipse-mosquitto/mosquitto/blob/master/ChangeLog.txt
 */
import type { BrokerProfile } from "./contract.ts"

export const mosquitto20: BrokerProfile = {
  versions: [4, 5],
  limits: {
    // [C] max_inflight_messages 20; [L] "now sends the receive-maximum property for MQTT v5 CONNACKs".
    receiveMaximum: 20,
    maximumInflight: 20,
    // [C] max_queued_messages 1000.
    maximumQueued: 1000,
    // [C] max_topic_alias 10.
    topicAliasMaximum: 10
  },
  behaviour: {},
  quotas: {
    // Observed with mosquitto 2.0.11; [C] allow_duplicate_messages is about 3.1.1 only.
    separatesOverlapping: [5]
  }
}
