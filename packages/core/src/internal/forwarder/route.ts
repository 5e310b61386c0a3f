/**
 * The way that a message has come: the names of the forwarders that it passed, in a user property of MQTT 5.
 */
import type { UserProperty } from "../../Properties.ts"

/** The name of the user property; its value are the names, separated by commas. */
export const routeProperty = "mqttx-forwarders"

/** No way that our own forwarders have written is as long, and a text of MQTT has its bound (MQTT 1.5.4). */
const longestRoute = 8192

/** The names as the property holds them; empty: none. */
export const routeOf = (userProperties: ReadonlyArray<UserProperty> | undefined): string => {
  if (userProperties === undefined) return ""
  for (let i = 0; i < userProperties.length; i++) {
    if (userProperties[i]![0] === routeProperty) return userProperties[i]![1]
  }
  return ""
}

export const extendRoute = (route: string, name: string): string => route === "" ? name : `${route},${name}`

/** Whether a message may not pass (again). */
export const verdict = (route: string, name: string, maxHops: number): "looped" | "tooManyHops" | undefined => {
  if (route === "") return undefined
  if (route.length > longestRoute) return "tooManyHops"
  const names = route.split(",")
  if (names.includes(name)) return "looped"
  return names.length >= maxHops ? "tooManyHops" : undefined
}
