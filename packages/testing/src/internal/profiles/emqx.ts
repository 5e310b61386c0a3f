/**
 * EMQX Cloud Serverless, the strictest of EMQX.
 *
 * Sources: [Q] https://docs.emqx.com/en/cloud/latest/create/restriction.html
 * [M] https://docs.emqx.com/en/emqx/latest/configuration/mqtt.html
 * [E] https://github.com/emqx/emqx, apps/emqx/src
 *
 * Left out: 10 PUBLISH in a second from one client, because [Q] does not say what happens to more.
 */
import type { BrokerProfile } from "./contract.ts"

export const emqx: BrokerProfile = {
  // [M] MQTT 3.1, 3.1.1 and 5.0.
  versions: [4, 5],
  limits: {
    // [Q], [M] 1 MB.
    maximumPacketSize: 1_048_576,
    // [M] max_topic_alias 65535.
    topicAliasMaximum: 65_535,
    // [Q] 1000 messages wait for a client.
    maximumQueued: 1000
  },
  behaviour: {},
  quotas: {
    // [Q] 1024.
    clientIdBytes: 1024,
    // [Q] 10 subscriptions of a client; [E] emqx_session: more are refused with 0x97.
    subscriptions: { maximum: 10, reasonCode: 0x97 },
    // [Q] 10 levels of a topic filter; [E] emqx_mqtt_caps: more are refused with 0x8F.
    filterLevels: { maximum: 10, reasonCode: 0x8f }
  }
}
