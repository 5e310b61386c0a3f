/**
 * One state of a world: the real engine and the real broker core, the packets between them, the store, the consumers,
 * and the ledgers that judge what happens. Its methods are the single steps; which of them may happen is decided in
 * `actions.ts`.
 */
import type {
  Consumer,
  Delivery,
  IndependentOutput,
  Outbound,
  Output,
  PublishRequest,
  SessionEngine
} from "../../src/internal/engine/contract.ts"
import type { Packet, Publish } from "../../src/Packet.ts"
import { none } from "../../src/Properties.ts"
import type { QoS } from "../../src/QoS.ts"
import { keyOf, type StoreRecord } from "../../src/StoreRecord.ts"
import { stored } from "../storedRecords.ts"
import { InboundLedger, type Party } from "./inboundLedger.ts"
import { OutboundLedger } from "./outboundLedger.ts"
import { type Budget, hold, type LimitName, limitsOf, noLimits, type Plan } from "./plan.ts"
import type { OpenBroker, Subject } from "./subject.ts"
import { holds } from "./violation.ts"

export const clientId = "client"
const filter = "s/#"
const day = 86_400_000

/** The payload of a message from the client, which is too large for `smallPackets`; its text ends at the first dot. */
const padded = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(24, "."))
/** The name of a message: `c0` and so on from the client, `s0` and so on from the server. */
export const nameOf = (payload: Uint8Array): string => {
  let name = ""
  for (const byte of payload) {
    if (byte === 46) break
    name += String.fromCharCode(byte)
  }
  return name
}

const indexOf = (payload: Uint8Array): number => Number(nameOf(payload).slice(1))

/** A place for a consumer. */
export interface Slot {
  consumer: Consumer | undefined
  party: Party | undefined
  /** What was handed out and is not acknowledged. */
  pending: Array<Delivery>
}

/** An output whose changes are on their way to the store. */
export interface OpenCommit {
  readonly output: Output
  /** The connection for which it was collected. */
  readonly connection: number | undefined
}

type Left = { -readonly [K in keyof Budget]: number }

export class World {
  readonly plan: Plan
  readonly #subject: Subject
  readonly broker: OpenBroker
  engine: SessionEngine
  now = 1_000_000
  life = 0
  connections = 0
  connection: number | undefined
  /** The engine has the CONNACK of this connection. */
  isAttached = false
  /** Packets of direct publishes, which precede those of the next output. */
  appended: Array<Publish> = []
  toServer: Array<Packet> = []
  toClient: Array<Packet> = []
  readonly records = new Map<string, StoreRecord>()
  commit: OpenCommit | undefined
  readonly slots: Array<Slot>
  readonly left: Left
  /** How many of the planned messages have been published. */
  published = 0
  served = 0
  serial = 0
  hasTimePassed = false
  readonly inbound = new InboundLedger()
  readonly outbound = new OutboundLedger()

  constructor(subject: Subject, plan: Plan) {
    this.plan = plan
    this.#subject = subject
    this.left = { ...plan.budget }
    this.broker = subject.makeBroker({
      enforceKeepAlive: false,
      limits: plan.protocolVersion === 4 ? { receiveMaximum311: plan.options.maxInflight } : {},
      onPublished: ({ payload, publisher }) => {
        if (publisher === clientId) this.outbound.arrived(indexOf(payload))
      },
      onDelivery: ({ clientId: client, message, outcome, reasonCode }) => {
        // A PUBREL that comes again after its PUBCOMP was lost finds nothing any more (MQTT 4.4).
        const isDone = outcome === "Acknowledged" || reasonCode === 0x92
        if (client === clientId) this.inbound.ended(indexOf(message.payload), isDone ? "Acknowledged" : outcome)
      },
      onViolation: ({ detail }) => {
        // The server compares the order of PUBRELs with PUBRECs of older connections too.
        const isKnown = /^PUBREL \d+ is out of order$/.test(detail)
        if (!isKnown) holds(false, "the server finds no fault", () => detail)
      }
    })
    this.engine = subject.makeEngine(plan.options)
    this.slots = plan.slots.map(() => ({ consumer: undefined, party: undefined, pending: [] }))
    this.#begin()
  }

