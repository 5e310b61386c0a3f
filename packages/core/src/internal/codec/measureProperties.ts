/**
 * Measures and validates the properties of MQTT 5 before they are written.
 */
import type * as Properties from "../../Properties.ts"
import * as Table from "./propertyTable.ts"
import { variableByteIntegerSize } from "./variableByteInteger.ts"

/** The functions that measure and check values of properties. */
export interface ValueMeasure {
  readonly fail: (detail: string) => void
  /** Remembers a property for the writer. */
  readonly property: (descriptor: Table.PropertyDescriptor, value: unknown) => void
  readonly text: (value: string, what: string) => number
  readonly topicName: (value: string, what: string) => number
  readonly binary: (value: Uint8Array, what: string) => number
}

/**
 * The bytes of the properties without the property length that precedes them.
 */
export const measureProperties = (measure: ValueMeasure, properties: {}, place: number): number => {
  let size = 0
  for (const name in properties) {
    const value: unknown = (properties as { readonly [name: string]: unknown })[name]
    if (value === undefined) {
      continue
    }
    const descriptor = Table.byName.get(name)
    if (descriptor === undefined || (descriptor.packets & place) === 0 || wrongKey(name, place)) {
      measure.fail(`the property ${name} is not allowed here`)
      continue
    }
    const bytes = measureValue(measure, descriptor, value)
    if (bytes > 0) {
      measure.property(descriptor, value)
      size += bytes
    }
  }
  return size
}

const wrongKey = (name: string, place: number): boolean =>
  name === "subscriptionIdentifiers" && place === Table.inSubscribe

const measureValue = (measure: ValueMeasure, descriptor: Table.PropertyDescriptor, value: unknown): number => {
  switch (descriptor.type) {
    case Table.flag:
      if (typeof value !== "boolean") {
        measure.fail(`${descriptor.label} is not a boolean`)
      }
      return 2
    case Table.zeroOrOne:
      if (value !== 0 && value !== 1) {
        measure.fail(`${descriptor.label} is neither 0 nor 1`)
      }
      return 2
    case Table.twoBytes:
    case Table.twoBytesPositive: {
      const number = value as number
      if ((number & 0xffff) !== number || (number === 0 && descriptor.type === Table.twoBytesPositive)) {
        measure.fail(`${descriptor.label} ${number} is out of range`)
      }
      return 3
    }
    case Table.fourBytes:
    case Table.fourBytesPositive: {
      const number = value as number
      if (number >>> 0 !== number || (number === 0 && descriptor.type === Table.fourBytesPositive)) {
        measure.fail(`${descriptor.label} ${number} is out of range`)
      }
      return 5
    }
    case Table.variable: {
      if (typeof value === "number") {
        return 1 + subscriptionIdentifier(measure, value)
      }
      let size = 0
      for (const identifier of value as ReadonlyArray<number>) {
        size += 1 + subscriptionIdentifier(measure, identifier)
      }
      return size
    }
    case Table.text:
      return 1 + measure.text(value as string, descriptor.label)
    case Table.topic:
      return 1 + measure.topicName(value as string, descriptor.label)
    case Table.binary:
      return 1 + measure.binary(value as Uint8Array, descriptor.label)
    default: {
      let size = 0
      // A plain loop, because some applications send user properties with every message.
      const pairs = value as ReadonlyArray<Properties.UserProperty>
      for (let i = 0; i < pairs.length; i++) {
        size += 1 + measure.text(pairs[i][0], "the name of a user property") +
          measure.text(pairs[i][1], "the value of a user property")
      }
      return size
    }
  }
}

const subscriptionIdentifier = (measure: ValueMeasure, value: number): number => {
  if (value >>> 0 !== value || value === 0 || value > Table.maximumVariableByteInteger) {
    measure.fail(`subscription identifier ${value} is out of range`)
    return 1
  }
  return variableByteIntegerSize(value)
}
