/**
 * What is published in place of a received message: its quality of service, its flags, and what it carries besides the payload.
 */
import type { ForwarderOptions, QoSRule } from "../../ForwarderOptions.ts"
import type { Message } from "../../Message.ts"
import { InvalidPayload } from "../../MqttError.ts"
import { type MessageProperties, none, type PublishProperties, type UserProperty } from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { PublishRequest } from "../engine/contract.ts"
import { routeProperty } from "./route.ts"

const encoder = new TextEncoder()
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * Makes requests for one forwarder and one version of the protocol at its target.
 */
export class Outgoing {
  readonly #options: ForwarderOptions
  readonly #isVersion5: boolean
  readonly #metadata: ReadonlyArray<readonly [name: string, value: (message: Message) => string]>
  /** The properties of most messages: they bring none, and have passed no other forwarder. */
  readonly #plain: MessageProperties | undefined

  constructor(options: ForwarderOptions, protocolVersion: ProtocolVersion) {
    this.#options = options
    this.#isVersion5 = protocolVersion === 5
    const entries = Object.entries(options.metadata)
    this.#metadata = entries.map(([name, value]) => [name, valueOf(options.name, value)])
    this.#plain = entries.some(([, value]) => isVariable(value)) ? undefined : {
      userProperties: [...entries, [routeProperty, options.name]]
    }
  }

  request(
    message: Message,
    topic: string,
    route: string,
    origin: OriginKey | undefined
  ): PublishRequest | InvalidPayload {
    const { qos, retain } = this.#options
    const properties = this.#isVersion5 ? this.#properties(message, route) : none
    if (properties === undefined) return new InvalidPayload({ detail: "the metadata is too long" })
    return {
      topic,
      payload: this.#isVersion5 || !this.#options.envelope ? message.payload : this.#envelope(message),
      qos: applyQoS(qos, message.qos),
      retain: retain === "keep" ? message.retain : retain === "set",
      properties,
      topicAlias: 0,
      expiresAfter: undefined,
      origin
    }
  }

  /** What the failed message was, and why it failed, beside it. */
  deadLetter(
    message: Message,
    topic: string,
    route: string,
    detail: string,
    origin: OriginKey | undefined
  ): PublishRequest {
    const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...carried } = message.properties
    const userProperties: ReadonlyArray<UserProperty> = [
      ...(carried.userProperties ?? []).filter(([name]) => name !== routeProperty),
      // A forwarder of everything must not take its own dead letters for messages.
      [routeProperty, route],
      ["mqttx-forwarder", this.#options.name],
      ["mqttx-session", message.session],
      ["mqttx-topic", message.topic],
      ["mqttx-error", printable(detail)]
    ]
    return {
      topic,
      payload: message.payload,
      qos: message.qos,
      retain: false,
      properties: this.#isVersion5 ? { ...carried, userProperties } : none,
      topicAlias: 0,
      expiresAfter: undefined,
      origin
    }
  }

  #properties(message: Message, route: string): MessageProperties | undefined {
    const { properties } = message
    if (this.#plain !== undefined && route === this.#options.name && isBare(properties)) return this.#plain
    const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...carried } = properties
    const userProperties: Array<UserProperty> = (properties.userProperties ?? []).filter(([name]) =>
      name !== routeProperty
    )
    for (const [name, valueOf] of this.#metadata) {
      const value = valueOf(message)
      if (value.length > longestValue) return undefined
      userProperties.push([name, value])
    }
    userProperties.push([routeProperty, route])
    return { ...carried, userProperties }
  }

  #envelope(message: Message): Uint8Array {
    return encoder.encode(JSON.stringify({
      topic: message.topic,
      ...payloadOf(message.payload),
      metadata: Object.fromEntries(this.#metadata.map(([name, value]) => [name, value(message)]))
    }))
  }
}

/** So many UTF-16 units fit into a text of MQTT, whatever they are (MQTT 1.5.4). */
const longestValue = 21_845

const unprintable = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** A text that MQTT can carry. */
const printable = (text: string): string =>
  text.slice(0, 1024).replace(unprintable, "\ufffd").replaceAll("\0", "\ufffd")

/** Text as it is, anything else in base64. */
const payloadOf = (payload: Uint8Array): { readonly payload: string; readonly encoding?: "base64" } => {
  try {
    return { payload: utf8.decode(payload) }
  } catch {
    let binary = ""
    for (let i = 0; i < payload.length; i++) binary += String.fromCharCode(payload[i]!)
    return { payload: btoa(binary), encoding: "base64" }
  }
}

const isBare = (properties: PublishProperties): boolean =>
  properties === none ||
  (properties.userProperties === undefined && properties.contentType === undefined &&
    properties.messageExpiryInterval === undefined && properties.payloadFormatIndicator === undefined &&
    properties.responseTopic === undefined && properties.correlationData === undefined)

const applyQoS = (rule: QoSRule, qos: QoS): QoS => {
  if (rule === "keep") return qos
  return "fix" in rule ? rule.fix : qos < rule.cap ? qos : rule.cap
}

const variable = /\{(forwarder|session|topic|timestamp)\}/g

const isVariable = (value: string): boolean => value.search(variable) !== -1

const valueOf = (forwarder: string, value: string): (message: Message) => string => {
  if (!isVariable(value)) return () => value
  return (message) =>
    value.replace(variable, (_, name: "forwarder" | "session" | "topic" | "timestamp") => {
      switch (name) {
        case "forwarder":
          return forwarder
        case "session":
          return message.session
        case "topic":
          return message.topic
        case "timestamp":
          return String(message.receivedAt)
      }
    })
}
