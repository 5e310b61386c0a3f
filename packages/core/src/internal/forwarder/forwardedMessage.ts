/**
 * A message on its way through a forwarder, and the list of all such messages.
 */
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { Delivery, Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { OriginLedger } from "../session/originLedger.ts"
import type { DeadLetterForm } from "./deadLetterForm.ts"
import type { WrittenMessage } from "./recentWrites.ts"
import type { Route } from "./route.ts"
import type { Source } from "./source.ts"

/** The target that publishes an item. */
export interface MessageTarget {
  /** The name of the target's session. */
  readonly name: string
  readonly isDurable: boolean
  readonly session: SessionCore | undefined
  /** Queues the item once more, in its original position. */
  readonly putBack: (item: ForwardedMessage) => void
  readonly pumpLater: () => void
}

/** Receives the outcome of what was published for an item. */
export interface ForwardedMessageHost {
  readonly onAccepted: (item: ForwardedMessage) => void
  readonly onSettled: (item: ForwardedMessage, outbound: Outbound) => void
  /** A publish from an earlier run of the forwarder, for the same delivery, has ended. */
  readonly onPredecessorSettled: (item: ForwardedMessage, outcome: PublishOutcome) => void
}

/**
 * One message, from its delivery to its outcome. It is itself the owner of its publish, so that no further object is
 * allocated for a message.
 */
export class ForwardedMessage implements OutboundOwner {
  readonly host: ForwardedMessageHost
  readonly source: Source
  readonly delivery: Delivery
  /** The message as it leaves the transformation. */
  message: Message
  /** The topic that the message is forwarded to. */
  topic = ""
  /** The forwarders and brokers that the message has passed. */
  readonly route: Route
  /** Set for a QoS 2 message that a durable session received. */
  readonly origin: OriginKey | undefined
  /** Time of the monotonic clock; Infinity: never. */
  readonly expiresAt: number

  /** Why the message goes to the dead-letter topic. */
  failure: MqttError | undefined = undefined
  letter: DeadLetterForm = "whole"
  /** The outcome is counted and the delivery acknowledged. The published copy may still be refused. */
  isDone = false
  /** The forwarder stopped before the message had an outcome. */
  isGivenBack = false
  /** The same delivery in the next run of the forwarder, which waits for the outcome of this one. */
  successor: ForwardedMessage | undefined = undefined
  isAccepted = false
  hasToken = false
  attempts = 0
  targetQueue: MessageTarget | undefined = undefined
  outbound: Outbound | undefined = undefined
  request: PublishRequest | undefined = undefined
  /** How the target's broker recognises the message when it comes back, see `RecentWrites`. */
  written: WrittenMessage | undefined = undefined
  /** The ledger that stores the origin in the same write as the acceptance. */
  ledger: OriginLedger | undefined = undefined
  /** Position in the order of its target queue. */
  order = 0

  previous: ForwardedMessage | undefined = undefined
  next: ForwardedMessage | undefined = undefined

  constructor(
    host: ForwardedMessageHost,
    source: Source,
    delivery: Delivery,
    route: Route,
    origin: OriginKey | undefined
  ) {
    const { message } = delivery
    const { messageExpiryInterval } = message.properties
    this.host = host
    this.source = source
    this.delivery = delivery
    this.message = message
    this.route = route
    this.origin = origin
    this.expiresAt = messageExpiryInterval === undefined ? Infinity : delivery.arrivedAt + messageExpiryInterval * 1000
  }

  /** Whether the server will deliver the message again, so that what is not yet published of it can be skipped. */
  get isStale(): boolean {
    return this.delivery.stale && this.outbound === undefined
  }

  /**
   * Removes the origin from the ledger, because the published copy is lost or never counts. A redelivery must be
   * published again.
   */
  releaseOrigin(): void {
    if (this.origin !== undefined) this.ledger?.release(this.origin)
    this.ledger = undefined
  }

  onAccepted(): void {
    this.host.onAccepted(this)
  }

  onSettled(outbound: Outbound): void {
    this.host.onSettled(this, outbound)
  }
}

/**
 * Items in the order of their arrival.
 */
export class ForwardedMessages {
  head: ForwardedMessage | undefined = undefined
  #tail: ForwardedMessage | undefined = undefined
  size = 0

  append(item: ForwardedMessage): void {
    const tail = this.#tail
    item.previous = tail
    if (tail === undefined) this.head = item
    else tail.next = item
    this.#tail = item
    this.size++
  }

  remove(item: ForwardedMessage): void {
    const { next, previous } = item
    if (previous === undefined) this.head = next
    else previous.next = next
    if (next === undefined) this.#tail = previous
    else next.previous = previous
    item.previous = item.next = undefined
    this.size--
  }
}
