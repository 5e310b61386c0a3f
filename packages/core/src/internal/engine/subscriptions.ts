/**
 * Subscriptions: what consumers want and what the server has, brought together by one SUBSCRIBE or UNSUBSCRIBE at a time for each
 * filter (MQTT 3.8 to 3.11).
 */
import {
  InvalidOptions,
  type MqttErrorReason,
  NotSupported,
  SessionLost,
  SubscriptionConflict
} from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import type { SubscriptionRecord } from "../../StoreRecord.ts"
import { subscriptionKey } from "../../StoreRecord.ts"
import type { ConsumerRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import { EngineConsumer, Member } from "./engineConsumer.ts"
import * as limits from "./limits.ts"
import type { Router } from "./router.ts"
import { SubscriptionEntry } from "./subscriptionEntry.ts"

/**
 * The book of subscriptions and consumers.
 */
export class Subscriptions {
  readonly #core: EngineCore
  readonly #router: Router
  /** A consumer has lost its place: its deliveries need a new home. */
  readonly #onLeave: (consumer: EngineConsumer) => void
  // Made for the first subscription: many sessions only publish.
  #entries: Map<string, SubscriptionEntry> | undefined
  #consumers: Set<EngineConsumer> | undefined
  /** Entries to look at before the next output leaves. */
  #due: Set<SubscriptionEntry> | undefined
  /** Those that are known from the store only, until the first connection. */
  #restored: Array<SubscriptionEntry> | undefined

  constructor(core: EngineCore, router: Router, onLeave: (consumer: EngineConsumer) => void) {
    this.#core = core
    this.#router = router
    this.#onLeave = onLeave
  }

  get consumers(): number {
    return this.#consumers?.size ?? 0
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

  restore(records: ReadonlyArray<SubscriptionRecord>): void {
    for (const record of records) {
      const entry = this.#entryOf(record.filter)
      entry.keep = true
      entry.wasGranted = true
      entry.known = true
      entry.qos = entry.requestedQoS = entry.grantedQoS = record.qos
      entry.recorded = record
      this.#restored ??= []
      this.#restored.push(entry)
      // MQTT 3.1.1, which the last process may not have spoken, has nothing of what follows.
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
   * The server has a session, though perhaps not the one that the store tells of: a process that dies between CONNACK and the commit of
   * what it changed leaves the records of an older one. Nothing was subscribed in that session before the commit, so that asking once
   * more for every restored subscription is all that it takes.
   */
  resume(): void {
    for (const entry of this.#restored ?? []) {
      if (!entry.known) continue
      entry.uncertain = true
      entry.isDoubtful = true
    }
    this.#restored = undefined
  }

  add(request: ConsumerRequest): EngineConsumer | MqttErrorReason {
    const refusal = this.#refuse(request)
    if (refusal !== undefined) return refusal
    const consumer = new EngineConsumer(request)
    this.#consumers ??= new Set()
    this.#consumers.add(consumer)
    for (const filter of new Set(request.filters)) {
      const entry = this.#entryOf(filter)
      const member = new Member(consumer, entry, consumer.members.length)
      consumer.members.push(member)
      consumer.pending++
      if (entry.members.length === 0) this.#router.add(entry)
      entry.members.push(member)
      entry.noLocal = request.noLocal
      entry.retainAsPublished = request.retainAsPublished
      if (request.keep || this.#core.options.durable) entry.keep = true
      // Joining a subscription that is there, or is being made: the retained messages come again, for this one alone.
      member.wantsRetained = request.retained === "each" && !entry.isShared &&
        (entry.known || entry.request?.kind === "subscribe")
      entry.updateQoS()
    }
    for (const member of consumer.members) this.review(member.entry)
    return consumer
  }

  remove(consumer: EngineConsumer): void {
    if (consumer.state !== "joining" && consumer.state !== "active") {
      if (consumer.state === "failed") consumer.state = "closed"
      return
    }
    consumer.state = "closed"
    this.#leave(consumer)
  }

  fail(consumer: EngineConsumer, reason: MqttErrorReason): void {
    if (consumer.state !== "joining" && consumer.state !== "active") return
    consumer.state = "failed"
    consumer.reason = reason
    this.#core.notify(consumer)
    this.#leave(consumer)
  }

  unsubscribe(filter: string): void {
    // Also without consumers, and even if nothing is known of it: the server may have it from an earlier life.
    let entry = this.#entries?.get(filter)
    if (entry === undefined) {
      entry = this.#entryOf(filter)
      entry.uncertain = true
    }
    entry.keep = false
    entry.wasGranted = false
    for (const member of [...entry.members]) {
      const { consumer } = member
      consumer.members = consumer.members.filter((other) => other !== member)
      this.removeMember(member)
      if (!member.granted) this.grant(member)
    }
    this.review(entry)
  }

  /** CONNACK: everything that differs from what the server has is due. */
  connected(): void {
    for (const entry of this.#entries?.values() ?? []) this.#review(entry)
  }

  /** The server has no subscriptions any more. */
  sessionLost(): void {
    const { durable, onSessionLost } = this.#core.options
    const fails = onSessionLost === "fail"
    const reason = fails ? new SessionLost({}) : undefined
    for (const entry of this.#entries?.values() ?? []) {
      if (durable && (entry.known || entry.uncertain)) this.#core.delete(subscriptionKey(entry.filter))
      entry.forget()
      entry.recorded = undefined
      if (fails) entry.wasGranted = false
    }
    this.#restored = undefined
    if (reason === undefined) return
    for (const consumer of [...this.#consumers ?? []]) {
      if (consumer.state === "active") this.fail(consumer, reason)
    }
  }

  /** Requests that were on their way may have been carried out, or not. */
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

  /** Grants what can be granted without a packet, and notes what needs one. */
  review(entry: SubscriptionEntry): void {
    if (entry.isSatisfied && entry.request === undefined) {
      for (const member of entry.members) {
        if (!member.granted && !member.wantsRetained) this.grant(member)
      }
    }
    this.#review(entry)
  }

  /** The entries that need a look, once each; those with a request on its way get it when that is answered. */
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

  /** The server has granted it, as it was asked for. */
  record(entry: SubscriptionEntry): void {
    if (!this.#core.options.durable || entry.isRecorded) return
    entry.recorded = entry.toRecord()
    this.#core.put(entry.recorded)
  }

  unrecord(entry: SubscriptionEntry): void {
    if (!this.#core.options.durable) return
    entry.recorded = undefined
    this.#core.delete(subscriptionKey(entry.filter))
  }

  #review(entry: SubscriptionEntry): void {
    this.#due ??= new Set()
    this.#due.add(entry)
  }

  #leave(consumer: EngineConsumer): void {
    this.#consumers?.delete(consumer)
    for (const member of consumer.members) {
      this.removeMember(member)
      this.review(member.entry)
    }
    consumer.members = []
    this.#onLeave(consumer)
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

  #refuse({ filters, noLocal, retainAsPublished }: ConsumerRequest): MqttErrorReason | undefined {
    const { isVersion5, limits: server } = this.#core
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
      if (entry.members.length === 0) continue
      if (entry.noLocal !== noLocal) return new SubscriptionConflict({ filter, detail: "noLocal differs" })
      if (entry.retainAsPublished !== retainAsPublished) {
        return new SubscriptionConflict({ filter, detail: "retainAsPublished differs" })
      }
    }
    return undefined
  }
}
