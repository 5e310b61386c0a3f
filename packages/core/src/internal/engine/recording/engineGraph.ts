/**
 * The state of an engine as a graph: captured from a living engine, written as JSON, and put into a new engine, which
 * then behaves as the other one did. A flight record begins with such a state, because it is bounded and the life of a
 * session is not. Private fields come from the accessors `privateState`. Objects that never change (requests, messages,
 * packets, records) are kept by reference, without their payloads, until the state is written.
 *
 * The parts of an engine are made with it and stay: the n-th part of one engine corresponds to the n-th of another.
 * Everything else is made again.
 */
import {
  type Fields,
  isPlace,
  make,
  others,
  type Parts,
  parts,
  partsOf,
  type Place,
  PlaceOf,
  type Shape,
  shapeOf,
  shapeOfOther,
  skipped,
  type Stateful
} from "./engineParts.ts"
import { type Json, jsonOf, valueOf, withoutPayload } from "./recordedValues.ts"

/** The captured fields of an object: names and values, in the same order. Undefined is left out when it is written. */
interface Captured {
  readonly shape: Shape
  readonly values: ReadonlyArray<unknown>
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

const nothing: ReadonlyArray<never> = []

const noShapes: ReadonlyMap<object, Shape> = new Map()

class Capturing {
  readonly places: Array<PlaceOf> = []
  readonly ids = new Map<object, PlaceOf>()
  readonly #shapes: ReadonlyMap<object, Shape>
  readonly #limit: number
  readonly #resolve: ((object: object) => Reference | undefined) | undefined
  bytes = 0

  /** `resolve`: what stands for an object that is not captured with the others. */
  constructor(
    shapes: ReadonlyMap<object, Shape>,
    limit: number,
    resolve?: (object: object) => Reference | undefined
  ) {
    this.#shapes = shapes
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
    switch (type) {
      case "map": {
        const map = content as ReadonlyMap<unknown, unknown>
        this.bytes += map.size * 2 * fieldBytes
        place.content = map.size === 0 ? nothing : Array.from(map, ([key, value]) => [this.of(key), this.of(value)])
        return
      }
      case "set":
      case "array": {
        const list = type === "array" ? content as ReadonlyArray<unknown> : [...content as ReadonlySet<unknown>]
        this.bytes += list.length * fieldBytes
        place.content = list.length === 0 ? nothing : list.map((value) => this.of(value))
        return
      }
      case "object":
        place.content = this.#fields(content as object, shapeOf(content as object))
        return
      default:
        place.content = this.#fields(
          content as object,
          this.#shapes.get(content as object) ?? shapeOfOther(content as object)
        )
    }
  }

  // Plain loops: this runs whenever the ring turns.
  #fields(object: object, shape: Shape): Captured {
    const { hidden, own } = shape
    const values: Array<unknown> = []
    for (let i = 0; i < own.length; i++) values.push(this.of((object as Fields)[own[i]!]))
    if (hidden.length > 0) {
      const state = (object as Stateful).privateState!
      for (let i = 0; i < hidden.length; i++) values.push(this.of(state[hidden[i]!]))
    }
    this.bytes += values.length * fieldBytes
    return { shape, values }
  }
}

const captureAll = (engine: object, taken: object | undefined, limit: number): Capturing | undefined => {
  const { all, queue, shapes } = partsOf(engine)
  // Messages that are kept as bytes are captured as objects, which makes no difference to the engine.
  if (!queue.unpack(limit / placeBytes)) return undefined
  const capturing = new Capturing(shapes, limit)
  for (const part of all) capturing.add(part)
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
  const inbound = places.find(({ type }) => type === "InboundFlow")!.content as Captured
  return {
    places,
    idOf: (object) => known.get(object),
    taken: taken === undefined ? undefined : ids.get(taken)!.id,
    bytes,
    nextDelivery: inbound.values[[...inbound.shape.own, ...inbound.shape.hidden].indexOf("sequence")] as number
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
  const capturing = new Capturing(noShapes, Infinity, resolve)
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
        const { shape: { hidden, links, own }, values } = content as Captured
        const fields: { [key: string]: Json } = {}
        for (const [key, part] of links) fields[key] = { at: part.id }
        for (const [index, key] of [...own, ...hidden].entries()) {
          if (values[index] !== undefined) fields[key] = contentJson(values[index])
        }
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
