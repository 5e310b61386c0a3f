/**
 * Decoding of the properties of MQTT 5 (section 2.2.2).
 */
import * as Properties from "../../Properties.ts"
import * as Table from "./propertyTable.ts"
import type { Reader } from "./reader.ts"

type Value =
  | number
  | boolean
  | string
  | Uint8Array
  | Array<Properties.UserProperty>
  | Array<number>

type MutableProperties = { [name: string]: Value }

/**
 * The properties at the cursor, for one place in the protocol (`Table.inConnect` and so on). The result has the keys that
 * this place allows and no others.
 */
export const decodeProperties = (reader: Reader, place: number): {} => {
  // The usual case, without the cost of a call.
  if (reader.position < reader.end && reader.bytes[reader.position] === 0) {
    reader.position++
    return Properties.none
  }
  const length = reader.variableByteInteger("the property length")
  const outerEnd = reader.end
  const end = reader.position + length
  if (end > outerEnd) {
    reader.fail("properties-length", `property length ${length} exceeds the packet`)
  }
  if (reader.violation !== undefined) {
    return Properties.none
  }
  reader.end = end
  const properties: MutableProperties = {}
  let seen = 0
  while (reader.position < end) {
    const offset = reader.position - reader.start
    const id = reader.bytes[reader.position++]
    const descriptor = id < 0x80 ? Table.byId[id] : undefined
    if (descriptor === undefined) {
      reader.fail("property-unknown", `unknown property 0x${id.toString(16)} at offset ${offset}`)
      break
    }
    if ((descriptor.packets & place) === 0) {
      reader.fail("property-not-allowed", `${descriptor.label} at offset ${offset} is not allowed here`)
      break
    }
    if ((seen & descriptor.bit) !== 0) {
      if (id === Table.userPropertyId) {
        const name = reader.cachedText("the name of a user property")
        const list = properties["userProperties"] as Array<Properties.UserProperty>
        list.push([name, reader.cachedText("the value of a user property")])
        continue
      }
      if (id === Table.subscriptionIdentifierId && place === Table.inPublish) {
        const list = properties["subscriptionIdentifiers"] as Array<number>
        list.push(subscriptionIdentifier(reader))
        continue
      }
      reader.fail("property-duplicate", `${descriptor.label} at offset ${offset} appears more than once`)
      break
    }
    seen |= descriptor.bit
    if (id === Table.subscriptionIdentifierId) {
      const identifier = subscriptionIdentifier(reader)
      if (place === Table.inPublish) {
        properties["subscriptionIdentifiers"] = [identifier]
      } else {
        properties["subscriptionIdentifier"] = identifier
      }
      continue
    }
    properties[descriptor.name] = decodeValue(reader, descriptor)
  }
  // After a failure the cursor stays at the inner end, where nothing more can be read.
  if (reader.violation === undefined) {
    reader.end = outerEnd
  }
  return properties
}

const subscriptionIdentifier = (reader: Reader): number => {
  const identifier = reader.variableByteInteger("the subscription identifier")
  if (identifier === 0) {
    reader.fail("property-value", "subscription identifier 0")
  }
  return identifier
}

const decodeValue = (reader: Reader, descriptor: Table.PropertyDescriptor): Value => {
  switch (descriptor.type) {
    case Table.flag:
    case Table.zeroOrOne: {
      const value = reader.byte(descriptor.label)
      if (value > 1) {
        reader.fail("property-value", `${descriptor.label} ${value}, neither 0 nor 1`)
      }
      return descriptor.type === Table.flag ? value === 1 : value
    }
    case Table.twoBytes:
      return reader.twoBytes(descriptor.label)
    case Table.twoBytesPositive: {
      const value = reader.twoBytes(descriptor.label)
      if (value === 0) {
        reader.fail(descriptor.name === "topicAlias" ? "topic-alias" : "property-value", `${descriptor.label} 0`)
      }
      return value
    }
    case Table.fourBytes:
      return reader.fourBytes(descriptor.label)
    case Table.fourBytesPositive: {
      const value = reader.fourBytes(descriptor.label)
      if (value === 0) {
        reader.fail("property-value", `${descriptor.label} 0`)
      }
      return value
    }
    case Table.text:
      return reader.cachedText(descriptor.label)
    case Table.topic: {
      const value = reader.topicName(descriptor.label, "response-topic")
      if (value === "") {
        reader.fail("response-topic", `empty ${descriptor.label}`)
      }
      return value
    }
    case Table.binary:
      return reader.binary(descriptor.label)
    default: {
      const name = reader.cachedText("the name of a user property")
      return [[name, reader.cachedText("the value of a user property")]]
    }
  }
}
