/**
 * Writes packets that were measured. Nothing here can fail.
 */
import type * as Packet from "../../Packet.ts"
import type * as Properties from "../../Properties.ts"
import { copyInto } from "./copy.ts"
import { type Measure, topicAliasBytes } from "./measure.ts"
import * as PacketType from "./packetType.ts"
import * as Table from "./propertyTable.ts"
import { writeUtf8 } from "./utf8.ts"
import { variableByteIntegerSize } from "./variableByteInteger.ts"

// With its length [MQTT5-3.1.2-1].
const protocolName = new Uint8Array([0, 4, 0x4d, 0x51, 0x54, 0x54])

/**
 * Writes a packet without the payload of a PUBLISH, which the caller places. Returns the position after it.
 */
export const writePacket = (
  target: Uint8Array,
  position: number,
  packet: Packet.Packet,
  remaining: number,
  measure: Measure
): number => {
  if (packet._tag === "Publish") {
    return writePublish(target, position, packet, remaining, measure)
  }
  const { version } = measure
  const type = PacketType.numbers[packet._tag]
  target[position++] = (type << 4) | PacketType.fixedFlags(type)
  position = writeVariableByteInteger(target, position, remaining)
  switch (packet._tag) {
    case "Puback":
    case "Pubrec":
    case "Pubrel":
    case "Pubcomp":
      position = writeTwoBytes(target, position, packet.packetIdentifier)
      return remaining === 2 ? position : writeReason(target, position, packet.reasonCode, measure)
    case "Connect":
      return writeConnect(target, position, packet, measure)
    case "Connack":
      target[position++] = packet.sessionPresent ? 1 : 0
      target[position++] = packet.reasonCode
      return version === 5 ? writeProperties(target, position, measure) : position
    case "Subscribe":
      return writeSubscribe(target, position, packet, measure)
    case "Suback":
    case "Unsuback":
      position = writeTwoBytes(target, position, packet.packetIdentifier)
      if (version === 5) {
        position = writeProperties(target, position, measure)
      }
      for (const reasonCode of packet.reasonCodes) {
        target[position++] = reasonCode
      }
      return position
    case "Unsubscribe":
      position = writeTwoBytes(target, position, packet.packetIdentifier)
      if (version === 5) {
        position = writeProperties(target, position, measure)
      }
      for (const filter of packet.filters) {
        position = writeText(target, position, filter, measure)
      }
      return position
    case "Pingreq":
    case "Pingresp":
      return position
    case "Disconnect":
    case "Auth":
      return remaining === 0 ? position : writeReason(target, position, packet.reasonCode, measure)
  }
}

const writePublish = (
  target: Uint8Array,
  position: number,
  packet: Packet.Publish,
  remaining: number,
  measure: Measure
): number => {
  target[position++] = 0x30 | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
  position = writeVariableByteInteger(target, position, remaining)
  const { properties, topic } = measure
  if (topic === undefined) {
    position = writeText(target, position, packet.topic, measure)
  } else {
    copyInto(target, topic, position)
    position += topic.length
  }
  if (packet.qos !== 0) {
    position = writeTwoBytes(target, position, packet.packetIdentifier)
  }
  if (properties !== undefined) {
    const { topicAlias } = measure
    const length = properties.length + (topicAlias === 0 ? 0 : topicAliasBytes)
    position = writeVariableByteInteger(target, position, length)
    if (topicAlias !== 0) {
      target[position++] = Table.topicAliasId
      position = writeTwoBytes(target, position, topicAlias)
    }
    copyInto(target, properties, position)
    return position + properties.length
  }
  return measure.version === 5 ? writeProperties(target, position, measure) : position
}

const writeReason = (target: Uint8Array, position: number, reasonCode: number, measure: Measure): number => {
  target[position++] = reasonCode
  return writeProperties(target, position, measure)
}

