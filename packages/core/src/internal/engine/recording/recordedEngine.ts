/**
 * An engine that keeps a flight record: it passes every call to the engine that it wraps, and notes what the engine was
 * told and what it answered. The record is a ring of two segments: when the newer one is full the older one is dropped,
 * and the next begins with the state of the engine. Received packets are noted by their number: they are in the bytes
 * that the connection hands over before. It changes no call and no answer. The engine loop calls it in place of the
 * engine.
 *
 * Size: its one class has a method for each call of an engine, and the notes that they share.
 */
import type { MqttErrorReason } from "../../../MqttError.ts"
import type { Packet } from "../../../Packet.ts"
import { none, type PublishProperties } from "../../../Properties.ts"
import type { StoreRecord } from "../../../StoreRecord.ts"
import type { Violation } from "../../codec/contract.ts"
import { weighProperties } from "../../codec/weigh.ts"
import type {
  Admission,
  Consumer,
  ConsumerRequest,
  Delivery,
  EngineOptions,
  EngineStats,
  IndependentOutput,
  NamedConsumer,
  Outbound,
  Output,
  PublishRequest,
  ServerLimits,
  SessionEngine
} from "../contract.ts"
import { InboundDelivery } from "../inboundDelivery.ts"
import { capture, captureObject, Reference } from "./engineGraph.ts"
import { ReceivedBytes } from "./receivedBytes.ts"
import { type DirectRecorder, RecordedDirect } from "./recordedDirect.ts"
import { lasting, withoutPayload } from "./recordedValues.ts"
import { DirectResult, fullShare, Kind, Segment, threw } from "./segment.ts"

/** Why a record is asked for by the engine itself. */
export type Fault =
  | { readonly _tag: "violation"; readonly violation: Violation }
  | { readonly _tag: "defect"; readonly cause: unknown }

/** What is recorded now. It grows on: who keeps this copies it. */
export interface Recording {
  readonly options: EngineOptions
  readonly received: ReceivedBytes
  /** The topics of direct publishes that are not written. */
  readonly topics: ReadonlyArray<string>
  /** The older one first. */
  readonly segments: ReadonlyArray<Segment>
  /** Number of the steps that came before the segments. */
  readonly dropped: number
}

/** A call that is not frequent. */
export interface OtherCall {
  readonly call: string
  readonly args: ReadonlyArray<unknown>
  /** `connecting`: where the bytes of the connection begin. */
  readonly position?: number
}

const callBytes = 256
/** A row of publishes is as long as this at most. */
const longestRow = 1024
/** Steps until a record begins again after a chunk that was larger than the ring. */
const lostSteps = 1000
/** Steps until a state that was too large for a segment is looked at again. */
const pauseSteps = 100_000
const noRow = -1
/** The part of the memory that the received bytes take. */
const receivedShare = 5 / 8
/** The part of a segment after which the next one begins when bytes arrive while the engine has few messages. */
const earlyShare = 5 / 6
const fewMessages = 16

/** What a request has besides a topic and a payload; from `otherFlags` on there is more to note. */
const flagsOf = ({ expiresAfter, origin, properties, qos, retain, topicAlias }: PublishRequest): number =>
  qos | (retain ? 4 : 0) | (properties === none ? 0 : 8) |
  (topicAlias === 0 && expiresAfter === undefined && origin === undefined ? 0 : 16)

const otherFlags = 8

