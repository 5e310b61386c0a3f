/**
 * Builds the publish request of a forwarded message: its quality of service, its flags, and its properties.
 */
import type { Message } from "../../Message.ts"
import { InvalidPayload } from "../../MqttError.ts"
import { type MessageProperties, none, type PublishProperties, type UserProperty } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { encodeUserProperties, notePassed } from "../codec/encodeProperties.ts"
import { remember } from "../deadLetter.ts"
import type { PublishRequest } from "../engine/contract.ts"
import { serversKey } from "./deadLetterForm.ts"
import { formProperties, topicsBefore } from "./deadLetters.ts"
import type { DeadLetter, ForwardedMessage } from "./forwardedMessage.ts"
import type { ForwarderOptions, QoSRule } from "./options.ts"
import {
  brokersProperty,
  forwardersProperty,
  Hop,
  isAboutRoute,
  noRoute,
  type Route,
  signatureProperty
} from "./route.ts"
import type { Signer } from "./signature.ts"

const encoder = new TextEncoder()
const noPayload = new Uint8Array(0)
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** What a request is built from: a message on its way, or one that passes without being followed. */
export type Forwardable = Pick<ForwardedMessage, "message" | "route" | "source" | "topic">

/** Values that the messages of one source have in common. */
interface HopProperties {
  readonly hop: Hop
  /** The properties of most messages: those without properties of their own that have passed no other forwarder. */
  readonly plain: MessageProperties | undefined
}

/**
 * Builds requests for one forwarder and one target session.
 */
export class Outgoing {
  /** The marks of the broker that it publishes to. */
  readonly brokers: ReadonlyArray<string>
  readonly isVersion5: boolean
  readonly #options: ForwarderOptions
  readonly #session: SessionOptions
  readonly #entries: ReadonlyArray<UserProperty>
  readonly #metadata: ReadonlyArray<readonly [name: string, value: (message: Message) => string]>
  readonly #isFixed: boolean
  readonly #signer: Signer | undefined
  readonly #hops = new Map<ReadonlyArray<string>, HopProperties>()

  constructor(
    options: ForwarderOptions,
    session: SessionOptions,
    brokers: ReadonlyArray<string>,
    signer: Signer | undefined
  ) {
    this.brokers = brokers
    this.#signer = signer
    this.#session = session
    this.isVersion5 = session.protocolVersion === 5
    this.#options = options
    this.#entries = Object.entries(options.metadata)
    this.#metadata = this.#entries.map(([name, value]) => [name, valueOf(options.name, value)])
    this.#isFixed = signer === undefined && !this.#entries.some(([, value]) => isVariable(value))
  }

  /** The route of a message after this forwarder. */
  routeOf({ route, source }: Forwardable): Route {
    return this.#hopFrom(source.brokers).hop.after(route)
  }

  request(forwarded: Forwardable, origin: PublishRequest["origin"]): PublishRequest | InvalidPayload {
    const { message, topic } = forwarded
    const { qos, retain } = this.#options
    const properties = this.isVersion5 ? this.#properties(forwarded) : none
    if (properties === undefined) return new InvalidPayload({ detail: "the metadata is too long" })
    return {
      topic,
      payload: this.isVersion5 || !this.#options.envelope ? message.payload : this.#envelope(message),
      qos: applyQoS(qos, message.qos),
      retain: retain === "keep" ? message.retain : retain === "set",
      properties,
      topicAlias: 0,
      expiresAfter: undefined,
      origin
    }
  }

