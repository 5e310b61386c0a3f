/**
 * An engine that keeps a flight record: it passes every call to the engine that it wraps, and notes what the engine was
 * told and what it answered. The record is a ring of two segments: when the newer one is full the older one is dropped,
 * and the next begins with the state of the engine. It changes no call and no answer. The engine loop calls it in place
 * of the engine.
 *
 * Size: its one class has a method for each call of an engine, and the notes that they share.
 */
import type { MqttErrorReason } from "../../../MqttError.ts"
import type { Packet, Puback } from "../../../Packet.ts"
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
import { type DirectRecorder, RecordedDirect } from "./recordedDirect.ts"
import { lasting, withoutPayload } from "./recordedValues.ts"
import { Kind, PacketKind, Segment, threw } from "./segment.ts"

/** Why a record is asked for by the engine itself. */
export type Fault =
  | { readonly _tag: "violation"; readonly violation: Violation }
  | { readonly _tag: "defect"; readonly cause: unknown }

/** What is recorded now. The segments grow on: who keeps this copies them. */
export interface Recording {
  readonly options: EngineOptions
  /** The older one first. */
  readonly segments: ReadonlyArray<Segment>
  /** Number of the steps that came before the segments. */
  readonly dropped: number
}

/** A call that is not frequent. */
export interface OtherCall {
  readonly call: string
  readonly args: ReadonlyArray<unknown>
}

const callBytes = 256
/** A row is as long as this at most. */
const longestRow = 256
/** Steps until a state that was too large for a segment is looked at again. */
const pauseSteps = 100_000

/** The kind of a packet that is only numbers. */
const kindOf = (packet: Packet): number => {
  switch (packet._tag) {
    case "Puback":
      return packet.properties === none ? PacketKind.puback : PacketKind.other
    case "Pubrec":
      return packet.properties === none ? PacketKind.pubrec : PacketKind.other
    case "Pubrel":
      return packet.properties === none ? PacketKind.pubrel : PacketKind.other
    case "Pubcomp":
      return packet.properties === none ? PacketKind.pubcomp : PacketKind.other
    default:
      return PacketKind.other
  }
}

export class RecordedEngine implements SessionEngine, DirectRecorder {
  readonly direct: RecordedDirect
  readonly #engine: SessionEngine
  readonly #options: EngineOptions
  /** Bound of a segment, in bytes. */
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
  /** A row of publishes, or one of acknowledgements. */
  readonly #requests: Array<PublishRequest> = []
  #isDirectRow = false
  readonly #deliveries: Array<number | Reference> = []
  #rowNow = 0
  #rowConsumer: Consumer | undefined = undefined
  #rowReasonCode = 0

  /**
   * Keeps at most about `bytes` bytes. `onFault` is called after a violation of the server and after an exception of
   * the engine.
   */
  constructor(engine: SessionEngine, options: EngineOptions, bytes: number, onFault: (fault: Fault) => void) {
    this.#engine = engine
    this.direct = new RecordedDirect(engine.direct, this)
    this.#options = options
    this.#limit = Math.floor(bytes / 2)
    this.#onFault = onFault
    this.#epochOffset = engine.epochOffset
    this.#segment = new Segment(this.#limit, 0, undefined)
  }

