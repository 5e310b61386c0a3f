/**
 * Decoding of PUBLISH (MQTT 3.3) and of its acknowledgements (MQTT 3.4 to 3.7), which are the frequent packets. The
 * PUBLISH packets of stored messages are read here too.
 */
import type * as Packet from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { copyOf } from "./copy.ts"
import { decodeProperties } from "./decodeProperties.ts"
import * as PacketType from "./packetType.ts"
import * as Table from "./propertyTable.ts"
import { Reader } from "./reader.ts"

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

// One for all records: a decoder for each would cost more than everything else of reading one.
const storedReader = new Reader()

/** Larger packets stay views of the bytes that the store has read, if these are little more than the packet. */
const largestCopy = 2048

/**
 * The PUBLISH packet of a stored message, whose checksum was right: from the first of the bytes to the last. Throws a
 * `TypeError` for other bytes. `isBrief`: the packet is not used any more when the bytes change, and needs no copy.
 */
export const readStoredPublish = (bytes: Uint8Array, isBrief = false): Packet.Publish => {
  const first = bytes[0]!
  if (first >> 4 !== PacketType.publish) throw new TypeError("it is no message")
  const position = headerEnd(bytes)
  // Small messages share buffers: a buffer of its own takes several times the memory of a short payload.
  const isView = isBrief || (bytes.length > largestCopy && 2 * bytes.length >= bytes.buffer.byteLength)
  let offset = 0
  if (isView) {
    storedReader.attach(bytes, undefined)
  } else {
    const copy = copyOf(bytes)
    storedReader.attach(copy.bytes, copy.dataView)
    offset = copy.offset
  }
  storedReader.begin(offset, offset + position, offset + bytes.length, "PUBLISH")
  const publish = decodePublish(storedReader, first, 5, false)
  const { violation } = storedReader
  storedReader.violation = undefined
  storedReader.release()
  if (violation !== undefined) throw new TypeError(violation.detail)
  return publish
}

/** Where the fixed header of a packet ends that has all of the bytes. */
const headerEnd = (bytes: Uint8Array): number => {
  let remaining = 0
  for (let position = 1, factor = 1; position < 5 && position < bytes.length; position++, factor *= 128) {
    const byte = bytes[position]!
    remaining += (byte & 0x7f) * factor
    if (byte >= 0x80) continue
    // An encoding that is longer than needed is forbidden [MQTT5-1.5.5-1].
    if ((byte === 0 && position > 1) || position + 1 + remaining !== bytes.length) break
    return position + 1
  }
  throw new TypeError("it is no message")
}
