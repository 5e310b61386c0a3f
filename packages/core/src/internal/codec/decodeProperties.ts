/**
 * Decoding of the properties of MQTT 5 (section 2.2.2).
 */
import * as Properties from "../../Properties.ts"
import { defer } from "../deferredLists.ts"
import { ReceivedProperties } from "../encodedProperties.ts"
import * as Table from "./propertyTable.ts"
import { Reader } from "./reader.ts"

type Value =
  | number
  | boolean
  | string
  | Uint8Array
  | Array<Properties.UserProperty>
  | Array<number>

type MutableProperties = { [name: string]: Value }

// Maximum number of user properties, and of subscription identifiers, that are decoded at once. Real messages have a
// handful.
const mostDecoded = 32

// Places where the packet owns the bytes of the reader, because it has views of them anyway.
const placesOfOwnedBytes = Table.inConnect | Table.inConnack | Table.inPublish | Table.inWill | Table.inAuth

/**
 * Decodes the properties at the cursor, for one place in the protocol (`Table.inConnect` and so on). The result has
 * only keys that this place allows.
 */
export const decodeProperties = (reader: Reader, place: number): {} => {
  // The usual case, without the cost of a call.
  if (reader.position < reader.end && reader.bytes[reader.position] === 0) {
    reader.position++
    return Properties.none
  }
  const start = reader.position
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
  // Without a payload, nothing else of the message keeps the bytes of the read alive.
  const isKept = place === Table.inPublish && end < outerEnd
  const properties = decodeSection(reader, place, mostDecoded, isKept ? start : -1)
  // After a failure the cursor stays at the inner end, where no more can be read.
  if (reader.violation === undefined) {
    reader.end = outerEnd
  }
  return properties
}

/**
 * Decodes the properties up to the end of the reader. At most `most` user properties and subscription identifiers are
 * decoded. More of them are validated here and decoded on access. `noted` is where the property length is, if the
 * result shall remember it; otherwise negative.
 */
const decodeSection = (reader: Reader, place: number, most: number, noted: number): {} => {
  const start = reader.position
  const end = reader.end
  const properties: MutableProperties = {}
  let seen = 0
  let userProperties: Array<Properties.UserProperty> | undefined
  let identifiers: Array<number> | undefined
  let undecoded = nothing
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
    if (id === Table.userPropertyId) {
      if (userProperties === undefined) {
        // The key has the position of the first user property, as other properties do.
        properties["userProperties"] = userProperties = [userProperty(reader)]
      } else if (userProperties.length < most) {
        userProperties.push(userProperty(reader))
      } else {
        reader.skipText(nameLabel)
        reader.skipText(valueLabel)
        undecoded = withName(undecoded, descriptor.name)
      }
      continue
    }
    if (id === Table.subscriptionIdentifierId && place === Table.inPublish) {
      const identifier = subscriptionIdentifier(reader)
      if (identifiers === undefined) {
        properties["subscriptionIdentifiers"] = identifiers = [identifier]
      } else if (identifiers.length < most) {
        identifiers.push(identifier)
      } else {
        undecoded = withName(undecoded, descriptor.name)
      }
      continue
    }
    if ((seen & descriptor.bit) !== 0) {
      reader.fail("property-duplicate", `${descriptor.label} at offset ${offset} appears more than once`)
      break
    }
    seen |= descriptor.bit
    if (id === Table.subscriptionIdentifierId) {
      properties["subscriptionIdentifier"] = subscriptionIdentifier(reader)
    } else {
      properties[descriptor.name] = decodeValue(reader, descriptor)
    }
  }
  if (undecoded.length > 0 && reader.violation === undefined) {
    const bytes = (place & placesOfOwnedBytes) === 0 ? reader.bytes.slice(start, end) : reader.view(start, end)
    defer(properties, { bytes, names: undecoded, decode: decodeList(place) })
  }
  // Subscription identifiers alone are not passed on.
  if (noted >= 0 && (userProperties !== undefined || seen !== 0) && reader.violation === undefined) {
    ReceivedProperties.add(properties, reader.bytes, noted)
  }
  return properties
}

const nothing: ReadonlyArray<string> = []

const withName = (names: ReadonlyArray<string>, name: string): ReadonlyArray<string> =>
  names.includes(name) ? names : [...names, name]

const nameLabel = "the name of a user property"
const valueLabel = "the value of a user property"

const userProperty = (reader: Reader): Properties.UserProperty => {
  const name = reader.cachedText(nameLabel)
  return [name, reader.cachedText(valueLabel)]
}

/** Decodes a whole list that was only validated. */
const decodeList = (place: number) => (bytes: Uint8Array, name: string): ReadonlyArray<unknown> => {
  const reader = new Reader()
  reader.attach(bytes, undefined)
  reader.begin(0, 0, bytes.length, "")
  const properties: MutableProperties = decodeSection(reader, place, Infinity, -1)
  return properties[name] as ReadonlyArray<unknown>
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
    default:
      return reader.binary(descriptor.label)
  }
}
