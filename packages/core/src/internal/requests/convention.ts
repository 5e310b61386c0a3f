/**
 * The topics and properties of requests and answers.
 *
 * On MQTT 5 a request carries its response topic and correlation data. Without properties the topics carry both:
 *
 *     mqttx/requests/<client>/<correlation>/<request topic>      the request
 *     mqttx/responses/<client>/<correlation>/<status>            the answer
 */
import type { Message } from "../../Message.ts"
import type { UserProperty } from "../../Properties.ts"

/** How a request carries the return address of its answer. */
export type Via = "properties" | "topic"

/**
 * The status of an answer. `ok`: a value. `failure`: a failure of the template's type. `invalid`: the request could not
 * be read. `error`: the handler failed with another error.
 */
export type Status = "ok" | "failure" | "invalid" | "error"

/** The user property with the status of an answer. Absent means `ok`, so that any responder can answer. */
export const statusProperty = "mqttx-status"

const isStatus = (text: string): text is Status =>
  text === "ok" || text === "failure" || text === "invalid" || text === "error"

/** A client identifier as one topic level. Characters that a level cannot hold are written in hexadecimal digits. */
export const levelOf = (clientId: string): string =>
  clientId.replace(/[%/+#]/g, (character) => `%${character.charCodeAt(0).toString(16)}`)

const requestPrefix = "mqttx/requests/"

/** The topic, or the first levels, of the answers to a client. */
export const responsesTo = (clientId: string): string => `mqttx/responses/${levelOf(clientId)}`

/** The topic of a request by topic, which carries client, correlation and request topic. */
export const requestTopic = (clientId: string, correlation: string, topic: string): string =>
  `${requestPrefix}${levelOf(clientId)}/${correlation}/${topic}`

/** The filter of such requests. */
export const requestFilter = (filter: string): string => `${requestPrefix}+/+/${filter}`

/** The return address of a request. */
export interface ReturnAddress {
  readonly topic: (status: Status) => string
  readonly correlationData: Uint8Array | undefined
  readonly via: Via
  /** The request with the topic and content that it has without the convention. */
  readonly message: Message
}

/** The return address of a request; undefined when it has none, and therefore is no request. */
export const returnAddress = (message: Message): ReturnAddress | undefined => {
  if (message.topic.startsWith(requestPrefix)) {
    const client = message.topic.indexOf("/", requestPrefix.length)
    const correlation = message.topic.indexOf("/", client + 1)
    if (client === -1 || correlation === -1) return undefined
    const back = `mqttx/responses/${message.topic.slice(requestPrefix.length, correlation)}`
    return {
      topic: (status) => `${back}/${status}`,
      correlationData: undefined,
      via: "topic",
      message: message.with({ topic: message.topic.slice(correlation + 1) })
    }
  }
  const { correlationData, responseTopic } = message.properties
  return responseTopic === undefined
    ? undefined
    : { topic: () => responseTopic, correlationData, via: "properties", message }
}

/** The properties for an answer's status. */
export const statusProperties = (status: Status): { readonly userProperties?: ReadonlyArray<UserProperty> } =>
  status === "ok" ? {} : { userProperties: [[statusProperty, status]] }

/** The correlation and the status of an answer. */
export interface Label {
  readonly correlation: string
  readonly status: Status
}

const decoder = new TextDecoder()

/** The label of an answer that arrived below `base`; undefined when it has none. */
export const labelOf = (message: Message, base: string, via: Via): Label | undefined => {
  if (via === "topic") {
    const [correlation, status] = message.topic.slice(base.length + 1).split("/")
    return correlation !== undefined && status !== undefined && isStatus(status) ? { correlation, status } : undefined
  }
  const { correlationData, userProperties } = message.properties
  if (correlationData === undefined) return undefined
  let status: Status = "ok"
  if (userProperties !== undefined) {
    for (const [name, value] of userProperties) {
      // A status of a later version counts as an error.
      if (name === statusProperty) status = isStatus(value) ? value : "error"
    }
  }
  return { correlation: decoder.decode(correlationData), status }
}
