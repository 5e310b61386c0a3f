/**
 * A flight record as text: JSON, one value on a line. The first line says what it is and has the options of the engine;
 * then come states (`state`) and steps (`step`), in order. No payload and no secret is in it. `replayedEngine.ts` reads
 * the lines.
 */
import type { ProtocolVersion, QoS } from "../../../QoS.ts"
import type { EngineOptions } from "../contract.ts"
import { type Capture, Reference, stateJson } from "./engineGraph.ts"
import type { KeptBytes, PacketStart } from "./receivedBytes.ts"
import { ReceivedPackets } from "./receivedPackets.ts"
import type { OtherCall, Recording } from "./recordedEngine.ts"
import { type Json, jsonOf } from "./recordedValues.ts"
import { DirectResult, directResults, Kind, threw } from "./segment.ts"

/** The name of the format, in the first line. */
export const format = "effect-mqttx flight record"
export const version = 1

/** The first line. */
export interface Header {
  readonly format: typeof format
  readonly version: typeof version
  readonly session: string
  /** Why it was written: `violation`, `defect`, or what asked for it. */
  readonly cause: string
  readonly detail?: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Number of earlier steps, which the record does not have. */
  readonly dropped: number
  readonly options: EngineOptions
}

/** A line with what the engine was told in one call, and what it answered. */
export interface Step {
  /** Counted from the begin of the session. */
  readonly step: number
  /** Milliseconds of the engine's clock. */
  readonly now: number
  /** Present when it has changed: what makes `now` milliseconds of the epoch. */
  readonly offset?: number
  readonly call: string
  readonly args: ReadonlyArray<Json>
  readonly result: Json
}

/** A line with the state of the engine before the next step. */
export interface State {
  readonly state: { readonly [key: string]: Json }
  /** The number of the next delivery. */
  readonly nextDelivery: number
}

/** A copy of a segment, because the segment grows on. */
interface KeptSegment {
  readonly capture: Capture | undefined
  readonly before: number
  readonly start: PacketStart
  readonly words: Int32Array
  readonly times: ReadonlyArray<number>
  readonly objects: ReadonlyArray<unknown>
  readonly texts: ReadonlyArray<string>
  readonly directTopics: ReadonlyArray<string>
  readonly publishTopics: ReadonlyArray<string>
}

/** A copy of what is recorded. */
export interface Kept {
  readonly segments: ReadonlyArray<KeptSegment>
  readonly received: KeptBytes
  readonly protocolVersion: ProtocolVersion
}

export const keep = ({ options: { protocolVersion }, received, segments, topics }: Recording): Kept => ({
  segments: segments.map((segment) => ({
    before: segment.before,
    capture: segment.capture,
    start: segment.start,
    words: segment.words.slice(0, segment.length),
    times: segment.times.slice(),
    objects: segment.objects.slice(),
    texts: segment.texts.slice(),
    // Those of the older segment were added when the newer one began.
    directTopics: [...segment.directTopics, topics].flat().slice(segment.earlierTopics),
    publishTopics: segment.publishTopics.slice(0, segment.publishes)
  })),
  received: received.keep(segments[0]?.start.position ?? received.end),
  protocolVersion
})

/** The calls of a row. The result of the last one follows, where it is not there. */
interface Row {
  readonly call: string
  readonly args: ReadonlyArray<ReadonlyArray<Json>>
  readonly result?: Json
}

/** Reads the numbers of a segment, step by step. */
class Reader {
  readonly #segment: KeptSegment
  readonly #kept: Kept
  #packets: ReceivedPackets
  #directTopic = 0
  #publishTopic = 0
  #at = 0
  #time = 0
  #step: number
  #now = 0
  #offset: number | undefined

  constructor(segment: KeptSegment, kept: Kept) {
    this.#segment = segment
    this.#kept = kept
    this.#packets = this.#packetsFrom(segment.start)
    this.#step = segment.before
  }

