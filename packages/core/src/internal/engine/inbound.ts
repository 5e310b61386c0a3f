/**
 * The receiver of the engine: the QoS 1 and QoS 2 handshakes (MQTT 4.3) and acknowledgements in the order of arrival
 * (MQTT 4.6). It also decides what happens when consumers are slow, have left, or have not come yet. It
 * acknowledges no message that a consumer still has to finish, except with `onAckDeadline: "acknowledge"`. `engine.ts`
 * calls it.
 */
import { Message } from "../../Message.ts"
import type { Publish, Pubrel } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import { inboundKey, type InboundRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import { weighPublish } from "../codec/weigh.ts"
import * as Topic from "../topics.ts"
import { AcknowledgementQueue } from "./acknowledgements.ts"
import type { EngineEvent } from "./contract.ts"
import { type EngineCore, retainInPlace } from "./core.ts"
import { Departed, HeldMessages } from "./heldMessages.ts"
import { Exchange, InboundDelivery } from "./inboundDelivery.ts"
import type { Router } from "./router.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"
import type { Keep } from "./subscriptions.ts"
import { InboundAliases } from "./topicAliases.ts"
import * as violations from "./violations.ts"

/** A window that stays full for this long, in milliseconds, was not just filled by one burst. */
const fullWindowGrace = 1000

/**
 * The receiver.
 */
export class InboundFlow {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #aliases: InboundAliases
  readonly #held: HeldMessages
  readonly #pubacks = new AcknowledgementQueue<InboundDelivery>()
  readonly #pubrecs = new AcknowledgementQueue<Exchange>()
  /** Packet identifiers of QoS 2 that the server has not released with PUBREL. */
  #exchanges: Map<number, Exchange> | undefined
  /** QoS 1 deliveries of a lost connection, until it is known whether the server sends them again. */
  #interrupted: Array<InboundDelivery> = []
  /**
   * Stale QoS 1 deliveries by packet identifier, with the consumers that have not finished them, until the server has
   * sent them again.
   */
  #awaited: Map<number, InboundDelivery> | undefined
  /** Deliveries that need no acknowledgement: the session was lost, or the server released the identifier early. */
  #detached: Set<InboundDelivery> | undefined
  /** Places taken in the receive window of this connection. PUBACK, PUBCOMP or a refusing PUBREC frees a place. */
  #window = 0
  #sequence = 0
  #uses = 0
  /** Number of PUBLISH packets received. */
  received = 0
  #reconnectWanted = false
  /** The server has exceeded the receive maximum on this connection, and the event was emitted. */
  #isExceeded = false

  constructor(core: EngineCore, router: Router) {
    this.#core = core
    this.#router = router
    this.#aliases = new InboundAliases(core.options.topicAliasMaximum)
    this.#held = new HeldMessages(core.options.unclaimed)
  }

  get unacknowledged(): number {
    return this.#pubacks.size + this.#pubrecs.size
  }

  get heldBytes(): number {
    return this.#core.heldBytes
  }

  /**
   * Whether only the network can hold the server back: always on 3.1.1, and on MQTT 5 when the server ignores the
   * receive maximum. Messages that wait for PUBREL do not count, because the server has to act next.
   */
  get isWindowExceeded(): boolean {
    const { isVersion5, receiveMaximum } = this.#core
    return this.unacknowledged > receiveMaximum || (!isVersion5 && this.unacknowledged === receiveMaximum)
  }

  get unclaimed(): number {
    return this.#held.size
  }

  /** Whether the loss of the session would lose state here. */
  get hasState(): boolean {
    return (this.#exchanges?.size ?? 0) > 0 || this.#interrupted.length > 0
  }

  restore(records: ReadonlyArray<InboundRecord>): void {
    for (const { acknowledged, finished, packetIdentifier, use } of records) {
      const exchange = new Exchange(packetIdentifier, use === "" ? this.#nextUse() : use)
      exchange.done = acknowledged
      if (finished.length > 0) exchange.finished = [...finished]
      this.#exchanges ??= new Map()
      exchange.isRestored = true
      this.#exchanges.set(packetIdentifier, exchange)
    }
  }

  connected(): void {
    this.#aliases.clear()
    this.#isExceeded = false
    this.#reconnectWanted = false
  }

  /** There are restored packet identifiers that the server has not mentioned since. */
  get isInDoubt(): boolean {
    for (const { isRestored } of this.#exchanges?.values() ?? []) if (isRestored) return true
    return false
  }

  /** The server may have lost the session without the client knowing. */
  doubt(): void {
    for (const exchange of this.#exchanges?.values() ?? []) exchange.isRestored = true
  }

  /**
   * The server has sent again all that it has to, unless our receive maximum stopped it. Identifiers that it has not
   * mentioned belong to a lost session. Such records remain when a process dies between CONNACK and its commit.
   */
  settleDoubt(): void {
    if (this.#window >= this.#core.receiveMaximum) return
    for (const exchange of this.#exchanges?.values() ?? []) if (exchange.isRestored) this.#forget(exchange)
  }

  #forget(exchange: Exchange): void {
    if (exchange.delivery !== undefined) this.#detach(exchange.delivery)
    this.#end(exchange)
  }

  /** The server sends again what is not acknowledged: QoS 1 as new messages, QoS 2 under the known identifiers. */
  resume(): void {
    const { output, taken } = this.#core
    for (const delivery of this.#interrupted) {
      if (delivery.done) continue
      delivery.stale = true
      this.#core.heldBytes -= delivery.bytes
      this.#await(delivery)
    }
    if (this.#interrupted.length > 0) {
      this.#interrupted = []
      this.#held.forgetStale()
      retainInPlace(output.deliveries, ({ delivery }) => !delivery.stale)
      if (taken !== undefined) retainInPlace(taken.deliveries, ({ delivery }) => !delivery.stale)
    }
  }

  /** The server has no state. Messages on their way to consumers stay there, and are not acknowledged. */
  sessionLost(now: number): void {
    for (const delivery of this.#awaited?.values() ?? []) this.#held.forget(delivery)
    this.#awaited = undefined
    this.#held.sessionLost(now)
    for (const delivery of this.#interrupted) this.#detach(delivery)
    this.#interrupted = []
    for (const exchange of this.#exchanges?.values() ?? []) {
      exchange.released = true
      if (exchange.delivery !== undefined) this.#detach(exchange.delivery)
      if (this.#core.options.durable) this.#core.delete(inboundKey(exchange.packetIdentifier))
    }
    this.#exchanges = undefined
  }

  disconnected(): void {
    this.#pubacks.forEachPending((delivery) => this.#interrupted.push(delivery))
    this.#pubacks.clear()
    this.#pubrecs.clear()
    this.#window = 0
  }

  onPublish(packet: Publish, now: number): Violation | undefined {
    this.received++
    let { topic } = packet
    const { topicAlias } = packet.properties
    if (topicAlias !== undefined) {
      const resolved = this.#aliases.resolve(topicAlias, topic)
      if (typeof resolved !== "string") return resolved
      topic = resolved
    } else if (topic === "") {
      return violations.topicMissing
    }
    switch (packet.qos) {
      case 0:
        this.#receive(packet, topic, undefined, now)
        return undefined
      case 1: {
        const violation = this.#occupy()
        if (violation === undefined) this.#receive(packet, topic, undefined, now)
        return violation
      }
      case 2:
        return this.#onPublishQoS2(packet, topic, now)
    }
  }

  onPubrel({ packetIdentifier }: Pubrel): void {
    const core = this.#core
    const exchange = this.#exchanges?.get(packetIdentifier)
    let reasonCode = 0
    if (exchange === undefined) {
      core.emit({ _tag: "UnknownPacketIdentifier", packet: "Pubrel", packetIdentifier })
      if (core.isVersion5) reasonCode = 0x92
    } else {
      this.#forget(exchange)
      this.#flushPubrecs()
    }
    core.send({ _tag: "Pubcomp", packetIdentifier, reasonCode, properties: none })
  }

  acknowledge(consumer: EngineConsumer, delivery: InboundDelivery, reasonCode: number): void {
    // A consumer that has left may still finish a delivery, until a successor takes the message.
    if (!delivery.remove(consumer) && !this.#held.finished(consumer, delivery)) return
    delivery.answer(reasonCode)
    if (!delivery.isOwed) return this.#completeOnce(delivery)
    const { exchange } = delivery
    const { name } = consumer
    if (exchange === undefined || name === undefined || exchange.released || delivery.done) return
    // Other consumers have not finished: after a restart only they get the message again.
    exchange.finished = [...exchange.finished ?? [], name]
    this.#put(exchange)
  }

  /**
   * A consumer has joined. It gets the messages that wait for any consumer, and those of the absent consumer whose name
   * it has. Messages of the absent one that no filter of the new one matches count as finished.
   */
  joined(consumer: EngineConsumer, absent: EngineConsumer | undefined): void {
    const claimed = [...this.#held.claim((delivery) => {
      const { message: { properties, topic } } = delivery
      return !delivery.has(consumer) && !hasFinished(consumer, delivery.exchange) &&
        this.#router.claims(consumer, topic, properties.subscriptionIdentifiers)
    })]
    if (claimed.length > 0) this.#held.expectConsumer()
    if (absent !== undefined) {
      const isClaimed = new Set(claimed)
      for (const delivery of this.#unfinishedBy(absent)) {
        delivery.remove(absent)
        if (isClaimed.has(delivery)) continue
        const { topic } = delivery.message
        if (consumer.request.filters.some((filter) => Topic.matches(filter, topic))) claimed.push(delivery)
        else if (!delivery.isOwed) this.#completeOnce(delivery)
      }
      claimed.sort((a, b) => a.sequence - b.sequence)
    }
    for (const delivery of claimed) {
      delivery.add(consumer)
      // A stale delivery reaches it when the server sends the message again.
      if (!delivery.stale) this.#core.output.deliveries.push({ consumer, delivery })
    }
  }

  /** A consumer has left. Its unfinished deliveries are held for its successor. */
  abandonedBy(consumer: EngineConsumer, filters: ReadonlyArray<string>, keep: Keep, now: number): void {
    const left: Array<InboundDelivery> = []
    for (const delivery of this.#unfinishedBy(consumer)) {
      delivery.remove(consumer)
      if (!delivery.isRetainedCopy) left.push(delivery)
      else if (!delivery.isOwed) this.#completeOnce(delivery)
    }
    const hold = keep === "session" ? Infinity : keep === "hold" ? this.#held.holdMillis : 0
    if (hold <= 0) return this.#giveUp(left)
    if (left.length > 0) this.#held.expectConsumer()
    this.#held.leave(left, new Departed(consumer, filters), now + hold)
  }

  /** A subscription was ended. The messages that its former consumers left unfinished are given up. */
  unsubscribed(filter: string): void {
    this.#giveUp(this.#held.unsubscribed(filter))
  }

  useOf(packetIdentifier: number): string | undefined {
    return this.#exchanges?.get(packetIdentifier)?.use
  }

  /** Number of deliveries that a consumer has not finished. */
  unfinishedBy(consumer: EngineConsumer): number {
    return this.#unfinishedBy(consumer).length
  }

  /** The engine calls it after every input. */
  watch(now: number): void {
    const isFull = this.#windowIsFull
    this.#pubacks.watch(now, isFull)
    this.#pubrecs.watch(now, isFull)
  }

  nextDeadline(): number | undefined {
    const deadlines = [this.#held.nextDeadline(), this.#deadlineOf(this.#pubacks), this.#deadlineOf(this.#pubrecs)]
    let next: number | undefined = undefined
    for (const deadline of deadlines) {
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline
    }
    return next
  }

  tick(now: number): void {
    this.#giveUp(this.#held.expire(now))
    this.watch(now)
    this.#tickQueue(this.#pubacks, now)
    this.#tickQueue(this.#pubrecs, now)
  }

  get #windowIsFull(): boolean {
    return this.#core.isVersion5 && this.#window >= this.#core.receiveMaximum
  }

  /**
   * Takes a place in the window. A server may exceed the receive maximum as long as memory allows it. Some do:
   * mosquitto 2.0, for example, when a backlog or many retained messages leave at once.
   */
  #occupy(): Violation | undefined {
    const core = this.#core
    if (this.#windowIsFull) {
      if (core.heldBytes > core.options.inboundLimit) return violations.receiveMaximumExceeded(core.receiveMaximum)
      if (!this.#isExceeded) {
        this.#isExceeded = true
        core.emit({ _tag: "ReceiveMaximumExceeded", receiveMaximum: core.receiveMaximum })
      }
    }
    this.#window++
    return undefined
  }

  /** Sends at most one PUBREC per connection, however often the server repeats PUBLISH. */
  #queuePubrec(exchange: Exchange): void {
    const { connection } = this.#core
    if (exchange.queuedOn === connection) return
    exchange.queuedOn = connection
    this.#pubrecs.push(exchange)
  }

  #onPublishQoS2(packet: Publish, topic: string, now: number): Violation | undefined {
    const { connection } = this.#core
    let exchange = this.#exchanges?.get(packet.packetIdentifier)
    if (exchange?.isRestored === true) {
      // A restored identifier says nothing about a message that is not marked as a redelivery [MQTT-3.3.1-1].
      if (packet.dup) {
        exchange.isRestored = false
      } else {
        this.#forget(exchange)
        exchange = undefined
      }
    }
    if (exchange?.connection !== connection) {
      const violation = this.#occupy()
      if (violation !== undefined) return violation
      if (exchange !== undefined) exchange.connection = connection
    }
    if (exchange !== undefined && (exchange.done || exchange.delivery !== undefined)) {
      // Known: its consumers have it, or had it. Only PUBREC is due again, in its place in the order.
      this.#queuePubrec(exchange)
      this.#flushPubrecs()
      return undefined
    }
    if (exchange === undefined) {
      exchange = new Exchange(packet.packetIdentifier, this.#nextUse())
      exchange.connection = connection
      this.#exchanges ??= new Map()
      this.#exchanges.set(packet.packetIdentifier, exchange)
    }
    this.#put(exchange)
    this.#receive(packet, topic, exchange, now)
    return undefined
  }

  #receive(packet: Publish, topic: string, exchange: Exchange | undefined, now: number): void {
    const { packetIdentifier, properties, qos, retain } = packet
    const fate = this.#router.route(topic, properties.subscriptionIdentifiers, retain, now)
    if (qos === 0 && fate === "covered") return
    const message = new Message({
      topic,
      payload: packet.payload,
      qos,
      retain,
      dup: packet.dup,
      properties,
      session: this.#core.options.session,
      receivedAt: Math.round(now + this.#core.epochOffset)
    })
    const { targets } = this.#router
    const isRetainedCopy = retain && fate === "targets" && !targets[0]!.request.retainAsPublished
    const delivery = new InboundDelivery(
      message,
      now,
      packetIdentifier,
      weighPublish(packet),
      this.#sequence++,
      isRetainedCopy,
      exchange
    )
    if (qos !== 0) this.#core.heldBytes += delivery.bytes
    if (exchange !== undefined) {
      exchange.delivery = delivery
      this.#queuePubrec(exchange)
    } else if (qos === 1) {
      this.#pubacks.push(delivery)
      this.#redelivered(delivery)
    }
    switch (fate) {
      case "targets":
        return this.#deliver(delivery)
      case "covered":
        return this.#complete(delivery)
      case "unclaimed":
        if (qos === 0) this.#core.emit({ _tag: "UnclaimedDropped", message })
        else if (delivery.vacancies === 0) {
          this.#giveUp(this.#held.hold(delivery, now, this.#core.receiveMaximum, this.#core.options.inboundLimit / 2))
        }
    }
  }

  /**
   * The server sent a QoS 1 message under the identifier of a stale delivery. If it is the same message (MQTT 4.4), it
   * takes the place of the stale one for the successors of the consumers that left.
   */
  #redelivered(delivery: InboundDelivery): void {
    const stale = this.#awaited?.get(delivery.packetIdentifier)
    if (stale === undefined) return
    this.#awaited!.delete(delivery.packetIdentifier)
    if (stale.vacancies === 0) return
    if (delivery.message.dup) this.#held.redelivered(stale, delivery)
    else this.#held.forget(stale)
  }

  /** Keeps which consumers have not finished a message that the server will send again, without its payload. */
  #await(delivery: InboundDelivery): void {
    const stub = delivery.toStub()
    if (delivery.vacancies > 0) this.#held.redelivered(delivery, stub)
    this.#awaited ??= new Map()
    this.#awaited.set(delivery.packetIdentifier, stub)
  }

  /** Delivers to the consumers that the router found. Absent ones get the message when they come back. */
  #deliver(delivery: InboundDelivery): void {
    const { deliveries } = this.#core.output
    const { count, targets } = this.#router
    const { exchange, message } = delivery
    let isHandedOut = false
    // A plain loop: this runs for every message that arrives.
    for (let i = 0; i < count; i++) {
      const consumer = targets[i]!
      const isAbsent = consumer.state === "absent"
      if (message.qos !== 0) {
        if (exchange?.finished !== undefined && hasFinished(consumer, exchange)) continue
        delivery.add(consumer)
      }
      if (isAbsent) continue
      isHandedOut = true
      deliveries.push({ consumer, delivery })
    }
    if (isHandedOut) return
    if (message.qos === 0) this.#core.emit({ _tag: "UnclaimedDropped", message })
    else if (!delivery.isOwed) this.#complete(delivery)
  }

  /** In the order of arrival. */
  #unfinishedBy(consumer: EngineConsumer): Array<InboundDelivery> {
    const unfinished: Array<InboundDelivery> = []
    const visit = (delivery: InboundDelivery): void => {
      if (!delivery.done && delivery.has(consumer)) unfinished.push(delivery)
    }
    this.#pubacks.forEachPending(visit)
    for (const { delivery } of this.#exchanges?.values() ?? []) {
      if (delivery !== undefined) visit(delivery)
    }
    this.#interrupted.forEach(visit)
    this.#awaited?.forEach(visit)
    this.#detached?.forEach(visit)
    return unfinished.sort((a, b) => a.sequence - b.sequence)
  }

  /** Gives up deliveries: they have no consumer, and the engine waits for none. */
  #giveUp(deliveries: ReadonlyArray<InboundDelivery>): void {
    for (const delivery of deliveries) {
      // The server sends it again, and the router then looks for consumers.
      if (delivery.stale) continue
      this.#core.emit({ _tag: "UnclaimedDropped", message: delivery.message })
      if (!delivery.isOwed) this.#completeOnce(delivery)
    }
  }

  #completeOnce(delivery: InboundDelivery): void {
    if (!delivery.done) this.#complete(delivery)
  }

  /**
   * Marks a delivery as complete. Its acknowledgement goes out after all earlier ones, if the server still expects it.
   */
  #complete(delivery: InboundDelivery): void {
    const { exchange } = delivery
    delivery.done = true
    if (delivery.message.qos !== 0 && !delivery.stale) this.#core.heldBytes -= delivery.bytes
    if (this.#detached !== undefined && this.#detached.size > 0) this.#detached.delete(delivery)
    if (exchange === undefined) return this.#flushPubacks()
    if (exchange.released) return
    exchange.done = true
    exchange.reasonCode = this.#core.isVersion5 ? delivery.reasonCode : 0
    if (exchange.reasonCode < 0x80) this.#put(exchange)
    this.#flushPubrecs()
  }

  #flushPubacks(): void {
    const queue = this.#pubacks
    for (let delivery = queue.head; delivery !== undefined && delivery.done; delivery = queue.head) {
      queue.shift()
      this.#window--
      const { packetIdentifier } = delivery
      const reasonCode = this.#core.isVersion5 ? delivery.reasonCode : 0
      this.#core.send({ _tag: "Puback", packetIdentifier, reasonCode, properties: none })
    }
  }

  #flushPubrecs(): void {
    const queue = this.#pubrecs
    for (let exchange = queue.head; exchange !== undefined; exchange = queue.head) {
      if (!exchange.released) {
        if (!exchange.done) return
        const { packetIdentifier, reasonCode } = exchange
        exchange.delivery = undefined
        if (reasonCode >= 0x80) this.#end(exchange)
        this.#core.send({ _tag: "Pubrec", packetIdentifier, reasonCode, properties: none })
      }
      queue.shift()
      exchange.queuedOn = 0
    }
  }

  /** The packet identifier is free again. */
  #end(exchange: Exchange): void {
    exchange.released = true
    this.#exchanges?.delete(exchange.packetIdentifier)
    if (exchange.connection === this.#core.connection) this.#window--
    if (this.#core.options.durable) {
      this.#core.delete(inboundKey(exchange.packetIdentifier))
      this.#core.emit({ _tag: "InboundReleased", packetIdentifier: exchange.packetIdentifier })
    }
  }

  #put({ done, finished, packetIdentifier, use }: Exchange): void {
    if (!this.#core.options.durable) return
    this.#core.put({
      _tag: "Inbound",
      packetIdentifier,
      acknowledged: done,
      use,
      finished: done ? [] : finished ?? []
    })
  }

  #nextUse(): string {
    return `${this.#core.options.life}.${(this.#uses++).toString(36)}`
  }

  #detach(delivery: InboundDelivery): void {
    if (delivery.done) return
    this.#detached ??= new Set()
    this.#detached.add(delivery)
  }

  #deadlineOf(queue: AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>): number | undefined {
    const { blockedSince, overdue, reported } = queue
    if (blockedSince === Infinity) return undefined
    const delivery = deliveryOf(queue.head)
    if (delivery !== undefined && delivery.remaining === 0 && this.#held.hasDeadline(delivery)) return undefined
    const { ackDeadline, onAckDeadline } = this.#core.options
    if (!reported) return blockedSince + this.#reportAfter
    return overdue || onAckDeadline === "wait" ? undefined : blockedSince + ackDeadline
  }

  get #reportAfter(): number {
    const half = this.#core.options.ackDeadline / 2
    return this.#windowIsFull ? Math.min(half, fullWindowGrace) : half
  }

  #tickQueue(queue: AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>, now: number): void {
    const deadline = this.#deadlineOf(queue)
    if (deadline === undefined || now < deadline) return
    const delivery = deliveryOf(queue.head)!
    if (!queue.reported) {
      queue.reported = true
      this.#core.emit(this.#slowConsumer(delivery, queue.size - 1))
    }
    const { ackDeadline, onAckDeadline } = this.#core.options
    if (queue.overdue || now < queue.blockedSince + ackDeadline) return
    queue.overdue = true
    if (onAckDeadline === "acknowledge") {
      this.#acknowledgeOverdue(queue, delivery.consumers, now)
    } else if (onAckDeadline === "reconnect" && !this.#reconnectWanted) {
      this.#reconnectWanted = true
      this.#core.emit({ _tag: "ReconnectWanted" })
    }
  }

  #slowConsumer(delivery: InboundDelivery, waiting: number): EngineEvent {
    const { consumers, message } = delivery
    const filters = consumers.flatMap(({ request }) => request.filters).concat(this.#held.filtersOf(delivery))
    const absent = consumers.flatMap(({ name, state }) => state === "absent" && name !== undefined ? [name] : [])
    return { _tag: "SlowConsumer", filters: Array.from(new Set(filters)), absent, message, waiting }
  }

  /**
   * Acknowledges the head, and the deliveries directly behind it that have waited as long for the same consumers: those
   * consumers have made no progress.
   */
  #acknowledgeOverdue(
    queue: AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>,
    stalled: ReadonlyArray<EngineConsumer>,
    now: number
  ): void {
    this.#complete(deliveryOf(queue.head)!)
    for (let next = deliveryOf(queue.head); next !== undefined; next = deliveryOf(queue.head)) {
      const isOverdue = next.isOwed && next.arrivedAt + this.#core.options.ackDeadline <= now &&
        next.consumers.every((consumer) => stalled.includes(consumer))
      if (!isOverdue) return
      this.#complete(next)
    }
  }
}

/** The consumer finished the message before a restart of the session. */
const hasFinished = ({ name }: EngineConsumer, exchange: Exchange | undefined): boolean =>
  name !== undefined && exchange?.finished !== undefined && exchange.finished.includes(name)

const deliveryOf = (head: InboundDelivery | Exchange | undefined): InboundDelivery | undefined =>
  head instanceof Exchange ? head.delivery : head