  /** The dead letter of a failed message in its current form, with the reason of the failure. */
  deadLetter(
    forwarded: ForwardedMessage,
    deadLetter: DeadLetter,
    topic: string,
    origin: PublishRequest["origin"]
  ): PublishRequest {
    const { delivery, message } = forwarded
    const payload = deadLetter.form === "marks" ? noPayload : message.payload
    const topics = topicsBefore(this.#options, forwarded)
    // Remembered before the publish, because the server may deliver it before it acknowledges it.
    remember(serversKey(this.#session), topic, payload, [...topics, delivery.message.topic])
    const route = this.#routeProperties(this.routeOf(forwarded), topic, payload)
    return {
      topic,
      payload,
      qos: message.qos,
      retain: false,
      properties: this.isVersion5 ? formProperties(forwarded, deadLetter, this.#options.name, topics, route) : none,
      topicAlias: 0,
      expiresAfter: undefined,
      origin
    }
  }

  #properties({ message, route, source, topic }: Forwardable): MessageProperties | undefined {
    const { payload, properties } = message
    const { hop, plain } = this.#hopFrom(source.brokers)
    const isBare = hasOnlyUserProperties(properties)
    const own = properties.userProperties
    if (plain !== undefined && isBare && own === undefined && route === noRoute) return plain
    const userProperties: Array<UserProperty> = []
    let isWhole = true
    if (own !== undefined) {
      for (let i = 0; i < own.length; i++) {
        if (isAboutRoute(own[i]![0])) isWhole = false
        else userProperties.push(own[i]!)
      }
    }
    if (plain !== undefined && isWhole && route === noRoute) {
      for (const property of plain.userProperties!) userProperties.push(property)
      const passed = isBare ? { userProperties } : { ...withoutDelivery(properties), userProperties }
      notePassed(passed, properties, plain)
      return passed
    }
    for (const [name, valueOf] of this.#metadata) {
      const value = valueOf(message)
      if (value.length > longestValue) return undefined
      userProperties.push([name, value])
    }
    for (const property of this.#routeProperties(hop.after(route), topic, payload)) userProperties.push(property)
    return isBare ? { userProperties } : { ...withoutDelivery(properties), userProperties }
  }

  #routeProperties(route: Route, topic: string, payload: Uint8Array): ReadonlyArray<UserProperty> {
    const lists = listsOf(route)
    return this.#signer === undefined
      ? lists
      : [...lists, [signatureProperty, this.#signer.sign(route, topic, payload)]]
  }

  /** Cached by the identity of the array: a source keeps its array for its whole life, and sources are few. */
  #hopFrom(source: ReadonlyArray<string>): HopProperties {
    let known = this.#hops.get(source)
    if (known === undefined) {
      const hop = new Hop(this.#options.name, source, this.brokers)
      const plain = this.#isFixed ? encodeUserProperties([...this.#entries, ...listsOf(hop.first)]) : undefined
      this.#hops.set(source, known = { hop, plain })
    }
    return known
  }

  #envelope(message: Message): Uint8Array {
    return encoder.encode(JSON.stringify({
      topic: message.topic,
      ...payloadOf(message.payload),
      metadata: Object.fromEntries(this.#metadata.map(([name, value]) => [name, value(message)]))
    }))
  }
}

const listsOf = ({ brokers, forwarders }: Route): ReadonlyArray<UserProperty> => [
  [forwardersProperty, forwarders],
  [brokersProperty, brokers]
]

/** The largest number of UTF-16 units that fit into an MQTT string with any content (MQTT 1.5.4). */
const longestValue = 21_845

/** Valid UTF-8 as text, any other payload in base64. */
const payloadOf = (payload: Uint8Array): { readonly payload: string; readonly encoding?: "base64" } => {
  try {
    return { payload: utf8.decode(payload) }
  } catch {
    let binary = ""
    for (let i = 0; i < payload.length; i++) binary += String.fromCharCode(payload[i]!)
    return { payload: btoa(binary), encoding: "base64" }
  }
}

/** Apart from user properties, the message has only properties of its delivery. */
const hasOnlyUserProperties = (properties: PublishProperties): boolean =>
  properties === none ||
  (properties.contentType === undefined && properties.messageExpiryInterval === undefined &&
    properties.payloadFormatIndicator === undefined && properties.responseTopic === undefined &&
    properties.correlationData === undefined)

const withoutDelivery = (
  { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...carried }: PublishProperties
): MessageProperties => carried

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
