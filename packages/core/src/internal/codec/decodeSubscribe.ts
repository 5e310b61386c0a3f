/**
 * Decoding of SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (MQTT 3.8 to 3.11).
 */
import type * as Packet from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import * as Topic from "../topics.ts"
import { decodeProperties } from "./decodeProperties.ts"
import * as Table from "./propertyTable.ts"
import type { Reader } from "./reader.ts"
import { filterProblem } from "./topicFilter.ts"

/**
 * SUBSCRIBE.
 */
export const decodeSubscribe = (reader: Reader, version: ProtocolVersion): Packet.Subscribe => {
  const packetIdentifier = reader.packetIdentifier()
  const properties: Properties.SubscribeProperties = version === 5
    ? decodeProperties(reader, Table.inSubscribe)
    : Properties.none
  if (reader.position === reader.end) {
    reader.fail("empty-payload", "no topic filter")
  }
  const filters: Array<Packet.SubscribeFilter> = []
  while (reader.position < reader.end) {
    const filter = topicFilter(reader, version)
    const options = reader.byte("the subscription options")
    const qos = options & 3
    const noLocal = (options & 0x04) !== 0
    const retainHandling = (options >> 4) & 3
    if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) {
      reader.fail("subscription-options", `reserved bits of the subscription options 0x${options.toString(16)}`)
    }
    if (qos === 3) {
      reader.fail("subscription-qos", "QoS 3")
    }
    if (retainHandling === 3) {
      reader.fail("retain-handling", "retain handling 3")
    }
    if (noLocal && Topic.isShared(filter)) {
      reader.fail("shared-no-local", "no local on a shared subscription")
    }
    filters.push({
      filter,
      qos: qos as QoS,
      noLocal,
      retainAsPublished: (options & 0x08) !== 0,
      retainHandling: retainHandling as 0 | 1 | 2
    })
  }
  return { _tag: "Subscribe", packetIdentifier, filters, properties }
}

/**
 * UNSUBSCRIBE.
 */
export const decodeUnsubscribe = (reader: Reader, version: ProtocolVersion): Packet.Unsubscribe => {
  const packetIdentifier = reader.packetIdentifier()
  const properties: Properties.UnsubscribeProperties = version === 5
    ? decodeProperties(reader, Table.inUnsubscribe)
    : Properties.none
  if (reader.position === reader.end) {
    reader.fail("empty-payload", "no topic filter")
  }
  const filters: Array<string> = []
  while (reader.position < reader.end) {
    filters.push(topicFilter(reader, version))
  }
  return { _tag: "Unsubscribe", packetIdentifier, filters, properties }
}

const topicFilter = (reader: Reader, version: ProtocolVersion): string => {
  const offset = reader.position - reader.start
  const filter = reader.text("the topic filter")
  if (reader.violation === undefined) {
    const problem = filterProblem(filter, version)
    if (problem !== undefined) {
      reader.fail("topic-filter", `${problem} (filter at offset ${offset})`)
    }
  }
  return filter
}

/**
 * SUBACK.
 */
export const decodeSuback = (reader: Reader, version: ProtocolVersion): Packet.Suback => {
  const packetIdentifier = reader.packetIdentifier()
  const properties: Properties.AcknowledgementProperties = version === 5
    ? decodeProperties(reader, Table.inAcknowledgement)
    : Properties.none
  const reasonCodes = decodeReasonCodes(reader, "Suback", version)
  return { _tag: "Suback", packetIdentifier, reasonCodes, properties }
}

/**
 * UNSUBACK, which has neither properties nor a payload on 3.1.1.
 */
export const decodeUnsuback = (reader: Reader, version: ProtocolVersion): Packet.Unsuback => {
  const packetIdentifier = reader.packetIdentifier()
  if (version === 4) {
    reader.finish()
    return { _tag: "Unsuback", packetIdentifier, reasonCodes: [], properties: Properties.none }
  }
  const properties: Properties.AcknowledgementProperties = decodeProperties(reader, Table.inAcknowledgement)
  const reasonCodes = decodeReasonCodes(reader, "Unsuback", version)
  return { _tag: "Unsuback", packetIdentifier, reasonCodes, properties }
}

const decodeReasonCodes = (reader: Reader, tag: "Suback" | "Unsuback", version: ProtocolVersion): Array<number> => {
  if (reader.position === reader.end) {
    reader.fail("empty-payload", "no reason code")
  }
  const reasonCodes: Array<number> = []
  while (reader.position < reader.end) {
    const reasonCode = reader.byte("a reason code")
    if (!ReasonCode.isAllowed(tag, reasonCode, version)) {
      reader.fail("reason-code", `reason code 0x${reasonCode.toString(16)}`)
    }
    reasonCodes.push(reasonCode)
  }
  return reasonCodes
}