export class RecordedEngine implements SessionEngine, DirectRecorder {
  readonly direct: RecordedDirect
  readonly #engine: SessionEngine
  readonly #options: EngineOptions
  readonly #received: ReceivedBytes
  /** Bound of a segment and of a state, in bytes. */
  readonly #limit: number
  readonly #onFault: (fault: Fault) => void
  #older: Segment | undefined = undefined
  /** Undefined while the state of the engine is larger than half of a segment. */
  #segment: Segment | undefined
  #pause = 0
  #steps = 0
  #now = 0
  #epochOffset: number
  /** The time that the segment knows. */
  #knownNow = Number.NaN
  #knownOffset = Number.NaN
  #taken: Output | undefined = undefined
  /** The consumers that the segment has brought. */
  #consumers = new WeakMap<object, number>()
  #nextConsumer = 0
  /** What stands in the segment for consumers that came before it. */
  #earlierConsumers = new WeakMap<object, number>()
  /** Deliveries from this number on came in the segment. */
  #firstDelivery = 0
  /** The kind of the row of calls that goes on; `noRow`: there is none. Its first number gets its length at the end. */
  #row: number = noRow
  #rowStart = 0
  #rowCount = 0
  #rowNow = 0
  // Of a row of publishes.
  #rowFlags = 0
  #rowLength = 0
  // Of a row of acknowledgements.
  #rowConsumer: Consumer | undefined = undefined
  #rowReasonCode = 0
  #rowNext = 0

  /**
   * Keeps at most about `bytes` bytes. `onFault` is called after a violation of the server and after an exception of
   * the engine.
   */
  constructor(engine: SessionEngine, options: EngineOptions, bytes: number, onFault: (fault: Fault) => void) {
    this.#engine = engine
    this.direct = new RecordedDirect(engine.direct, this)
    this.#options = options
    const forReceived = Math.floor(bytes * receivedShare)
    this.#received = new ReceivedBytes(forReceived, options.protocolVersion)
    this.#limit = Math.floor((bytes - forReceived) / 2)
    this.#onFault = onFault
    this.#epochOffset = engine.epochOffset
    this.#segment = new Segment(this.#limit, 0, undefined, this.#received.start, 0)
  }

