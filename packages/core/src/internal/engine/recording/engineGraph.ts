/**
 * The state of an engine as a graph: captured from a living engine, written as JSON, and put into a new engine, which
 * then behaves as the other one did. A flight record begins with such a state, because it is bounded and the life of a
 * session is not. Private fields come from the accessors `privateState`. Objects that never change (requests, messages,
 * packets, records) are kept by reference, without their payloads, until the state is written.
 *
 * The parts of an engine are made with it and stay: the n-th part of one engine corresponds to the n-th of another.
 * Everything else is made again.
 */
import { none } from "../../../Properties.ts"
import { AcknowledgementQueue } from "../acknowledgements.ts"
import { AutomaticAlias, AutomaticAliases } from "../automaticAliases.ts"
import type { ConsumerRequest, EngineOptions, PublishRequest } from "../contract.ts"
import { EngineCore } from "../core.ts"
import { DirectPublishes } from "../directPublishes.ts"
import { Engine } from "../engine.ts"
import { Handover } from "../handover.ts"
import { Departed, HeldMessages } from "../heldMessages.ts"
import { PacketIdentifiers } from "../identifiers.ts"
import { InboundFlow } from "../inbound.ts"
import { InboundAcknowledgements } from "../inboundAcknowledgements.ts"
import { Exchange, InboundDelivery } from "../inboundDelivery.ts"
import { InboundExchanges } from "../inboundExchanges.ts"
import { OutboundFlow } from "../outbound.ts"
import { OutboundHandshake } from "../outboundHandshake.ts"
import { MessageList, OutboundMessage } from "../outboundMessage.ts"
import { OutboundMessages } from "../outboundMessages.ts"
import { OutboundPackets } from "../outboundPackets.ts"
import { OutboundQueue } from "../outboundQueue.ts"
import { PoisonGuard } from "../poison.ts"
import { ReceiveWindow } from "../receiveWindow.ts"
import { Redelivery } from "../redelivery.ts"
import { Retransmission } from "../retransmission.ts"
import { Router } from "../router.ts"
import { SendWindow } from "../sendWindow.ts"
import { ServerSession } from "../serverSession.ts"
import { SlowConsumers } from "../slowConsumers.ts"
import { SubscribeThrottle } from "../subscribeThrottle.ts"
import { EngineConsumer, Member, SubscriptionEntry, SubscriptionRequest } from "../subscriptionEntry.ts"
import { SubscriptionFlow } from "../subscriptionFlow.ts"
import { SubscriptionRequests } from "../subscriptionRequests.ts"
import { Subscriptions } from "../subscriptions.ts"
import { SubscriptionTable } from "../subscriptionTable.ts"
import { InboundAliases, OutboundAliases } from "../topicAliases.ts"
import { type Json, jsonOf, valueOf, withoutPayload } from "./recordedValues.ts"

type Fields = Record<string, unknown>
type Stateful = { privateState?: Fields }
type Class = abstract new(...args: never) => object

/** Made with the engine, by their names in a record: class names do not survive a minifier. */
const partTypes: ReadonlyArray<readonly [string, Class]> = [
  ["Engine", Engine],
  ["EngineCore", EngineCore],
  ["PoisonGuard", PoisonGuard],
  ["ServerSession", ServerSession],
  ["OutboundFlow", OutboundFlow],
  ["OutboundMessages", OutboundMessages],
  ["OutboundQueue", OutboundQueue],
  ["OutboundPackets", OutboundPackets],
  ["OutboundAliases", OutboundAliases],
  ["DirectPublishes", DirectPublishes],
  ["OutboundHandshake", OutboundHandshake],
  ["SendWindow", SendWindow],
  ["Retransmission", Retransmission],
  ["PacketIdentifiers", PacketIdentifiers],
  ["MessageList", MessageList],
  ["InboundFlow", InboundFlow],
  ["Router", Router],
  ["InboundAliases", InboundAliases],
  ["HeldMessages", HeldMessages],
  ["ReceiveWindow", ReceiveWindow],
  ["InboundExchanges", InboundExchanges],
  ["InboundAcknowledgements", InboundAcknowledgements],
  ["AcknowledgementQueue", AcknowledgementQueue],
  ["Redelivery", Redelivery],
  ["Handover", Handover],
  ["SlowConsumers", SlowConsumers],
  ["Subscriptions", Subscriptions],
  ["SubscriptionTable", SubscriptionTable],
  ["SubscriptionFlow", SubscriptionFlow],
  ["SubscriptionRequests", SubscriptionRequests]
]

