/**
 * The way that a message has come: the forwarders that it passed and the brokers that have it. MQTT 5 carries both
 * lists as user properties; for MQTT 3.1.1 see `recentWrites.ts`.
 *
 * Sources read a route from a message, the relay decides by it, and `Outgoing` writes it, longer by one hop. A message
 * that no forwarder has had carries none, and shares `noRoute`.
 */
import type { UserProperty } from "../../Properties.ts"

/** Names of forwarders, separated by commas. */
export const forwardersProperty = "mqttx-forwarders"

/** Marks of brokers, separated by commas, see `BrokerMarks`. */
export const brokersProperty = "mqttx-brokers"

/** Proves that a forwarder with the same secret has written the two lists, see `Signer`. */
export const signatureProperty = "mqttx-signature"

/** The properties of a received message that are about its way and are written anew for the next hop. */
export const isAboutRoute = (name: string): boolean =>
  name === forwardersProperty || name === brokersProperty || name === signatureProperty

export interface Route {
  /** The forwarders that the message passed, separated by commas, the first one first; empty: none. */
  readonly forwarders: string
  /** The marks of the brokers that have it, separated by commas. */
  readonly brokers: string
}

export const noRoute: Route = Object.freeze({ forwarders: "", brokers: "" })

/** No list that our own forwarders have written is as long, and a text of MQTT has its bound (MQTT 1.5.4). */
const longestList = 8192

/** What the properties of a message say; the first one of a name counts. */
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
export const lists = (list: string, marks: ReadonlyArray<string>): boolean =>
  list !== "" && list.split(",").some((mark) => marks.includes(mark))

/** Whether a message may not pass the forwarder of this name. */
export const verdict = (
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
 * One step of a route: a forwarder takes messages at one broker to another one.
 */
export class Hop {
  /** The route of a message after it, when the message had none before. */
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
