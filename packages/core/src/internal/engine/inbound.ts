/**
 * The receiver of the engine: what PUBLISH and PUBREL mean (MQTT 4.3), and which consumers get a message. It
 * acknowledges no message that a consumer still has to finish, except with `onAckDeadline: "acknowledge"`. The order of
 * acknowledgements is in `inboundAcknowledgements.ts`, what happens when consumers come and go is in `handover.ts`.
 * `engine.ts` calls it.
 */
import { Message } from "../../Message.ts"
import type { Publish, Pubrel } from "../../Packet.ts"
import { none, type PublishProperties } from "../../Properties.ts"
import type { InboundRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import { weighPublish } from "../codec/weigh.ts"
import { ReceivedProperties } from "../encodedProperties.ts"
import type { EngineCore } from "./core.ts"
import { Handover } from "./handover.ts"
import { HeldMessages } from "./heldMessages.ts"
import { InboundAcknowledgements } from "./inboundAcknowledgements.ts"
import { type Exchange, hasFinished, InboundDelivery } from "./inboundDelivery.ts"
import { InboundExchanges } from "./inboundExchanges.ts"
import { ReceiveWindow } from "./receiveWindow.ts"
import { Redelivery } from "./redelivery.ts"
import type { Router } from "./router.ts"
import { SlowConsumers } from "./slowConsumers.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"
import { InboundAliases } from "./topicAliases.ts"
import * as violations from "./violations.ts"

export class InboundFlow {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #aliases: InboundAliases
  readonly #held: HeldMessages
  readonly #window: ReceiveWindow
  readonly #exchanges: InboundExchanges
  readonly #acknowledgements: InboundAcknowledgements
  readonly #redelivery: Redelivery
  readonly handover: Handover
  readonly slowConsumers: SlowConsumers
  #sequence = 0
  /** Number of PUBLISH packets received. */
  received = 0

  constructor(core: EngineCore, router: Router) {
    const held = new HeldMessages(core.options.unclaimed)
    const window = new ReceiveWindow(core)
    const exchanges = new InboundExchanges(core, window)
    const acknowledgements = new InboundAcknowledgements(core, window, exchanges)
    const redelivery = new Redelivery(core, held, acknowledgements)
    this.#core = core
    this.#router = router
    this.#aliases = new InboundAliases(core.options.topicAliasMaximum)
    this.#held = held
    this.#window = window
    this.#exchanges = exchanges
    this.#acknowledgements = acknowledgements
    this.#redelivery = redelivery
    this.handover = new Handover(core, router, held, acknowledgements, exchanges, redelivery)
    this.slowConsumers = new SlowConsumers(core, window, acknowledgements, held)
  }

  get unacknowledged(): number {
    return this.#acknowledgements.size
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
    return this.#exchanges.size > 0 || this.#redelivery.hasInterrupted
  }

  restore(records: ReadonlyArray<InboundRecord>): void {
    this.#exchanges.restore(records)
  }

  connected(): void {
    this.#aliases.clear()
    this.#window.connected()
    this.slowConsumers.connected()
  }

  /** There are restored packet identifiers that the server has not mentioned since. */
  get isInDoubt(): boolean {
    return this.#exchanges.hasRestored
  }

  /** The server may have lost the session without the client knowing. */
  doubt(): void {
    this.#exchanges.doubt()
  }

  /**
   * The server has sent again all that it has to, unless our receive maximum stopped it. Identifiers that it has not
   * mentioned belong to a lost session. Such records remain when a process dies between CONNACK and its commit.
   */
  settleDoubt(): void {
    if (this.#window.isUsedUp) return
    for (const exchange of this.#exchanges.values()) if (exchange.isRestored) this.#acknowledgements.forget(exchange)
  }

  /** The server sends again what is not acknowledged: QoS 1 as new messages, QoS 2 under the known identifiers. */
  resume(): void {
    this.#redelivery.resume()
  }

  /** The server has no state. Messages on their way to consumers stay there, and are not acknowledged. */
  sessionLost(now: number): void {
    this.#redelivery.sessionLost(now)
    for (const { delivery } of this.#exchanges.values()) {
      if (delivery !== undefined) this.#acknowledgements.detach(delivery)
    }
    this.#exchanges.sessionLost()
  }

  disconnected(): void {
    this.#redelivery.disconnected()
    this.#acknowledgements.disconnected()
    this.#window.disconnected()
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
        const violation = this.#window.occupy()
        if (violation === undefined) this.#receive(packet, topic, undefined, now)
        return violation
      }
      case 2:
        return this.#onPublishQoS2(packet, topic, now)
    }
  }

  onPubrel({ packetIdentifier }: Pubrel): void {
    const core = this.#core
    const exchange = this.#exchanges.get(packetIdentifier)
    let reasonCode = 0
    if (exchange === undefined) {
      core.emit({ _tag: "UnknownPacketIdentifier", packet: "Pubrel", packetIdentifier })
      if (core.isVersion5) reasonCode = 0x92
    } else {
      this.#acknowledgements.forget(exchange)
      this.#acknowledgements.flushPubrecs()
    }
    core.send({ _tag: "Pubcomp", packetIdentifier, reasonCode, properties: none })
  }

  acknowledge(consumer: EngineConsumer, delivery: InboundDelivery, reasonCode: number): void {
    // A consumer that has left may still finish a delivery, until a successor takes the message.
    if (!delivery.remove(consumer) && !this.#held.finished(consumer, delivery)) return
    delivery.answer(reasonCode)
    if (!delivery.isOwed) return this.#acknowledgements.completeOnce(delivery)
    const { exchange } = delivery
    const { name } = consumer
    if (exchange === undefined || name === undefined || exchange.isReleased || delivery.isDone) return
    // Other consumers have not finished: after a restart only they get the message again.
    exchange.finished = [...exchange.finished ?? [], name]
    this.#exchanges.put(exchange)
  }

  useOf(packetIdentifier: number): string | undefined {
    return this.#exchanges.get(packetIdentifier)?.use
  }

  nextDeadline(): number | undefined {
    const held = this.#held.nextDeadline()
    const slow = this.slowConsumers.nextDeadline()
    return held === undefined || (slow !== undefined && slow < held) ? slow : held
  }

  tick(now: number): void {
    this.#acknowledgements.giveUp(this.#held.expire(now))
    this.slowConsumers.tick(now)
  }

  #onPublishQoS2(packet: Publish, topic: string, now: number): Violation | undefined {
    const { connection } = this.#core
    let exchange = this.#exchanges.get(packet.packetIdentifier)
    if (exchange?.isRestored === true) {
      // A restored identifier says nothing about a message that is not marked as a redelivery [MQTT-3.3.1-1].
      if (packet.dup) {
        exchange.isRestored = false
      } else {
        this.#acknowledgements.forget(exchange)
        exchange = undefined
      }
    }
    if (exchange?.connection !== connection) {
      const violation = this.#window.occupy()
      if (violation !== undefined) return violation
      if (exchange !== undefined) exchange.connection = connection
    }
    if (exchange !== undefined && (exchange.isDone || exchange.delivery !== undefined)) {
      // Known: its consumers have it, or had it. Only PUBREC is due again, in its place in the order.
      this.#acknowledgements.queuePubrec(exchange)
      this.#acknowledgements.flushPubrecs()
      return undefined
    }
    exchange ??= this.#exchanges.begin(packet.packetIdentifier)
    this.#exchanges.put(exchange)
    this.#receive(packet, topic, exchange, now)
    return undefined
  }

  #receive(packet: Publish, topic: string, exchange: Exchange | undefined, now: number): void {
    const { packetIdentifier, properties, qos, retain } = packet
    const routing = this.#router.route(topic, properties.subscriptionIdentifiers, retain, now)
    if (qos === 0 && routing === "covered") return
    const message = new Message({
      topic,
      payload: packet.payload,
      qos,
      retain,
      dup: packet.dup,
      properties: properties.topicAlias === undefined ? properties : withoutAlias(properties),
      session: this.#core.options.session,
      receivedAt: Math.round(now + this.#core.epochOffset),
      packetIdentifier: qos === 0 ? 0 : packetIdentifier,
      use: exchange?.use,
      serverSession: this.#core.serverSession
    })
    const { targets } = this.#router
    const isRetainedCopy = retain && routing === "targets" && !targets[0]!.request.retainAsPublished
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
      this.#acknowledgements.queuePubrec(exchange)
    } else if (qos === 1) {
      this.#acknowledgements.pubacks.push(delivery)
      this.#redelivery.received(delivery)
    }
    switch (routing) {
      case "targets":
        return this.#deliver(delivery)
      case "covered":
        return this.#acknowledgements.complete(delivery)
      case "unclaimed":
        if (qos === 0) this.#core.emit({ _tag: "UnclaimedDropped", message })
        else if (delivery.vacancies === 0) this.#hold(delivery, now)
    }
  }

  /** Holds a message that found no consumer. */
  #hold(delivery: InboundDelivery, now: number): void {
    const { options, receiveMaximum } = this.#core
    this.#acknowledgements.giveUp(this.#held.hold(delivery, now, receiveMaximum, options.inboundLimit / 2))
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
    else if (!delivery.isOwed) this.#acknowledgements.complete(delivery)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      router: this.#router,
      aliases: this.#aliases,
      held: this.#held,
      window: this.#window,
      exchanges: this.#exchanges,
      acknowledgements: this.#acknowledgements,
      redelivery: this.#redelivery,
      sequence: this.#sequence
    }
  }

  set privateState(state) {
    this.#sequence = state.sequence
  }
}

/** The alias is the server's own, of one connection; the message has the topic that it stands for. */
const withoutAlias = (received: PublishProperties): PublishProperties => {
  const { topicAlias: _alias, ...properties } = received
  ReceivedProperties.keep(received, properties)
  return properties
}
