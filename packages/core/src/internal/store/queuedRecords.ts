/**
 * Queued messages of a store as bytes, in large buffers, until they are sent: a million objects would take several
 * times the memory, and most of the time to load them. It knows the order and the weight of the messages, and when they
 * expire. It decodes nothing. A session makes one, `StoreRecordCodec` fills it, and the engine takes the messages out.
 */
import * as Context from "effect/Context"
import type { OutboundRecord } from "../../StoreRecord.ts"

/** Bytes of the first segment, and of the largest: each is twice as large as the one before. */
const firstSegment = 4096
const largestSegment = 262_144
/** A larger message has a segment of its own. */
const largestShared = 2048

/** A place is the number of a segment times this, plus an offset. */
const segmentStep = 2 ** 29
const noPlace = -1

/** What precedes the PUBLISH packet of a message: its length, weight, sequence, and times of acceptance and expiry. */
const weightAt = 4
const sequenceAt = 8
const acceptedAt = 16
const expiresAt = 24
const headSize = 32

interface Segment {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** The number of messages in it that were not taken out. */
  left: number
}

/** A queued message. Times are milliseconds since the epoch. */
export interface QueuedRecord {
  readonly sequence: number
  readonly weight: number
  readonly acceptedAt: number
  /** Infinity: it never expires. */
  readonly expiresAt: number
  /** A PUBLISH packet of MQTT 5. */
  readonly publish: Uint8Array
}

/** The messages, in the order of their sequence. */
export class QueuedRecords {
  readonly #weigh: (record: OutboundRecord) => number
  #segments: Array<Segment | undefined> = []
  /** The segment that is being filled, and its place where the next message goes. */
  #shared = 0
  #used = 0
  #room = 0
  /** The places of all messages. */
  #places: Array<number> = []
  #head = 0
  #size = 0
  #weight = 0
  #earliest = Infinity
  #last = -Infinity
  #isSorted = true

  /** `weigh` answers the weight of a message in a queue. */
  constructor(weigh: (record: OutboundRecord) => number) {
    this.#weigh = weigh
  }

  get size(): number {
    this.#sort()
    return this.#size
  }

  /** The weight of all messages together. */
  get weight(): number {
    this.#sort()
    return this.#weight
  }

  /** No message expires earlier than this. */
  get earliest(): number {
    return this.#earliest
  }

  /** The first message; undefined: there is none. */
  get first(): QueuedRecord | undefined {
    const place = this.#firstPlace()
    return place === noPlace ? undefined : this.#read(place)
  }

  /** The highest sequence number that there was. */
  get last(): number {
    return this.#last
  }

  /** Removes everything: the records are loaded once more. */
  clear(): void {
    this.#segments = []
    this.#used = this.#room = 0
    this.#places = []
    this.#head = this.#size = this.#weight = 0
    this.#earliest = Infinity
    this.#last = -Infinity
    this.#isSorted = true
  }