/** How the others are made, with all fields in the order of their class; what they hold follows. */
const makers: Readonly<Record<string, (engine: Parts) => object>> = {
  OutboundMessage: () => new OutboundMessage({ properties: none } as PublishRequest, 0, 0, 0, 0),
  InboundDelivery: () => new InboundDelivery(undefined as never, 0, 0, 0, 0, false, undefined),
  Exchange: () => new Exchange(0, ""),
  Departed: () => new Departed(undefined as never, []),
  EngineConsumer: () => new EngineConsumer({ name: undefined } as ConsumerRequest),
  Member: () => new Member(undefined as never, undefined as never, 0),
  SubscriptionEntry: () => new SubscriptionEntry(""),
  SubscriptionRequest: () => new SubscriptionRequest("subscribe", [], []),
  AutomaticAlias: () => new AutomaticAlias("", 0, 0),
  AutomaticAliases: () => new AutomaticAliases(0),
  SubscribeThrottle: ({ options, table }) => new SubscribeThrottle(table, options.subscribeTimeout)
}

const otherTypes: ReadonlyArray<readonly [string, Class]> = [
  ["OutboundMessage", OutboundMessage],
  ["InboundDelivery", InboundDelivery],
  ["Exchange", Exchange],
  ["Departed", Departed],
  ["EngineConsumer", EngineConsumer],
  ["Member", Member],
  ["SubscriptionEntry", SubscriptionEntry],
  ["SubscriptionRequest", SubscriptionRequest],
  ["AutomaticAlias", AutomaticAlias],
  ["AutomaticAliases", AutomaticAliases],
  ["SubscribeThrottle", SubscribeThrottle]
]

const parts: ReadonlyMap<unknown, string> = new Map(partTypes.map(([name, type]) => [type, name]))
const others: ReadonlyMap<unknown, string> = new Map(otherTypes.map(([name, type]) => [type, name]))

/** Fields that are options, owned by the session, or written again before they are read. */
const skipped: ReadonlySet<string> = new Set(["options", "owner", "stats", "targets", "count"])

interface Parts {
  readonly all: ReadonlyArray<object>
  readonly table: SubscriptionTable
  readonly options: EngineOptions
}

const fieldsOf = (object: object): Fields => {
  const own = object as Fields & Stateful
  const { privateState } = own
  return privateState === undefined ? own : { ...own, ...privateState }
}

/** The parts of an engine in the order in which their links are met. */
const partsOf = (engine: object): Parts => {
  const found = new Set<object>([engine])
  for (const part of found) {
    for (const value of Object.values(fieldsOf(part))) {
      if (typeof value === "object" && value !== null && parts.has(value.constructor)) found.add(value)
    }
  }
  const all = [...found]
  const partOf = <A extends object>(type: abstract new(...args: never) => A): A =>
    all.find((part) => part.constructor === type) as A
  return { all, table: partOf(SubscriptionTable), options: partOf(EngineCore).options }
}

/** A place in the graph: what a captured object holds, with other places for the objects that it refers to. */
interface Place {
  readonly id: number
  readonly type: string
  content: unknown
}

const isPlace = (value: unknown): value is Place => value instanceof PlaceOf

class PlaceOf implements Place {
  readonly id: number
  readonly type: string
  content: unknown = undefined

  constructor(id: number, type: string) {
    this.id = id
    this.type = type
  }
}

/** A value that never changes: it is written where it stands. */
class Leaf {
  readonly value: object

  constructor(value: object) {
    this.value = withoutPayload(value)
  }
}

/**
 * Stands for an object of the engine where the object itself is not kept: the n-th consumer of a segment, a delivery or
 * a message by its number, a place in the state at the begin of the segment, or an object that the engine had
 * forgotten.
 */
export class Reference {
  readonly kind: "consumer" | "delivery" | "outbound" | "place" | "forgotten"
  readonly number: number
  readonly forgotten: ReadonlyArray<Place> | undefined

  constructor(kind: Reference["kind"], number: number, forgotten?: ReadonlyArray<Place>) {
    this.kind = kind
    this.number = number
    this.forgotten = forgotten
  }
}

/**
 * A captured state.
 */
export interface Capture {
  readonly places: ReadonlyArray<Place>
  /** Where an object of the engine is; undefined: the state does not contain it. Keeps no object alive. */
  readonly idOf: (object: object) => number | undefined
  /** The output that was taken last, if the session may still refer to it. */
  readonly taken: number | undefined
  /** An estimate of the memory that it takes. */
  readonly bytes: number
  /** The number of the next delivery. */
  readonly nextDelivery: number
}

// Estimates of what V8 takes, in bytes.
const placeBytes = 96
const fieldBytes = 8
const valueBytes = 160

