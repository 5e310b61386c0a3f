/**
 * The session engine: one pure state machine for MQTT 3.1.1 and 5.0. This file assembles its parts, passes each input
 * to them and handles CONNACK and PINGRESP. It does no I/O and reads no clock. The session's engine loop calls it.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import { type Connack, type Packet, pingreq } from "../../Packet.ts"
import type {
  ConsumerRecord,
  InboundRecord,
  OutboundRecord,
  StoreRecord,
  SubscriptionRecord
} from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
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
} from "./contract.ts"
import { EngineCore } from "./core.ts"
import { PacketIdentifiers } from "./identifiers.ts"
import { InboundFlow } from "./inbound.ts"
import { InboundDelivery } from "./inboundDelivery.ts"
import { limitsOf } from "./limits.ts"
import { OutboundFlow } from "./outbound.ts"
import { Router } from "./router.ts"
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

class Engine implements SessionEngine {
  readonly #core: EngineCore
  readonly #outbound: OutboundFlow
  readonly #inbound: InboundFlow
  readonly #subscriptions: Subscriptions
  readonly #subscriptionFlow: SubscriptionFlow
  readonly stats: EngineStats
  /** The server has, or had, a session of ours: session present is possible. */
  #hasSession = false
  #cleanStart = false
  #condemned = false
  /**
   * CONNACK is awaited. `#isUnanswered`: an earlier CONNECT had no answer, so the server may have begun a new session.
   */
  #awaitsConnack = false
  #isUnanswered = false
  /** A PINGREQ is under way. Its answer shows what the server's session knows; nothing is subscribed before. */
  #isProbing = false

  constructor(options: EngineOptions, internals: EngineInternals) {
    const core = new EngineCore(options)
    const router = new Router()
    const identifiers = new PacketIdentifiers<unknown>(internals.firstPacketIdentifier ?? 1)
    this.#core = core
    this.#outbound = new OutboundFlow(core, identifiers)
    this.#inbound = new InboundFlow(core, router)
    this.#subscriptions = new Subscriptions(
      core,
      router,
      {
        onJoin: (consumer, absent) => this.#inbound.handover.joined(consumer, absent),
        onLeave: (consumer, filters, keep) => this.#inbound.handover.left(consumer, filters, keep, core.now),
        onUnsubscribed: (filter) => this.#inbound.handover.unsubscribed(filter)
      }
    )
    this.#subscriptionFlow = new SubscriptionFlow(core, router, identifiers, this.#subscriptions)
    this.stats = new Stats(this.#outbound, this.#inbound, this.#subscriptions)
  }

  get limits(): ServerLimits | undefined {
    return this.#core.limits
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

  restore(records: ReadonlyArray<StoreRecord>, now: number): void {
    this.#core.now = now
    const outbound: Array<OutboundRecord> = []
    const inbound: Array<InboundRecord> = []
    const subscriptions: Array<SubscriptionRecord> = []
    const consumers: Array<ConsumerRecord> = []
    for (const record of records) {
      this.#hasSession = true
      if (record._tag === "Outbound") outbound.push(record)
      else if (record._tag === "Inbound") inbound.push(record)
      else if (record._tag === "Subscription") subscriptions.push(record)
      else if (record._tag === "Consumer") consumers.push(record)
    }
    this.#outbound.restore(outbound)
    this.#inbound.restore(inbound)
    this.#subscriptions.restore(subscriptions, consumers)
  }

  connecting(cleanStart: boolean, receiveMaximum = this.#core.options.receiveMaximum): void {
    this.#cleanStart = cleanStart
    this.#awaitsConnack = true
    this.#core.receiveMaximum = receiveMaximum
  }

  receive(packets: ReadonlyArray<Packet>, now: number): Violation | undefined {
    this.#core.now = now
    let violation: Violation | undefined = undefined
    for (let i = 0; i < packets.length; i++) {
      const packet = packets[i]!
      if (packet._tag === "Connack") violation = this.#onConnack(packet, now)
      else if (this.#core.limits !== undefined && !this.#condemned) violation = this.#onPacket(packet, now)
      if (violation !== undefined) {
        this.#condemned = true
        this.#core.online = false
        break
      }
    }
    this.#outbound.pump(now)
    this.#inbound.slowConsumers.watch(now)
    return violation
  }

  disconnected(now: number, endedByServer?: string, wasAsked = true): void {
    const core = this.#core
    if (this.#awaitsConnack && wasAsked) this.#isUnanswered = true
    this.#awaitsConnack = false
    const giveUp = endedByServer === undefined || core.limits === undefined ? undefined : this.#blame(endedByServer)
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
    const consumer = this.#subscriptions.add(request)
    if (!(consumer instanceof EngineConsumer)) return { _tag: "Refused", reason: consumer }
    this.#inbound.slowConsumers.watch(now)
    return consumer
  }

  removeConsumer(consumer: Consumer, now: number): void {
    this.#core.now = now
    if (consumer instanceof EngineConsumer) this.#subscriptions.remove(consumer)
    this.#inbound.slowConsumers.watch(now)
  }

  forgetConsumer(name: string, now: number): boolean {
    this.#core.now = now
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
    return this.#subscriptions.isSettled(filter)
  }

  unsubscribe(filter: string, now: number): void {
    this.#core.now = now
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
    const outbound = this.#outbound.nextDeadline() ?? Infinity
    const inbound = this.#inbound.nextDeadline() ?? Infinity
    const poison = this.#core.poison.nextDeadline() ?? Infinity
    const next = Math.min(outbound, inbound, poison)
    return next === Infinity ? undefined : next
  }

  tick(now: number): void {
    this.#core.now = now
    this.#core.poison.tick(now)
    this.#outbound.tick(now)
    this.#inbound.tick(now)
    this.#outbound.pump(now)
    this.#inbound.slowConsumers.watch(now)
  }

  /**
   * Blames the oldest unanswered packet for the end of the connection by the server. Answers how to give it up, once
   * its threshold is reached.
   */
  #blame(last: string): (() => void) | undefined {
    const { poison, unwritten } = this.#core
    if (poison.threshold === 0) return undefined
    const message = this.#outbound.oldestUnanswered(unwritten)
    const request = this.#subscriptionFlow.oldestUnanswered(unwritten)
    if (message !== undefined && (request === undefined || message.order < request.order)) {
      return poison.strike(message) ? () => this.#outbound.giveUp(message, last) : undefined
    }
    return request !== undefined && poison.strike(request)
      ? () => this.#subscriptionFlow.giveUp(request, last)
      : undefined
  }

  #flushSubscriptions(): void {
    if (!this.#isProbing) this.#subscriptionFlow.flush()
  }

  #onConnack(packet: Connack, now: number): Violation | undefined {
    const core = this.#core
    if (core.limits !== undefined) return this.#condemned ? undefined : violations.unexpectedPacket("CONNACK")
    this.#condemned = false
    this.#awaitsConnack = false
    // A refused connection never began.
    if (packet.reasonCode !== 0) return undefined
    const cleanStart = this.#cleanStart
    if (packet.sessionPresent && (cleanStart || !this.#hasSession)) return violations.unexpectedSession(cleanStart)
    core.connection++
    core.limits = limitsOf(packet, core.options.protocolVersion)
    core.online = true
    core.writable = true
    core.poison.connected()
    this.#isProbing = false
    this.#outbound.connected()
    this.#inbound.connected()
    if (packet.sessionPresent) {
      this.#outbound.resume(now)
      this.#inbound.resume()
      if (this.#isUnanswered) this.#doubt()
      this.#subscriptions.resume()
      // A new session of the server has no subscriptions, hence sends no messages, until we subscribe. Messages that
      // come before that belong to the session that the store describes.
      if (this.#inbound.isInDoubt) {
        this.#isProbing = true
        core.send(pingreq)
      }
    } else {
      this.#sessionLost(now)
    }
    this.#subscriptions.connected()
    this.#hasSession = true
    this.#cleanStart = false
    this.#isUnanswered = false
    return undefined
  }

  /** The server's session may be a new one, begun by a CONNECT whose CONNACK was lost. */
  #doubt(): void {
    this.#inbound.doubt()
    this.#subscriptions.doubt()
  }

  #sessionLost(now: number): void {
    const unacknowledged = this.#outbound.inflight
    const subscriptions = this.#subscriptions.known
    if (unacknowledged > 0 || subscriptions > 0 || this.#inbound.hasState) {
      this.#core.emit({ _tag: "SessionLost", unacknowledged, subscriptions })
    }
    this.#outbound.sessionLost(now)
    this.#inbound.sessionLost(now)
    this.#subscriptions.sessionLost()
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
        return this.#subscriptionFlow.onSuback(packet, now)
      case "Unsuback":
        return this.#subscriptionFlow.onUnsuback(packet)
      case "Pingresp":
        if (this.#isProbing) this.#inbound.settleDoubt()
        this.#isProbing = false
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
}

// Getters, because callers often need one figure only and some figures have to be counted.
class Stats implements EngineStats {
  readonly #outbound: OutboundFlow
  readonly #inbound: InboundFlow
  readonly #subscriptions: Subscriptions

  constructor(outbound: OutboundFlow, inbound: InboundFlow, subscriptions: Subscriptions) {
    this.#outbound = outbound
    this.#inbound = inbound
    this.#subscriptions = subscriptions
  }

  get queuedMessages(): number {
    return this.#outbound.queuedMessages
  }

  get queuedBytes(): number {
    return this.#outbound.queuedBytes
  }

  get oldestQueuedAt(): number | undefined {
    return this.#outbound.oldestQueuedAt
  }

  get received(): number {
    return this.#inbound.received
  }

  get inflight(): number {
    return this.#outbound.inflight
  }

  get inflightBytes(): number {
    return this.#outbound.inflightBytes
  }

  get heldBytes(): number {
    return this.#inbound.heldBytes
  }

  get isWindowExceeded(): boolean {
    return this.#inbound.isWindowExceeded
  }

  get unacknowledged(): number {
    return this.#inbound.unacknowledged
  }

  get unclaimed(): number {
    return this.#inbound.unclaimed
  }

  get subscriptions(): number {
    return this.#subscriptions.known
  }

  get consumers(): number {
    return this.#subscriptions.consumers
  }

  get pendingSubscriptions(): number {
    return this.#subscriptions.pending
  }
}

/**
 * Makes the engine of one session.
 */
export const makeEngine = (options: EngineOptions, internals: EngineInternals = {}): SessionEngine =>
  new Engine(options, internals)
