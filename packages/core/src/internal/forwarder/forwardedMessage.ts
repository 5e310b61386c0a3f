/**
 * A message on its way through a forwarder, and the list of all that are.
 */
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { Delivery, Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { OriginLedger } from "../session/originLedger.ts"
import type { LetterForm } from "./letterForm.ts"
import type { Written } from "./recentWrites.ts"
import type { Route } from "./route.ts"
import type { Source } from "./source.ts"

/** What an item is published by. */
export interface MessageTarget {
  /** Of the session. */
  readonly name: string
  readonly isDurable: boolean
  readonly session: SessionCore | undefined
  /** Publishes the item once more, in its place. */
  readonly putBack: (item: ForwardedMessage) => void
  readonly pumpLater: () => void
}

/** Whom an item tells what became of what was published for it. */
export interface ForwardedMessageHost {
  readonly onAccepted: (item: ForwardedMessage) => void
  readonly onSettled: (item: ForwardedMessage, outbound: Outbound) => void
  /** What an earlier run of the forwarder had published of the same delivery has ended. */
  readonly onPredecessorSettled: (item: ForwardedMessage, outcome: PublishOutcome) => void
}

/**
 * One message, from its delivery to its fate. It owns what was published for it, so that nothing else is made for a
 * message.
 */
export class ForwardedMessage implements OutboundOwner {
  readonly host: ForwardedMessageHost
  readonly source: Source
  readonly delivery: Delivery
  /** The message as it leaves the transformation. */
  message: Message
  /** The topic that it is forwarded to. */
  topic = ""
  /** The way that it has come. */
  readonly route: Route
  /** Of QoS 2 that a durable session received. */
  readonly origin: OriginKey | undefined
  /** Of the monotonic clock; Infinity: never. */
  readonly expiresAt: number

  /** Why it goes to the dead-letter topic. */
  failure: MqttError | undefined = undefined
  letter: LetterForm = "whole"
  /** The fate is counted and the delivery acknowledged; what was published may still be refused. */
  isDone = false
  /** The forwarder stopped before it had a fate. */
  isGivenBack = false
  /** The same delivery in the next run of the forwarder, which waits for what becomes of this one. */
  successor: ForwardedMessage | undefined = undefined
  isAccepted = false
  hasToken = false
  attempts = 0
  targetQueue: MessageTarget | undefined = undefined
  outbound: Outbound | undefined = undefined
  request: PublishRequest | undefined = undefined
  /** How its target's broker recognises it when it comes back, see `RecentWrites`. */
  written: Written | undefined = undefined
  /** Where its origin is written down, together with the acceptance. */
  ledger: OriginLedger | undefined = undefined
  /** The place in the order of its outlet. */
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

  /** The server delivers it anew, and what has not been published of it yet need not be. */
  get isStale(): boolean {
    return this.delivery.stale && this.outbound === undefined
  }

  /** What was published is no more, or never counts: a redelivery must not be taken for a duplicate. */
  disown(): void {
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