/** An output, a delivery for a consumer, a held message, or a requested subscription: they refer to objects. */
const isLinked = (value: object): boolean => "deliveries" in value || "delivery" in value || "entry" in value

class Capturing {
  readonly places: Array<PlaceOf> = []
  readonly ids = new Map<object, PlaceOf>()
  readonly #limit: number
  readonly #resolve: ((object: object) => Reference | undefined) | undefined
  bytes = 0

  /** `resolve`: what stands for an object that is not captured with the others. */
  constructor(limit: number, resolve?: (object: object) => Reference | undefined) {
    this.#limit = limit
    this.#resolve = resolve
  }

  /** Captures what is reachable, up to the limit; false: it is more than that. */
  run(): boolean {
    // Not by recursion: lists of messages are long.
    for (let i = 0; i < this.places.length; i++) {
      if (this.bytes > this.#limit) return false
      this.#fill(this.places[i]!)
    }
    return this.bytes <= this.#limit
  }

  /** A place, or the value itself where it refers to nothing. */
  of(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return typeof value === "function" ? undefined : value
    const known = this.ids.get(value) ?? this.#resolve?.(value)
    if (known !== undefined) return known
    const type = this.#typeOf(value)
    if (type !== undefined) return this.add(value, type)
    this.bytes += valueBytes
    return new Leaf(value)
  }

  add(value: object, type = this.#typeOf(value)!): PlaceOf {
    const place = new PlaceOf(this.places.length, type)
    place.content = value
    this.places.push(place)
    this.ids.set(value, place)
    this.bytes += placeBytes
    return place
  }

  /** Undefined: it never changes. */
  #typeOf(value: object): string | undefined {
    if (Array.isArray(value)) return "array"
    if (value instanceof Map) return "map"
    if (value instanceof Set) return "set"
    return parts.get(value.constructor) ?? others.get(value.constructor) ?? (isLinked(value) ? "object" : undefined)
  }

  #fill(place: PlaceOf): void {
    const { content, type } = place
    if (type === "map") {
      const map = content as ReadonlyMap<unknown, unknown>
      this.bytes += map.size * 2 * fieldBytes
      place.content = Array.from(map, ([key, value]) => [this.of(key), this.of(value)])
      return
    }
    if (type === "array" || type === "set") {
      const list = Array.from(content as Iterable<unknown>)
      this.bytes += list.length * fieldBytes
      place.content = list.map((value) => this.of(value))
      return
    }
    const fields = fieldsOf(content as object)
    const captured: Fields = {}
    for (const key of Object.keys(fields)) {
      if (skipped.has(key)) continue
      const value = fields[key]
      if (value === undefined) continue
      captured[key] = this.of(value)
      this.bytes += fieldBytes
    }
    place.content = captured
  }
}

const captureAll = (engine: object, taken: object | undefined, limit: number): Capturing | undefined => {
  const capturing = new Capturing(limit)
  for (const part of partsOf(engine).all) capturing.add(part)
  if (taken !== undefined) capturing.of(taken)
  return capturing.run() ? capturing : undefined
}

/**
 * Captures the state of an engine and the output that was taken last. Undefined: it takes more than `limit` bytes.
 */
export const capture = (engine: object, taken: object | undefined, limit: number): Capture | undefined => {
  const capturing = captureAll(engine, taken, limit)
  if (capturing === undefined) return undefined
  const { bytes, ids, places } = capturing
  const known = new WeakMap<object, number>()
  for (const [object, { id }] of ids) if (others.has(object.constructor)) known.set(object, id)
  const inbound = places.find(({ type }) => type === "InboundFlow")!.content as { readonly sequence: number }
  return {
    places,
    idOf: (object) => known.get(object),
    taken: taken === undefined ? undefined : ids.get(taken)!.id,
    bytes,
    nextDelivery: inbound.sequence
  }
}

/**
 * Captures all of the state together with the objects at its places.
 */
export const captureObjects = (
  engine: object,
  taken: object | undefined
): { readonly state: StateJson; readonly objects: ReadonlyArray<object> } => {
  const { ids, places } = captureAll(engine, taken, Infinity)!
  return {
    state: stateJson({ places, taken: taken === undefined ? undefined : ids.get(taken)!.id }),
    objects: [...ids.keys()]
  }
}

/**
 * Captures a single object that the engine refers to no more, with what only it refers to. Its first place is the
 * object.
 */
export const captureObject = (
  object: object,
  resolve: (object: object) => Reference | undefined
): ReadonlyArray<Place> => {
  const capturing = new Capturing(Infinity, resolve)
  capturing.add(object)
  capturing.run()
  return capturing.places
}

