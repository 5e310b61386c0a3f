/**
 * Inbound messages: the QoS 1 and QoS 2 handshakes of the receiver (MQTT 4.3), acknowledgements in the order of arrival (MQTT
 * 4.6), and what happens when consumers are slow, gone, or not there yet.
 */
import { Message } from "../../Message.ts"
import type { Publish, Pubrel } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import { inboundKey, type InboundRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import { AcknowledgementQueue } from "./acknowledgements.ts"
import { type EngineCore, retainInPlace } from "./core.ts"
import type { EngineConsumer } from "./engineConsumer.ts"
import { Exchange, InboundDelivery } from "./inboundDelivery.ts"
import type { Router } from "./router.ts"
import { InboundAliases } from "./topicAliases.ts"
import { UnclaimedMessages } from "./unclaimed.ts"
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
  readonly #unclaimed: UnclaimedMessages
  readonly #pubacks = new AcknowledgementQueue<InboundDelivery>()
  readonly #pubrecs = new AcknowledgementQueue<Exchange>()
  /** QoS 2 packet identifiers that the server has not released. */
  #exchanges: Map<number, Exchange> | undefined
  /** QoS 1 of a lost connection, until it is known whether the server delivers it anew. */
  #interrupted: Array<InboundDelivery> = []
  /** Of a lost session, or released before its time: nobody waits for the acknowledgement. */
  #detached: Set<InboundDelivery> | undefined
  /** Places that are taken in the window of this connection: until PUBACK, PUBCOMP or a refusing PUBREC. */
  #window = 0
  #sequence = 0
  /** PUBLISH packets that arrived. */
  received = 0
  #reconnectWanted = false

  constructor(core: EngineCore, router: Router) {
    this.#core = core
    this.#router = router
    this.#aliases = new InboundAliases(core.options.topicAliasMaximum)
    this.#unclaimed = new UnclaimedMessages(core.options.unclaimed)
  }

  get unacknowledged(): number {
    return this.#pubacks.size + this.#pubrecs.size
  }

  get unclaimed(): number {
    return this.#unclaimed.size
  }

  /** Whether a lost session would lose anything here. */
  get hasState(): boolean {
    return (this.#exchanges?.size ?? 0) > 0 || this.#interrupted.length > 0
  }

  restore(records: ReadonlyArray<InboundRecord>): void {
    for (const { acknowledged, packetIdentifier } of records) {
      const exchange = new Exchange(packetIdentifier)
      exchange.done = acknowledged
      this.#exchanges ??= new Map()
      exchange.isRestored = true
      exchange.wasRestored = true
      this.#exchanges.set(packetIdentifier, exchange)
    }
  }

  connected(): void {
    this.#aliases.clear()
    this.#reconnectWanted = false
  }

  /** The server delivers anew what is not acknowledged: QoS 1 as new messages, QoS 2 under the known identifiers. */
  resume(): void {
    const { output, taken } = this.#core
    for (const delivery of this.#interrupted) {
      if (!delivery.done) delivery.stale = true
    }
    if (this.#interrupted.length > 0) {
      this.#interrupted = []
      this.#unclaimed.take((delivery) => delivery.stale)
      retainInPlace(output.deliveries, ({ delivery }) => !delivery.stale)
      if (taken !== undefined) retainInPlace(taken.deliveries, ({ delivery }) => !delivery.stale)
    }
  }

  /** The server knows nothing: what is on its way to consumers stays there, and is acknowledged to nobody. */
  sessionLost(): void {
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
        if (this.#windowIsFull) return violations.receiveMaximumExceeded(this.#core.receiveMaximum)
        this.#window++
        this.#receive(packet, topic, undefined, now)
        return undefined
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
      if (exchange.delivery !== undefined) this.#detach(exchange.delivery)
      this.#end(exchange)
      this.#flushPubrecs()
    }
    core.send({ _tag: "Pubcomp", packetIdentifier, reasonCode, properties: none })
  }

  acknowledge(consumer: EngineConsumer, delivery: InboundDelivery, reasonCode: number): void {
    if (!delivery.remove(consumer)) return
    delivery.answer(reasonCode)
    if (delivery.remaining === 0 && !delivery.done) this.#complete(delivery)
  }

  /** A consumer has joined: it gets what nobody has claimed so far. */
  claim(consumer: EngineConsumer): void {
    const claimed = this.#unclaimed.take(({ message }) =>
      this.#router.claims(consumer, message.topic, message.properties.subscriptionIdentifiers)
    )
    if (claimed.length > 0) this.#unclaimed.expectConsumer()
    for (const delivery of claimed) {
      delivery.add(consumer)
      this.#core.output.deliveries.push({ consumer, delivery })
    }
  }

  /** A consumer has left: what only it had is held for the next. */
  abandonedBy(consumer: EngineConsumer, now: number): void {
    const orphans: Array<InboundDelivery> = []
    const finished: Array<InboundDelivery> = []
    const visit = (delivery: InboundDelivery): void => {
      if (!delivery.remove(consumer) || delivery.remaining > 0 || delivery.done) return
      if (delivery.answered || delivery.isRetainedCopy) finished.push(delivery)
      else {
        delivery.redelivered = delivery.exchange !== undefined
        orphans.push(delivery)
      }
    }
    this.#pubacks.forEachPending(visit)
    for (const { delivery } of this.#exchanges?.values() ?? []) {
      if (delivery !== undefined) visit(delivery)
    }
    this.#interrupted.forEach(visit)
    this.#detached?.forEach(visit)
    for (const delivery of finished) this.#complete(delivery)
    orphans.sort((a, b) => a.sequence - b.sequence)
    if (orphans.length > 0) this.#unclaimed.expectConsumer()
    this.#hold(orphans, now)
  }

  /** To be called after every input. */
  watch(now: number): void {
    const isFull = this.#windowIsFull
    this.#pubacks.watch(now, isFull)
    this.#pubrecs.watch(now, isFull)
  }

  nextDeadline(): number | undefined {
    const deadlines = [this.#unclaimed.nextDeadline(), this.#deadlineOf(this.#pubacks), this.#deadlineOf(this.#pubrecs)]
    let next: number | undefined = undefined
    for (const deadline of deadlines) {
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline
    }
    return next
  }

  tick(now: number): void {
    for (const delivery of this.#unclaimed.expire(now)) this.#drop(delivery)
    this.watch(now)
    this.#tickQueue(this.#pubacks, now)
    this.#tickQueue(this.#pubrecs, now)
  }

  get #windowIsFull(): boolean {
    return this.#core.isVersion5 && this.#window >= this.#core.receiveMaximum
  }

  #onPublishQoS2(packet: Publish, topic: string, now: number): Violation | undefined {
    const { connection, receiveMaximum } = this.#core
    let exchange = this.#exchanges?.get(packet.packetIdentifier)
    if (exchange?.isRestored === true) {
      // The server may have begun a new session when the last process died, before the store knew of it: an identifier of the old one says
      // nothing about a message that is not marked as a redelivery [MQTT-3.3.1-1].
      if (packet.dup) {
        exchange.isRestored = false
      } else {
        this.#end(exchange)
        exchange = undefined
      }
    }
    if (exchange?.connection !== connection) {
      if (this.#windowIsFull) return violations.receiveMaximumExceeded(receiveMaximum)
      this.#window++
      if (exchange !== undefined) exchange.connection = connection
    }
    if (exchange !== undefined && (exchange.done || exchange.delivery !== undefined)) {
      // Known: its consumers have it, or had it. Only the answer is due again, in its place.
      this.#pubrecs.push(exchange)
      this.#flushPubrecs()
      return undefined
    }
    if (exchange === undefined) {
      exchange = new Exchange(packet.packetIdentifier)
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
      receivedAt: now
    })
    const { count, targets } = this.#router
    const isRetainedCopy = retain && fate === "targets" && !targets[0]!.request.retainAsPublished
    const delivery = new InboundDelivery(message, packetIdentifier, this.#sequence++, isRetainedCopy, exchange)
    if (exchange !== undefined) {
      exchange.delivery = delivery
      this.#pubrecs.push(exchange)
    } else if (qos === 1) {
      this.#pubacks.push(delivery)
    }
    switch (fate) {
      case "targets": {
        const { deliveries } = this.#core.output
        for (let i = 0; i < count; i++) {
          const consumer = targets[i]!
          if (qos !== 0) delivery.add(consumer)
          deliveries.push({ consumer, delivery })
        }
        return
      }
      case "covered":
        return this.#complete(delivery)
      case "unclaimed":
        if (qos === 0) this.#core.emit({ _tag: "UnclaimedDropped", message })
        else this.#hold([delivery], now)
    }
  }

  #hold(deliveries: ReadonlyArray<InboundDelivery>, now: number): void {
    for (const delivery of this.#unclaimed.hold(deliveries, now, this.#core.receiveMaximum)) this.#drop(delivery)
  }

  #drop(delivery: InboundDelivery): void {
    this.#core.emit({ _tag: "UnclaimedDropped", message: delivery.message })
    this.#complete(delivery)
  }

  /** The acknowledgement may go out: as soon as all before it have, if there is anyone to send it to. */
  #complete(delivery: InboundDelivery): void {
    const { exchange } = delivery
    delivery.done = true
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

  #put({ done, packetIdentifier }: Exchange): void {
    if (this.#core.options.durable) this.#core.put({ _tag: "Inbound", packetIdentifier, acknowledged: done })
  }

  #detach(delivery: InboundDelivery): void {
    if (delivery.done) return
    this.#detached ??= new Set()
    this.#detached.add(delivery)
  }

  #deadlineOf(queue: AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>): number | undefined {
    const { blockedSince, overdue, reported } = queue
    // A message that is held unclaimed has its own deadline.
    if (blockedSince === Infinity || deliveryOf(queue.head)?.remaining === 0) return undefined
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
      const { consumers, message } = delivery
      this.#core.emit({ _tag: "SlowConsumer", consumers, message, waiting: queue.size - 1 })
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

  /** The head, and what stands behind it for the same consumers and has waited as long: they have not moved at all. */
  #acknowledgeOverdue(
    queue: AcknowledgementQueue<InboundDelivery> | AcknowledgementQueue<Exchange>,
    stalled: ReadonlyArray<EngineConsumer>,
    now: number
  ): void {
    this.#complete(deliveryOf(queue.head)!)
    for (let next = deliveryOf(queue.head); next !== undefined; next = deliveryOf(queue.head)) {
      const isOverdue = next.remaining > 0 && next.message.receivedAt + this.#core.options.ackDeadline <= now &&
        next.consumers.every((consumer) => stalled.includes(consumer))
      if (!isOverdue) return
      this.#complete(next)
    }
  }
}

const deliveryOf = (head: InboundDelivery | Exchange | undefined): InboundDelivery | undefined =>
  head instanceof Exchange ? head.delivery : head
