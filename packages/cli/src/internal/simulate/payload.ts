/**
 * The payloads of a simulated device: the values of its generators, as text or as JSON.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Payload, Value } from "./fleet.ts"

/** Who publishes, and for which time. */
export interface Moment {
  /** From 1 on. */
  readonly id: number
  readonly devices: number
  /** Messages of this kind that the device has published. */
  readonly count: number
}

export const withId = (template: string, id: number): string => template.replaceAll("{id}", String(id))

const rounded = (value: number, decimals: number): number => Number(value.toFixed(decimals))

const valueOf = (value: Value, { count, devices, id }: Moment): Effect.Effect<string | number | boolean> => {
  if (typeof value === "string") return Effect.succeed(withId(value, id))
  if (typeof value !== "object") return Effect.succeed(value)
  switch (value.type) {
    case "range":
      return Effect.map(Random.nextBetween(value.min, value.max), (number) => rounded(number, value.decimals))
    case "sine":
      return Effect.map(Clock.currentTimeMillis, (now) => {
        const turns = now / Duration.toMillis(value.period) + id / devices
        const height = (1 + Math.sin(2 * Math.PI * turns)) / 2
        return rounded(value.min + (value.max - value.min) * height, value.decimals)
      })
    case "enum":
      return Effect.map(Random.nextIntBetween(0, value.values.length - 1), (index) => {
        const chosen = value.values[index]!
        return typeof chosen === "string" ? withId(chosen, id) : chosen
      })
    case "counter":
      return Effect.succeed(value.start + count * value.step)
    case "time":
      return Clock.currentTimeMillis
  }
}

const isValue = (payload: Payload): payload is Value =>
  typeof payload !== "object" || typeof (payload as { readonly type?: unknown }).type === "string"

/** One value is its text; a table of values is JSON. */
export const payloadOf = (payload: Payload, moment: Moment): Effect.Effect<string> =>
  isValue(payload)
    ? Effect.map(valueOf(payload, moment), String)
    : Effect.map(
      Effect.forEach(Object.entries(payload), ([name, value]) =>
        Effect.map(valueOf(value, moment), (found) => [name, found] as const)),
      (entries) =>
        JSON.stringify(Object.fromEntries(entries))
    )