  get #isDone(): boolean {
    return this.#at >= this.#segment.words.length
  }

  *steps(): Generator<Step> {
    while (!this.#isDone) {
      let word = this.#word()
      if ((word & 15) === Kind.time) {
        this.#now = this.#segment.times[this.#time++]!
        this.#offset = this.#segment.times[this.#time++]!
        word = this.#word()
      }
      const row = this.#row(word)
      // The engine was in the last call when the record was asked for.
      const result = row.result ?? (this.#isDone ? "open" : this.#result(row.call))
      for (let i = 0; i < row.args.length; i++) {
        const isLast = i === row.args.length - 1
        yield this.#made(row.call, row.args[i]!, isLast ? result : resultBefore[row.call] ?? 0)
      }
    }
  }

  #made(call: string, args: ReadonlyArray<Json>, result: Json): Step {
    const offset = this.#offset
    this.#offset = undefined
    return { step: ++this.#step, now: this.#now, ...(offset !== undefined && { offset }), call, args, result }
  }

  #word(): number {
    return this.#segment.words[this.#at++]!
  }

  /** The arguments of each call of a row. */
  #row(word: number): Row {
    const bits = word >>> 4
    switch (word & 15) {
      case Kind.publish: {
        const others = this.#besidesTopic()
        const { publishTopics } = this.#segment
        return {
          call: "publish",
          args: Array.from({ length: bits }, () => [{ topic: publishTopics[this.#publishTopic++]!, ...others }])
        }
      }
      case Kind.direct:
        return this.#directRow(bits)
      case Kind.acknowledge: {
        const reasonCode = this.#word()
        const consumer = this.#consumer()
        const first = this.#word()
        return {
          call: "acknowledge",
          args: Array.from({ length: bits }, (_, index) => [consumer, this.#delivery(first, index), reasonCode])
        }
      }
      case Kind.receive:
        return { call: "receive", args: [[this.#packets.take(bits).map(jsonOf)]] }
      case Kind.take:
        return { call: "take", args: [[]] }
      case Kind.takeIndependent:
        return { call: "takeIndependent", args: [[bits === 1]] }
      case Kind.written:
        return { call: "written", args: [[]] }
      case Kind.writable:
        return { call: "setWritable", args: [[bits === 1]] }
      case Kind.tick:
        return { call: "tick", args: [[]] }
      case Kind.directWritten:
        return { call: "direct.written", args: [[]] }
      default: {
        const { args, call, position } = this.#object() as OtherCall
        if (position !== undefined) this.#packets = this.#packetsFrom({ position, skipped: 0 })
        return { call, args: [args.map(argumentJson)] }
      }
    }
  }

  #result(call: string): Json {
    const word = this.#word()
    if (word === threw) return "threw"
    if (call === "take" || call === "takeIndependent") {
      if (word === 0) return null
      const [digest, packets, deliveries, settled] = [this.#word(), this.#word(), this.#word(), this.#word()]
      return { digest: digest >>> 0, packets, deliveries, settled }
    }
    if (call === "publish") return ["Accepted", "Full", "Refused"][word]!
    if (call === "receive") return word === 0 ? null : jsonOf(this.#segment.objects[word - 1])
    return word
  }

  /** What the publishes of a row have in common. */
  #besidesTopic(): { readonly [key: string]: Json } {
    const flags = this.#word()
    const length = this.#word()
    const properties = (flags & 8) === 0 ? {} : jsonOf(this.#object())
    const others = (flags & 16) === 0 ? { topicAlias: 0 } : jsonOf(this.#object()) as { readonly [key: string]: Json }
    return {
      payload: { bytes: length },
      qos: (flags & 3) as QoS,
      retain: (flags & 4) !== 0,
      properties,
      ...others
    }
  }

  /** The topic of the last direct publish is with the row, if it is in no write. */
  #directRow(length: number): Row {
    const others = this.#besidesTopic()
    const result = this.#word()
    const last = result === DirectResult.appended ? undefined : this.#segment.texts[this.#word()]!
    const topicOf = (index: number): string =>
      last !== undefined && index === length - 1 ? last : this.#segment.directTopics[this.#directTopic++]!
    return {
      call: "direct.publish",
      args: Array.from({ length }, (_, index) => [{ topic: topicOf(index), ...others }]),
      result: result === threw ? "threw" : directResults[result]!
    }
  }

  #packetsFrom(start: PacketStart): ReceivedPackets {
    return new ReceivedPackets(this.#kept.received, start, this.#kept.protocolVersion)
  }

  #consumer(): Json {
    const word = this.#word()
    return word < 0 ? argumentJson(this.#segment.objects[-1 - word]) : { consumer: word }
  }

  #delivery(first: number, index: number): Json {
    if (first < 0) return argumentJson(this.#segment.objects[-1 - first])
    return { delivery: first + index + (this.#segment.capture?.nextDelivery ?? 0) }
  }

  #object(): unknown {
    return this.#segment.objects[this.#word()]
  }
}

/** The result of each call of a row before the last one. */
const resultBefore: { readonly [call: string]: Json } = { publish: "Accepted", "direct.publish": "Appended" }

const argumentJson = (value: unknown): Json => {
  if (!(value instanceof Reference)) return jsonOf(value)
  const { forgotten, kind, number } = value
  return forgotten === undefined
    ? { [kind]: number }
    : { forgotten: stateJson({ places: forgotten, taken: undefined }) }
}

/** The lines of a record, without the first one. */
export const linesOf = function*(kept: Kept): Generator<string> {
  for (const segment of kept.segments) {
    const { capture } = segment
    if (capture !== undefined) {
      yield JSON.stringify(
        { state: stateJson(capture), nextDelivery: capture.nextDelivery } satisfies State
      )
    }
    for (const step of new Reader(segment, kept).steps()) yield JSON.stringify(step)
  }
}

export const headerLine = (header: Header): string => JSON.stringify({ ...header, options: jsonOf(header.options) })
