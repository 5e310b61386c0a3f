/**
 * Decoding of PUBLISH (MQTT 3.3) and of its acknowledgements (MQTT 3.4 to 3.7), which are the frequent packets.
 */
import type * as Packet from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { decodeProperties } from "./decodeProperties.ts"
import * as Table from "./propertyTable.ts"
import type { Reader } from "./reader.ts"

/**
 * `first` is the first byte of the fixed header, whose flags belong to PUBLISH. The result is meaningless when the
 * reader has a violation.
 */
export const decodePublish = (
  reader: Reader,
  first: number,
  version: ProtocolVersion,
  fromServer: boolean
): Packet.Publish => {
  const qos = (first >> 1) & 3
  const dup = (first & 8) !== 0
  if (qos === 3) {
    reader.fail("publish-qos", "QoS 3")
  } else if (dup && qos === 0) {
    reader.fail("publish-dup", "DUP is set with QoS 0")
  }
  const topic = reader.topicName("the topic name", "topic-name-wildcard")
  const packetIdentifier = qos === 0 ? 0 : reader.packetIdentifier()
  const properties: Properties.PublishProperties = version === 5
    ? decodeProperties(reader, Table.inPublish)
    : Properties.none
  if (topic === "" && properties.topicAlias === undefined) {
    reader.fail("topic-name-empty", version === 5 ? "no topic name and no topic alias" : "empty topic name")
  }
  if (!fromServer && properties !== Properties.none && properties.subscriptionIdentifiers !== undefined) {
    reader.fail("subscription-identifier", "a client must not send a subscription identifier")
  }
  return {
    _tag: "Publish",
    topic,
    payload: reader.view(reader.position, reader.end),
    qos: qos as QoS,
    retain: (first & 1) !== 0,
    dup,
    packetIdentifier,
    properties
  }
}

/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP. On MQTT 5 the reason code and the properties may be omitted (MQTT 3.4.2.1).
 */
export const decodeAcknowledgement = <T extends "Puback" | "Pubrec" | "Pubrel" | "Pubcomp">(
  reader: Reader,
  tag: T,
  version: ProtocolVersion
): {
  readonly _tag: T
  readonly packetIdentifier: number
  readonly reasonCode: number
  readonly properties: Properties.AcknowledgementProperties
} => {
  const packetIdentifier = reader.packetIdentifier()
  let reasonCode = 0
  let properties: Properties.AcknowledgementProperties = Properties.none
  if (version === 5 && reader.position < reader.end) {
    reasonCode = reader.byte("the reason code")
    if (!ReasonCode.isAllowed(tag, reasonCode, 5)) {
      reader.fail("reason-code", `reason code 0x${reasonCode.toString(16)}`)
    }
    if (reader.position < reader.end) {
      properties = decodeProperties(reader, Table.inAcknowledgement)
    }
  }
  reader.finish()
  return { _tag: tag, packetIdentifier, reasonCode, properties }
}
