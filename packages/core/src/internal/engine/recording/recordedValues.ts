/**
 * The values of a flight record: what calls carry to the engine and back, as JSON without payloads and secrets. Bytes
 * become their number, and texts of user properties become texts of the same size, because the engine decides by sizes
 * and never by contents. `valueOf` makes of that JSON a value that an engine takes.
 */
import { Message } from "../../../Message.ts"
import { none } from "../../../Properties.ts"
import { defer, deferredOf, detach } from "../../deferredLists.ts"
import { EncodedProperties } from "../../encodedProperties.ts"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** Stands for bytes that are not kept. */
export class Bytes {
  readonly length: number

  constructor(length: number) {
    this.length = length
  }
}

/** Properties that keep no network buffer in memory. */
export const lasting = <Properties extends { readonly correlationData?: Uint8Array }>(
  properties: Properties
): Properties =>
  properties.correlationData === undefined && deferredOf(properties) === undefined ? properties : detach(properties)

/** The same without its payload, as a request, a message, a packet, a record or a change of a record. */
export const withoutPayload = (value: object): object => {
  const { payload, properties, record } = value as {
    readonly payload?: Uint8Array
    readonly properties?: object
    readonly record?: object
  }
  if (payload instanceof Uint8Array) {
    const kept = { ...value, payload: new Bytes(payload.length), properties: lasting(properties ?? none) }
    return value instanceof Message ? new KeptMessage(kept as never) : kept
  }
  if (record !== undefined) return { ...value, record: withoutPayload(record) }
  return properties === undefined ? value : { ...value, properties: lasting(properties) }
}

/** The reason of an error: the engine reads its tag only. */
class Reason {
  readonly _tag: string

  constructor(tag: string) {
    this._tag = tag
  }
}

/** A message without its payload. */
class KeptMessage {
  readonly fields: object

  constructor({ dup, packetIdentifier, payload, properties, qos, receivedAt, retain, session, topic, use }: Message) {
    this.fields = { topic, payload, qos, retain, dup, properties, session, receivedAt, packetIdentifier, use }
  }
}

/** Fields that are secrets, or may hold one, and on which no decision of the engine depends. */
const secrets: ReadonlySet<string> = new Set(["authenticationData", "password", "cause", "detail", "owner", "span"])

/** A text of as many UTF-16 units and as many bytes that tells nothing else. */
export const masked = (text: string): string => {
  let result = ""
  for (const character of text) {
    const code = character.codePointAt(0)!
    result += code < 0x80 ? "x" : code < 0x800 ? "\u00d7" : code < 0x10000 ? "\u25a1" : "\u{1f512}"
  }
  return result
}

const maskedPairs = (pairs: ReadonlyArray<readonly [string, string]>): Json =>
  pairs.map(([name, value]) => [masked(name), masked(value)])

/** A number that JSON has no word for. */
const numberJson = (value: number): Json => Number.isFinite(value) ? value : { number: String(value) }

/** The JSON of a value. Getters of lazily decoded lists are called: this is for the writing of a record. */
export const jsonOf = (value: unknown): Json => {
  switch (typeof value) {
    case "number":
      return numberJson(value)
    case "string":
    case "boolean":
      return value
    case "object":
      break
    default:
      return null
  }
  if (value === null) return null
  if (value instanceof Uint8Array || value instanceof Bytes) return { bytes: value.length }
  if (value instanceof KeptMessage) return { message: fieldsOf(value.fields) }
  if (Array.isArray(value)) return value.map(jsonOf)
  if (value instanceof Message) return jsonOf(new KeptMessage(value))
  if (value instanceof Reason) return { error: value._tag }
  if (value instanceof Error) return { error: (value as { readonly _tag?: string })._tag ?? value.name }
  return fieldsOf(value)
}

const fieldsOf = (value: object): { readonly [key: string]: Json } => {
  const fields: { [key: string]: Json } = {}
  const deferred = deferredOf(value)
  for (const key of Object.keys(value)) {
    if (secrets.has(key) || deferred?.names.includes(key) === true) continue
    const field = (value as Record<string, unknown>)[key]
    if (field === undefined || typeof field === "function") continue
    fields[key] = key === "userProperties"
      ? maskedPairs(field as ReadonlyArray<readonly [string, string]>)
      : jsonOf(field)
  }
  if (deferred !== undefined) {
    const { subscriptionIdentifiers, userProperties } = value as {
      readonly subscriptionIdentifiers?: ReadonlyArray<number>
      readonly userProperties?: ReadonlyArray<readonly [string, string]>
    }
    const lists: { [key: string]: Json } = {}
    if (deferred.names.includes("userProperties")) lists["userProperties"] = maskedPairs(userProperties ?? [])
    if (deferred.names.includes("subscriptionIdentifiers")) {
      lists["subscriptionIdentifiers"] = [...subscriptionIdentifiers ?? []]
    }
    fields["deferred"] = { size: deferred.bytes.length, lists }
  }
  // The shared object weighs less than another one without fields.
  if (value !== none && Object.keys(value).length === 0) fields["empty"] = true
  const encoded = EncodedProperties.bytesOf(value)
  if (encoded !== undefined) {
    fields["encoded"] = { size: encoded.length, isShared: EncodedProperties.isShared(value) }
  }
  return fields
}

let zeros = new Uint8Array(0)

/** So many bytes. Read only: all of them are one memory. */
const bytesOf = (length: number): Uint8Array => {
  if (zeros.length < length) zeros = new Uint8Array(length)
  return zeros.subarray(0, length)
}

/** The value of a JSON. */
export const valueOf = (json: Json | undefined): unknown => {
  if (json === null || json === undefined) return undefined
  if (typeof json !== "object") return json
  if (Array.isArray(json)) return json.map(valueOf)
  const record = json as { readonly [key: string]: Json }
  const keys = Object.keys(record)
  if (keys.length === 0) return none
  if (keys.length === 1) {
    const only = record[keys[0]!]!
    switch (keys[0]) {
      case "bytes":
        return bytesOf(only as number)
      case "empty":
        return {}
      case "number":
        return Number(only)
      case "error":
        return new Reason(only as string)
      case "message": {
        const fields = objectOf(only as { readonly [key: string]: Json })
        return new Message({ packetIdentifier: 0, use: undefined, ...fields } as never)
      }
    }
  }
  return objectOf(record)
}

const objectOf = (record: { readonly [key: string]: Json }): object => {
  const value: Record<string, unknown> = {}
  for (const key of Object.keys(record)) {
    if (key !== "deferred" && key !== "encoded") value[key] = valueOf(record[key])
  }
  const { deferred, encoded } = record
  if (encoded !== undefined) {
    const { isShared, size } = encoded as { readonly isShared: boolean; readonly size: number }
    EncodedProperties.add(value, bytesOf(size), isShared)
  }
  if (deferred !== undefined) {
    const { lists, size } = deferred as { readonly lists: Record<string, Json>; readonly size: number }
    defer(value, {
      bytes: bytesOf(size),
      names: Object.keys(lists),
      decode: (_, name) => valueOf(lists[name]) as ReadonlyArray<unknown>
    })
  }
  return value
}

/** Whether two values of JSON are the same, in whatever order their keys are. */
export const isEqual = (one: Json, other: Json): boolean => {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return one === other
  const keys = Object.keys(one)
  if (Array.isArray(one) !== Array.isArray(other) || keys.length !== Object.keys(other).length) return false
  const [left, right] = [one, other] as [Readonly<Record<string, Json>>, Readonly<Record<string, Json>>]
  return keys.every((key) => key in right && isEqual(left[key]!, right[key]!))
}
