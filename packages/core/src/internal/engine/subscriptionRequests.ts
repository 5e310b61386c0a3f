/**
 * The SUBSCRIBE and UNSUBSCRIBE packets of one connection: makes them, splits those that the server would not take, and
 * remembers them until they are acknowledged. It decides neither what is due nor what an answer means:
 * `subscriptionFlow.ts` does.
 */
import { type MqttErrorReason, PacketTooLarge } from "../../MqttError.ts"
import type { Packet, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe } from "../../Packet.ts"
import { none } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import type { Violation } from "../codec/contract.ts"
import { sizeOf } from "../codec/size.ts"
import type { EngineCore } from "./core.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import type { Router } from "./router.ts"
import { type RequestedSubscription, type SubscriptionEntry, SubscriptionRequest } from "./subscriptionEntry.ts"
import type { Subscriptions } from "./subscriptions.ts"
import * as violations from "./violations.ts"

/** The lowest limit of topic filters in a packet that is known of a server. */
const strictest = 8

/** Largest subscription identifier (MQTT 3.8.2.1.2). */
const largestIdentifier = 268_435_455

export class SubscriptionRequests {
  readonly #core: EngineCore
  readonly #router: Router
  readonly #identifiers: PacketIdentifiers<unknown>
  readonly #subscriptions: Subscriptions
  /** The requests of this connection that are not acknowledged. */
  #requests: Set<SubscriptionRequest> | undefined
  #nextIdentifier = 1
  /** Topic filters in a packet. */
  #filtersPerPacket: number

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
    this.#filtersPerPacket = core.options.serverLimits?.filtersPerSubscribe ?? 100
  }

  disconnected(): void {
    for (const { packetIdentifier } of this.#requests ?? []) this.#identifiers.release(packetIdentifier)
    this.#requests = undefined
  }

  /** The oldest request that is not among these packet identifiers. */
  oldest(unwritten: ReadonlySet<number>): SubscriptionRequest | undefined {
    for (const request of this.#requests ?? []) if (!unwritten.has(request.packetIdentifier)) return request
    return undefined
  }

  /**
   * The server has ended a connection over this request, perhaps because of the number of its topic filters. Answers
   * whether smaller packets are tried.
   */
  sendFewer({ entries }: SubscriptionRequest): boolean {
    const { length } = entries
    if (length < 2) return false
    this.#filtersPerPacket = length > strictest ? strictest : Math.floor(length / 2)
    return true
  }

  /** The request that an acknowledgement answers. Its packet identifier is free. */
  answered(
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
    if (this.#requests?.size === 0) this.#requests = undefined
    this.#core.poison.answered(owner)
    return owner
  }

  /** What to ask the server for. */
  requestFor(entry: SubscriptionEntry, withIdentifiers: boolean): RequestedSubscription {
    if (withIdentifiers && entry.identifier === 0) {
      entry.identifier = this.#allocateIdentifier()
      this.#router.addIdentifier(entry)
    }
    // A first subscription brings the retained messages to every consumer that wants them. A later one brings them to
    // the consumers that asked.
    let isAwaited = false
    for (const member of entry.members) {
      const { retained } = member.consumer.request
      if (entry.isShared || retained === "none" || (entry.isKnown && !member.wantsRetained)) continue
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

  /** Sends SUBSCRIBEs with these filters. A subscription identifier is that of the first. */
  subscribe(subscriptions: ReadonlyArray<RequestedSubscription>): void {
    for (let i = 0; i < subscriptions.length; i += this.#filtersPerPacket) {
      this.#sendSubscribe(subscriptions.slice(i, i + this.#filtersPerPacket))
    }
  }

  unsubscribe(entries: ReadonlyArray<SubscriptionEntry>): void {
    for (let i = 0; i < entries.length; i += this.#filtersPerPacket) {
      this.#sendUnsubscribe(entries.slice(i, i + this.#filtersPerPacket))
    }
  }

  #sendSubscribe(subscriptions: ReadonlyArray<RequestedSubscription>): void {
    // A server that does not announce its maximum QoS may leave unanswered what exceeds it. Others grant less.
    const highest = this.#core.options.serverLimits?.maximumQoS ?? 2
    const filters: Array<SubscribeFilter> = subscriptions.map((
      { entry: { filter }, noLocal, qos, retainAsPublished, retainHandling }
    ) => ({ filter, qos: Math.min(qos, highest) as QoS, noLocal, retainAsPublished, retainHandling }))
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
      return this.#subscriptions.deny(entries[0]!, this.#tooLarge(packet))
    }
    const packetIdentifier = this.#register(request)
    if (packetIdentifier === 0) return
    for (const requested of subscriptions) this.#subscriptions.table.recordRequest(requested)
    this.#core.send({ ...packet, packetIdentifier })
    for (const entry of entries) {
      for (const member of entry.members) {
        const { consumer } = member
        if (!entry.isShared && consumer.request.retained !== "none" && (!entry.isKnown || member.wantsRetained)) {
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

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      requests: this.#requests,
      nextIdentifier: this.#nextIdentifier,
      filtersPerPacket: this.#filtersPerPacket
    }
  }

  set privateState(state) {
    this.#requests = state.requests
    this.#nextIdentifier = state.nextIdentifier
    this.#filtersPerPacket = state.filtersPerPacket
  }
}
