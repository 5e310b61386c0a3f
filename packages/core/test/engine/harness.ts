/**
 * An engine with a clock of its own and a hand-made server, for tests that go packet by packet.
 */
import { assert } from "@effect/vitest"
import type { Violation } from "../../src/internal/codec/contract.ts"
import type {
  Admission,
  Consumer,
  ConsumerRequest,
  Delivery,
  EngineEvent,
  EngineOptions,
  Outbound,
  Output,
  PublishRequest,
  SessionEngine
} from "../../src/internal/engine/contract.ts"
import { type EngineInternals, makeEngine } from "../../src/internal/engine/engine.ts"
import type { Packet, Publish, Pubrel, Subscribe, Unsubscribe } from "../../src/Packet.ts"
import { type ConnackProperties, none, type PublishProperties } from "../../src/Properties.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"
import { type InboundRecord, keyOf, type StoreRecord } from "../../src/StoreRecord.ts"

export const versions: ReadonlyArray<ProtocolVersion> = [4, 5]

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload)

export const engineOptions = (options: Partial<EngineOptions> = {}): EngineOptions => ({
  session: "test",
  life: "life",
  protocolVersion: 5,
  receiveMaximum: 65_535,
  topicAliasMaximum: 0,
  topicAliases: "auto",
  maxInflight: 65_535,
  maxInflightQoS2: 20,
  inboundLimit: 1_000_000,
  queue: { messages: 1000, bytes: 1_000_000, policy: "suspend" },
  onSessionLost: "resubscribe",
  unacknowledgedOnSessionLost: "resend",
  poisonThreshold: 0,
  subscribeTimeout: 30_000,
  subscriptionIdentifiers: "auto",
  durable: false,
  ackDeadline: 30_000,
  onAckDeadline: "wait",
  unclaimed: { hold: 10_000, messages: 10 },
  ...options
})

export const request = (topic: string, qos: QoS, options: Partial<PublishRequest> = {}): PublishRequest => ({
  topic,
  payload: bytes(topic),
  qos,
  retain: false,
  properties: none,
  topicAlias: 0,
  expiresAfter: undefined,
  origin: undefined,
  ...options
})

export const consumerRequest = (
  filters: string | ReadonlyArray<string>,
  options: Partial<ConsumerRequest> = {}
): ConsumerRequest => ({
  filters: typeof filters === "string" ? [filters] : filters,
  qos: 2,
  noLocal: false,
  retainAsPublished: false,
  retained: "each",
  keep: false,
  ...options
})

export const inbound = (packetIdentifier: number, acknowledged: boolean): InboundRecord => ({
  _tag: "Inbound",
  packetIdentifier,
  acknowledged,
  use: `earlier.${packetIdentifier}`,
  finished: []
})

export const connack = (sessionPresent: boolean, properties: ConnackProperties = none): Packet => ({
  _tag: "Connack",
  sessionPresent,
  reasonCode: 0,
  properties
})

export const publish = (
  topic: string,
  qos: QoS,
  packetIdentifier: number,
  options: Partial<Publish> & { readonly ids?: ReadonlyArray<number> } = {}
): Publish => {
  const { ids, ...rest } = options
  const properties: PublishProperties = ids === undefined ? none : { subscriptionIdentifiers: ids }
  return {
    _tag: "Publish",
    topic,
    payload: bytes(topic),
    qos,
    retain: false,
    dup: false,
    packetIdentifier,
    properties,
    ...rest
  }
}

type Acknowledgement = "Puback" | "Pubrec" | "Pubrel" | "Pubcomp"

export const ack = (_tag: Acknowledgement, packetIdentifier: number, reasonCode = 0): Packet => ({
  _tag,
  packetIdentifier,
  reasonCode,
  properties: none
} as Packet)

export const suback = (packetIdentifier: number, ...reasonCodes: ReadonlyArray<number>): Packet => ({
  _tag: "Suback",
  packetIdentifier,
  reasonCodes,
  properties: none
})

export const unsuback = (packetIdentifier: number, ...reasonCodes: ReadonlyArray<number>): Packet => ({
  _tag: "Unsuback",
  packetIdentifier,
  reasonCodes,
  properties: none
})

