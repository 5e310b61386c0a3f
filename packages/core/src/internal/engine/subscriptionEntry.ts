/**
 * The state of subscriptions: consumers, their topic filters, and the subscription at the server that consumers of one
 * filter share. `subscriptions.ts` and `subscriptionFlow.ts` change it.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import type { SubscriptionRecord } from "../../StoreRecord.ts"
import { isShared } from "../topics.ts"
import type { Consumer, ConsumerRequest } from "./contract.ts"
import type { Suspect } from "./poison.ts"

/**
 * One subscription of this session: a topic filter and its consumers.
 */
export class SubscriptionEntry {
  readonly filter: string
  readonly isShared: boolean
  members: Array<Member> = []
  /** The subscription stays at the server without consumers, once the server has granted it. */
  keep = false
  wasGranted = false
  /** `unsubscribe` was called for it. */
  isUnsubscribed = false

  // The wanted options. The QoS is that of the members, or of the last ones.
  qos: QoS = 0
  noLocal = false
  retainAsPublished = false
  /** Subscription identifier, assigned once, at the first SUBSCRIBE that may carry one; 0: none. */
  identifier = 0

  // The options that the server is known to have.
  isKnown = false
  /** A SUBSCRIBE or UNSUBSCRIBE was lost with its connection: the server may have processed it. */
  isUncertain = false
  /** Known only from the store. */
  isDoubtful = false
  /** The record in the store. */
  recorded: SubscriptionRecord | undefined = undefined
  requestedQoS: QoS = 0
  grantedQoS: QoS = 0
  serverNoLocal = false
  serverRetainAsPublished = false
  serverIdentifier = 0
  /** A PUBLISH named its identifier: the server has the subscription, even if SUBACK was lost. */
  isProven = false

  /** The SUBSCRIBE or UNSUBSCRIBE under way: at most one per filter. */
  request: SubscriptionRequest | undefined = undefined
  /** The server refused the last request over a quota: not before this time; 0: no such refusal. */
  retryAt = 0
  /** Strikes of the last request, see `Suspect`. */
  strikes = 0

  constructor(filter: string) {
    this.filter = filter
    this.isShared = isShared(filter)
  }

  get isWanted(): boolean {
    return this.members.length > 0 || (this.keep && this.wasGranted)
  }

  /** The server has the wanted subscription. Members may still need a SUBSCRIBE of their own. */
  get isSatisfied(): boolean {
    return this.isKnown && !this.isUncertain && this.qos <= this.requestedQoS && this.noLocal === this.serverNoLocal &&
      this.retainAsPublished === this.serverRetainAsPublished
  }

  /** Whether the server needs a packet to reach the wanted state. */
  get isDue(): boolean {
    if (!this.isWanted) return this.isKnown || this.isUncertain
    return !this.isSatisfied || this.members.some((member) => !member.granted)
  }

  /** Whether the server names its identifier in copies of messages that match its filter. */
  get isServed(): boolean {
    return this.isProven || (this.isKnown && this.serverIdentifier !== 0)
  }

  updateQoS(): void {
    if (this.members.length === 0) return
    let qos: QoS = 0
    for (const { consumer } of this.members) {
      if (consumer.request.qos > qos) qos = consumer.request.qos
    }
    this.qos = qos
  }

  /** The server has no such subscription. */
  forget(): void {
    this.isKnown = false
    this.isUncertain = false
    this.isDoubtful = false
    this.serverIdentifier = 0
    this.isProven = false
  }

  /** The record of the granted subscription. */
  toRecord(): SubscriptionRecord {
    return {
      _tag: "Subscription",
      filter: this.filter,
      granted: true,
      qos: this.grantedQoS,
      noLocal: this.serverNoLocal,
      retainAsPublished: this.serverRetainAsPublished,
      subscriptionIdentifier: this.serverIdentifier
    }
  }

  /** Whether the store has this record. */
  hasRecorded(record: SubscriptionRecord): boolean {
    const { recorded } = this
    return recorded !== undefined && recorded.granted === record.granted && recorded.qos === record.qos &&
      recorded.noLocal === record.noLocal && recorded.retainAsPublished === record.retainAsPublished &&
      recorded.subscriptionIdentifier === record.subscriptionIdentifier
  }
}

/**
 * One filter of a SUBSCRIBE, remembered until SUBACK.
 */
export interface RequestedSubscription {
  readonly entry: SubscriptionEntry
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly identifier: number
}

/**
 * A SUBSCRIBE or UNSUBSCRIBE that waits for its acknowledgement.
 */
export class SubscriptionRequest implements Suspect {
  readonly kind: "subscribe" | "unsubscribe"
  readonly subscriptions: ReadonlyArray<RequestedSubscription>
  readonly entries: ReadonlyArray<SubscriptionEntry>
  packetIdentifier = 0
  order = 0

  constructor(
    kind: "subscribe" | "unsubscribe",
    entries: ReadonlyArray<SubscriptionEntry>,
    subscriptions: ReadonlyArray<RequestedSubscription>
  ) {
    this.kind = kind
    this.entries = entries
    this.subscriptions = subscriptions
  }

  /** The entry's members wait for another request. */
  askAgain(entry: SubscriptionEntry): void {
    for (const member of entry.members) {
      if (member.request !== this) continue
      member.request = undefined
      member.wantsRetained = entry.isKnown && member.waitsUntil === Infinity
    }
  }

  /** The maximum of its entries. */
  get strikes(): number {
    let strikes = 0
    for (const entry of this.entries) if (entry.strikes > strikes) strikes = entry.strikes
    return strikes
  }

  set strikes(strikes: number) {
    for (const entry of this.entries) entry.strikes = strikes
  }
}

/**
 * A registered consumer.
 */
export class EngineConsumer implements Consumer {
  readonly request: ConsumerRequest
  state: "joining" | "active" | "failed" | "absent" | "closed" = "joining"
  /** Undefined also after the name was forgotten. */
  name: string | undefined
  granted: Array<QoS> = []
  reason: MqttErrorReason | undefined = undefined
  owner: unknown = undefined

  /** In the order of the request's filters, without those that were unsubscribed. */
  members: Array<Member> = []
  /** Number of memberships that are not granted yet. */
  pending = 0
  /** The last routing that considered this consumer. A consumer with several filters counts once. */
  routing = 0
  /** Topics of the messages that it got while it waits for retained messages; undefined: it waits for none. */
  seen: Set<string> | undefined = undefined

  constructor(request: ConsumerRequest) {
    this.request = request
    this.name = request.name
  }

  /** The topic filters to which it is subscribed. */
  get filters(): ReadonlyArray<string> {
    return this.members.map(({ entry }) => entry.filter)
  }

  isWaiting(now: number): boolean {
    for (const member of this.members) {
      if (member.waitsUntil > now) return true
    }
    return false
  }
}

/**
 * One filter of one consumer.
 */
export class Member {
  readonly consumer: EngineConsumer
  readonly entry: SubscriptionEntry
  /** Position in the consumer's filters. */
  readonly position: number
  granted = false
  grantedQoS: QoS = 0
  /** The SUBSCRIBE whose SUBACK decides about this member. */
  request: SubscriptionRequest | undefined = undefined
  /** It joined an existing subscription and needs the retained messages. */
  wantsRetained = false
  /** When it stops waiting for retained messages; Infinity: not before SUBACK. */
  waitsUntil = 0

  constructor(consumer: EngineConsumer, entry: SubscriptionEntry, position: number) {
    this.consumer = consumer
    this.entry = entry
    this.position = position
  }
}
