/**
 * The bytes in which properties of a PUBLISH are on MQTT 5, noted at the properties: those that are to be sent and need
 * not be measured, checked and encoded again, and those that were received. `codec/encodeProperties.ts` makes the
 * former, `codec/decodeProperties.ts` the latter; forwarders use both for messages that they pass on.
 *
 * A note is in private fields of the object itself, which takes nanoseconds, unlike a WeakMap. Nothing else sees them:
 * not `Object.keys`, a comparison or a serializer. A copy by spread has the properties and not the note.
 */
import type { PublishProperties } from "../Properties.ts"

/** Classes that extend it add their private fields to the object that the constructor is given. */
export const Annotation = function(object: object) {
  return object
} as unknown as new(object: object) => object

/** Properties to be sent. */
export class EncodedProperties extends Annotation {
  readonly #bytes: Uint8Array
  readonly #isShared: boolean

  private constructor(properties: PublishProperties, bytes: Uint8Array, isShared: boolean) {
    super(properties)
    this.#bytes = bytes
    this.#isShared = isShared
  }

  /** Adds the encoding, which is without the property length and without a topic alias. Answers the same object. */
  static add<P extends PublishProperties>(properties: P, bytes: Uint8Array, isShared: boolean): P {
    return new EncodedProperties(properties, bytes, isShared) as object as P
  }

  /** The encoding in a PUBLISH, without the property length and a topic alias; undefined: they must be encoded. */
  static bytesOf(properties: object): Uint8Array | undefined {
    return #bytes in properties ? properties.#bytes : undefined
  }

  /** Whether many messages have these properties. */
  static isShared(properties: object): boolean {
    return #bytes in properties && properties.#isShared
  }
}

/** Where received properties are, so that a forwarder can pass them on as they came. */
export class ReceivedProperties extends Annotation {
  readonly #bytes: Uint8Array
  readonly #start: number

  private constructor(properties: object, bytes: Uint8Array, start: number) {
    super(properties)
    this.#bytes = bytes
    this.#start = start
  }

  /** The property length begins at `start`. The properties are valid. */
  static add(properties: object, bytes: Uint8Array, start: number): object {
    return new ReceivedProperties(properties, bytes, start)
  }

  /** The bytes in which they are; undefined: they did not come from a server, or are a copy. */
  static bytesOf(properties: object): Uint8Array | undefined {
    return #bytes in properties ? properties.#bytes : undefined
  }

  /** The offset of the property length in these bytes. */
  static startOf(properties: object): number {
    return #bytes in properties ? properties.#start : 0
  }

  /** Another object has the same properties, or all but the topic alias. */
  static keep(properties: object, copy: object): void {
    if (#bytes in properties) ReceivedProperties.add(copy, properties.#bytes, properties.#start)
  }
}
