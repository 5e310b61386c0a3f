/**
 * Decides which SUBSCRIBE and UNSUBSCRIBE are sent now, and what their acknowledgements mean for consumers (MQTT 3.8 to
 * 3.11), one request at a time for each filter. `subscriptionRequests.ts` sends them. `engine.ts` calls this file.
 */
import {
  type MqttErrorReason,
  NotSupported,
  PoisonMessage,
  SubscriptionRefused,
  UnsubscribeRefused
} from "../../MqttError.ts"
import type { Suback, Unsuback } from "../../Packet.ts"
import type { QoS } from "../../QoS.ts"
import { quotaExceeded } from "../../ReasonCode.ts"
import type { Violation } from "../codec/contract.ts"
import { cleanText } from "../peerText.ts"
import type { EngineCore } from "./core.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import * as limits from "./limits.ts"
import { retainedWait, type Router } from "./router.ts"
import { SubscribeThrottle } from "./subscribeThrottle.ts"
import { type RequestedSubscription, type SubscriptionEntry, SubscriptionRequest } from "./subscriptionEntry.ts"
import { SubscriptionRequests } from "./subscriptionRequests.ts"
import type { Subscriptions } from "./subscriptions.ts"

export class SubscriptionFlow {
  readonly #core: EngineCore
  readonly #requests: SubscriptionRequests
  readonly #subscriptions: Subscriptions
  // Made with the first refusal over a quota.
  #throttle: SubscribeThrottle | undefined

  constructor(
    core: EngineCore,
    router: Router,
    identifiers: PacketIdentifiers<unknown>,
    subscriptions: Subscriptions
  ) {
    this.#core = core
    this.#subscriptions = subscriptions
    this.#requests = new SubscriptionRequests(core, router, identifiers, subscriptions)
  }

  disconnected(): void {
    this.#requests.disconnected()
    this.#throttle?.disconnected()
    this.#subscriptions.table.disconnected()
  }

  nextDeadline(): number | undefined {
    return this.#throttle?.nextDeadline()
  }

  tick(now: number): void {
    this.#throttle?.tick(now)
  }

