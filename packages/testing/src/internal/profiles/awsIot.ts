/**
 * AWS IoT Core.
 *
 * Sources: [D] https://docs.aws.amazon.com/iot/latest/developerguide/mqtt.html
 * [Q] https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits
 * [S] https://aws.github.io/aws-iot-device-sdk-js-v2/node/enums/mqtt5.ClientExtendedValidationAndFlowControl.html
 */
import { type BrokerProfile, disconnects, ignores } from "./contract.ts"

const quotaExceeded = 0x97

export const awsIot: BrokerProfile = {
  versions: [4, 5],
  limits: {
    // [D] "supports MQTT quality of service (QoS) levels 0 and 1 only".
    maximumQoS: 1,
    // [Q] 100 unacknowledged publishes of one client, in each direction.
    receiveMaximum: 100,
    maximumInflight: 100,
    // [Q] 146 KB, variable header and payload of MQTT 5.
    maximumPacketSize: 149_504,
    // [Q] 8 topic aliases.
    topicAliasMaximum: 8,
    // https://repost.aws/questions/QUF0gW3T7JSWOeRfHK79YpHQ/mqtt5-subscription-identifiers
    subscriptionIdentifiersAvailable: false,
    // [Q] One hour, if the account has not asked for more.
    maximumSessionExpiryInterval: 3600
  },
  behaviour: {},
  quotas: {
    // [S] "Client id must be <= 128 bytes in length".
    clientIdBytes: 128,
    // [Q] 30 to 1200 seconds; none, or a longer one, means 1200.
    keepAlive: { minimum: 30, maximum: 1200 },
    // https://docs.aws.amazon.com/iot/latest/developerguide/limits-iot.html: one CONNECT in a second for each client
    // identifier. The reason code is that of MQTT for this.
    connectsPerSecond: { maximum: 1, reasonCode: 0x9f },
    // [Q], [S] 100 PUBLISH in a second. The reaction is that of MQTT for this.
    publishesPerSecond: { maximum: 100, reaction: disconnects(0x96) },
    // [Q], [S] 8 filters in a SUBSCRIBE. The connection ends:
    // https://github.com/aws/aws-iot-device-sdk-embedded-C/issues/1903
    filtersPerSubscribe: { maximum: 8, reaction: disconnects(quotaExceeded) },
    // https://github.com/aws/aws-iot-device-sdk-js/issues/361: an UNSUBSCRIBE of nine filters is not answered.
    filtersPerUnsubscribe: { maximum: 8, reaction: ignores },
    // [Q] 50 subscriptions. The connection ends: https://github.com/aws/aws-iot-device-sdk-js/issues/43
    subscriptions: { maximum: 50, reaction: disconnects(quotaExceeded) },
    // [Q], [S] 7 slashes in a topic name or topic filter, and 256 bytes.
    topicLevels: { maximum: 8, reaction: disconnects(quotaExceeded) },
    filterLevels: { maximum: 8, reaction: disconnects(quotaExceeded) },
    topicBytes: { maximum: 256, reaction: disconnects(quotaExceeded) },
    // [Q] "The payload for every publish request can be no larger than 128 KB."
    payloadBytes: { maximum: 131_072, reaction: disconnects(0x95) },
    // [D] "When QoS level 2 is requested, the message broker doesn't send a PUBACK or SUBACK." MQTT 5 has Maximum QoS.
    publishAboveMaximumQoS: { 4: ignores },
    subscribeAboveMaximumQoS: { 4: ignores },
    // [Q], https://github.com/aws/aws-iot-device-sdk-python-v2/issues/283: 24 hours.
    webSocketLifetime: 86_400,
    // [D] "Subscription to topic filters that contain a wildcard character can't receive retained messages."
    retainedForWildcards: false,
    // [D] "a subscription to the topic sensor/# receives messages published to [...] but not [...] to sensor".
    multiLevelWildcardMatchesParent: false
  }
}
