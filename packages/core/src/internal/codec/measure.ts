/**
 * Measures and validates packets before they are written: one pass over the values, in wire order. It keeps the first
 * problem, and the sizes that the writer needs again. It writes nothing. Size: one method for each type of packet, over
 * the same sizes in wire order, which the writer reads back.
 */
import type * as Packet from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { EncodedProperties } from "../encodedProperties.ts"
import * as Topic from "../topics.ts"
import { maximumTextBytes, measureUtf8 } from "../utf8String.ts"
import { measureProperties } from "./measureProperties.ts"
import * as Table from "./propertyTable.ts"
import { topicEncoding } from "./topicEncodings.ts"
import { filterProblem } from "./topicFilter.ts"
import { measureLossy } from "./utf8.ts"
import { variableByteIntegerSize } from "./variableByteInteger.ts"

/** A property of two bytes with its identifier. */
export const topicAliasBytes = 3

export class Measure {
  /** Why the packet cannot be encoded. */
  failure: string | undefined = undefined
  /** The encoded topic name of the last PUBLISH, if it is cached. */
  topic: Uint8Array | undefined = undefined
  /** The properties of the last PUBLISH as they were encoded before, without their length and a topic alias. */
  properties: Uint8Array | undefined = undefined
  /** The topic alias that goes with them; 0: none. */
  topicAlias = 0
  readonly version: ProtocolVersion
  // The sizes of strings and of property sets, and the properties themselves. The measuring pass writes them and the
  // writing pass reads them in the same order. The arrays are reused, which saves allocations.
  readonly #sizes: Array<number> = []
  #sizeCount = 0
  #nextSize = 0
  readonly #descriptors: Array<Table.PropertyDescriptor> = []
  readonly #values: Array<unknown> = []
  #propertyCount = 0
  #nextProperty = 0

  constructor(version: ProtocolVersion) {
    this.version = version
  }

  /** Measures another packet: answers its remaining length. */
  begin(packet: Packet.Packet): number {
    this.failure = undefined
    this.#sizeCount = 0
    this.#nextSize = 0
    this.#propertyCount = 0
    this.#nextProperty = 0
    const remaining = packet._tag === "Publish" ? this.#publish(packet) : this.#body(packet)
    if (remaining > Table.maximumVariableByteInteger) {
      this.fail(`the packet is larger than a packet can be (${remaining} bytes)`)
    }
    return remaining
  }

  /** Forgets the values of the packet, which would otherwise stay alive until the next one. */
  end(): void {
    this.topic = undefined
    this.properties = undefined
    for (let i = 0; i < this.#propertyCount; i++) {
      this.#values[i] = undefined
    }
  }

  /** The next size, for the writer. */
  size(): number {
    return this.#sizes[this.#nextSize++]
  }

  /** The next property, for the writer; `value` belongs to it. */
  descriptor(): Table.PropertyDescriptor {
    return this.#descriptors[this.#nextProperty]
  }

  value(): unknown {
    return this.#values[this.#nextProperty++]
  }

  /** A property that has at least one byte. */
  property(descriptor: Table.PropertyDescriptor, value: unknown): void {
    this.#descriptors[this.#propertyCount] = descriptor
    this.#values[this.#propertyCount++] = value
  }

  fail(detail: string): void {
    this.failure ??= detail
  }

  /** A string with its length. */
  text(value: string, label: string): number {
    const size = measureUtf8(value)
    this.#sizes[this.#sizeCount++] = size
    if (size < 0) {
      this.fail(`${label} holds ${value.charCodeAt(~size) === 0 ? "U+0000" : "a lone surrogate"}`)
      return 2 + measureLossy(value)
    }
    if (size > maximumTextBytes) {
      this.fail(`${label} is longer than ${maximumTextBytes} bytes`)
    }
    return 2 + size
  }

  /** A topic name with its length. */
  topicName(value: string, label: string): number {
    if (value === "") {
      this.fail(`${label} is empty`)
    } else if (value.includes("#") || value.includes("+")) {
      this.fail(`${label} holds a wildcard`)
    }
    return this.text(value, label)
  }

  /** Binary data with its length. */
  binary(value: Uint8Array, label: string): number {
    if (value.length > maximumTextBytes) {
      this.fail(`${label} is longer than ${maximumTextBytes} bytes`)
    }
    return 2 + value.length
  }