  /** Adds the packets of all due entries to the output. */
  flush(): void {
    const core = this.#core
    if (!core.online || !this.#subscriptions.table.hasDue) return
    const subscribe: Array<RequestedSubscription> = []
    const unsubscribe: Array<SubscriptionEntry> = []
    const withIdentifiers = core.options.subscriptionIdentifiers === "auto" &&
      core.limits!.subscriptionIdentifiersAvailable
    const admitted = this.#admitted(this.#subscriptions.table.takeDue())
    for (const entry of admitted) if (!entry.isWanted) unsubscribe.push(entry)
    // Where subscriptions are limited, those that go make room for those that come.
    const isLimited = core.options.serverLimits?.subscriptions !== undefined
    if (isLimited) this.#requests.unsubscribe(unsubscribe)
    for (const entry of admitted) {
      if (!entry.isWanted) continue
      const refusal = limits.refuseFilter(entry.filter, entry.isShared, core.limits!) ??
        (entry.isKnown ? undefined : this.#refuseOneMore(subscribe.length))
      if (refusal !== undefined) {
        if (entry.isKnown) this.#subscriptions.table.unrecord(entry)
        entry.isKnown = false
        this.#subscriptions.deny(entry, refusal)
        continue
      }
      const requested = this.#requests.requestFor(entry, withIdentifiers)
      if (withIdentifiers) this.#requests.subscribe([requested])
      else subscribe.push(requested)
    }
    this.#requests.subscribe(subscribe)
    if (!isLimited) this.#requests.unsubscribe(unsubscribe)
  }

  /** Why the session may not have one more subscription, besides those that are about to be sent. */
  #refuseOneMore(sending: number): MqttErrorReason | undefined {
    const maximum = this.#core.options.serverLimits?.subscriptions
    if (maximum === undefined || this.#subscriptions.table.occupied + sending < maximum) return undefined
    return new NotSupported({
      feature: `more than ${maximum} subscriptions`,
      detail: "the limit in serverLimits"
    })
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
    return this.#requests.oldest(unwritten)
  }

  /** See `SubscriptionRequests.sendFewer`. */
  sendFewer(request: SubscriptionRequest): boolean {
    return this.#requests.sendFewer(request)
  }

  /**
   * Gives up a request over which the server ends connections. It was lost with the last connection and is not
   * repeated.
   */
  giveUp({ entries, kind, strikes }: SubscriptionRequest, last: string): void {
    const reason = new PoisonMessage({ connections: strikes, last })
    for (const entry of entries) {
      entry.strikes = 0
      entry.isUncertain = false
      if (kind === "subscribe" && !entry.isDoubtful) {
        this.#subscriptions.deny(entry, reason)
        continue
      }
      if (kind === "unsubscribe") {
        this.#subscriptions.ended(entry)
        continue
      }
      this.#subscriptions.table.unrecord(entry)
      entry.forget()
      this.#subscriptions.deny(entry, reason)
    }
  }

  onSuback(packet: Suback, now: number): Violation | undefined {
    const request = this.#requests.answered(packet, "subscribe")
    if (!(request instanceof SubscriptionRequest)) return request
    const { subscriptions } = request
    for (let i = 0; i < subscriptions.length; i++) subscriptions[i]!.entry.request = undefined
    for (let i = 0; i < subscriptions.length; i++) {
      const requested = subscriptions[i]!
      const reasonCode = packet.reasonCodes[i]!
      if (reasonCode < 0x80) this.#granted(request, requested, reasonCode as QoS, now)
      else if (reasonCode !== quotaExceeded || !this.#postpone(requested.entry, now)) {
        this.#refused(request, requested.entry, reasonCode, packet.properties.reasonString)
      } else request.askAgain(requested.entry)
    }
    return undefined
  }

  onUnsuback(packet: Unsuback, now: number): Violation | undefined {
    const request = this.#requests.answered(packet, "unsubscribe")
    if (!(request instanceof SubscriptionRequest)) return request
    const { properties: { reasonString }, reasonCodes } = packet
    for (let i = 0; i < request.entries.length; i++) {
      const entry = request.entries[i]!
      entry.request = undefined
      // 3.1.1 has no reason codes. After a refusal the subscription stays at the server, and its messages are
      // unclaimed.
      const reasonCode = reasonCodes[i] ?? 0
      if (reasonCode === quotaExceeded && this.#postpone(entry, now)) continue
      if (reasonCode < 0x80) this.#throttle?.accepted(entry)
      else {
        this.#throttle?.forget(entry)
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

  /** The server refused over a quota. Answers whether the filter is requested again later. */
  #postpone(entry: SubscriptionEntry, now: number): boolean {
    this.#throttle ??= new SubscribeThrottle(this.#subscriptions.table, this.#core.options.subscribeTimeout)
    return this.#throttle.postpone(entry, now)
  }

  #granted(request: SubscriptionRequest, requested: RequestedSubscription, qos: QoS, now: number): void {
    const { entry } = requested
    this.#throttle?.accepted(entry)
    entry.isKnown = true
    entry.isUncertain = false
    entry.isDoubtful = false
    // A consumer that left before SUBACK leaves no subscription behind.
    if (entry.members.length > 0) entry.wasGranted = true
    entry.requestedQoS = requested.qos
    entry.grantedQoS = qos
    entry.serverNoLocal = requested.noLocal
    entry.serverRetainAsPublished = requested.retainAsPublished
    entry.serverIdentifier = requested.identifier
    this.#subscriptions.table.record(entry)
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
    this.#throttle?.forget(entry)
    const reason = new SubscriptionRefused(
      reasonString === undefined
        ? { filter, reasonCode }
        : { filter, reasonCode, reasonString: cleanText(reasonString) }
    )
    if (entry.members.length === 0 && entry.isWanted) this.#core.emit({ _tag: "SubscriptionRefused", reason })
    entry.isUncertain = false
    // Only the store speaks for this subscription, and it may describe another session. Failing is better than silence.
    if (entry.isDoubtful) {
      this.#subscriptions.table.unrecord(entry)
      entry.forget()
    }
    this.#subscriptions.deny(entry, reason, (member) => member.request === request)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { requests: this.#requests, throttle: this.#throttle }
  }

  set privateState(state) {
    this.#throttle = state.throttle
  }
}