  get recording(): Recording {
    if (this.#requests.length > 0 || this.#deliveries.length > 0) this.#endRow(0)
    const segments: Array<Segment> = []
    if (this.#older !== undefined) segments.push(this.#older)
    if (this.#segment !== undefined) segments.push(this.#segment)
    return { options: this.#options, segments, dropped: segments[0]?.before ?? this.#steps }
  }

  /** Memory that the record takes, in bytes. */
  get bytes(): number {
    return (this.#older?.bytes ?? 0) + (this.#segment?.bytes ?? 0)
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
    if (this.#requests.length > 0 || this.#deliveries.length > 0) this.#endRow(0)
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

  receive(packets: ReadonlyArray<Packet>, now: number): Violation | undefined {
    const segment = this.#begin(now)
    if (segment !== undefined) {
      segment.push(Kind.receive | (packets.length << 4))
      for (let i = 0; i < packets.length; i++) this.#packet(segment, packets[i]!)
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

  // Publishes and acknowledgements come in rows: a row is noted at once, when something else happens.

  publish(request: PublishRequest, now: number): Admission {
    if (this.#isDirectRow || !this.#hasRowAt(now)) this.#beginRow(now)
    this.#requests.push(request)
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
    if (!this.#isDirectRow || !this.#hasRowAt(now)) {
      this.#beginRow(now)
      this.#isDirectRow = true
    }
    this.#requests.push(request)
  }

  endDirect(result: number): void {
    this.#endRow(result)
  }

  recordCall<A>(call: string, args: ReadonlyArray<unknown>, run: () => A): A {
    return this.#call(call, this.#now, args, run, callBytes * (1 + args.length))
  }

  /** There is a row of publishes that another one of this time may join. */
  #hasRowAt(now: number): boolean {
    return this.#requests.length > 0 && now === this.#rowNow && this.#requests.length < longestRow
  }

  acknowledge(consumer: Consumer, delivery: Delivery, now: number, reasonCode = 0): void {
    if (
      this.#deliveries.length === 0 || consumer !== this.#rowConsumer || reasonCode !== this.#rowReasonCode ||
      now !== this.#rowNow || this.#deliveries.length >= longestRow
    ) {
      this.#beginRow(now)
      this.#rowConsumer = consumer
      this.#rowReasonCode = reasonCode
    }
    // By its number: some of what a delivery consists of may change until the row is noted.
    this.#deliveries.push(
      delivery instanceof InboundDelivery && delivery.sequence >= this.#firstDelivery
        ? delivery.sequence
        : this.#reference(delivery)
    )
    try {
      this.#engine.acknowledge(consumer, delivery, now, reasonCode)
    } catch (cause) {
      this.threwInRow(cause)
    }
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
    this.#call("connecting", this.#now, args, () => this.#engine.connecting(cleanStart, receiveMaximum))
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
    if (this.#requests.length > 0 || this.#deliveries.length > 0) this.#endRow(0)
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
    if (this.#segment === undefined ? --this.#pause <= 0 : this.#segment.isFull) this.rotate()
  }

  #beginRow(now: number): void {
    if (this.#requests.length > 0 || this.#deliveries.length > 0) this.#endRow(0)
    this.#rotateIfFull()
    this.#timed(now)
    this.#now = now
    this.#rowNow = now
  }

  /** Notes the row, of which only the last call may have another result than 0. */
  #endRow(result: number): void {
    const segment = this.#segment
    const requests = this.#requests
    const deliveries = this.#deliveries
    const count = requests.length + deliveries.length
    const last = this.#isDirectRow && result === 0 ? this.direct.lastResult : result
    this.#steps += count
    if (segment !== undefined) {
      segment.steps += count
      if (requests.length > 0) this.#noteRequests(segment, requests)
      else this.#noteDeliveries(segment, deliveries)
      segment.push(last)
    }
    this.#isDirectRow = false
    requests.length = 0
    deliveries.length = 0
    this.#rowConsumer = undefined
  }

  #noteRequests(segment: Segment, requests: ReadonlyArray<PublishRequest>): void {
    segment.push((this.#isDirectRow ? Kind.direct : Kind.publish) | (requests.length << 4))
    for (let i = 0; i < requests.length; i++) {
      const { expiresAfter, origin, payload, properties, qos, retain, topic, topicAlias } = requests[i]!
      const isPlain = topicAlias === 0 && expiresAfter === undefined && origin === undefined
      const flags = qos | (retain ? 4 : 0) | (properties === none ? 0 : 8) | (isPlain ? 0 : 16)
      segment.push2(flags | (segment.text(topic) << 5), payload.length)
      if (properties !== none) segment.push(this.#properties(segment, properties))
      if (!isPlain) segment.push(segment.object({ topicAlias, expiresAfter, origin }, callBytes))
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

  #noteDeliveries(segment: Segment, deliveries: ReadonlyArray<number | Reference>): void {
    const consumer = this.#rowConsumer!
    segment.push2(Kind.acknowledge | (deliveries.length << 4), this.#rowReasonCode)
    segment.push(this.#consumerWord(segment, consumer))
    for (let i = 0; i < deliveries.length; i++) {
      const delivery = deliveries[i]!
      segment.push(
        typeof delivery === "number"
          ? delivery - this.#firstDelivery
          : -1 - segment.object(delivery, callBytes)
      )
    }
  }

  /**
   * Drops the older segment, and begins one with the state of the engine: what the ring does when a segment is full.
   */
  rotate(): void {
    if (this.#requests.length > 0 || this.#deliveries.length > 0) this.#endRow(0)
    const state = capture(this.#engine, this.#taken, this.#limit / 2)
    this.#older = state === undefined ? undefined : this.#segment
    this.#segment = state === undefined ? undefined : new Segment(this.#limit, this.#steps, state)
    this.#pause = pauseSteps
    this.#knownNow = Number.NaN
    this.#consumers = new WeakMap()
    this.#earlierConsumers = new WeakMap()
    this.#nextConsumer = 0
    this.#firstDelivery = state?.nextDelivery ?? 0
  }

  #packet(segment: Segment, packet: Packet): void {
    if (packet._tag === "Publish") {
      const { dup, packetIdentifier, payload, properties, qos, retain, topic } = packet
      const flags = (qos << 3) | (retain ? 32 : 0) | (dup ? 64 : 0) | (properties === none ? 0 : 128)
      segment.push2(PacketKind.publish | flags | (packetIdentifier << 8), segment.text(topic))
      segment.push(payload.length)
      if (properties !== none) segment.push(this.#properties(segment, properties))
      return
    }
    const kind = kindOf(packet)
    if (kind !== PacketKind.other) {
      const { packetIdentifier, reasonCode } = packet as Puback
      segment.push(kind | (reasonCode << 3) | (packetIdentifier << 11))
      return
    }
    segment.push(PacketKind.other)
    segment.push(segment.object(withoutPayload(packet), callBytes))
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
    if (segment !== undefined) {
      segment.push(Kind.other)
      segment.push(segment.object({ call, args } satisfies OtherCall, bytes))
    }
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