  get recording(): Recording {
    if (this.#row !== noRow) this.#endRow(0)
    const segments: Array<Segment> = []
    if (this.#older !== undefined) segments.push(this.#older)
    if (this.#segment !== undefined) segments.push(this.#segment)
    const dropped = segments[0]?.before ?? this.#steps
    return {
      options: this.#options,
      received: this.#received,
      topics: this.#engine.direct.topics,
      segments,
      dropped
    }
  }

  /** Memory that the record takes, in bytes. */
  get bytes(): number {
    return (this.#older?.bytes ?? 0) + (this.#segment?.bytes ?? 0) + this.#received.bytes
  }

  get stats(): EngineStats {
    return this.#engine.stats
  }

  get limits(): ServerLimits | undefined {
    return this.#engine.limits
  }

  get canHandOut(): boolean {
    return this.#engine.canHandOut
  }

  get epochOffset(): number {
    return this.#epochOffset
  }

  set epochOffset(offset: number) {
    if (this.#row !== noRow) this.#endRow(0)
    this.#epochOffset = offset
    this.#engine.epochOffset = offset
  }

  take(): Output | undefined {
    const segment = this.#begin(this.#now)
    segment?.push(Kind.take)
    try {
      const output = this.#engine.take()
      if (output !== undefined) this.#taken = output
      segment?.output(output)
      return output
    } catch (cause) {
      return this.#threw(segment, cause)
    }
  }

  takeIndependent(output?: Output): IndependentOutput | undefined {
    const segment = this.#begin(this.#now)
    segment?.push(Kind.takeIndependent | (output === undefined ? 0 : 16))
    try {
      const independent = this.#engine.takeIndependent(output)
      segment?.output(independent)
      return independent
    } catch (cause) {
      return this.#threw(segment, cause)
    }
  }

  written(): void {
    const segment = this.#begin(this.#now)
    segment?.push(Kind.written)
    try {
      this.#engine.written()
      this.#taken = undefined
      segment?.push(0)
    } catch (cause) {
      this.#threw(segment, cause)
    }
  }

  setWritable(writable: boolean, now: number): void {
    const segment = this.#begin(now)
    segment?.push(Kind.writable | (writable ? 16 : 0))
    this.#run(segment, () => this.#engine.setWritable(writable, now))
  }

  tick(now: number): void {
    const segment = this.#begin(now)
    segment?.push(Kind.tick)
    this.#run(segment, () => this.#engine.tick(now))
  }

  /**
   * The connection has got these bytes and will make packets of them. It has made packets of all bytes before but the
   * last `pending`, which are of an incomplete packet; negative: it has not.
   */
  received(bytes: Uint8Array, pending: number): void {
    const received = this.#received
    if (this.#segment !== undefined && this.#isFuller(this.#segment, earlyShare) && this.#isIdle) {
      received.decoded(pending)
      this.rotate()
    }
    received.add(bytes, pending)
    if (this.#older !== undefined && !received.has(this.#older.start.position)) this.#older = undefined
    if (this.#segment !== undefined && !received.has(this.#segment.start.position)) {
      // The bytes of its packets are gone. More such chunks may follow, and a state costs time.
      if (this.#row !== noRow) this.#endRow(0)
      this.#segment = undefined
      this.#pause = lostSteps
    }
  }

  receive(packets: ReadonlyArray<Packet>, now: number): Violation | undefined {
    const segment = this.#begin(now)
    if (this.#received.isOpen) {
      this.#received.delivered(packets.length)
      segment?.push(Kind.receive | (packets.length << 4))
    } else if (segment !== undefined) {
      const call: OtherCall = { call: "receive", args: [packets.map(withoutPayload)] }
      segment.push2(Kind.other, segment.object(call, callBytes * packets.length))
    }
    let violation: Violation | undefined
    try {
      violation = this.#engine.receive(packets, now)
    } catch (cause) {
      return this.#threw(segment, cause)
    }
    if (violation === undefined) {
      segment?.push(0)
      return undefined
    }
    segment?.push(1 + segment.object(violation, callBytes))
    this.#onFault({ _tag: "violation", violation })
    return violation
  }

  // Publishes and acknowledgements come in rows.

  publish(request: PublishRequest, now: number): Admission {
    this.#notePublish(Kind.publish, request, now)
    this.#segment?.addPublishTopic(request.topic)
    let admission: Admission
    try {
      admission = this.#engine.publish(request, now)
    } catch (cause) {
      return this.threwInRow(cause)
    }
    if (admission._tag !== "Accepted") this.#endRow(admission._tag === "Full" ? 1 : 2)
    return admission
  }

  beginDirect(request: PublishRequest, now: number): void {
    // Their topics come with the list of the engine, when they are written.
    this.#notePublish(Kind.direct, request, now)
  }

  endDirect(result: number, topic: string): void {
    const segment = this.#segment
    this.#endRow(result)
    segment?.push(segment.text(topic))
  }

  threwDirect(cause: unknown, topic: string): never {
    this.endDirect(threw, topic)
    this.#onFault({ _tag: "defect", cause })
    throw cause
  }

  directWritten(run: () => number): number {
    const segment = this.#begin(this.#now)
    segment?.push(Kind.directWritten)
    segment?.addDirectTopics(this.#engine.direct.topics)
    try {
      const count = run()
      segment?.push(count)
      return count
    } catch (cause) {
      return this.#threw(segment, cause)
    }
  }

  directReturned(args: ReadonlyArray<unknown>, run: () => number): number {
    const segment = this.#begin(this.#now)
    segment?.addDirectTopics(this.#engine.direct.topics)
    return this.#record(segment, "direct.returned", args, run, callBytes * (1 + args.length))
  }

  acknowledge(consumer: Consumer, delivery: Delivery, now: number, reasonCode = 0): void {
    // A row has deliveries in the order of their numbers.
    const number = delivery instanceof InboundDelivery ? delivery.sequence : -1
    if (
      this.#row === Kind.acknowledge && number === this.#rowNext && now === this.#rowNow &&
      consumer === this.#rowConsumer && reasonCode === this.#rowReasonCode
    ) {
      this.#rowCount++
      this.#rowNext++
    } else this.#beginAcknowledgements(consumer, delivery, number, now, reasonCode)
    try {
      this.#engine.acknowledge(consumer, delivery, now, reasonCode)
    } catch (cause) {
      this.threwInRow(cause)
    }
  }

  #beginAcknowledgements(
    consumer: Consumer,
    delivery: Delivery,
    number: number,
    now: number,
    reasonCode: number
  ): void {
    const segment = this.#beginRow(Kind.acknowledge, now)
    const isRecent = number >= this.#firstDelivery
    this.#rowConsumer = consumer
    this.#rowReasonCode = reasonCode
    this.#rowNext = isRecent ? number + 1 : Number.NaN
    if (segment === undefined) return
    segment.push2(reasonCode, this.#consumerWord(segment, consumer))
    segment.push(
      isRecent ? number - this.#firstDelivery : -1 - segment.object(this.#reference(delivery), callBytes)
    )
  }

  restore(records: ReadonlyArray<StoreRecord>, now: number): void {
    const bytes = callBytes * records.length
    if (bytes < this.#limit / 8) {
      const kept = records.map(withoutPayload)
      return this.#call("restore", now, [kept], () => this.#engine.restore(records, now), bytes)
    }
    // The record begins with the state that comes of them, if that has room.
    this.#begin(now)
    this.#segment = undefined
    this.#engine.restore(records, now)
    this.rotate()
  }

  connecting(cleanStart: boolean, receiveMaximum?: number): void {
    const args = [cleanStart, receiveMaximum]
    const segment = this.#begin(this.#now)
    this.#received.connecting()
    const call: OtherCall = { call: "connecting", args, position: this.#received.end }
    this.#recordCall(segment, call, () => this.#engine.connecting(cleanStart, receiveMaximum), callBytes)
  }

  disconnected(now: number, endedByServer?: string, wasAsked?: boolean, isOverQuota?: boolean): void {
    // How the server ended it may quote the server.
    const args = [endedByServer === undefined ? undefined : "by the server", wasAsked, isOverQuota]
    this.#call("disconnected", now, args, () => this.#engine.disconnected(now, endedByServer, wasAsked, isOverQuota))
  }

  partlyWritten(count: number, failure: MqttErrorReason | undefined): void {
    this.#call("partlyWritten", this.#now, [count, failure], () => this.#engine.partlyWritten(count, failure))
  }

  withdraw(outbound: Outbound, now: number): boolean {
    const segment = this.#begin(now)
    return this.#record(segment, "withdraw", [this.#reference(outbound)], () => this.#engine.withdraw(outbound, now))
  }

  reject(output: Output | undefined, reason: MqttErrorReason, now: number): ReadonlyArray<string> {
    return this.#call("reject", now, [output !== undefined, reason], () => this.#engine.reject(output, reason, now))
  }

  abandon(reason: MqttErrorReason, now: number): void {
    this.#call("abandon", now, [reason], () => this.#engine.abandon(reason, now))
  }

  addConsumer(
    request: ConsumerRequest,
    now: number
  ): Consumer | { readonly _tag: "Refused"; readonly reason: MqttErrorReason } {
    const consumer = this.#call("addConsumer", now, [request], () => this.#engine.addConsumer(request, now))
    if (!("_tag" in consumer)) this.#consumers.set(consumer, this.#nextConsumer++)
    return consumer
  }

  removeConsumer(consumer: Consumer, now: number): void {
    const segment = this.#begin(now)
    const args = [this.#reference(consumer)]
    this.#record(segment, "removeConsumer", args, () => this.#engine.removeConsumer(consumer, now))
  }

  forgetConsumer(name: string, now: number): boolean {
    return this.#call("forgetConsumer", now, [name], () => this.#engine.forgetConsumer(name, now))
  }

  unsubscribe(filter: string, now: number): void {
    this.#call("unsubscribe", now, [filter], () => this.#engine.unsubscribe(filter, now))
  }

  namedConsumers(): ReadonlyArray<NamedConsumer> {
    return this.#engine.namedConsumers()
  }

  isSettled(filter: string): boolean {
    return this.#engine.isSettled(filter)
  }

  inboundUse(packetIdentifier: number): string | undefined {
    return this.#engine.inboundUse(packetIdentifier)
  }

  nextDeadline(): number | undefined {
    return this.#engine.nextDeadline()
  }

  /** Begins a step. Undefined: nothing is recorded now. */
  #begin(now: number): Segment | undefined {
    if (this.#row !== noRow) this.#endRow(0)
    this.#rotateIfFull()
    this.#now = now
    this.#steps++
    if (this.#segment !== undefined) this.#segment.steps++
    return this.#timed(now)
  }

  #timed(now: number): Segment | undefined {
    const segment = this.#segment
    if (segment === undefined) return undefined
    if (now !== this.#knownNow || this.#epochOffset !== this.#knownOffset) {
      this.#knownNow = now
      this.#knownOffset = this.#epochOffset
      segment.time(now, this.#epochOffset)
    }
    return segment
  }

  #rotateIfFull(): void {
    const segment = this.#segment
    const isDue = segment === undefined
      ? --this.#pause <= 0 && this.#received.hasStart
      : this.#isFuller(segment, 1)
    if (isDue) this.rotate()
  }

  #isFuller(segment: Segment, share: number): boolean {
    return segment.fullness >= share * fullShare || this.#received.fullnessFrom(segment.start.position) >= share
  }

  get #isIdle(): boolean {
    const { inflight, queuedMessages, unacknowledged } = this.#engine.stats
    return inflight + queuedMessages + unacknowledged <= fewMessages
  }

  #beginRow(kind: number, now: number): Segment | undefined {
    if (this.#row !== noRow) this.#endRow(0)
    this.#rotateIfFull()
    const segment = this.#timed(now)
    this.#now = now
    this.#row = kind
    this.#rowNow = now
    this.#rowCount = 1
    if (segment !== undefined) {
      this.#rowStart = segment.length
      segment.push(kind)
    }
    return segment
  }

  /** Ends the row, of which only the last call may have another result than 0. */
  #endRow(result: number): void {
    if (this.#row === Kind.direct && result === 0) {
      const topic = this.direct.takeAwaiting()
      if (topic !== undefined) return this.endDirect(DirectResult.notAppended, topic)
    }
    const segment = this.#segment
    this.#steps += this.#rowCount
    if (segment !== undefined) {
      segment.steps += this.#rowCount
      segment.words[this.#rowStart]! |= this.#rowCount << 4
      segment.push(result)
      if (this.#row === Kind.publish) segment.endPublishes(this.#rowCount)
    }
    this.#row = noRow
    this.#rowConsumer = undefined
  }

  /** A row has publishes that differ in their topics only: most programs publish such. */
  #notePublish(kind: number, request: PublishRequest, now: number): void {
    const flags = flagsOf(request)
    const { length } = request.payload
    if (
      this.#row === kind && length === this.#rowLength && flags === this.#rowFlags && flags < otherFlags &&
      now === this.#rowNow && this.#rowCount < longestRow
    ) {
      this.#rowCount++
      return
    }
    const segment = this.#beginRow(kind, now)
    this.#rowLength = length
    this.#rowFlags = flags
    segment?.push2(flags, length)
    if (flags >= otherFlags && segment !== undefined) this.#noteOthers(segment, request)
  }

  #noteOthers(segment: Segment, { expiresAfter, origin, properties, topicAlias }: PublishRequest): void {
    if (properties !== none) segment.push(this.#properties(segment, properties))
    if (topicAlias !== 0 || expiresAfter !== undefined || origin !== undefined) {
      segment.push(segment.object({ topicAlias, expiresAfter, origin }, callBytes))
    }
  }

  #consumerWord(segment: Segment, consumer: Consumer): number {
    const known = this.#consumers.get(consumer) ?? this.#earlierConsumers.get(consumer)
    if (known !== undefined) return known
    // Once for each segment: rows may be short.
    const word = -1 - segment.object(this.#reference(consumer), callBytes)
    this.#earlierConsumers.set(consumer, word)
    return word
  }

  /**
   * Drops the older segment, and begins one with the state of the engine: what the ring does when a segment is full.
   */
  rotate(): void {
    if (this.#row !== noRow) this.#endRow(0)
    const { start } = this.#received
    // A record cannot begin where its packets are gone.
    const state = this.#received.hasStart ? capture(this.#engine, this.#taken, this.#limit) : undefined
    const { topics } = this.#engine.direct
    if (topics.length > 0) this.#segment?.addDirectTopics(topics.slice())
    const used = this.#older
    this.#older = this.#segment
    this.#segment = state === undefined
      ? undefined
      : new Segment(this.#limit, this.#steps, state, start, topics.length, used)
    // A large state takes the room of the older segment.
    if (this.#segment === undefined || this.#segment.limit > this.#limit) this.#older = undefined
    this.#received.forget((this.#older ?? this.#segment)?.start.position ?? start.position)
    this.#pause = pauseSteps
    this.#knownNow = Number.NaN
    this.#consumers = new WeakMap()
    this.#earlierConsumers = new WeakMap()
    this.#nextConsumer = 0
    this.#firstDelivery = state?.nextDelivery ?? 0
  }

  #properties(segment: Segment, properties: PublishProperties): number {
    const kept = lasting(properties)
    return segment.object(properties, kept === properties ? weighProperties(properties) : 0, kept)
  }

  #reference(object: Consumer | Delivery | Outbound): Reference {
    const known = this.#known(object)
    if (known !== undefined) return known
    if ("acceptedAt" in object) return new Reference("outbound", object.sequence)
    return new Reference("forgotten", 0, captureObject(object, (other) => this.#known(other)))
  }

  #known(object: object): Reference | undefined {
    const consumer = this.#consumers.get(object)
    if (consumer !== undefined) return new Reference("consumer", consumer)
    if (object instanceof InboundDelivery && object.sequence >= this.#firstDelivery) {
      return new Reference("delivery", object.sequence)
    }
    const place = this.#segment?.capture?.idOf(object)
    return place === undefined ? undefined : new Reference("place", place)
  }

  #call<A>(call: string, now: number, args: ReadonlyArray<unknown>, run: () => A, bytes = callBytes): A {
    return this.#record(this.#begin(now), call, args, run, bytes)
  }

  #record<A>(
    segment: Segment | undefined,
    call: string,
    args: ReadonlyArray<unknown>,
    run: () => A,
    bytes = callBytes
  ): A {
    return this.#recordCall(segment, { call, args }, run, bytes)
  }

  #recordCall<A>(segment: Segment | undefined, call: OtherCall, run: () => A, bytes: number): A {
    segment?.push2(Kind.other, segment.object(call, bytes))
    try {
      const result = run()
      segment?.push(resultWord(result))
      return result
    } catch (cause) {
      return this.#threw(segment, cause)
    }
  }

  #run(segment: Segment | undefined, run: () => void): void {
    try {
      run()
      segment?.push(0)
    } catch (cause) {
      this.#threw(segment, cause)
    }
  }

  threwInRow(cause: unknown): never {
    this.#endRow(threw)
    this.#onFault({ _tag: "defect", cause })
    throw cause
  }

  /** The engine has a fault. What it was told is in the record, and that it threw. */
  #threw(segment: Segment | undefined, cause: unknown): never {
    segment?.push(threw)
    this.#onFault({ _tag: "defect", cause })
    throw cause
  }
}

/** What a call answered, as far as a replay compares it: a violation and a refusal have a tag or a kind. */
export const resultWord = (result: unknown): number => {
  if (typeof result === "boolean") return result ? 1 : 0
  if (Array.isArray(result)) return result.length
  return typeof result === "object" && result !== null && "_tag" in result ? 1 : 0
}
