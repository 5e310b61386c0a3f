/**
 * What replies of Redis must look like. A reply that does not is never taken for a success: `undefined` says so, and
 * the caller fails.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"

/** Reads a reply; undefined when it has another shape than the command can answer. */
export type Reader<A> = (reply: unknown) => A | undefined

const toInteger = (value: unknown): number | undefined => {
  // Drivers give integers as numbers, bigints or texts.
  const number = typeof value === "number"
    ? value
    : typeof value === "bigint" || (typeof value === "string" && /^-?\d{1,16}$/.test(value))
    ? Number(value)
    : undefined
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined
}

/** One of some integers. */
export const oneOf = <const A extends number>(...allowed: ReadonlyArray<A>): Reader<A> => (reply) => {
  const number = toInteger(reply)
  return number !== undefined && (allowed as ReadonlyArray<number>).includes(number) ? number as A : undefined
}

/** What an acquisition answers. */
export type Acquisition =
  | { readonly _tag: "Owner"; readonly owner: string }
  | { readonly _tag: "Held"; readonly remaining: number }

export const readAcquisition: Reader<Acquisition> = (reply) => {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined
  const [isOwner, value] = reply as ReadonlyArray<unknown>
  if (toInteger(isOwner) === 1 && typeof value === "string" && /^\d+:/.test(value)) {
    return { _tag: "Owner", owner: value }
  }
  const remaining = toInteger(value)
  return toInteger(isOwner) === 0 && remaining !== undefined && remaining >= 0 ? { _tag: "Held", remaining } : undefined
}

/** A page of HSCAN. */
export interface Page {
  readonly cursor: string
  /** Fields and values in turn. */
  readonly entries: ReadonlyArray<string>
}

const isText = (value: unknown): value is string => typeof value === "string"

export const readPage: Reader<Page> = (reply) => {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined
  const [next, entries] = reply as ReadonlyArray<unknown>
  const cursor = typeof next === "number" || typeof next === "bigint" ? next.toString() : next
  if (!isText(cursor) || !/^\d+$/.test(cursor)) return undefined
  return Array.isArray(entries) && entries.length % 2 === 0 && entries.every(isText) ? { cursor, entries } : undefined
}

/** For commands whose every reply is looked at by its reader. */
export const anything: Reader<{ readonly reply: unknown }> = (reply) => ({ reply })

const excerpt = (reply: unknown): string => {
  let text: string | undefined
  try {
    text = JSON.stringify(reply)
  } catch {
    // A bigint, or a cycle: its kind has to do.
  }
  return (text ?? typeof reply).slice(0, 100)
}

/** The failure for a reply of another shape; whether it is final shows on another connection. */
export const oddReply = (reply: unknown): StorageFailed =>
  new StorageFailed({ detail: `Redis has answered something else than what was asked: ${excerpt(reply)}` })
