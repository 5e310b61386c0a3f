/**
 * Consumers and their subscriptions: which consumers are present, which topic filters each of them is a member of, and
 * when a consumer is granted, fails or leaves. It sends nothing: `subscriptionFlow.ts` does. `subscriptionTable.ts`
 * compares with what the server has. `engine.ts` calls it.
 */
import { type MqttErrorReason, SessionLost } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import { consumerKey, type ConsumerRecord } from "../../StoreRecord.ts"
import { refuseConsumer } from "./consumerRefusal.ts"
import type { ConsumerRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import type { Router } from "./router.ts"
import { EngineConsumer, Member, type SubscriptionEntry } from "./subscriptionEntry.ts"
import { SubscriptionTable } from "./subscriptionTable.ts"

/** How long unfinished deliveries are kept: until the session ends, for `unclaimed.hold`, or not at all. */
export type Keep = "session" | "hold" | "not"

/**
 * Callbacks for consumers that join and leave.
 */
export interface SubscriptionsHost {
  /** A consumer has joined. `absent` is the absent consumer whose name it has. */
  readonly joined: (consumer: EngineConsumer, absent: EngineConsumer | undefined) => void
  /** A consumer of these filters has left. `keep` says how long its unfinished deliveries wait for a successor. */
  readonly left: (consumer: EngineConsumer, filters: ReadonlyArray<string>, keep: Keep, now: number) => void
  /** The subscription to this filter was ended by `unsubscribe`, and the server has confirmed it. */
  readonly unsubscribed: (filter: string) => void
}

/**
 * All subscriptions and consumers of the session.
 */
export class Subscriptions {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #host: SubscriptionsHost
  readonly table: SubscriptionTable
  // Made with the first consumer, because many sessions only publish.
  #consumers: Set<EngineConsumer> | undefined
  /** Named consumers, absent ones included. */
  #named: Map<string, EngineConsumer> | undefined

  constructor(core: EngineCore, router: Router, host: SubscriptionsHost) {
    this.#core = core
    this.#router = router
    this.#host = host
    this.table = new SubscriptionTable(core, router)
  }

  get consumers(): number {
    return this.#consumers?.size ?? 0
  }

  get named(): Iterable<EngineConsumer> {
    return this.#named?.values() ?? []
  }

  restore(consumers: ReadonlyArray<ConsumerRecord>): void {
    for (const { filters, name, qos } of consumers) {
      const consumer = new EngineConsumer({
        filters,
        qos,
        // Consumers of one filter agree on these options, so the server's values are those that this consumer asked
        // for.
        noLocal: this.table.get(filters[0]!)?.noLocal ?? false,
        retainAsPublished: this.table.get(filters[0]!)?.retainAsPublished ?? false,
        retained: "none",
        keep: true,
        name
      })
      consumer.state = "absent"
      this.#enter(consumer)
      for (const member of consumer.members) {
        member.granted = member.entry.isKnown
        member.wantsRetained = false
      }
    }
  }

  add(request: ConsumerRequest): EngineConsumer | MqttErrorReason {
    const { name } = request
    const absent = name === undefined ? undefined : this.#named?.get(name)
    const refusal = refuseConsumer(request, absent, this.table, this.#core)
    if (refusal !== undefined) return refusal
    const consumer = new EngineConsumer(request)
    this.#enter(consumer)
    if (name !== undefined && !isSameConsumer(consumer, absent)) this.#recordConsumer(consumer)
    if (absent !== undefined) this.#exit(absent)
    this.#host.joined(consumer, absent)
    for (const member of consumer.members) this.review(member.entry)
    return consumer
  }

  remove(consumer: EngineConsumer): void {
    if (consumer.state === "failed") consumer.state = "closed"
    if (consumer.state !== "joining" && consumer.state !== "active") return
    if (consumer.name === undefined) {
      consumer.state = "closed"
      return this.#leave(consumer)
    }
    consumer.state = "absent"
    consumer.seen = undefined
    for (const member of consumer.members) {
      member.wantsRetained = false
      member.waitsUntil = 0
      this.review(member.entry)
    }
  }

  /** Answers whether there was a consumer of this name. */
  forget(name: string): boolean {
    const consumer = this.#named?.get(name)
    if (consumer === undefined) return false
    this.#unname(consumer)
    if (consumer.state === "absent") {
      consumer.state = "closed"
      this.#leave(consumer, "not")
    }
    return true
  }

  fail(consumer: EngineConsumer, reason: MqttErrorReason): void {
    const { name, state } = consumer
    if (state !== "joining" && state !== "active" && state !== "absent") return
    consumer.state = "failed"
    consumer.reason = reason
    if (state !== "absent") this.#core.notify(consumer)
    else this.#core.emit({ _tag: "ConsumerForgotten", name: name!, reason })
    this.#unname(consumer)
    this.#leave(consumer, "hold")
  }

  /**
   * No new grant will come. If an older grant stands, its members keep it, and only the members that asked now fail.
   */
  deny(entry: SubscriptionEntry, reason: MqttErrorReason, hasAsked: (member: Member) => boolean = everyone): void {
    const { isKnown } = entry
    if (!isKnown) {
      entry.wasGranted = false
      this.table.unrecord(entry)
    }
    for (const member of [...entry.members]) {
      if (!isKnown || (!member.granted && hasAsked(member))) this.fail(member.consumer, reason)
      else if (hasAsked(member)) member.request = undefined
    }
    if (isKnown && entry.members.every(({ granted }) => granted)) this.#settleFor(entry)
    this.review(entry)
  }

  // The server refuses more than it granted, and repeating the request would not help.
  #settleFor(entry: SubscriptionEntry): void {
    entry.requestedQoS = entry.qos
    entry.serverNoLocal = entry.noLocal
    entry.serverRetainAsPublished = entry.retainAsPublished
  }

  unsubscribe(filter: string): void {
    // Also for an unknown filter without consumers: the server may have it from an earlier process.
    let entry = this.table.get(filter)
    if (entry === undefined) {
      entry = this.table.entryOf(filter)
      entry.isUncertain = true
    }
    entry.keep = false
    entry.wasGranted = false
    entry.isUnsubscribed = true
    for (const member of [...entry.members]) {
      const { consumer } = member
      consumer.members = consumer.members.filter((other) => other !== member)
      this.removeMember(member)
      if (!member.granted) this.grant(member)
      if (consumer.name === undefined) continue
      if (consumer.members.length === 0) this.forget(consumer.name)
      else this.#recordConsumer(consumer)
    }
    this.review(entry)
  }

  /** The server has no subscriptions any more. */
  sessionLost(): void {
    const fails = this.#core.options.onSessionLost === "fail"
    this.table.sessionLost(!fails)
    if (!fails) return
    const reason = new SessionLost({})
    for (const consumer of [...this.#consumers ?? []]) {
      if (consumer.state === "active") this.fail(consumer, reason)
    }
  }

  /** Grants what needs no packet, and marks what needs one. */
  review(entry: SubscriptionEntry): void {
    if (entry.isSatisfied && entry.request === undefined) {
      for (const member of entry.members) {
        if (!member.granted && !member.wantsRetained) this.grant(member)
      }
    }
    this.table.mark(entry)
  }

  grant(member: Member): void {
    const { consumer, entry } = member
    member.granted = true
    member.grantedQoS = entry.grantedQoS
    member.wantsRetained = false
    if (--consumer.pending > 0 || consumer.state !== "joining") return
    consumer.state = "active"
    const granted = new Map<string, QoS>()
    for (const other of consumer.members) granted.set(other.entry.filter, other.grantedQoS)
    consumer.granted = consumer.request.filters.map((filter) => granted.get(filter) ?? 0)
    this.#core.notify(consumer)
  }

  removeMember(member: Member): void {
    const { entry } = member
    entry.members = entry.members.filter((other) => other !== member)
    if (entry.members.length === 0) this.#router.remove(entry)
    entry.updateQoS()
  }

  /** Makes the consumer a member of its filters. */
  #enter(consumer: EngineConsumer): void {
    const { name, request } = consumer
    this.#consumers ??= new Set()
    this.#consumers.add(consumer)
    if (name !== undefined) {
      this.#named ??= new Map()
      this.#named.set(name, consumer)
    }
    for (const filter of new Set(request.filters)) {
      const entry = this.table.entryOf(filter)
      const member = new Member(consumer, entry, consumer.members.length)
      // A list of one is not pushed into an empty array, which would get space for sixteen more.
      if (consumer.members.length === 0) consumer.members = [member]
      else consumer.members.push(member)
      consumer.pending++
      if (entry.members.length === 0) {
        this.#router.add(entry)
        entry.members = [member]
      } else entry.members.push(member)
      entry.isUnsubscribed = false
      entry.noLocal = request.noLocal
      entry.retainAsPublished = request.retainAsPublished
      if (request.keep || this.#core.options.durable) entry.keep = true
      // It joins a subscription that exists or is under way: the retained messages must come again, for this consumer
      // only.
      member.wantsRetained = request.retained === "each" && !entry.isShared &&
        (entry.isKnown || entry.request?.kind === "subscribe")
      entry.updateQoS()
    }
  }

  /** Removes the consumer from its filters. */
  #exit(consumer: EngineConsumer): void {
    this.#consumers?.delete(consumer)
    for (const member of consumer.members) {
      this.removeMember(member)
      this.review(member.entry)
    }
    consumer.members = []
  }

  #leave(consumer: EngineConsumer, keep: Keep = this.#core.options.durable ? "session" : "hold"): void {
    const { filters } = consumer
    this.#exit(consumer)
    this.#host.left(consumer, filters, filters.length === 0 ? "not" : keep, this.#core.now)
  }

  #recordConsumer({ filters, name, request: { qos } }: EngineConsumer): void {
    if (this.#core.options.durable) this.#core.put({ _tag: "Consumer", name: name!, filters, qos })
  }

  #unname(consumer: EngineConsumer): void {
    const { name } = consumer
    if (name === undefined) return
    consumer.name = undefined
    this.#named?.delete(name)
    if (this.#core.options.durable) this.#core.delete(consumerKey(name))
  }

  /** The server has ended the subscription. */
  ended(entry: SubscriptionEntry): void {
    entry.forget()
    this.table.unrecord(entry)
    this.review(entry)
    if (entry.isUnsubscribed && !entry.isWanted) this.#host.unsubscribed(entry.filter)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { consumers: this.#consumers, named: this.#named }
  }

  set privateState(state) {
    this.#consumers = state.consumers
    this.#named = state.named
  }
}

const everyone = (): boolean => true

/** Whether a returning consumer asks for what its record says. */
const isSameConsumer = (consumer: EngineConsumer, before: EngineConsumer | undefined): boolean => {
  if (before === undefined || before.request.qos !== consumer.request.qos) return false
  const { filters } = consumer
  const known = before.filters
  return known.length === filters.length && known.every((filter, index) => filter === filters[index])
}
