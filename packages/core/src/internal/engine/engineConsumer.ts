/**
 * Consumers, and their membership in subscriptions.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import type { Consumer, ConsumerRequest } from "./contract.ts"
import type { SubscriptionEntry, SubscriptionRequest } from "./subscriptionEntry.ts"

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