  /** Adds a message. Its PUBLISH packet is copied. */
  add(record: OutboundRecord, publish: Uint8Array): void {
    const { acceptedAt: accepted, expiresAt: expires = Infinity, sequence } = record
    const weight = this.#weigh(record)
    const place = this.#allocate(headSize + publish.length)
    const segment = this.#segments[Math.floor(place / segmentStep)]!
    const offset = place % segmentStep
    const { view } = segment
    view.setUint32(offset, publish.length)
    view.setUint32(offset + weightAt, weight)
    view.setFloat64(offset + sequenceAt, sequence)
    view.setFloat64(offset + acceptedAt, accepted)
    view.setFloat64(offset + expiresAt, expires)
    segment.bytes.set(publish, offset + headSize)
    segment.left++
    this.#places.push(place)
    this.#size++
    this.#weight += weight
    if (expires < this.#earliest) this.#earliest = expires
    if (sequence > this.#last) this.#last = sequence
    else this.#isSorted = false
  }

  /** Takes the first message out; undefined: there is none. */
  take(): QueuedRecord | undefined {
    const place = this.#firstPlace()
    return place === noPlace ? undefined : this.#takeAt(this.#head, place)
  }

  /**
   * Takes the messages out that have expired, in their order, and finds out when the first of the others does.
   */
  takeExpired(
    isExpired: (acceptedAt: number, expiresAt: number) => boolean,
    visit: (record: QueuedRecord) => void
  ): void {
    this.#sort()
    this.#earliest = Infinity
    for (let index = this.#head; index < this.#places.length; index++) {
      const place = this.#places[index]!
      if (place === noPlace) continue
      const expires = this.#numberAt(place, expiresAt)
      if (isExpired(this.#numberAt(place, acceptedAt), expires)) visit(this.#takeAt(index, place))
      else if (expires < this.#earliest) this.#earliest = expires
    }
  }

  /** All messages, which stay. */
  *[Symbol.iterator](): IterableIterator<QueuedRecord> {
    this.#sort()
    for (let index = this.#head; index < this.#places.length; index++) {
      const place = this.#places[index]!
      if (place !== noPlace) yield this.#read(place)
    }
  }

  #allocate(size: number): number {
    if (size > largestShared) return this.#addSegment(size) * segmentStep
    if (this.#used + size > this.#room) {
      this.#room = this.#room === 0 ? firstSegment : Math.min(this.#room * 2, largestSegment)
      this.#shared = this.#addSegment(this.#room)
      this.#used = 0
    }
    const offset = this.#used
    this.#used += size
    return this.#shared * segmentStep + offset
  }

  #addSegment(size: number): number {
    const bytes = new Uint8Array(size)
    return this.#segments.push({ bytes, view: new DataView(bytes.buffer), left: 0 }) - 1
  }

  #firstPlace(): number {
    this.#sort()
    for (; this.#head < this.#places.length; this.#head++) {
      const place = this.#places[this.#head]!
      if (place !== noPlace) return place
    }
    return noPlace
  }

  #numberAt(place: number, field: number): number {
    return this.#segments[Math.floor(place / segmentStep)]!.view.getFloat64(place % segmentStep + field)
  }

  #read(place: number): QueuedRecord {
    const { bytes, view } = this.#segments[Math.floor(place / segmentStep)]!
    const offset = place % segmentStep
    const begin = offset + headSize
    return {
      sequence: view.getFloat64(offset + sequenceAt),
      weight: view.getUint32(offset + weightAt),
      acceptedAt: view.getFloat64(offset + acceptedAt),
      expiresAt: view.getFloat64(offset + expiresAt),
      publish: bytes.subarray(begin, begin + view.getUint32(offset))
    }
  }

  #takeAt(index: number, place: number): QueuedRecord {
    const record = this.#read(place)
    this.#places[index] = noPlace
    this.#size--
    this.#weight -= record.weight
    const number = Math.floor(place / segmentStep)
    if (--this.#segments[number]!.left === 0) this.#segments[number] = undefined
    return record
  }

  /** For stores that have no order. Of messages with the same sequence number the last one counts. */
  #sort(): void {
    if (this.#isSorted) return
    this.#isSorted = true
    const places = this.#places
    const sequences = Float64Array.from(places, (place) => this.#numberAt(place, sequenceAt))
    const indices = Uint32Array.from(places, (_, index) => index).sort((a, b) => sequences[a]! - sequences[b]! || a - b)
    this.#places = Array.from(indices, (index, position) => {
      const next = indices[position + 1]
      const isReplaced = next !== undefined && sequences[next] === sequences[index]
      const place = places[index]!
      if (isReplaced) this.#takeAt(index, place)
      return isReplaced ? noPlace : place
    })
  }
}

/**
 * Where a store puts queued messages that it loads; undefined: with the other records. A session provides it, so that
 * a wrapper of a store passes it on without knowing it.
 */
export const QueuedMessages: Context.Reference<QueuedRecords | undefined> = Context.Reference(
  "@effect-mqttx/core/internal/QueuedMessages",
  { defaultValue: (): QueuedRecords | undefined => undefined }
)
