/**
 * The session engine: one pure state machine for MQTT 3.1.1 and 5.0. This file assembles its parts and passes each
 * input to them. It does no I/O and reads no clock. The session's engine loop calls it.
 *
 * Size: its one class has a method for each input and nothing else.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { Connack, Packet } from "../../Packet.ts"
import type {
  ConsumerRecord,
  InboundRecord,
  OutboundRecord,
  StoreRecord,
  SubscriptionRecord
} from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { QueuedRecords } from "../store/queuedRecords.ts"
import type {
  Admission,
  Consumer,
  ConsumerRequest,
  Delivery,
  Direct,
  EngineOptions,
  EngineStats,
  IndependentOutput,
  NamedConsumer,
  Outbound,
  Output,
  PublishRequest,
  ServerLimits,
  SessionEngine
} from "./contract.ts"
import { EngineCore } from "./core.ts"
import { Stats } from "./engineStats.ts"
import { PacketIdentifiers } from "./identifiers.ts"
import { InboundFlow } from "./inbound.ts"
import { InboundDelivery } from "./inboundDelivery.ts"
import { OutboundFlow } from "./outbound.ts"
import { Router } from "./router.ts"
import { ServerSession } from "./serverSession.ts"
import { EngineConsumer } from "./subscriptionEntry.ts"
import { SubscriptionFlow } from "./subscriptionFlow.ts"
import { Subscriptions } from "./subscriptions.ts"
import * as violations from "./violations.ts"

/**
 * Settings for tests, in addition to the options.
 */
export interface EngineInternals {
  readonly firstPacketIdentifier?: number
}

export class Engine implements SessionEngine {
  readonly #core: EngineCore
  readonly #outbound: OutboundFlow
  readonly #inbound: InboundFlow
  readonly #subscriptions: Subscriptions
  readonly #subscriptionFlow: SubscriptionFlow
  readonly #serverSession: ServerSession
  readonly direct: Direct
  readonly stats: EngineStats
  /** The peer of this connection has violated the protocol. */
  #isCondemned = false

