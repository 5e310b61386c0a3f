/**
 * A number for an output of the engine: equal for equal outputs, and different for most others. It stands for the
 * output in a flight record, because the output itself follows from the inputs. Of a long list its length and its ends
 * go in: to read all of it would cost more than all else of a record. Payloads and user properties do not go in: a
 * replay does not have them.
 */
import type { Packet } from "../../../Packet.ts"
import { none } from "../../../Properties.ts"
import type { StoreRecord } from "../../../StoreRecord.ts"
import type { EngineEvent, IndependentOutput, Outbound, Output } from "../contract.ts"

/** A list that is longer counts by its length, its first half of so many elements and its last half. */
const longest = 16

/** The index after this one, of those that go in. */
const after = (index: number, length: number): number =>
  length > longest && index === longest / 2 - 1 ? length - longest / 2 : index + 1

const mix = (digest: number, value: number): number => Math.imul(digest ^ value, 0x01000193) ^ (digest >>> 15)

const mixText = (digest: number, text: string): number => {
  const { length } = text
  if (length === 0) return mix(digest, 0)
  return mix(mix(digest, length), text.charCodeAt(length - 1) | (text.charCodeAt(length >> 1) << 16))
}

const mixPacket = (digest: number, packet: Packet): number => {
  switch (packet._tag) {
    case "Publish": {
      const { dup, packetIdentifier, payload, properties, qos, retain, topic } = packet
      const flags = 1 | (qos << 1) | (retain ? 8 : 0) | (dup ? 16 : 0)
      const sized = mix(mix(digest, flags | (packetIdentifier << 8)), payload.length ^ (topic.length << 20))
      return properties === none ? sized : mix(sized, properties.topicAlias ?? 0)
    }
    case "Puback":
    case "Pubrec":
    case "Pubrel":
    case "Pubcomp":
      return mix(digest, packet._tag.length | (packet.reasonCode << 3) | (packet.packetIdentifier << 11))
    case "Subscribe": {
      let result = mix(digest, 2 | (packet.packetIdentifier << 8))
      for (const { filter, qos, retainHandling } of packet.filters) {
        result = mixText(mix(result, qos | (retainHandling << 2)), filter)
      }
      return mix(result, packet.properties.subscriptionIdentifier ?? 0)
    }
    case "Unsubscribe": {
      let result = mix(digest, 3 | (packet.packetIdentifier << 8))
      for (const filter of packet.filters) result = mixText(result, filter)
      return result
    }
    default:
      return mixText(digest, packet._tag)
  }
}

const mixRecord = (digest: number, record: StoreRecord): number => {
  const tagged = mixText(digest, record._tag)
  switch (record._tag) {
    case "Outbound":
      return mix(mixText(tagged, record.state), record.sequence ^ (record.packetIdentifier << 16))
    case "Inbound":
      return mix(mixText(tagged, record.use), record.packetIdentifier | (record.acknowledged ? 1 << 16 : 0))
    case "Subscription":
      return mix(mixText(tagged, record.filter), record.qos | (record.granted ? 4 : 0))
    case "Consumer":
      return mixText(tagged, record.name)
    case "Identity":
    case "Origin":
      return tagged
  }
}

const mixOutbound = (digest: number, { outcome, sequence }: Outbound): number => {
  const result = mix(digest, sequence)
  if (outcome === undefined) return result
  if (outcome._tag === "Failed") return mixText(result, outcome.reason._tag)
  return outcome.reasonCode === 0 ? result : mix(result, outcome.reasonCode)
}

const mixEvent = (digest: number, event: EngineEvent): number =>
  mixText(digest, "reason" in event && typeof event.reason !== "string" ? event.reason._tag : event._tag)

const mixIndependent = (digest: number, output: IndependentOutput): number => {
  const { deliveries, events, settled, spaceAvailable } = output
  let result = mix(digest, spaceAvailable ? 1 : 0)
  for (let i = 0; i < settled.length; i = after(i, settled.length)) result = mixOutbound(result, settled[i]!)
  if (settled.length > longest) result = mix(result, settled.length)
  if (deliveries.length > longest) result = mix(result, deliveries.length)
  for (let i = 0; i < deliveries.length; i = after(i, deliveries.length)) {
    const { consumer, delivery } = deliveries[i]!
    result = mix(result, delivery.packetIdentifier ^ (delivery.bytes << 16) ^ consumer.request.filters.length)
  }
  for (let i = 0; i < events.length; i++) result = mixEvent(result, events[i]!)
  return result
}

/** The digest of an output, from 0 to 2^32 - 1. */
export const digestOf = (output: Output | IndependentOutput): number => {
  let digest = mixIndependent(0x811c9dc5, output)
  if ("packets" in output) {
    const { accepted, changes, consumers, packets } = output
    if (packets.length > longest) digest = mix(digest, packets.length)
    for (let i = 0; i < packets.length; i = after(i, packets.length)) digest = mixPacket(digest, packets[i]!)
    // Their numbers are in a row.
    if (accepted.length > 0) digest = mix(mix(digest, accepted.length), accepted[0]!.sequence)
    if (changes.length > longest) digest = mix(digest, changes.length)
    for (let i = 0; i < changes.length; i = after(i, changes.length)) {
      const change = changes[i]!
      digest = change._tag === "Put" ? mixRecord(digest, change.record) : mixText(digest, change.key)
    }
    for (let i = 0; i < consumers.length; i++) digest = mixText(digest, consumers[i]!.state)
  }
  return digest >>> 0
}
