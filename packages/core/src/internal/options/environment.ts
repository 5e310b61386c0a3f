/**
 * The names of options in the environment: `reconnect.initialDelay` is `RECONNECT_INITIAL_DELAY` behind the prefix.
 */
import * as EffectString from "effect/String"
import { groupNames, names } from "./schema.ts"

/** Where the text of a variable belongs among the options. */
export interface Variable {
  readonly name: string
  readonly path: readonly [string] | readonly [string, string]
}

const constantCase = (name: string): string =>
  name === "maxInflightQoS2" ? "MAX_INFLIGHT_QOS2" : EffectString.configCase(name)

const variablesOf = (name: string): ReadonlyArray<Variable> =>
  groupNames[name]
    // Properties of a will and queries of servers have no text form; a query stands in the URL.
    ?.filter((key) => key !== "properties" && key !== "queries")
    .map((key) => ({ name: `${constantCase(name)}_${constantCase(key)}`, path: [name, key] as const })) ??
    [{ name: constantCase(name), path: [name] }]

/** All variables, without their prefix. */
export const variables: ReadonlyArray<Variable> = names.flatMap(variablesOf)

/** A prefix, "plant" or "PLANT_A" or "plantA", as the segments of its variables' names. */
export const prefixSegments = (prefix: string): ReadonlyArray<string> =>
  EffectString.configCase(prefix).split("_").filter((segment) => segment !== "")

/** Items behind commas, each a name and a value around the first "=". */
const pairs = (text: string): ReadonlyArray<readonly [string, string]> =>
  text.split(",").map((item) => item.trim()).filter((item) => item !== "").map((item) => {
    const middle = item.indexOf("=")
    return middle === -1 ? [item, ""] : [item.slice(0, middle), item.slice(middle + 1)]
  })

/** The tree of texts that the options are decoded from. */
export const toTree = (
  base: Readonly<Record<string, unknown>>,
  texts: Readonly<Record<string, string | undefined>>
): Readonly<Record<string, unknown>> => {
  const tree: Record<string, unknown> = { ...base }
  for (const { name, path: [first, second] } of variables) {
    const text = texts[name]
    if (text === undefined) {
      continue
    }
    if (second === undefined) {
      tree[first] = first === "connectUserProperties" ? pairs(text) : text
    } else {
      const group = tree[first]
      tree[first] = {
        ...(typeof group === "object" ? group : undefined),
        [second]: second === "headers" ? Object.fromEntries(pairs(text)) : text
      }
    }
  }
  return tree
}

/** The same tree with its numbers and switches as texts. */
export const toTexts = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(toTexts)
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toTexts(inner)]))
  }
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value
}
