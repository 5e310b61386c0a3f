/**
 * Readers for the replies of Redis. A reply of an unexpected shape is never taken for a success: the reader returns
 * `undefined`, and the caller fails.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Held } from "@effect-mqttx/core/StoreLease"

/** Reads a reply; undefined when it has a shape that the command cannot return. */
export type Reader<A> = (reply: unknown) => A | undefined

const toInteger = (value: unknown): number | undefined => {
  // Drivers return integers as numbers, bigints or strings.
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

/** The reply of an acquisition. */
export type Acquisition =
  | { readonly _tag: "Owner"; readonly owner: string }
  | Held

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
  /** Alternating fields and values. */
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

/** For commands whose every reply is checked by its caller. */
export const anything: Reader<{ readonly reply: unknown }> = (reply) => ({ reply })

const excerpt = (reply: unknown): string => {
  let text: string | undefined
  try {
    text = JSON.stringify(reply)
  } catch {
    // A bigint, or a cycle: its kind must suffice.
  }
  return (text ?? typeof reply).slice(0, 100)
}

/** The failure for a reply of another shape. Another connection shows whether it is final. */
export const unexpectedReply = (reply: unknown): StorageFailed =>
  new StorageFailed({ detail: `Redis has answered something else than what was asked: ${excerpt(reply)}` })