/** A packet in a word: what it is, its identifier, its reason code or its topic. */
export const word = (packet: Packet): string => {
  switch (packet._tag) {
    case "Publish":
      return `${packet.dup ? "PUBLISH*" : "PUBLISH"}${packet.qos} ${packet.packetIdentifier} ${packet.topic}`
    case "Puback":
    case "Pubrec":
    case "Pubrel":
    case "Pubcomp":
      return `${packet._tag.toUpperCase()} ${packet.packetIdentifier}` +
        (packet.reasonCode === 0 ? "" : ` ${packet.reasonCode.toString(16)}`)
    case "Subscribe":
      return `SUBSCRIBE ${packet.packetIdentifier} ${
        packet.filters.map(({ filter, qos }) => `${filter}:${qos}`).join(" ")
      }`
    case "Unsubscribe":
      return `UNSUBSCRIBE ${packet.packetIdentifier} ${packet.filters.join(" ")}`
    default:
      return packet._tag.toUpperCase()
  }
}

export const words = (packets: ReadonlyArray<Packet>): ReadonlyArray<string> => packets.map(word)

export class Harness {
  readonly engine: SessionEngine
  readonly options: EngineOptions
  /** What a store would hold now. */
  readonly records = new Map<string, StoreRecord>()
  now = 1_000_000
  violation: Violation | undefined = undefined

  constructor(options: Partial<EngineOptions> = {}, internals: EngineInternals = {}) {
    this.options = engineOptions(options)
    this.engine = makeEngine(this.options, internals)
  }

  /** All that is to be done, as done. */
  flush(): Output {
    const all: Output = {
      changes: [],
      packets: [],
      accepted: [],
      settled: [],
      deliveries: [],
      consumers: [],
      events: [],
      spaceAvailable: false
    }
    for (let output = this.engine.take(); output !== undefined; output = this.engine.take()) {
      this.commit(output)
      this.engine.written()
      all.changes.push(...output.changes)
      all.packets.push(...output.packets)
      all.accepted.push(...output.accepted)
      all.settled.push(...output.settled)
      all.deliveries.push(...output.deliveries)
      all.consumers.push(...output.consumers)
      all.events.push(...output.events)
      if (output.spaceAvailable) all.spaceAvailable = true
    }
    return all
  }

  commit({ changes }: Output): void {
    for (const change of changes) {
      if (change._tag === "Put") this.records.set(keyOf(change.record), change.record)
      else this.records.delete(change.key)
    }
  }

  /** A new connection; what the engine sends at once. */
  connect(sessionPresent = false, properties: ConnackProperties = none): Output {
    this.receive(connack(sessionPresent, properties))
    assert.isUndefined(this.violation)
    return this.flush()
  }

  disconnect(): void {
    this.engine.disconnected(this.now)
  }

  receive(...packets: ReadonlyArray<Packet>): Violation | undefined {
    this.violation = this.engine.receive(packets, this.now)
    return this.violation
  }

  /** Receives packets, which must be right, and does what follows. */
  feed(...packets: ReadonlyArray<Packet>): Output {
    assert.isUndefined(this.receive(...packets))
    return this.flush()
  }

  /** Receives packets and says what the engine sends. */
  reply(...packets: ReadonlyArray<Packet>): ReadonlyArray<string> {
    return words(this.feed(...packets).packets)
  }

  sent(): ReadonlyArray<string> {
    return words(this.flush().packets)
  }

  admit(topic: string, qos: QoS, options: Partial<PublishRequest> = {}): Admission {
    return this.engine.publish(request(topic, qos, options), this.now)
  }

  publish(topic: string, qos: QoS, options: Partial<PublishRequest> = {}): Outbound {
    const admission = this.admit(topic, qos, options)
    if (admission._tag !== "Accepted") return assert.fail(`not accepted: ${admission._tag}`)
    return admission.outbound
  }

  /** The reason of a refused publish. */
  refusal(topic: string, qos: QoS, options: Partial<PublishRequest> = {}): string {
    const admission = this.admit(topic, qos, options)
    return admission._tag === "Refused" ? admission.reason._tag : admission._tag
  }

  add(filters: string | ReadonlyArray<string>, options: Partial<ConsumerRequest> = {}): Consumer {
    const consumer = this.engine.addConsumer(consumerRequest(filters, options), this.now)
    if ("_tag" in consumer) return assert.fail(`refused: ${consumer.reason._tag}`)
    return consumer
  }

  refusedConsumer(filters: string | ReadonlyArray<string>, options: Partial<ConsumerRequest> = {}): string {
    const consumer = this.engine.addConsumer(consumerRequest(filters, options), this.now)
    return "_tag" in consumer ? consumer.reason._tag : consumer.state
  }