export type StateJson = { readonly [key: string]: Json }

const contentJson = (value: unknown): Json => {
  if (value instanceof Reference) return { [value.kind]: value.number }
  if (isPlace(value)) return { at: value.id }
  return value instanceof Leaf ? { value: jsonOf(value.value) } : jsonOf(value)
}

/** A captured state as JSON: one array `[type, content]` for each place. */
export const stateJson = (
  { places, taken }: { readonly places: ReadonlyArray<Place>; readonly taken: number | undefined }
): StateJson => ({
  places: places.map(({ content, type }): Json => {
    switch (type) {
      case "map":
        return [type, (content as ReadonlyArray<ReadonlyArray<unknown>>).map((pair) => pair.map(contentJson))]
      case "array":
      case "set":
        return [type, (content as ReadonlyArray<unknown>).map(contentJson)]
      default: {
        const fields: { [key: string]: Json } = {}
        for (const [key, value] of Object.entries(content as Fields)) fields[key] = contentJson(value)
        return [type, fields]
      }
    }
  }),
  ...(taken !== undefined && { taken })
})

/** A state that was put into an engine. */
export interface Revived {
  /** The objects by their places. */
  readonly objects: ReadonlyArray<object>
  readonly taken: object | undefined
}

type PlaceJson = readonly [type: string, content: Json]

/**
 * Puts a state into an engine that has just been made. Throws a `TypeError` for what is no state of an engine.
 */
export const revive = (engine: object, state: StateJson): Revived => {
  const own = partsOf(engine)
  const places = state["places"] as unknown as ReadonlyArray<PlaceJson>
  own.all.forEach((part, index) => {
    const expected = parts.get(part.constructor)
    if (places[index]?.[0] !== expected) throw new TypeError(`place ${index} is no ${expected}`)
  })
  const objects = fillPlaces(places, own, own.all, () => undefined)
  const { taken } = state
  return { objects, taken: typeof taken === "number" ? objects[taken] : undefined }
}

/**
 * Makes an object again that `captureObject` captured. `resolve` knows the objects that others stand for.
 */
export const reviveObject = (
  engine: object,
  state: StateJson,
  resolve: (json: StateJson) => object | undefined
): object => fillPlaces(state["places"] as unknown as ReadonlyArray<PlaceJson>, partsOf(engine), [], resolve)[0]!

const fillPlaces = (
  places: ReadonlyArray<PlaceJson>,
  own: Parts,
  first: ReadonlyArray<object>,
  resolve: (json: StateJson) => object | undefined
): ReadonlyArray<object> => {
  const objects = places.map(([type], index) => first[index] ?? make(own, type))
  const at = (json: Json): unknown => {
    if (typeof json !== "object" || json === null || Array.isArray(json)) return valueOf(json)
    const record = json as StateJson
    if (typeof record["at"] === "number") return objects[record["at"]]
    return record["value"] === undefined ? resolve(record) ?? valueOf(json) : valueOf(record["value"])
  }
  // From the end, because the parts come first: what they sort by other keys, such as topics, is complete then.
  for (let index = places.length - 1; index >= 0; index--) {
    const [type, content] = places[index]!
    fill(objects[index]!, type, content, at)
  }
  return objects
}

const make = (own: Parts, type: string): object => {
  switch (type) {
    case "array":
      return []
    case "map":
      return new Map()
    case "set":
      return new Set()
    case "object":
      return {}
    default: {
      const maker = makers[type]
      if (maker === undefined) throw new TypeError(`no object of an engine is a ${type}`)
      return maker(own)
    }
  }
}

const fill = (object: object, type: string, content: Json, at: (json: Json) => unknown): void => {
  switch (type) {
    case "array":
      for (const value of content as ReadonlyArray<Json>) (object as Array<unknown>).push(at(value))
      return
    case "set":
      for (const value of content as ReadonlyArray<Json>) (object as Set<unknown>).add(at(value))
      return
    case "map":
      for (const [key, value] of content as ReadonlyArray<readonly [Json, Json]>) {
        ;(object as Map<unknown, unknown>).set(at(key), at(value))
      }
      return
  }
  const target = object as Fields & Stateful
  const hidden = target.privateState
  const fields = content as { readonly [key: string]: Json }
  for (const key of Object.keys(target)) {
    if (!skipped.has(key) && !(key in fields) && typeof target[key] !== "function") target[key] = undefined
  }
  const state: Fields = {}
  for (const key of Object.keys(fields)) {
    const value = at(fields[key]!)
    if (hidden !== undefined && key in hidden) state[key] = value
    else target[key] = value
  }
  if (hidden !== undefined) target.privateState = state
}
