/**
 * Subscriptions: compares what consumers want with what the server has, and marks the filters that need a SUBSCRIBE or
 * UNSUBSCRIBE (MQTT 3.8 to 3.11), one request at a time for each filter. It sends nothing: `subscriptionFlow.ts` does.
 */
import {
  InvalidOptions,
  type MqttErrorReason,
  NotSupported,
  SessionLost,
  SubscriptionConflict
} from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import { consumerKey, type ConsumerRecord, subscriptionKey, type SubscriptionRecord } from "../../StoreRecord.ts"
import type { ConsumerRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import * as limits from "./limits.ts"
import type { Router } from "./router.ts"
import { EngineConsumer, Member } from "./subscriptionEntry.ts"
import { type RequestedSubscription, SubscriptionEntry } from "./subscriptionEntry.ts"

/** How long unfinished deliveries are kept: until the session ends, for `unclaimed.hold`, or not at all. */
export type Keep = "session" | "hold" | "not"

/**
 * Callbacks for consumers that join and leave.
 */
export interface SubscriptionsHost {
  /** A consumer has joined. `absent` is the absent consumer whose name it has. */
  readonly onJoin: (consumer: EngineConsumer, absent: EngineConsumer | undefined) => void
  /** A consumer of these filters has left. `keep` says how long its unfinished deliveries wait for a successor. */
  readonly onLeave: (consumer: EngineConsumer, filters: ReadonlyArray<string>, keep: Keep) => void
  /** The subscription to this filter was ended by `unsubscribe`, and the server has confirmed it. */
  readonly onUnsubscribed: (filter: string) => void
}

/**
 * All subscriptions and consumers of the session.
 */
export class Subscriptions {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #host: SubscriptionsHost
  // Made with the first subscription, because many sessions only publish.
  #entries: Map<string, SubscriptionEntry> | undefined
  #consumers: Set<EngineConsumer> | undefined
  /** Named consumers, absent ones included. */
  #named: Map<string, EngineConsumer> | undefined
  /** Entries to review before the next output is taken. */
  #due: Set<SubscriptionEntry> | undefined
  /** Entries known only from the store, until the first connection. */
  #restored: Array<SubscriptionEntry> | undefined

  constructor(core: EngineCore, router: Router, host: SubscriptionsHost) {
    this.#core = core
    this.#router = router
    this.#host = host
  }

  get consumers(): number {
    return this.#consumers?.size ?? 0
  }

  get named(): Iterable<EngineConsumer> {
    return this.#named?.values() ?? []
  }

  get known(): number {
    let count = 0
    for (const { known } of this.#entries?.values() ?? []) {
      if (known) count++
    }
    return count
  }

  get pending(): number {
    let count = 0
    for (const entry of this.#entries?.values() ?? []) {
      if (entry.request !== undefined || entry.isDue) count++
    }
    return count
  }

  isSettled(filter: string): boolean {
    const entry = this.#entries?.get(filter)
    return entry === undefined || (entry.request === undefined && !entry.isDue)
  }

  restore(records: ReadonlyArray<SubscriptionRecord>, consumers: ReadonlyArray<ConsumerRecord>): void {
    this.#restoreEntries(records)
    for (const { filters, name, qos } of consumers) {
      const consumer = new EngineConsumer({
        filters,
        qos,
        // Consumers of one filter agree on these options, so the server's values are those that this consumer asked
        // for.
        noLocal: this.#entries?.get(filters[0]!)?.noLocal ?? false,
        retainAsPublished: this.#entries?.get(filters[0]!)?.retainAsPublished ?? false,
        retained: "none",
        keep: true,
        name
      })
      consumer.state = "absent"
      this.#enter(consumer)
      for (const member of consumer.members) {
        member.granted = member.entry.known
        member.wantsRetained = false
      }
    }
  }

  #restoreEntries(records: ReadonlyArray<SubscriptionRecord>): void {
    for (const record of records) {
      const entry = this.#entryOf(record.filter)
      entry.keep = true
      entry.wasGranted = record.granted
      entry.known = true
      entry.uncertain = !record.granted
      entry.qos = entry.requestedQoS = entry.grantedQoS = record.qos
      entry.recorded = record
      this.#restored ??= []
      this.#restored.push(entry)
      // The last process may have used MQTT 5, but MQTT 3.1.1 has none of the following.
      if (!this.#core.isVersion5) continue
      entry.noLocal = entry.serverNoLocal = record.noLocal
      entry.retainAsPublished = entry.serverRetainAsPublished = record.retainAsPublished
      entry.serverIdentifier = record.subscriptionIdentifier
      if (record.subscriptionIdentifier !== 0) {
        entry.identifier = record.subscriptionIdentifier
        this.#router.addIdentifier(entry)
      }
    }
  }

  /**
   * The server has a session, perhaps not the one that the store describes: a process that dies between CONNACK and its
   * commit leaves records of an older session. Nothing was subscribed in the new session before that commit, so it is
   * enough to request every restored subscription once more.
   */
  resume(): void {
    for (const entry of this.#restored ?? []) {
      if (!entry.known) continue
      entry.uncertain = true
      entry.isDoubtful = true
    }
    this.#restored = undefined
  }

  /** The server may have begun a new session without these subscriptions. */
  doubt(): void {
    for (const entry of this.#entries?.values() ?? []) {
      if (!entry.known) continue
      entry.uncertain = true
      entry.isDoubtful = true
    }
  }

  add(request: ConsumerRequest): EngineConsumer | MqttErrorReason {
    const { name } = request
    const absent = name === undefined ? undefined : this.#named?.get(name)
    const refusal = this.#refuse(request, absent)
    if (refusal !== undefined) return refusal
    const consumer = new EngineConsumer(request)
    this.#enter(consumer)
    if (name !== undefined && !isSameConsumer(consumer, absent)) this.#recordConsumer(consumer)
    if (absent !== undefined) this.#exit(absent)
    this.#host.onJoin(consumer, absent)
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

  unsubscribe(filter: string): void {
    // Also for an unknown filter without consumers: the server may have it from an earlier process.
    let entry = this.#entries?.get(filter)
    if (entry === undefined) {
      entry = this.#entryOf(filter)
      entry.uncertain = true
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

  /** CONNACK: every entry that differs from the server's state is due. */
  connected(): void {
    for (const entry of this.#entries?.values() ?? []) this.#review(entry)
  }

  /** The server has no subscriptions any more. */
  sessionLost(): void {
    const { onSessionLost } = this.#core.options
    const fails = onSessionLost === "fail"
    const reason = fails ? new SessionLost({}) : undefined
    for (const entry of this.#entries?.values() ?? []) {
      this.unrecord(entry)
      entry.forget()
      if (fails) entry.wasGranted = false
    }
    this.#restored = undefined
    if (reason === undefined) return
    for (const consumer of [...this.#consumers ?? []]) {
      if (consumer.state === "active") this.fail(consumer, reason)
    }
  }

  /** Requests under way may or may not have been processed. */
  disconnected(): void {
    for (const entry of this.#entries?.values() ?? []) {
      if (entry.request === undefined) continue
      if (entry.request.kind === "unsubscribe") entry.known = false
      entry.request = undefined
      entry.uncertain = true
      for (const member of entry.members) {
        if (member.request === undefined) continue
        member.request = undefined
        member.wantsRetained = entry.known && member.waitsUntil === Infinity
      }
    }
  }

  /** Grants what needs no packet, and marks what needs one. */
  review(entry: SubscriptionEntry): void {
    if (entry.isSatisfied && entry.request === undefined) {
      for (const member of entry.members) {
        if (!member.granted && !member.wantsRetained) this.grant(member)
      }
    }
    this.#review(entry)
  }

  /** Takes the entries to review, once each. Entries with a request under way are reviewed when it is answered. */
  takeDue(): ReadonlyArray<SubscriptionEntry> {
    if (this.#due === undefined || this.#due.size === 0) return []
    const due: Array<SubscriptionEntry> = []
    for (const entry of this.#due) {
      if (entry.request !== undefined) continue
      if (!entry.isWanted && !entry.known && !entry.uncertain) this.#forget(entry)
      else if (entry.isDue) due.push(entry)
    }
    this.#due.clear()
    return due
  }

  get hasDue(): boolean {
    return this.#due !== undefined && this.#due.size > 0
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

  /** Records that the server granted the subscription as requested. */
  record(entry: SubscriptionEntry): void {
    this.#put(entry, entry.toRecord())
  }

  /** Records that the server is about to be asked, with this identifier. */
  recordRequest({ entry, identifier, noLocal, qos, retainAsPublished }: RequestedSubscription): void {
    const { filter, recorded } = entry
    if (recorded?.granted === true && recorded.subscriptionIdentifier === identifier) return
    this.#put(entry, {
      _tag: "Subscription",
      filter,
      granted: false,
      qos,
      noLocal,
      retainAsPublished,
      subscriptionIdentifier: identifier
    })
  }

  #put(entry: SubscriptionEntry, record: SubscriptionRecord): void {
    if (!this.#core.options.durable || entry.hasRecorded(record)) return
    entry.recorded = record
    this.#core.put(record)
  }

  unrecord(entry: SubscriptionEntry): void {
    if (entry.recorded === undefined) return
    entry.recorded = undefined
    this.#core.delete(subscriptionKey(entry.filter))
  }

  #review(entry: SubscriptionEntry): void {
    this.#due ??= new Set()
    this.#due.add(entry)
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
      const entry = this.#entryOf(filter)
      const member = new Member(consumer, entry, consumer.members.length)
      consumer.members.push(member)
      consumer.pending++
      if (entry.members.length === 0) this.#router.add(entry)
      entry.members.push(member)
      entry.isUnsubscribed = false
      entry.noLocal = request.noLocal
      entry.retainAsPublished = request.retainAsPublished
      if (request.keep || this.#core.options.durable) entry.keep = true
      // It joins a subscription that exists or is under way: the retained messages must come again, for this consumer
      // only.
      member.wantsRetained = request.retained === "each" && !entry.isShared &&
        (entry.known || entry.request?.kind === "subscribe")
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
    this.#host.onLeave(consumer, filters, filters.length === 0 ? "not" : keep)
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

  #entryOf(filter: string): SubscriptionEntry {
    let entry = this.#entries?.get(filter)
    if (entry === undefined) {
      entry = new SubscriptionEntry(filter)
      this.#entries ??= new Map()
      this.#entries.set(filter, entry)
    }
    return entry
  }

  #forget(entry: SubscriptionEntry): void {
    this.#entries?.delete(entry.filter)
    if (entry.identifier !== 0) this.#router.removeIdentifier(entry)
  }

  /** The server has ended the subscription. */
  ended(entry: SubscriptionEntry): void {
    entry.forget()
    this.unrecord(entry)
    this.review(entry)
    if (entry.isUnsubscribed && !entry.isWanted) this.#host.onUnsubscribed(entry.filter)
  }

  #refuse(
    { filters, name, noLocal, retainAsPublished }: ConsumerRequest,
    sameName: EngineConsumer | undefined
  ): MqttErrorReason | undefined {
    const { isVersion5, limits: server } = this.#core
    if (sameName !== undefined && sameName.state !== "absent") {
      return new InvalidOptions({
        issues: [{
          path: "consumer",
          message: `${JSON.stringify(name)} is the name of another consumer of this session`
        }]
      })
    }
    if (filters.length === 0) {
      return new InvalidOptions({ issues: [{ path: "filters", message: "at least one topic filter is needed" }] })
    }
    if (!isVersion5 && (noLocal || retainAsPublished)) {
      const feature = noLocal ? "noLocal" : "retainAsPublished"
      return new NotSupported({ feature, detail: "MQTT 3.1.1 has no subscription options" })
    }
    for (const filter of filters) {
      const entry = this.#entries?.get(filter) ?? new SubscriptionEntry(filter)
      if (noLocal && entry.isShared) {
        return new InvalidOptions({
          issues: [{ path: "noLocal", message: `not allowed on the shared subscription ${filter}` }]
        })
      }
      if (server !== undefined) {
        const reason = limits.refuseFilter(filter, entry.isShared, server)
        if (reason !== undefined) return reason
      }
      if (entry.members.every(({ consumer }) => consumer === sameName)) continue
      if (entry.noLocal !== noLocal) return new SubscriptionConflict({ filter, detail: "noLocal differs" })
      if (entry.retainAsPublished !== retainAsPublished) {
        return new SubscriptionConflict({ filter, detail: "retainAsPublished differs" })
      }
    }
    return undefined
  }
}

/** Whether a returning consumer asks for what its record says. */
const isSameConsumer = (consumer: EngineConsumer, before: EngineConsumer | undefined): boolean => {
  if (before === undefined || before.request.qos !== consumer.request.qos) return false
  const { filters } = consumer
  const known = before.filters
  return known.length === filters.length && known.every((filter, index) => filter === filters[index])
}
