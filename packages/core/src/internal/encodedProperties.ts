/**
 * User properties that a program sends with many messages, together with the bytes of their encoding on MQTT 5. The
 * encoder copies the bytes, so that such properties are measured, checked and encoded once and not for each message.
 * `codec/encodeProperties.ts` makes them; forwarders use them for the route of a message.
 *
 * They look like any other properties. A copy by spread has the properties and not the bytes.
 */
import type { MessageProperties, PublishProperties, UserProperty } from "../Properties.ts"

export class EncodedProperties implements MessageProperties {
  readonly userProperties: ReadonlyArray<UserProperty>
  readonly #bytes: Uint8Array

  constructor(userProperties: ReadonlyArray<UserProperty>, bytes: Uint8Array) {
    this.userProperties = userProperties
    this.#bytes = bytes
  }

  /** The encoding of properties in a PUBLISH, with the property length; undefined: they must be encoded. */
  static bytesOf(properties: object): Uint8Array | undefined {
    return #bytes in properties ? properties.#bytes : undefined
  }
}

/**
 * The same with a topic alias.
 */
export class EncodedPropertiesWithAlias extends EncodedProperties implements PublishProperties {
  readonly topicAlias: number

  constructor(userProperties: ReadonlyArray<UserProperty>, bytes: Uint8Array, topicAlias: number) {
    super(userProperties, bytes)
    this.topicAlias = topicAlias
  }
}
