/**
 * The properties of MQTT 5: identifier, name, data type, and the packets in which each may stand (MQTT 2.2.2.2, table
 * 2-4).
 */

/** The places of properties, one bit each. */
export const inConnect = 1
export const inConnack = 2
export const inPublish = 4
export const inWill = 8
export const inAcknowledgement = 16
export const inSubscribe = 32
export const inUnsubscribe = 64
export const inDisconnect = 128
export const inAuth = 256

/** A byte that is false or true. */
export const flag = 0
/** A byte that is the number 0 or 1. */
export const zeroOrOne = 1
export const twoBytes = 2
/** Two bytes, 0 is not allowed. */
export const twoBytesPositive = 3
export const fourBytes = 4
/** Four bytes, 0 is not allowed. */
export const fourBytesPositive = 5
export const variable = 6
export const text = 7
export const topic = 8
export const binary = 9
export const pair = 10

export interface PropertyDescriptor {
  readonly id: number
  /** The key in the properties objects. */
  readonly name: string
  /** The name in the specification, for error details. */
  readonly label: string
  readonly type: number
  /** The packets that may carry it, as a bit set. */
  readonly packets: number
  /** The property's own bit, to detect duplicates. */
  readonly bit: number
}

const table: Array<PropertyDescriptor> = []

const define = (id: number, name: string, label: string, type: number, packets: number): void => {
  table.push({ id, name, label, type, packets, bit: 1 << table.length })
}

const everywhere = inConnect | inConnack | inPublish | inWill | inAcknowledgement | inSubscribe | inUnsubscribe |
  inDisconnect | inAuth

define(0x01, "payloadFormatIndicator", "payload format indicator", zeroOrOne, inPublish | inWill)
define(0x02, "messageExpiryInterval", "message expiry interval", fourBytes, inPublish | inWill)
define(0x03, "contentType", "content type", text, inPublish | inWill)
define(0x08, "responseTopic", "response topic", topic, inPublish | inWill)
define(0x09, "correlationData", "correlation data", binary, inPublish | inWill)
// In SUBSCRIBE the key is `subscriptionIdentifier`, because there is only one.
define(0x0b, "subscriptionIdentifiers", "subscription identifier", variable, inPublish | inSubscribe)
define(0x11, "sessionExpiryInterval", "session expiry interval", fourBytes, inConnect | inConnack | inDisconnect)
define(0x12, "assignedClientIdentifier", "assigned client identifier", text, inConnack)
define(0x13, "serverKeepAlive", "server keep alive", twoBytes, inConnack)
define(0x15, "authenticationMethod", "authentication method", text, inConnect | inConnack | inAuth)
define(0x16, "authenticationData", "authentication data", binary, inConnect | inConnack | inAuth)
define(0x17, "requestProblemInformation", "request problem information", flag, inConnect)
define(0x18, "willDelayInterval", "will delay interval", fourBytes, inWill)
define(0x19, "requestResponseInformation", "request response information", flag, inConnect)
define(0x1a, "responseInformation", "response information", text, inConnack)
define(0x1c, "serverReference", "server reference", text, inConnack | inDisconnect)
define(0x1f, "reasonString", "reason string", text, inConnack | inAcknowledgement | inDisconnect | inAuth)
define(0x21, "receiveMaximum", "receive maximum", twoBytesPositive, inConnect | inConnack)
define(0x22, "topicAliasMaximum", "topic alias maximum", twoBytes, inConnect | inConnack)
define(0x23, "topicAlias", "topic alias", twoBytesPositive, inPublish)
define(0x24, "maximumQoS", "maximum QoS", zeroOrOne, inConnack)
define(0x25, "retainAvailable", "retain available", flag, inConnack)
define(0x26, "userProperties", "user property", pair, everywhere)
define(0x27, "maximumPacketSize", "maximum packet size", fourBytesPositive, inConnect | inConnack)
define(0x28, "wildcardSubscriptionAvailable", "wildcard subscription available", flag, inConnack)
define(0x29, "subscriptionIdentifiersAvailable", "subscription identifiers available", flag, inConnack)
define(0x2a, "sharedSubscriptionAvailable", "shared subscription available", flag, inConnack)

/** By identifier. */
export const byId: ReadonlyArray<PropertyDescriptor | undefined> = Array.from(
  { length: 128 },
  (_, id) => table.find((descriptor) => descriptor.id === id)
)

/** By the key in the properties objects. */
export const byName: ReadonlyMap<string, PropertyDescriptor> = new Map([
  ...table.map((descriptor): [string, PropertyDescriptor] => [descriptor.name, descriptor]),
  ...table
    .filter((descriptor) => descriptor.name === "subscriptionIdentifiers")
    .map((descriptor): [string, PropertyDescriptor] => ["subscriptionIdentifier", {
      ...descriptor,
      name: "subscriptionIdentifier",
      packets: inSubscribe
    }])
])

export const subscriptionIdentifierId = 0x0b
export const userPropertyId = 0x26
export const topicAliasId = 0x23

/** The largest variable byte integer, which is also the largest remaining length and subscription identifier. */
export const maximumVariableByteInteger = 268_435_455