  /** Properties without their length. */
  #propertiesOnly(properties: {}, place: number): number {
    const slot = this.#sizeCount++
    let size = 0
    if (properties !== Properties.none) {
      if (this.version === 5) {
        size = measureProperties(this, properties, place)
      } else {
        this.#noProperties(properties)
      }
    }
    this.#sizes[slot] = size
    return size
  }

  /** Properties with their length; nothing on 3.1.1. */
  #properties(properties: {}, place: number): number {
    if (this.version === 4) {
      if (properties !== Properties.none) {
        this.#noProperties(properties)
      }
      return 0
    }
    const size = this.#propertiesOnly(properties, place)
    return variableByteIntegerSize(size) + size
  }

  // Dropping them would silently lose what the caller wanted to send.
  #noProperties(properties: {}): void {
    for (const name in properties) {
      if ((properties as { readonly [name: string]: unknown })[name] !== undefined) {
        this.fail(`the property ${name} does not exist in MQTT 3.1.1`)
      }
    }
  }

  #body(packet: Exclude<Packet.Packet, Packet.Publish>): number {
    switch (packet._tag) {
      case "Puback":
      case "Pubrec":
      case "Pubrel":
      case "Pubcomp":
        this.#packetIdentifier(packet.packetIdentifier)
        return 2 + this.#optionalReason(packet._tag, packet.reasonCode, packet.properties, Table.inAcknowledgement)
      case "Connect":
        return this.#connect(packet)
      case "Connack":
        return this.#connack(packet)
      case "Subscribe":
        return this.#subscribe(packet)
      case "Suback":
        this.#packetIdentifier(packet.packetIdentifier)
        return 2 + this.#properties(packet.properties, Table.inAcknowledgement) +
          this.#reasonCodes("Suback", packet.reasonCodes)
      case "Unsubscribe":
        return this.#unsubscribe(packet)
      case "Unsuback":
        return this.#unsuback(packet)
      case "Pingreq":
      case "Pingresp":
        return 0
      case "Disconnect":
        return this.#optionalReason(packet._tag, packet.reasonCode, packet.properties, Table.inDisconnect)
      case "Auth":
        return this.#auth(packet)
    }
  }

  #packetIdentifier(value: number): void {
    if ((value & 0xffff) !== value || value === 0) {
      this.fail(`packet identifier ${value} is out of range`)
    }
  }

  #publish(packet: Packet.Publish): number {
    const { qos, topic } = packet
    let size = packet.payload.length
    const encoded = topic === "" ? undefined : topicEncoding(topic)
    this.topic = encoded
    if (encoded !== undefined) {
      size += encoded.length
    } else if (topic === "" && this.version === 5 && packet.properties.topicAlias !== undefined) {
      size += this.text("", "the topic name")
    } else {
      size += this.topicName(topic, "the topic name")
    }
    // Most have none, and the look into an object costs more than the comparison.
    const properties = this.version === 5 && packet.properties !== Properties.none
      ? EncodedProperties.bytesOf(packet.properties)
      : undefined
    this.properties = properties
    size += properties === undefined
      ? this.#properties(packet.properties, Table.inPublish)
      : this.#encoded(properties, packet.properties.topicAlias)
    if (qos === 1 || qos === 2) {
      this.#packetIdentifier(packet.packetIdentifier)
      return size + 2
    }
    if (qos !== 0) {
      this.fail(`QoS ${qos as number}`)
    } else if (packet.dup) {
      this.fail("DUP with QoS 0")
    } else if (packet.packetIdentifier !== 0) {
      this.fail("a packet identifier with QoS 0")
    }
    return size
  }

  /** Properties that were encoded before, and a topic alias, with their length. */
  #encoded({ length }: Uint8Array, topicAlias: number | undefined): number {
    this.topicAlias = topicAlias ?? 0
    if (topicAlias === undefined) return variableByteIntegerSize(length) + length
    if ((topicAlias & 0xffff) !== topicAlias || topicAlias === 0) {
      this.fail(`topic alias ${topicAlias} is out of range`)
    }
    return variableByteIntegerSize(length + topicAliasBytes) + length + topicAliasBytes
  }

  #optionalReason(
    tag: "Puback" | "Pubrec" | "Pubrel" | "Pubcomp" | "Disconnect",
    reasonCode: number,
    properties: {},
    place: number
  ): number {
    this.#reasonCode(tag, reasonCode)
    if (this.version === 4) {
      this.#properties(properties, place)
      return 0
    }
    const size = this.#propertiesOnly(properties, place)
    return reasonCode === 0 && size === 0 ? 0 : 1 + variableByteIntegerSize(size) + size
  }

  #reasonCode(tag: ReasonCode.PacketTag, reasonCode: number): void {
    if (!ReasonCode.isAllowed(tag, reasonCode, this.version)) {
      this.fail(`reason code ${reasonCode} is not allowed`)
    }
  }

  #reasonCodes(tag: "Suback" | "Unsuback", reasonCodes: ReadonlyArray<number>): number {
    if (reasonCodes.length === 0) {
      this.fail("no reason code")
    }
    for (const reasonCode of reasonCodes) {
      this.#reasonCode(tag, reasonCode)
    }
    return reasonCodes.length
  }

  #connect(packet: Packet.Connect): number {
    const { will } = packet
    if (packet.protocolVersion !== this.version) {
      this.fail(`protocol version ${packet.protocolVersion} on an encoder for ${this.version}`)
    }
    if ((packet.keepAlive & 0xffff) !== packet.keepAlive) {
      this.fail(`keep alive ${packet.keepAlive} is out of range`)
    }
    if (packet.properties.authenticationData !== undefined && packet.properties.authenticationMethod === undefined) {
      this.fail("authentication data without an authentication method")
    }
    if (this.version === 4 && packet.clientId === "" && !packet.cleanStart) {
      this.fail("an empty client identifier without Clean Session")
    }
    let size = 10 + this.#properties(packet.properties, Table.inConnect) +
      this.text(packet.clientId, "the client identifier")
    if (will !== undefined) {
      size += this.#properties(will.properties, Table.inWill)
      size += this.topicName(will.topic, "the will topic") + this.binary(will.payload, "the will payload")
      if (will.qos !== 0 && will.qos !== 1 && will.qos !== 2) {
        this.fail(`will QoS ${will.qos as number}`)
      }
    }
    if (packet.username !== undefined) {
      size += this.text(packet.username, "the user name")
    }
    if (packet.password !== undefined) {
      size += this.binary(packet.password, "the password")
      if (this.version === 4 && packet.username === undefined) {
        this.fail("a password without a user name")
      }
    }
    return size
  }

  #connack(packet: Packet.Connack): number {
    this.#reasonCode("Connack", packet.reasonCode)
    if (packet.sessionPresent && packet.reasonCode !== 0) {
      this.fail("session present in a refusal")
    }
    return 2 + this.#properties(packet.properties, Table.inConnack)
  }

  #subscribe(packet: Packet.Subscribe): number {
    this.#packetIdentifier(packet.packetIdentifier)
    if (packet.filters.length === 0) {
      this.fail("no topic filter")
    }
    let size = 2 + this.#properties(packet.properties, Table.inSubscribe)
    for (const { filter, noLocal, qos, retainAsPublished, retainHandling } of packet.filters) {
      size += 1 + this.#filter(filter)
      if (qos !== 0 && qos !== 1 && qos !== 2) {
        this.fail(`QoS ${qos as number}`)
      }
      if (retainHandling !== 0 && retainHandling !== 1 && retainHandling !== 2) {
        this.fail(`retain handling ${retainHandling as number}`)
      }
      if (this.version === 4) {
        if (noLocal || retainAsPublished || retainHandling !== 0) {
          this.fail("subscription options that do not exist in MQTT 3.1.1")
        }
      } else if (noLocal && Topic.isShared(filter)) {
        this.fail("no local on a shared subscription")
      }
    }
    return size
  }

  #unsubscribe(packet: Packet.Unsubscribe): number {
    this.#packetIdentifier(packet.packetIdentifier)
    if (packet.filters.length === 0) {
      this.fail("no topic filter")
    }
    let size = 2 + this.#properties(packet.properties, Table.inUnsubscribe)
    for (const filter of packet.filters) {
      size += this.#filter(filter)
    }
    return size
  }

  #filter(filter: string): number {
    const problem = filterProblem(filter, this.version)
    if (problem !== undefined) {
      this.fail(problem)
    }
    return this.text(filter, "the topic filter")
  }

  #unsuback(packet: Packet.Unsuback): number {
    this.#packetIdentifier(packet.packetIdentifier)
    const size = 2 + this.#properties(packet.properties, Table.inAcknowledgement)
    if (this.version === 5) {
      return size + this.#reasonCodes("Unsuback", packet.reasonCodes)
    }
    if (packet.reasonCodes.length > 0) {
      this.fail("reason codes do not exist in an UNSUBACK of MQTT 3.1.1")
    }
    return size
  }

  #auth(packet: Packet.Auth): number {
    if (this.version === 4) {
      this.fail("AUTH does not exist in MQTT 3.1.1")
    }
    this.#reasonCode("Auth", packet.reasonCode)
    const size = this.#propertiesOnly(packet.properties, Table.inAuth)
    if (packet.properties.authenticationMethod === undefined && (packet.reasonCode !== 0 || size > 0)) {
      this.fail("no authentication method")
    }
    // Never the empty form of a success, which mqtt-packet, and therefore MQTT.js, does not understand.
    return 1 + variableByteIntegerSize(size) + size
  }
}

// Only the writer runs between the two passes over a packet, so one measure per version serves all connections.
const measures: Readonly<Record<ProtocolVersion, Measure>> = { 4: new Measure(4), 5: new Measure(5) }

/** The measure of a version, free for the next packet. */
export const measureFor = (protocolVersion: ProtocolVersion): Measure => measures[protocolVersion]
