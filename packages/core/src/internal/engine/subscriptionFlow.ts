/**
 * Sends SUBSCRIBE and UNSUBSCRIBE and handles their acknowledgements. `subscriptions.ts` decides what is due;
 * `engine.ts` calls this file.
 */
import {
  type MqttErrorReason,
  PacketTooLarge,
  PoisonMessage,
  SubscriptionRefused,
  UnsubscribeRefused
} from "../../MqttError.ts"
import type { Packet, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { Violation } from "../codec/contract.ts"
import { sizeOf } from "../codec/size.ts"
import { cleanText } from "../peerText.ts"
import type { EngineCore } from "./core.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import * as limits from "./limits.ts"
import { retainedWait, type Router } from "./router.ts"
import type { Member } from "./subscriptionEntry.ts"
import { type RequestedSubscription, type SubscriptionEntry, SubscriptionRequest } from "./subscriptionEntry.ts"
import type { Subscriptions } from "./subscriptions.ts"
import * as violations from "./violations.ts"

/** Maximum number of topic filters in a packet. Servers limit it, the strictest to 8; most accept a hundred. */
const filtersPerPacket = 100

const everyone = (): boolean => true

/** Largest subscription identifier (MQTT 3.8.2.1.2). */
const largestIdentifier = 268_435_455

/**
 * Sends due requests and processes their answers.
 */
export class SubscriptionFlow {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #identifiers: PacketIdentifiers<unknown>
  readonly #subscriptions: Subscriptions
  /** The requests of this connection that are not acknowledged. */
  #requests: Set<SubscriptionRequest> | undefined
  #nextIdentifier = 1

  constructor(
    core: EngineCore,
    router: Router,
    identifiers: PacketIdentifiers<unknown>,
    subscriptions: Subscriptions
  ) {
    this.#core = core
    this.#router = router
    this.#identifiers = identifiers
    this.#subscriptions = subscriptions
  }

  disconnected(): void {
    for (const { packetIdentifier } of this.#requests ?? []) this.#identifiers.release(packetIdentifier)
    this.#requests = undefined
    this.#subscriptions.disconnected()
  }

  /** Adds the packets of all due entries to the output. */
  flush(): void {
    const core = this.#core
    if (!core.online || !this.#subscriptions.hasDue) return
    const subscribe: Array<RequestedSubscription> = []
    const unsubscribe: Array<SubscriptionEntry> = []
    const withIdentifiers = core.options.subscriptionIdentifiers === "auto" &&
      core.limits!.subscriptionIdentifiersAvailable
    for (const entry of this.#admitted(this.#subscriptions.takeDue())) {
      if (!entry.isWanted) {
        unsubscribe.push(entry)
        continue
      }
      const refusal = limits.refuseFilter(entry.filter, entry.isShared, core.limits!)
      if (refusal !== undefined) {
        if (entry.known) this.#subscriptions.unrecord(entry)
        entry.known = false
        this.#deny(entry, refusal, everyone)
        continue
      }
      const requested = this.#requestFor(entry, withIdentifiers)
      if (withIdentifiers) this.#sendSubscribe([requested])
      else subscribe.push(requested)
    }
    this.#sendInBatches(subscribe, (batch) => this.#sendSubscribe(batch))
    this.#sendInBatches(unsubscribe, (batch) => this.#sendUnsubscribe(batch))
  }

  /**
   * The entries that may be requested now. A suspect, over which the server ends connections, goes alone; the others
   * stay due.
   */
  #admitted(due: ReadonlyArray<SubscriptionEntry>): ReadonlyArray<SubscriptionEntry> {
    const { poison } = this.#core
    const suspect = due.find((entry) => poison.isSuspect(entry))
    if (suspect === undefined && !poison.isAlone) return due
    const isAdmitted = suspect !== undefined && poison.admits(suspect)
    for (const entry of due) if (!isAdmitted || entry !== suspect) this.#subscriptions.review(entry)
    return isAdmitted ? [suspect] : []
  }

  /** The oldest request that the network got on this connection and that the server has not answered. */
  oldestUnanswered(unwritten: ReadonlySet<number>): SubscriptionRequest | undefined {
    for (const request of this.#requests ?? []) if (!unwritten.has(request.packetIdentifier)) return request
    return undefined
  }

  /**
   * Gives up a request over which the server ends connections. It was lost with the last connection and is not
   * repeated.
   */
  giveUp({ entries, kind, strikes }: SubscriptionRequest, last: string): void {
    const reason = new PoisonMessage({ connections: strikes, last })
    for (const entry of entries) {
      entry.strikes = 0
      entry.uncertain = false
      if (kind === "subscribe" && !entry.isDoubtful) {
        this.#deny(entry, reason, everyone)
        continue
      }
      if (kind === "unsubscribe") {
        this.#subscriptions.ended(entry)
        continue
      }
      this.#subscriptions.unrecord(entry)
      entry.forget()
      this.#deny(entry, reason, everyone)
    }
  }

  onSuback(packet: Suback, now: number): Violation | undefined {
    const request = this.#answered(packet, "subscribe")
    if (!(request instanceof SubscriptionRequest)) return request
    const { subscriptions } = request
    for (let i = 0; i < subscriptions.length; i++) subscriptions[i]!.entry.request = undefined
    for (let i = 0; i < subscriptions.length; i++) {
      const requested = subscriptions[i]!
      const reasonCode = packet.reasonCodes[i]!
      if (reasonCode < 0x80) this.#granted(request, requested, reasonCode as QoS, now)
      else this.#refused(request, requested.entry, reasonCode, packet.properties.reasonString)
    }
    return undefined
  }

  onUnsuback(packet: Unsuback): Violation | undefined {
    const request = this.#answered(packet, "unsubscribe")
    if (!(request instanceof SubscriptionRequest)) return request
    const { properties: { reasonString }, reasonCodes } = packet
    for (let i = 0; i < request.entries.length; i++) {
      const entry = request.entries[i]!
      entry.request = undefined
      // 3.1.1 has no reason codes. After a refusal the subscription stays at the server, and its messages are
      // unclaimed.
      const reasonCode = reasonCodes[i] ?? 0
      if (reasonCode >= 0x80) {
        const reason = new UnsubscribeRefused(
          reasonString === undefined
            ? { filter: entry.filter, reasonCode }
            : { filter: entry.filter, reasonCode, reasonString: cleanText(reasonString) }
        )
        this.#core.emit({ _tag: "UnsubscribeRefused", reason })
      }
      this.#subscriptions.ended(entry)
    }
    return undefined
  }

  #answered(
    packet: Suback | Unsuback,
    kind: SubscriptionRequest["kind"]
  ): SubscriptionRequest | Violation | undefined {
    const { packetIdentifier, reasonCodes } = packet
    const owner = this.#identifiers.get(packetIdentifier)
    if (owner === undefined) {
      this.#core.emit({ _tag: "UnknownPacketIdentifier", packet: packet._tag, packetIdentifier })
      return undefined
    }
    if (!(owner instanceof SubscriptionRequest) || owner.kind !== kind) {
      return violations.wrongAcknowledgement(packet._tag, packetIdentifier)
    }
    // UNSUBACK has no reason codes on 3.1.1.
    const expected = kind === "unsubscribe" && !this.#core.isVersion5 ? 0 : owner.entries.length
    if (reasonCodes.length !== expected) {
      return violations.wrongReasonCodeCount(packet._tag, expected, reasonCodes.length)
    }
    this.#identifiers.release(packetIdentifier)
    this.#requests?.delete(owner)
    this.#core.poison.answered(owner)
    return owner
  }

  #granted(request: SubscriptionRequest, requested: RequestedSubscription, qos: QoS, now: number): void {
    const { entry } = requested
    entry.known = true
    entry.uncertain = false
    entry.isDoubtful = false
    // A consumer that left before SUBACK leaves no subscription behind.
    if (entry.members.length > 0) entry.wasGranted = true
    entry.requestedQoS = requested.qos
    entry.grantedQoS = qos
    entry.serverNoLocal = requested.noLocal
    entry.serverRetainAsPublished = requested.retainAsPublished
    entry.serverIdentifier = requested.identifier
    this.#subscriptions.record(entry)
    for (const member of [...entry.members]) {
      if (member.request !== request) continue
      member.request = undefined
      if (member.waitsUntil === Infinity) member.waitsUntil = now + retainedWait
      if (!member.granted) this.#subscriptions.grant(member)
    }
    this.#subscriptions.review(entry)
  }

  #refused(
    request: SubscriptionRequest,
    entry: SubscriptionEntry,
    reasonCode: number,
    reasonString: string | undefined
  ): void {
    const { filter } = entry
    const reason = new SubscriptionRefused(
      reasonString === undefined
        ? { filter, reasonCode }
        : { filter, reasonCode, reasonString: cleanText(reasonString) }
    )
    if (entry.members.length === 0 && entry.isWanted) this.#core.emit({ _tag: "SubscriptionRefused", reason })
    entry.uncertain = false
    // Only the store speaks for this subscription, and it may describe another session. Failing is better than silence.
    if (entry.isDoubtful) {
      this.#subscriptions.unrecord(entry)
      entry.forget()
    }
    this.#deny(entry, reason, (member) => member.request === request)
  }

  /**
   * No new grant will come. If an older grant stands, its members keep it, and only the members that asked now fail.
   */
  #deny(entry: SubscriptionEntry, reason: MqttErrorReason, hasAsked: (member: Member) => boolean): void {
    const { known } = entry
    if (!known) {
      entry.wasGranted = false
      this.#subscriptions.unrecord(entry)
    }
    for (const member of [...entry.members]) {
      if (!known || (!member.granted && hasAsked(member))) this.#subscriptions.fail(member.consumer, reason)
      else if (hasAsked(member)) member.request = undefined
    }
    if (known && entry.members.every(({ granted }) => granted)) this.#settleFor(entry)
    this.#subscriptions.review(entry)
  }

  // The server refuses more than it granted, and repeating the request would not help.
  #settleFor(entry: SubscriptionEntry): void {
    entry.requestedQoS = entry.qos
    entry.serverNoLocal = entry.noLocal
    entry.serverRetainAsPublished = entry.retainAsPublished
  }

  #requestFor(entry: SubscriptionEntry, withIdentifiers: boolean): RequestedSubscription {
    if (withIdentifiers && entry.identifier === 0) {
      entry.identifier = this.#allocateIdentifier()
      this.#router.addIdentifier(entry)
    }
    // A first subscription brings the retained messages to every consumer that wants them. A later one brings them to
    // the consumers that asked.
    let isAwaited = false
    for (const member of entry.members) {
      const { retained } = member.consumer.request
      if (entry.isShared || retained === "none" || (entry.known && !member.wantsRetained)) continue
      isAwaited = true
    }
    return {
      entry,
      qos: entry.qos,
      noLocal: entry.noLocal,
      retainAsPublished: entry.retainAsPublished,
      retainHandling: !this.#core.isVersion5 || isAwaited || entry.isShared ? 0 : 2,
      identifier: withIdentifiers ? entry.identifier : 0
    }
  }

  #allocateIdentifier(): number {
    while (this.#router.hasIdentifier(this.#nextIdentifier)) this.#advance()
    const identifier = this.#nextIdentifier
    this.#advance()
    return identifier
  }

  #advance(): void {
    this.#nextIdentifier = this.#nextIdentifier === largestIdentifier ? 1 : this.#nextIdentifier + 1
  }

  #sendInBatches<A>(items: ReadonlyArray<A>, send: (batch: ReadonlyArray<A>) => void): void {
    for (let i = 0; i < items.length; i += filtersPerPacket) send(items.slice(i, i + filtersPerPacket))
  }

  #sendSubscribe(subscriptions: ReadonlyArray<RequestedSubscription>): void {
    const filters: Array<SubscribeFilter> = subscriptions.map((
      { entry: { filter }, noLocal, qos, retainAsPublished, retainHandling }
    ) => ({ filter, qos, noLocal, retainAsPublished, retainHandling }))
    const subscriptionIdentifier = subscriptions[0]!.identifier
    const entries = subscriptions.map(({ entry }) => entry)
    const request = new SubscriptionRequest("subscribe", entries, subscriptions)
    const packet: Subscribe = {
      _tag: "Subscribe",
      packetIdentifier: 1,
      filters,
      properties: subscriptionIdentifier === 0 ? none : { subscriptionIdentifier }
    }
    if (this.#isTooLarge(packet)) {
      if (subscriptions.length > 1) return this.#halve(subscriptions, (half) => this.#sendSubscribe(half))
      return this.#deny(entries[0]!, this.#tooLarge(packet), everyone)
    }
    const packetIdentifier = this.#register(request)
    if (packetIdentifier === 0) return
    for (const requested of subscriptions) this.#subscriptions.recordRequest(requested)
    this.#core.send({ ...packet, packetIdentifier })
    for (const entry of entries) {
      for (const member of entry.members) {
        const { consumer } = member
        if (!entry.isShared && consumer.request.retained !== "none" && (!entry.known || member.wantsRetained)) {
          // A new wait, also after a lost session: retained messages may now be newer than those it has seen.
          if (!consumer.members.some(({ waitsUntil }) => waitsUntil === Infinity)) consumer.seen = new Set()
          consumer.seen ??= new Set()
          member.waitsUntil = Infinity
        }
        member.wantsRetained = false
        member.request = request
      }
    }
  }

  #sendUnsubscribe(entries: ReadonlyArray<SubscriptionEntry>): void {
    const request = new SubscriptionRequest("unsubscribe", entries, [])
    const packet: Unsubscribe = {
      _tag: "Unsubscribe",
      packetIdentifier: 1,
      filters: entries.map(({ filter }) => filter),
      properties: none
    }
    if (this.#isTooLarge(packet)) {
      // No caller waits for this. A subscription whose filter fits in no packet stays at the server.
      if (entries.length > 1) this.#halve(entries, (half) => this.#sendUnsubscribe(half))
      return
    }
    const packetIdentifier = this.#register(request)
    if (packetIdentifier !== 0) this.#core.send({ ...packet, packetIdentifier })
  }

  /** Takes a packet identifier. When none is free, the entries stay due. */
  #register(request: SubscriptionRequest): number {
    const packetIdentifier = this.#identifiers.allocate(request)
    if (packetIdentifier === 0) {
      for (const entry of request.entries) this.#subscriptions.review(entry)
      return 0
    }
    request.packetIdentifier = packetIdentifier
    this.#requests ??= new Set()
    this.#requests.add(request)
    this.#core.poison.sent(request, this.#core.now)
    for (const entry of request.entries) entry.request = request
    return packetIdentifier
  }

  #isTooLarge(packet: Packet): boolean {
    return sizeOf(packet, this.#core.options.protocolVersion) > this.#core.limits!.maximumPacketSize
  }

  #tooLarge(packet: Packet): MqttErrorReason {
    const { limits: server, options } = this.#core
    return new PacketTooLarge({ size: sizeOf(packet, options.protocolVersion), maximum: server!.maximumPacketSize })
  }

  #halve<A>(items: ReadonlyArray<A>, send: (half: ReadonlyArray<A>) => void): void {
    const middle = items.length >> 1
    send(items.slice(0, middle))
    send(items.slice(middle))
  }
}