const writeConnect = (target: Uint8Array, position: number, packet: Packet.Connect, measure: Measure): number => {
  const { will } = packet
  target.set(protocolName, position)
  position += protocolName.length
  target[position++] = measure.version
  target[position++] = (packet.username === undefined ? 0 : 0x80) |
    (packet.password === undefined ? 0 : 0x40) |
    (will === undefined ? 0 : (will.retain ? 0x20 : 0) | (will.qos << 3) | 0x04) |
    (packet.cleanStart ? 0x02 : 0)
  position = writeTwoBytes(target, position, packet.keepAlive)
  if (measure.version === 5) {
    position = writeProperties(target, position, measure)
  }
  position = writeText(target, position, packet.clientId, measure)
  if (will !== undefined) {
    if (measure.version === 5) {
      position = writeProperties(target, position, measure)
    }
    position = writeText(target, position, will.topic, measure)
    position = writeBinary(target, position, will.payload)
  }
  if (packet.username !== undefined) {
    position = writeText(target, position, packet.username, measure)
  }
  return packet.password === undefined ? position : writeBinary(target, position, packet.password)
}

const writeSubscribe = (target: Uint8Array, position: number, packet: Packet.Subscribe, measure: Measure): number => {
  position = writeTwoBytes(target, position, packet.packetIdentifier)
  if (measure.version === 5) {
    position = writeProperties(target, position, measure)
  }
  for (const { filter, noLocal, qos, retainAsPublished, retainHandling } of packet.filters) {
    position = writeText(target, position, filter, measure)
    target[position++] = qos | (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4)
  }
  return position
}

/**
 * Writes the next measured properties, with their length.
 */
const writeProperties = (target: Uint8Array, position: number, measure: Measure): number => {
  const size = measure.size()
  position = writeVariableByteInteger(target, position, size)
  const end = position + size
  while (position < end) {
    const descriptor = measure.descriptor()
    position = writeValue(target, position, descriptor, measure.value(), measure)
  }
  return end
}

const writeValue = (
  target: Uint8Array,
  position: number,
  descriptor: Table.PropertyDescriptor,
  value: unknown,
  measure: Measure
): number => {
  const { id } = descriptor
  switch (descriptor.type) {
    case Table.flag:
    case Table.zeroOrOne:
      target[position++] = id
      target[position++] = value === true || value === 1 ? 1 : 0
      return position
    case Table.twoBytes:
    case Table.twoBytesPositive:
      target[position++] = id
      return writeTwoBytes(target, position, value as number)
    case Table.fourBytes:
    case Table.fourBytesPositive: {
      const number = value as number
      target[position++] = id
      target[position++] = number >>> 24
      target[position++] = number >>> 16
      target[position++] = number >>> 8
      target[position++] = number
      return position
    }
    case Table.variable:
      if (typeof value === "number") {
        target[position++] = id
        return writeVariableByteInteger(target, position, value)
      }
      for (const identifier of value as ReadonlyArray<number>) {
        target[position++] = id
        position = writeVariableByteInteger(target, position, identifier)
      }
      return position
    case Table.text:
    case Table.topic:
      target[position++] = id
      return writeText(target, position, value as string, measure)
    case Table.binary:
      target[position++] = id
      return writeBinary(target, position, value as Uint8Array)
    default: {
      const pairs = value as ReadonlyArray<Properties.UserProperty>
      for (let i = 0; i < pairs.length; i++) {
        target[position++] = id
        position = writeText(target, position, pairs[i][0], measure)
        position = writeText(target, position, pairs[i][1], measure)
      }
      return position
    }
  }
}

const writeTwoBytes = (target: Uint8Array, position: number, value: number): number => {
  target[position] = value >>> 8
  target[position + 1] = value
  return position + 2
}

/** With as few bytes as possible [MQTT5-1.5.5-1]. */
const writeVariableByteInteger = (target: Uint8Array, position: number, value: number): number => {
  while (value > 0x7f) {
    target[position++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  target[position++] = value
  return position
}

const writeText = (target: Uint8Array, position: number, text: string, measure: Measure): number => {
  const size = measure.size()
  return writeUtf8(target, writeTwoBytes(target, position, size), text, size)
}

const writeBinary = (target: Uint8Array, position: number, value: Uint8Array): number => {
  position = writeTwoBytes(target, position, value.length)
  target.set(value, position)
  return position + value.length
}

/**
 * The bytes of a fixed header with this remaining length.
 */
export const fixedHeaderSize = (remaining: number): number => 1 + variableByteIntegerSize(remaining)