  /** A consumer whose SUBSCRIBE is answered as it asked. */
  subscribe(filters: string | ReadonlyArray<string>, options: Partial<ConsumerRequest> = {}): Consumer {
    const consumer = this.add(filters, options)
    this.grant()
    assert.strictEqual(consumer.state, "active")
    return consumer
  }

  /** Answers all SUBSCRIBE and UNSUBSCRIBE packets as a server that grants everything; returns them. */
  grant(): ReadonlyArray<Subscribe | Unsubscribe> {
    const requests: Array<Subscribe | Unsubscribe> = []
    for (let { packets } = this.flush(); packets.length > 0; packets = this.flush().packets) {
      for (const packet of packets) {
        if (packet._tag === "Subscribe") {
          requests.push(packet)
          this.receive(suback(packet.packetIdentifier, ...packet.filters.map(({ qos }) => qos)))
        } else if (packet._tag === "Unsubscribe") {
          requests.push(packet)
          const codes = this.options.protocolVersion === 5 ? packet.filters.map(() => 0) : []
          this.receive(unsuback(packet.packetIdentifier, ...codes))
        }
      }
    }
    return requests
  }

  acknowledge(consumer: Consumer, delivery: Delivery, reasonCode?: number): void {
    this.engine.acknowledge(consumer, delivery, this.now, reasonCode)
  }

  tick(millis: number): Output {
    this.now += millis
    this.engine.tick(this.now)
    return this.flush()
  }

  /** Moves to the engine's next deadline. */
  untilDeadline(): Output {
    const deadline = this.engine.nextDeadline()
    if (deadline === undefined) return assert.fail("no deadline")
    return this.tick(Math.max(0, deadline - this.now))
  }

  /** Another engine of the same session, restored from what a store would hold. */
  restart(options: Partial<EngineOptions> = {}): Harness {
    const next = new Harness({ ...this.options, ...options })
    next.now = this.now
    for (const [key, record] of this.records) next.records.set(key, record)
    next.engine.restore(Array.from(this.records.values()), this.now)
    return next
  }
}

/** How a message ended: its reason code, or its reason's tag. */
export const outcomeOf = ({ outcome }: Outbound): number | string | undefined =>
  outcome === undefined ? undefined : outcome._tag === "Acknowledged" ? outcome.reasonCode : outcome.reason._tag

export const eventTags = ({ events }: Output): ReadonlyArray<EngineEvent["_tag"]> => events.map(({ _tag }) => _tag)

export const topics = ({ deliveries }: Output): ReadonlyArray<string> =>
  deliveries.map(({ delivery }) => delivery.message.topic)

/** The topics that one consumer got. */
export const topicsFor = (consumer: Consumer, { deliveries }: Output): ReadonlyArray<string> =>
  deliveries.filter((delivery) => delivery.consumer === consumer).map(({ delivery }) => delivery.message.topic)

export const isPublish = (packet: Packet): packet is Publish => packet._tag === "Publish"
export const isPubrel = (packet: Packet): packet is Pubrel => packet._tag === "Pubrel"

export const publishesOf = ({ packets }: Output): ReadonlyArray<Publish> => packets.filter(isPublish)

/** What the engine sends first in a resumed session. */
export const resumed = (h: Harness): ReadonlyArray<string> => words(h.connect(true).packets)

/** A connection with one consumer of everything that acknowledges by hand. */
export const consuming = (options: Partial<EngineOptions>) => {
  const h = new Harness(options)
  h.connect()
  const consumer = h.subscribe("#", { retained: "none" })
  const receive = (...packets: ReadonlyArray<Publish>): ReadonlyArray<Delivery> =>
    h.feed(...packets).deliveries.map(({ delivery }) => delivery)
  return { h, consumer, receive }
}

export const acknowledgeAll = (
  h: Harness,
  consumer: Consumer,
  deliveries: ReadonlyArray<Delivery>
): ReadonlyArray<string> => {
  for (const delivery of deliveries) h.acknowledge(consumer, delivery)
  return h.sent()
}

export const leave = (h: Harness, consumer: Consumer): void => h.engine.removeConsumer(consumer, h.now)

export const subscribesOf = ({ packets }: Output): ReadonlyArray<Subscribe> =>
  packets.filter((packet) => packet._tag === "Subscribe")