  constructor(options: EngineOptions, internals: EngineInternals) {
    const core = new EngineCore(options)
    const router = new Router()
    const identifiers = new PacketIdentifiers<unknown>(internals.firstPacketIdentifier ?? 1)
    this.#core = core
    this.#outbound = new OutboundFlow(core, identifiers, () => this.#flushSubscriptions())
    this.direct = this.#outbound.direct
    this.#inbound = new InboundFlow(core, router)
    this.#subscriptions = new Subscriptions(core, router, this.#inbound.handover)
    this.#subscriptionFlow = new SubscriptionFlow(core, router, identifiers, this.#subscriptions)
    this.#serverSession = new ServerSession(core, this.#outbound, this.#inbound, this.#subscriptions)
    this.stats = new Stats(core, this.#outbound.messages, this.#inbound, this.#subscriptions)
  }

  get limits(): ServerLimits | undefined {
    return this.#core.limits
  }

  get canHandOut(): boolean {
    return this.#core.canHandOut && !this.direct.hasAny
  }

  get epochOffset(): number {
    return this.#core.epochOffset
  }

  set epochOffset(offset: number) {
    this.#core.epochOffset = offset
  }

  take(): Output | undefined {
    this.#flushSubscriptions()
    this.#outbound.pump(this.#core.now)
    const output = this.#core.take()
    if (output !== undefined) this.#outbound.takenOutput()
    return output
  }

  takeIndependent(output?: Output): IndependentOutput | undefined {
    return this.#core.takeIndependent(output)
  }

  written(): void {
    this.#core.taken = undefined
    this.#outbound.written()
  }

  partlyWritten(count: number, failure: MqttErrorReason | undefined): void {
    this.#outbound.partlyWritten(count, failure)
  }

  setWritable(writable: boolean, now: number): void {
    this.#core.now = now
    this.#core.writable = writable
    if (writable) this.#outbound.pump(now)
  }

  restore(records: ReadonlyArray<StoreRecord>, now: number, queued?: QueuedRecords): void {
    this.#core.now = now
    const outbound: Array<OutboundRecord> = []
    const inbound: Array<InboundRecord> = []
    const subscriptions: Array<SubscriptionRecord> = []
    const consumers: Array<ConsumerRecord> = []
    for (const record of records) {
      if (record._tag === "Outbound") outbound.push(record)
      else if (record._tag === "Inbound") inbound.push(record)
      else if (record._tag === "Subscription") subscriptions.push(record)
      else if (record._tag === "Consumer") consumers.push(record)
    }
    if (records.length > 0 || (queued?.size ?? 0) > 0) this.#serverSession.restored(records)
    this.#subscriptions.table.changed()
    this.#outbound.messages.restore(outbound, queued)
    this.#inbound.restore(inbound)
    this.#subscriptions.table.restore(subscriptions)
    this.#subscriptions.restore(consumers)
  }

  connecting(cleanStart: boolean, receiveMaximum = this.#core.options.receiveMaximum): void {
    this.#subscriptions.table.changed()
    this.#serverSession.connecting(cleanStart)
    this.#core.receiveMaximum = receiveMaximum
  }

  receive(packets: ReadonlyArray<Packet>, now: number): Violation | undefined {
    this.#core.now = now
    let violation: Violation | undefined = undefined
    for (let i = 0; i < packets.length; i++) {
      const packet = packets[i]!
      if (packet._tag === "Connack") violation = this.#onConnack(packet, now)
      else if (this.#core.limits !== undefined && !this.#isCondemned) violation = this.#onPacket(packet, now)
      if (violation !== undefined) {
        this.#isCondemned = true
        this.#core.online = false
        break
      }
    }
    this.#outbound.pump(now)
    this.#inbound.slowConsumers.watch(now)
    return violation
  }

  disconnected(now: number, endedByServer?: string, wasAsked = true, isOverQuota = false): void {
    const core = this.#core
    this.#subscriptions.table.changed()
    this.#serverSession.disconnected(wasAsked)
    const giveUp = endedByServer === undefined || core.limits === undefined
      ? undefined
      : this.#blame(endedByServer, isOverQuota)
    core.now = now
    core.limits = undefined
    core.online = false
    core.output.packets.length = 0
    this.#outbound.disconnected(now)
    this.#inbound.disconnected()
    this.#subscriptionFlow.disconnected()
    core.poison.disconnected(endedByServer !== undefined)
    giveUp?.()
  }

  publish(request: PublishRequest, now: number): Admission {
    this.#core.now = now
    // Subscriptions go out before later publishes: a program that subscribes and then publishes gets its own message.
    this.#flushSubscriptions()
    return this.#outbound.publish(request, now)
  }

  withdraw(outbound: Outbound, now: number): boolean {
    this.#core.now = now
    return this.#outbound.withdraw(outbound)
  }

  reject(output: Output | undefined, reason: MqttErrorReason, now: number): ReadonlyArray<string> {
    this.#core.now = now
    return this.#outbound.reject(output, reason)
  }

  abandon(reason: MqttErrorReason, now: number): void {
    this.#core.now = now
    this.#outbound.abandon(reason)
  }

  addConsumer(
    request: ConsumerRequest,
    now: number
  ): Consumer | { readonly _tag: "Refused"; readonly reason: MqttErrorReason } {
    this.#core.now = now
    this.#subscriptions.table.changed()
    const consumer = this.#subscriptions.add(request)
    if (!(consumer instanceof EngineConsumer)) return { _tag: "Refused", reason: consumer }
    this.#inbound.slowConsumers.watch(now)
    return consumer
  }

  removeConsumer(consumer: Consumer, now: number): void {
    this.#core.now = now
    this.#subscriptions.table.changed()
    if (consumer instanceof EngineConsumer) this.#subscriptions.remove(consumer)
    this.#inbound.slowConsumers.watch(now)
  }

  forgetConsumer(name: string, now: number): boolean {
    this.#core.now = now
    this.#subscriptions.table.changed()
    const isKnown = this.#subscriptions.forget(name)
    this.#inbound.slowConsumers.watch(now)
    return isKnown
  }

  namedConsumers(): ReadonlyArray<NamedConsumer> {
    return Array.from(this.#subscriptions.named, (consumer) => ({
      name: consumer.name!,
      filters: consumer.filters,
      isAbsent: consumer.state === "absent",
      unfinished: this.#inbound.handover.unfinishedBy(consumer).length
    }))
  }

  inboundUse(packetIdentifier: number): string | undefined {
    return this.#inbound.useOf(packetIdentifier)
  }

  isSettled(filter: string): boolean {
    return this.#subscriptions.table.isSettled(filter)
  }

