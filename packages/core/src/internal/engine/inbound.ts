/**
 * Inbound messages: the QoS 1 and QoS 2 handshakes of the receiver (MQTT 4.3), acknowledgements in the order of arrival
 * (MQTT 4.6), and what happens when consumers are slow, gone, or not there yet.
 */
import { Message } from "../../Message.ts"
import type { Publish, Pubrel } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import { inboundKey, type InboundRecord } from "../../StoreRecord.ts"
import * as Topic from "../../Topic.ts"
import type { Violation } from "../codec/contract.ts"
import { weighPublish } from "../codec/weigh.ts"
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

/** A window that is full for this long, in milliseconds, has not just been filled by one burst. */
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
  /** QoS 2 packet identifiers that the server has not released. */
  #exchanges: Map<number, Exchange> | undefined
  /** QoS 1 of a lost connection, until it is known whether the server delivers it anew. */
  #interrupted: Array<InboundDelivery> = []
  /**
   * Of QoS 1, by packet identifier: who has not finished with a stale delivery, until the server has delivered them
   * again.
   */
  #awaited: Map<number, InboundDelivery> | undefined
  /** Of a lost session, or released before its time: nobody waits for the acknowledgement. */
  #detached: Set<InboundDelivery> | undefined
  /** Places that are taken in the window of this connection: until PUBACK, PUBCOMP or a refusing PUBREC. */
  #window = 0
  #sequence = 0
  #uses = 0
  /** PUBLISH packets that arrived. */
  received = 0
  #reconnectWanted = false
  /** The server has sent more than the receive maximum on this connection, and that was told. */
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
   * On MQTT 5 the window holds the server back; on 3.1.1, and where the server does not keep to it, only the network
   * can. Messages that wait for PUBREL do not count: it is the server that has to go on with them.
   */
  get isWindowExceeded(): boolean {
    const { isVersion5, receiveMaximum } = this.#core
    return this.unacknowledged > receiveMaximum || (!isVersion5 && this.unacknowledged === receiveMaximum)
  }

  get unclaimed(): number {
    return this.#held.size
  }

  /** Whether a lost session would lose anything here. */
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

  /** The store knows of packet identifiers that the server has not spoken of since. */
  get isInDoubt(): boolean {
    for (const { isRestored } of this.#exchanges?.values() ?? []) if (isRestored) return true
    return false
  }

  /** The server may have lost the session without the client knowing. */
  doubt(): void {
    for (const exchange of this.#exchanges?.values() ?? []) exchange.isRestored = true
  }

  /**
   * The server has sent again all that it has to, as long as our receive maximum has not stopped it: identifiers that
   * it has not spoken of belong to a session that it has lost. (A process that dies between CONNACK and the commit of
   * what it changed leaves such records.)
   */
  settleDoubt(): void {
    if (this.#window >= this.#core.receiveMaximum) return
    for (const exchange of this.#exchanges?.values() ?? []) if (exchange.isRestored) this.#forget(exchange)
  }

  #forget(exchange: Exchange): void {
    if (exchange.delivery !== undefined) this.#detach(exchange.delivery)
    this.#end(exchange)
  }

  /** The server delivers anew what is not acknowledged: QoS 1 as new messages, QoS 2 under the known identifiers. */
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

  /** The server knows nothing: what is on its way to consumers stays there, and is acknowledged to nobody. */
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
    // One that has left may finish later, as long as no successor has taken the message.
    if (!delivery.remove(consumer) && !this.#held.finished(consumer, delivery)) return
    delivery.answer(reasonCode)
    if (!delivery.isOwed) return this.#completeOnce(delivery)
    const { exchange } = delivery
    const { name } = consumer
    if (exchange === undefined || name === undefined || exchange.released || delivery.done) return
    // Others are still to finish: after a restart only they get it again.
    exchange.finished = [...exchange.finished ?? [], name]
    this.#put(exchange)
  }

  /**
   * A consumer has joined: it gets what waits for a consumer, and what waits for the absent one whose name it has. What
   * that one has left and this one no longer wants counts as finished.
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
      // It gets what the server delivers again.
      if (!delivery.stale) this.#core.output.deliveries.push({ consumer, delivery })
    }
  }

  /** A consumer has left: what it has not finished is held for its successor. */
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

  /** Somebody has ended a subscription: what its consumers have left behind is not wanted any more. */
  unsubscribed(filter: string): void {
    this.#giveUp(this.#held.unsubscribed(filter))
  }

  useOf(packetIdentifier: number): string | undefined {
    return this.#exchanges?.get(packetIdentifier)?.use
  }

  /** How many deliveries a consumer has not finished. */
  unfinishedBy(consumer: EngineConsumer): number {
    return this.#unfinishedBy(consumer).length
  }

  /** To be called after every input. */
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
   * Takes a place in the window. More than the receive maximum is tolerated as long as there is memory: servers exceed
   * it, mosquitto 2.0 for example when a backlog or many retained messages leave at once.
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

  /** PUBREC is due once on a connection, however often the server repeats PUBLISH. */
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
      // An identifier that the store knows says nothing about a message that is not marked as a redelivery
      // [MQTT-3.3.1-1].
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
      // Known: its consumers have it, or had it. Only the answer is due again, in its place.
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
   * A QoS 1 message of an earlier connection still waits for the successors of those that left it, if it is the same
   * message (MQTT 4.4).
   */
  #redelivered(delivery: InboundDelivery): void {
    const stale = this.#awaited?.get(delivery.packetIdentifier)
    if (stale === undefined) return
    this.#awaited!.delete(delivery.packetIdentifier)
    if (stale.vacancies === 0) return
    if (delivery.message.dup) this.#held.redelivered(stale, delivery)
    else this.#held.forget(stale)
  }

  /** Remembers who has not finished a message that the server delivers again, and nothing of what it holds. */
  #await(delivery: InboundDelivery): void {
    const stub = delivery.toStub()
    if (delivery.vacancies > 0) this.#held.redelivered(delivery, stub)
    this.#awaited ??= new Map()
    this.#awaited.set(delivery.packetIdentifier, stub)
  }

  /** To the consumers that the router has found. Absent ones get it when they are back. */
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

  /** There is no consumer for them, and none is waited for any more. */
  #giveUp(deliveries: ReadonlyArray<InboundDelivery>): void {
    for (const delivery of deliveries) {
      // It comes again: then it is seen who wants it.
      if (delivery.stale) continue
      this.#core.emit({ _tag: "UnclaimedDropped", message: delivery.message })
      if (!delivery.isOwed) this.#completeOnce(delivery)
    }
  }

  #completeOnce(delivery: InboundDelivery): void {
    if (!delivery.done) this.#complete(delivery)
  }

  /** The acknowledgement may go out: as soon as all before it have, if there is anyone to send it to. */
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

  /** The head, and what stands behind it for the same consumers and has waited as long: they have not moved at all. */
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

/** The consumer has finished with the message in an earlier life of the session. */
const hasFinished = ({ name }: EngineConsumer, exchange: Exchange | undefined): boolean =>
  name !== undefined && exchange?.finished !== undefined && exchange.finished.includes(name)

const deliveryOf = (head: InboundDelivery | Exchange | undefined): InboundDelivery | undefined =>
  head instanceof Exchange ? head.delivery : head
