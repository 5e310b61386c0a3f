/**
 * Who subscribes to what: consumers, their topic filters, and the subscription at the server that consumers of one
 * filter share.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import type { SubscriptionRecord } from "../../StoreRecord.ts"
import { isShared } from "../../Topic.ts"
import type { Consumer, ConsumerRequest } from "./contract.ts"
import type { Suspect } from "./poison.ts"

/**
 * A subscription of this session.
 */
export class SubscriptionEntry {
  readonly filter: string
  readonly isShared: boolean
  members: Array<Member> = []
  /** It stays at the server without consumers, once the server has granted it. */
  keep = false
  wasGranted = false
  /** Somebody has asked for its end. */
  isUnsubscribed = false

  // What is wanted. The QoS is that of the members, or of the last ones.
  qos: QoS = 0
  noLocal = false
  retainAsPublished = false
  /** Assigned for good at the first SUBSCRIBE that may carry one; 0: none. */
  identifier = 0

  // What the server has, as far as known.
  known = false
  /** A SUBSCRIBE or UNSUBSCRIBE was lost with its connection: the server may have done it. */
  uncertain = false
  /** Known from the store only. */
  isDoubtful = false
  /** What the store has of it. */
  recorded: SubscriptionRecord | undefined = undefined
  requestedQoS: QoS = 0
  grantedQoS: QoS = 0
  serverNoLocal = false
  serverRetainAsPublished = false
  serverIdentifier = 0
  /** A PUBLISH has named its identifier: the server has it, even if SUBACK was lost. */
  proven = false

  /** At most one SUBSCRIBE or UNSUBSCRIBE of a filter is on its way. */
  request: SubscriptionRequest | undefined = undefined
  /** Of the last request, see `Suspect`. */
  strikes = 0

  constructor(filter: string) {
    this.filter = filter
    this.isShared = isShared(filter)
  }

  get isWanted(): boolean {
    return this.members.length > 0 || (this.keep && this.wasGranted)
  }

  /** The server has what is wanted, except for members that need a SUBSCRIBE of their own. */
  get isSatisfied(): boolean {
    return this.known && !this.uncertain && this.qos <= this.requestedQoS && this.noLocal === this.serverNoLocal &&
      this.retainAsPublished === this.serverRetainAsPublished
  }

  /** Whether a packet has to be sent before all is as it should be. */
  get isDue(): boolean {
    if (!this.isWanted) return this.known || this.uncertain
    return !this.isSatisfied || this.members.some((member) => !member.granted)
  }

  /** Copies of a message that its filter matches name its identifier. */
  get isServed(): boolean {
    return this.proven || (this.known && this.serverIdentifier !== 0)
  }

  updateQoS(): void {
    if (this.members.length === 0) return
    let qos: QoS = 0
    for (const { consumer } of this.members) {
      if (consumer.request.qos > qos) qos = consumer.request.qos
    }
    this.qos = qos
  }

  /** The server has nothing of it. */
  forget(): void {
    this.known = false
    this.uncertain = false
    this.isDoubtful = false
    this.serverIdentifier = 0
    this.proven = false
  }

  /** What the server has granted. */
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
 * What a SUBSCRIBE asks for one filter, remembered until SUBACK.
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

  /** Of the one that has most. */
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
  /** Undefined also when the name was forgotten. */
  name: string | undefined
  granted: Array<QoS> = []
  reason: MqttErrorReason | undefined = undefined
  owner: unknown = undefined

  /** In the order of the request's filters; without those that were unsubscribed. */
  members: Array<Member> = []
  /** Memberships that are not granted yet. */
  pending = 0
  /** The last routing that considered this consumer: a consumer with several filters counts once. */
  routing = 0
  /** Topics that it got while it waits for retained messages; undefined while it waits for none. */
  seen: Set<string> | undefined = undefined

  constructor(request: ConsumerRequest) {
    this.request = request
    this.name = request.name
  }

  /** The topic filters that it is subscribed to. */
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
  /** In the order of the consumer's filters. */
  readonly position: number
  granted = false
  grantedQoS: QoS = 0
  /** The SUBSCRIBE whose SUBACK decides. */
  request: SubscriptionRequest | undefined = undefined
  /** It joined an existing subscription and wants the retained messages for itself. */
  wantsRetained = false
  /** When it stops to wait for retained messages; Infinity: not before SUBACK. */
  waitsUntil = 0

  constructor(consumer: EngineConsumer, entry: SubscriptionEntry, position: number) {
    this.consumer = consumer
    this.entry = entry
    this.position = position
  }
}