  unsubscribe(filter: string, now: number): void {
    this.#core.now = now
    this.#subscriptions.table.changed()
    this.#subscriptions.unsubscribe(filter)
  }

  acknowledge(consumer: Consumer, delivery: Delivery, now: number, reasonCode = 0): void {
    this.#core.now = now
    if (!(consumer instanceof EngineConsumer) || !(delivery instanceof InboundDelivery)) return
    this.#inbound.acknowledge(consumer, delivery, reasonCode)
    this.#inbound.slowConsumers.watch(now)
  }

  nextDeadline(): number | undefined {
    // More can be sent than one output holds: due now.
    if (this.#outbound.hasMore) return this.#core.now
    const outbound = this.#outbound.messages.queue.nextDeadline() ?? Infinity
    const inbound = this.#inbound.nextDeadline() ?? Infinity
    const poison = this.#core.poison.nextDeadline() ?? Infinity
    const subscriptions = this.#subscriptionFlow.nextDeadline() ?? Infinity
    const next = Math.min(outbound, inbound, poison, subscriptions)
    return next === Infinity ? undefined : next
  }

  tick(now: number): void {
    this.#core.now = now
    this.#subscriptions.table.changed()
    this.#core.poison.tick(now)
    this.#subscriptionFlow.tick(now)
    this.#outbound.messages.queue.tick(now)
    this.#inbound.tick(now)
    this.#outbound.pump(now)
    this.#inbound.slowConsumers.watch(now)
  }

  /**
   * Blames the oldest unanswered packet for the end of the connection by the server. Answers how to give it up, once
   * its threshold is reached.
   */
  #blame(last: string, isOverQuota: boolean): (() => void) | undefined {
    const { poison, unwritten } = this.#core
    const message = this.#outbound.oldestUnanswered(unwritten)
    const request = this.#subscriptionFlow.oldestUnanswered(unwritten)
    if (message !== undefined && (request === undefined || message.order < request.order)) {
      // A quota of messages passes with time, so none of them is given up over it.
      if (poison.threshold === 0 || isOverQuota) return undefined
      return poison.strike(message) ? () => this.#outbound.giveUp(message, last) : undefined
    }
    // Fewer filters in a packet are tried before a filter is blamed.
    if (request === undefined || this.#subscriptionFlow.sendFewer(request) || poison.threshold === 0) return undefined
    return poison.strike(request) ? () => this.#subscriptionFlow.giveUp(request, last) : undefined
  }

  #flushSubscriptions(): void {
    if (!this.#serverSession.isProbing) this.#subscriptionFlow.flush()
  }

  #onConnack(packet: Connack, now: number): Violation | undefined {
    if (this.#core.limits !== undefined) return this.#isCondemned ? undefined : violations.unexpectedPacket("CONNACK")
    this.#isCondemned = false
    this.#subscriptions.table.changed()
    return this.#serverSession.onConnack(packet, now)
  }

  #onPacket(packet: Packet, now: number): Violation | undefined {
    switch (packet._tag) {
      case "Publish":
        return this.#inbound.onPublish(packet, now)
      case "Puback":
        return this.#outbound.handshake.onPuback(packet)
      case "Pubrec":
        return this.#outbound.handshake.onPubrec(packet)
      case "Pubrel":
        this.#inbound.onPubrel(packet)
        return undefined
      case "Pubcomp":
        return this.#outbound.handshake.onPubcomp(packet)
      case "Suback":
        this.#subscriptions.table.changed()
        return this.#subscriptionFlow.onSuback(packet, now)
      case "Unsuback":
        this.#subscriptions.table.changed()
        return this.#subscriptionFlow.onUnsuback(packet, now)
      case "Pingresp":
        this.#serverSession.onPingresp()
        this.#core.poison.ponged()
        return undefined
      case "Connack":
      case "Disconnect":
      case "Auth":
        return undefined
      case "Connect":
      case "Subscribe":
      case "Unsubscribe":
      case "Pingreq":
        return violations.unexpectedPacket(packet._tag.toUpperCase())
    }
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { serverSession: this.#serverSession, flow: this.#subscriptionFlow, isCondemned: this.#isCondemned }
  }

  set privateState({ isCondemned }) {
    this.#isCondemned = isCondemned
  }
}

/**
 * Makes the engine of one session.
 */
export const makeEngine = (options: EngineOptions, internals: EngineInternals = {}): SessionEngine =>
  new Engine(options, internals)
