/**
 * The route of a message: the forwarders that it has passed and the brokers that have it. MQTT 5 carries both lists as
 * user properties; for MQTT 3.1.1 see `recentWrites.ts`.
 *
 * Sources read a route from a message, the relay decides by it, and `Outgoing` writes it with one hop more. A message
 * that no forwarder has passed on carries no route, and shares `noRoute`.
 */
import type { UserProperty } from "../../Properties.ts"

/** Names of forwarders, separated by commas. */
export const forwardersProperty = "mqttx-forwarders"

/** Marks of brokers, separated by commas, see `BrokerMarks`. */
export const brokersProperty = "mqttx-brokers"

/** Proves that a forwarder with the same secret has written the two lists, see `Signer`. */
export const signatureProperty = "mqttx-signature"

/** The properties of a received message that describe its route. They are replaced for the next hop. */
export const isAboutRoute = (name: string): boolean =>
  name === forwardersProperty || name === brokersProperty || name === signatureProperty

export interface Route {
  /** The forwarders that the message passed, separated by commas, the first one first; empty: none. */
  readonly forwarders: string
  /** The marks of the brokers that have it, separated by commas. */
  readonly brokers: string
}

export const noRoute: Route = Object.freeze({ forwarders: "", brokers: "" })

/** No list of our own forwarders is as long as this, and an MQTT string has a limit (MQTT 1.5.4). */
const longestList = 8192

/** Reads the route from user properties. The first property of a name counts. */
export const routeOf = (userProperties: ReadonlyArray<UserProperty> | undefined): Route => {
  if (userProperties === undefined) return noRoute
  let forwarders: string | undefined
  let brokers: string | undefined
  for (let i = 0; i < userProperties.length; i++) {
    const [name, value] = userProperties[i]!
    if (name === forwardersProperty) forwarders ??= value
    else if (name === brokersProperty) brokers ??= value
  }
  return forwarders === undefined && brokers === undefined
    ? noRoute
    : { forwarders: forwarders ?? "", brokers: brokers ?? "" }
}

/** Whether one of the marks is in a list of them. */
export const hasBroker = (list: string, marks: ReadonlyArray<string>): boolean =>
  list !== "" && list.split(",").some((mark) => marks.includes(mark))

/** Whether a message may not pass the forwarder of this name. */
export const routeIssue = (
  { brokers, forwarders }: Route,
  name: string,
  maxHops: number
): "looped" | "tooManyHops" | undefined => {
  if (forwarders.length > longestList || brokers.length > longestList) return "tooManyHops"
  if (forwarders === "") return undefined
  const names = forwarders.split(",")
  if (names.includes(name)) return "looped"
  return names.length >= maxHops ? "tooManyHops" : undefined
}

/**
 * One step of a route: a forwarder moves messages from one broker to another.
 */
export class Hop {
  /** The route of a message after this hop, when the message had no route before. */
  readonly first: Route
  readonly #name: string
  readonly #brokers: ReadonlyArray<string>

  constructor(name: string, source: ReadonlyArray<string>, target: ReadonlyArray<string>) {
    this.#name = name
    this.#brokers = Array.from(new Set([...source, ...target]))
    this.first = { forwarders: name, brokers: this.#brokers.join(",") }
  }

  after(route: Route): Route {
    if (route === noRoute) return this.first
    const brokers = route.brokers === "" ? [] : route.brokers.split(",")
    for (const mark of this.#brokers) if (!brokers.includes(mark)) brokers.push(mark)
    return {
      forwarders: route.forwarders === "" ? this.#name : `${route.forwarders},${this.#name}`,
      brokers: brokers.join(",")
    }
  }
}
