/**
 * The MQTT broker of Azure Event Grid, with one throughput unit.
 *
 * Sources: [S] https://learn.microsoft.com/azure/event-grid/mqtt-support
 * [Q] https://learn.microsoft.com/azure/event-grid/quotas-limits
 * [R] https://learn.microsoft.com/javascript/api/@azure/eventgrid/eventgridmqttclientdisconnectionreason: a client that
 * exceeds a quota, or uses what is not supported, is disconnected.
 *
 * Left out: a full session of a client without a connection ends (here its messages are dropped), and the order of
 * messages, which is not guaranteed there.
 */
import { type BrokerProfile, disconnects } from "./contract.ts"

const quotaExceeded = disconnects(0x97)

export const azureEventGrid: BrokerProfile = {
  versions: [4, 5],
  limits: {
    // [S] Maximum QoS is 1.
    maximumQoS: 1,
    // [S] Retain is not supported: such a publish fails and closes the connection.
    retainAvailable: false,
    // [S] 512 KiB.
    maximumPacketSize: 524_288,
    // [S] Shared subscriptions and subscription identifiers are not supported.
    sharedSubscriptionAvailable: false,
    subscriptionIdentifiersAvailable: false,
    // [S] Topic Alias Maximum is 10.
    topicAliasMaximum: 10,
    // [S] One hour by default, up to 8 hours; on 3.1.1 every session has it.
    maximumSessionExpiryInterval: 3600,
    // [S] 100 messages wait for a client without a connection.
    maximumQueued: 100
  },
  behaviour: {},
  quotas: {
    // [S] Assigned client identifiers are not supported.
    assignsClientIds: false,
    // [S] 1160 seconds.
    keepAlive: { minimum: 0, maximum: 1160 },
    // [S] 300 seconds.
    willDelay: 300,
    // [S] User properties on CONNECT, SUBSCRIBE, DISCONNECT, PUBACK and AUTH: the request fails.
    userPropertiesBesidePublish: false,
    // [Q] 5 SUBSCRIBE and UNSUBSCRIBE in a second, and 100 PUBLISH.
    subscribesPerSecond: { maximum: 5, reaction: quotaExceeded },
    publishesPerSecond: { maximum: 100, reaction: quotaExceeded },
    // [Q] 10 filters in a SUBSCRIBE, 50 subscriptions of a session.
    filtersPerSubscribe: { maximum: 10, reaction: quotaExceeded },
    subscriptions: { maximum: 50, reaction: quotaExceeded },
    // [Q] 8 segments in a topic name or topic filter, and 256 bytes.
    topicLevels: { maximum: 8, reaction: quotaExceeded },
    filterLevels: { maximum: 8, reaction: quotaExceeded },
    topicBytes: { maximum: 256, reaction: quotaExceeded },
    // [S] A PUBACK with a reason code that is no success ends the connection.
    negativeAcknowledgement: disconnects(0x83)
  }
}