  /** The first connection, with the consumers that are there from the beginning. */
  #begin(): void {
    this.connect(undefined, true)
    this.plan.slots.forEach(({ initial }, index) => initial && this.join(index))
    for (let i = 0; i < 4; i++) this.settle()
    this.records.set("identity", {
      _tag: "Identity",
      format: 1,
      protocolVersion: this.plan.protocolVersion,
      clientId,
      incarnation: "1",
      sessionExpiryInterval: undefined
    })
  }

  /** One round without faults. */
  settle(): void {
    this.take()
    if (this.commit !== undefined) this.endCommit()
    this.carryToServer(Infinity)
    while (this.toClient.length > 0) this.carryToClient()
  }

  publish(qos: QoS, index = this.published++): void {
    // A message that the server chokes on is always the first.
    const request: PublishRequest = {
      topic: "c",
      payload: padded(`c${index}`),
      qos,
      retain: false,
      properties: none,
      topicAlias: 0,
      expiresAfter: this.plan.budget.jumps > 0 ? 60_000 : undefined,
      origin: undefined
    }
    const direct = this.isAttached ? this.engine.direct.publish(request, this.now) : undefined
    if (direct !== undefined) {
      this.appended.push(direct)
      return this.outbound.publishedDirectly(qos, this.engine.direct.appended("c"))
    }
    const admission = this.engine.publish(request, this.now)
    if (admission._tag !== "Accepted") {
      // Refused at once by the limits of the connection: nobody was promised anything.
      this.outbound.published(qos, -1)
      const fact = this.outbound.facts[index]!
      fact.outcome = "NotSupported"
      fact.settlements = 1
      return
    }
    const { outbound } = admission
    this.outbound.published(qos, outbound.sequence)
    outbound.owner = { onAccepted: (one) => this.outbound.accepted(one), onSettled: undefined }
  }

  serve(qos: QoS, index = this.served++): void {
    this.inbound.served(qos)
    const payload = new TextEncoder().encode(`s${index}`)
    const { deliveries } = this.broker.publish({ topic: `s/${index}`, payload, qos }, this.now)
    if (deliveries === 0) this.inbound.ended(index, "without a subscription")
    this.#collect()
  }

  connect(limit: LimitName | undefined, isFirst = false): void {
    const { options, protocolVersion } = this.plan
    if (protocolVersion === 5) this.broker.setLimits(limit === undefined ? noLimits : limitsOf[limit])
    this.connection = ++this.connections
    this.engine.connecting(false)
    this.broker.connectionOpened(this.connection, this.now)
    this.broker.receive(this.connection, [{
      _tag: "Connect",
      protocolVersion,
      clientId,
      // On 3.1.1 a session that begins clean ends with its connection.
      cleanStart: isFirst && protocolVersion === 5,
      keepAlive: 0,
      username: undefined,
      password: undefined,
      will: undefined,
      properties: protocolVersion === 4
        ? none
        : { sessionExpiryInterval: 1_000_000, receiveMaximum: options.receiveMaximum }
    }], this.now)
    this.#collect()
  }

  /** The next packets reach the server, and what it answers is on the way. */
  carryToServer(count: number): void {
    if (this.connection === undefined) return
    for (const packet of this.toServer.splice(0, count)) {
      if (this.plan.poison && packet._tag === "Publish" && packet.payload[1] === 48) return this.cut(0, true)
      this.broker.receive(this.connection, [packet], this.now)
      this.#collect()
    }
  }

  /** The next packet reaches the engine. */
  carryToClient(): void {
    const packet = this.toClient.shift()!
    if (packet._tag === "Publish") this.inbound.arriving(indexOf(packet.payload))
    const violation = this.engine.receive([packet], this.now)
    if (violation !== undefined) holds(false, "the engine finds no fault", () => violation.detail)
    if (packet._tag !== "Connack") return
    this.isAttached = true
    for (const slot of this.slots) slot.pending = slot.pending.filter(({ stale }) => !stale)
  }

  /** The connection ends; the first packets that were on the way to the server still arrive. */
  cut(arriving: number, byServer = false): void {
    this.carryToServer(arriving)
    const { connection } = this
    if (connection === undefined) return
    this.broker.connectionClosed(connection, this.now)
    this.engine.direct.returned(this.appended, this.now)
    this.#disconnected()
    this.engine.disconnected(this.now, byServer ? "closed" : undefined)
    this.#collect()
  }

  #disconnected(): void {
    this.connection = undefined
    this.isAttached = false
    this.appended = []
    this.toServer = []
    this.toClient = []
  }

  /**
   * Takes what the engine has to do: at once, or as a commit that begins. While one is on its way only what needs none
   * is handed out.
   */
  take(): void {
    this.#writeDirect()
    if (this.commit !== undefined) {
      const independent = this.engine.takeIndependent()
      if (independent !== undefined) this.#handOut(independent)
      return
    }
    const output = this.engine.take()
    if (output === undefined) return
    this.inbound.taken()
    for (const { consumer, delivery } of output.deliveries) this.#routed(consumer, delivery)
    if (output.changes.length === 0) {
      this.inbound.committed(this.#storedNames)
      this.send({ output, connection: this.connection })
      return this.handOut(output)
    }
    holds(this.plan.durable, "nothing is left behind", () => "a change of a store that is not there")
    const independent = this.engine.takeIndependent(output)
    this.commit = { output, connection: this.connection }
    if (independent !== undefined) this.#handOut(independent)
  }

  #writeDirect(): void {
    if (this.appended.length === 0) return
    for (const packet of this.appended.splice(0)) {
      this.toServer.push(packet)
      this.outbound.written(indexOf(packet.payload))
    }
    this.engine.direct.written()
  }

  store({ changes }: Output): void {
    for (const change of changes) {
      if (change._tag === "Put") this.records.set(keyOf(change.record), change.record)
      else this.records.delete(change.key)
    }
    this.inbound.committed(this.#storedNames)
  }

  send({ connection, output: { packets } }: OpenCommit): void {
    if (this.connection === undefined || !this.isAttached || connection !== this.connection) return
    for (const packet of packets) {
      this.toServer.push(packet)
      if (packet._tag === "Publish" && packet.qos === 0) this.outbound.written(indexOf(packet.payload))
    }
    this.engine.written()
  }

  handOut(output: Output): void {
    for (const outbound of output.accepted) outbound.owner?.onAccepted?.(outbound)
    this.#handOut(output)
  }

  endCommit(): void {
    const { commit } = this
    this.commit = undefined
    this.store(commit!.output)
    this.send(commit!)
    this.handOut(commit!.output)
  }

  /** The process dies; the next one begins with what the store has. */
  restart(unheard: ReadonlyArray<Outbound>): void {
    this.commit = undefined
    this.serial = 0
    this.inbound.died()
    this.outbound.died(unheard)
    for (const slot of this.slots) {
      slot.consumer = undefined
      slot.party = undefined
      slot.pending = []
    }
    const { connection } = this
    if (connection !== undefined) this.broker.connectionClosed(connection, this.now)
    this.#disconnected()
    this.engine = this.#subject.makeEngine({ ...this.plan.options, life: `${++this.life}` })
    const { queued, records } = stored(this.records.values())
    this.engine.restore(records, this.now, queued)
  }

  join(index: number): void {
    const slot = this.slots[index]!
    const { name } = this.plan.slots[index]!
    const sole = name === undefined && this.plan.slots.length === 1 ? "the consumer" : undefined
    const party: Party = { serial: this.serial++, name, sole }
    this.inbound.joined(party)
    const consumer = this.engine.addConsumer({
      filters: [filter],
      qos: 2,
      noLocal: false,
      retainAsPublished: false,
      retained: "none",
      keep: false,
      name
    }, this.now)
    if ("_tag" in consumer) throw consumer.reason
    consumer.owner = index
    slot.consumer = consumer
    slot.party = party
  }

  leave(index: number): void {
    const slot = this.slots[index]!
    this.inbound.left(slot.party!, this.serial, true)
    this.engine.removeConsumer(slot.consumer!, this.now)
    slot.consumer = undefined
    slot.party = undefined
    slot.pending = []
  }

  forget(index: number): void {
    const name = this.plan.slots[index]!.name!
    this.inbound.forgotten(name, this.slots[index]!.party)
    this.engine.forgetConsumer(name, this.now)
  }

  acknowledge(index: number, position: number): void {
    const { consumer, party, pending } = this.slots[index]!
    const [delivery] = pending.splice(position, 1)
    this.engine.acknowledge(consumer!, delivery!, this.now)
    if (delivery!.message.qos > 0) this.inbound.finish(indexOf(delivery!.message.payload), party!)
  }

  loseSession(): void {
    this.broker.forgetSession(clientId)
    this.outbound.sessionLost()
  }

  wait(): void {
    this.now += hold
    this.hasTimePassed = true
    this.inbound.waited()
    this.engine.tick(this.now)
  }

  jump(): void {
    this.engine.epochOffset += day
    this.engine.tick(this.now)
  }

  get #storedNames(): ReadonlySet<string> {
    const names = new Set<string>(this.plan.durable ? [] : this.inbound.names.keys())
    for (const record of this.records.values()) if (record._tag === "Consumer") names.add(record.name)
    return names
  }

  #routed(consumer: Consumer, { message }: Delivery): void {
    const slot = this.slots[consumer.owner as number]!
    if (slot.consumer === consumer) this.inbound.routed(indexOf(message.payload), slot.party!)
  }

  #handOut({ deliveries, events, settled }: IndependentOutput): void {
    for (const outbound of settled) this.outbound.settled(outbound, this.hasTimePassed)
    for (const { consumer, delivery } of deliveries) {
      const slot = this.slots[consumer.owner as number]!
      if (slot.consumer !== consumer) continue
      const index = indexOf(delivery.message.payload)
      this.inbound.routed(index, slot.party!)
      this.inbound.handedOut(index, slot.party!, delivery.use)
      slot.pending.push(delivery)
    }
    for (const event of events) {
      if (event._tag !== "UnclaimedDropped") continue
      const isDue = this.hasTimePassed || event.message.qos === 0 || this.plan.budget.forgets > 0
      holds(isDue, "time is monotonic", () => `${nameOf(event.message.payload)} was given up at once`)
      this.inbound.dropped(indexOf(event.message.payload))
    }
  }

  /**
   * What the server sends, and the identifiers that it takes next: the lowest that are free, so that they are used
   * again.
   */
  #collect(): void {
    const session = this.broker.state.sessions.get(clientId)
    if (session !== undefined) session.nextPacketIdentifier = 1
    for (const { close, connection, packets } of this.broker.take()) {
      holds(!close, "the server finds no fault", () => "it closes the connection")
      if (connection === this.connection) this.toClient.push(...packets)
    }
  }
}
