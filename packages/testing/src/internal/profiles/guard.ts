/**
 * Enforces the quotas of a profile. The core asks it about each packet; it never sends one. Times are those of the
 * core's inputs. It keeps a few numbers for each open connection, and the times of CONNECT packets for one second.
 */
import type { Connect, Packet, Publish, SubscribeFilter } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import { hasWildcard, matches, parseFilter } from "../broker/filterTree.ts"
import type { BrokerGuard, Sender, Verdict } from "../broker/guard.ts"
import * as ReasonCodes from "../broker/reasonCodes.ts"
import type { BrokerProfile, FilterQuota, Quota, Quotas, Reaction } from "./contract.ts"

const second = 1000
const topicNameInvalid = 0x90
const implementationSpecificError = 0x83
const encoder = new TextEncoder()
const bytesOf = (text: string): number => encoder.encode(text).length
const levelsOf = (text: string): number => text.split("/").length

/** The packets of one connection in its current second. */
interface Rates {
  since: number
  publishes: number
  subscribes: number
}

const isQuota = (quota: Quota | FilterQuota): quota is Quota => "reaction" in quota

const exceeds = (quota: Quota | FilterQuota | undefined, value: number): quota is Quota =>
  quota !== undefined && isQuota(quota) && value > quota.maximum

const react = (reaction: Reaction, packet: Packet, detail: string): Verdict => {
  switch (reaction._tag) {
    case "Disconnect":
      return { _tag: "Disconnect", reasonCode: reaction.reasonCode, detail }
    case "Ignore":
      return { _tag: "Ignore" }
    case "Downgrade":
      return { _tag: "Replace", packet: { ...packet as Publish, qos: 1 } }
  }
}

const userPropertiesOf = (packet: Packet): ReadonlyArray<unknown> | undefined =>
  packet._tag !== "Publish" && "properties" in packet && "userProperties" in packet.properties
    ? packet.properties.userProperties
    : undefined

const plain = (filter: string): string => parseFilter(filter)?.filter ?? filter

class Guard implements BrokerGuard {
  readonly #profile: BrokerProfile
  readonly #quotas: Quotas
  readonly #isThrottling: boolean
  readonly #rates = new Map<number, Rates>()
  /** The time of the newest CONNECT of each client identifier that was accepted within the last second. */
  readonly #connects = new Map<string, number>()

  constructor(profile: BrokerProfile, isThrottling: boolean) {
    this.#profile = profile
    this.#quotas = profile.quotas
    this.#isThrottling = isThrottling
  }

  get assignsClientIds(): boolean {
    return this.#quotas.assignsClientIds ?? true
  }

  judgeConnect(connect: Connect, now: number): number {
    const { clientIdBytes, userPropertiesBesidePublish, willDelay } = this.#quotas
    if (!this.#profile.versions.includes(connect.protocolVersion)) return ReasonCodes.unsupportedProtocolVersion
    if (clientIdBytes !== undefined && bytesOf(connect.clientId) > clientIdBytes) {
      return ReasonCodes.clientIdentifierNotValid
    }
    if (willDelay !== undefined && (connect.will?.properties.willDelayInterval ?? 0) > willDelay) {
      return implementationSpecificError
    }
    if (userPropertiesBesidePublish === false && connect.properties.userProperties !== undefined) {
      return implementationSpecificError
    }
    return this.#throttleConnect(connect.clientId, now)
  }

  #throttleConnect(clientId: string, now: number): number {
    const { connectsPerSecond } = this.#quotas
    if (!this.#isThrottling || connectsPerSecond === undefined || clientId === "") return 0
    for (const [known, at] of this.#connects) {
      // In the order of time: what follows is younger.
      if (now - at < second) break
      this.#connects.delete(known)
    }
    if (this.#connects.has(clientId)) return connectsPerSecond.reasonCode
    this.#connects.set(clientId, now)
    return 0
  }

  keepAlive(requested: number): number {
    const { keepAlive } = this.#quotas
    if (keepAlive === undefined) return requested
    return requested === 0 || requested > keepAlive.maximum ? keepAlive.maximum : Math.max(requested, keepAlive.minimum)
  }

  judge(sender: Sender, packet: Packet, now: number): Verdict | undefined {
    if (this.#quotas.userPropertiesBesidePublish === false && userPropertiesOf(packet) !== undefined) {
      return react(
        { _tag: "Disconnect", reasonCode: implementationSpecificError },
        packet,
        `user properties on ${packet._tag}`
      )
    }
    switch (packet._tag) {
      case "Publish":
        return this.#judgePublish(sender, packet, now)
      case "Subscribe":
        return this.#throttle(sender, packet, now) ?? this.#judgeSubscribe(sender, packet.filters, packet)
      case "Unsubscribe":
        return this.#throttle(sender, packet, now) ?? (
          exceeds(this.#quotas.filtersPerUnsubscribe, packet.filters.length)
            ? react(
              this.#quotas.filtersPerUnsubscribe.reaction,
              packet,
              `UNSUBSCRIBE of ${packet.filters.length} filters`
            )
            : undefined
        )
      case "Puback": {
        const { negativeAcknowledgement } = this.#quotas
        return negativeAcknowledgement !== undefined && packet.reasonCode >= 0x80
          ? react(negativeAcknowledgement, packet, `PUBACK with reason code ${packet.reasonCode}`)
          : undefined
      }
      default:
        return undefined
    }
  }

  #judgePublish(sender: Sender, packet: Publish, now: number): Verdict | undefined {
    const { forbiddenCharacters, payloadBytes, publishAboveMaximumQoS, topicBytes, topicLevels, topics } = this.#quotas
    const { payload, qos, topic } = packet
    const above = publishAboveMaximumQoS?.[sender.protocolVersion]
    if (above !== undefined && qos > (this.#profile.limits.maximumQoS ?? 2)) {
      return react(above, packet, `PUBLISH with QoS ${qos}`)
    }
    const levels = levelsOf(topic)
    if (exceeds(topicLevels, levels)) return react(topicLevels.reaction, packet, `a topic of ${levels} levels`)
    if (topicBytes !== undefined && exceeds(topicBytes, bytesOf(topic))) {
      return react(topicBytes.reaction, packet, `a topic of more than ${topicBytes.maximum} bytes`)
    }
    if (exceeds(payloadBytes, payload.length)) {
      return react(payloadBytes.reaction, packet, `a payload of ${payload.length} bytes`)
    }
    if (
      isForbidden(topic, forbiddenCharacters) ||
      (topics !== undefined && !topics.publish(sender.clientId).some((filter) => matches(filter, topic)))
    ) {
      return react({ _tag: "Disconnect", reasonCode: topicNameInvalid }, packet, `a PUBLISH to ${topic}`)
    }
    return this.#throttle(sender, packet, now)
  }

  #judgeSubscribe(
    sender: Sender,
    filters: ReadonlyArray<SubscribeFilter>,
    packet: Packet
  ): Verdict | undefined {
    const { filterLevels, filtersPerSubscribe, subscribeAboveMaximumQoS, subscriptions, topicBytes } = this.#quotas
    const above = subscribeAboveMaximumQoS?.[sender.protocolVersion]
    if (above !== undefined && filters.some(({ qos }) => qos > (this.#profile.limits.maximumQoS ?? 2))) {
      return react(above, packet, "SUBSCRIBE above the maximum QoS")
    }
    if (exceeds(filtersPerSubscribe, filters.length)) {
      return react(filtersPerSubscribe.reaction, packet, `SUBSCRIBE of ${filters.length} filters`)
    }
    let added = 0
    for (const { filter } of filters) {
      if (!sender.subscriptions.has(filter)) added++
      if (exceeds(filterLevels, levelsOf(plain(filter)))) {
        return react(filterLevels.reaction, packet, `a topic filter of more than ${filterLevels.maximum} levels`)
      }
      if (exceeds(topicBytes, bytesOf(plain(filter)))) {
        return react(topicBytes.reaction, packet, `a topic filter of more than ${topicBytes.maximum} bytes`)
      }
    }
    return exceeds(subscriptions, sender.subscriptions.size + added)
      ? react(subscriptions.reaction, packet, `more than ${subscriptions.maximum} subscriptions`)
      : undefined
  }

  #throttle(sender: Sender, packet: Packet, now: number): Verdict | undefined {
    const { publishesPerSecond, subscribesPerSecond } = this.#quotas
    const quota = packet._tag === "Publish" ? publishesPerSecond : subscribesPerSecond
    if (!this.#isThrottling || quota === undefined) return undefined
    let rates = this.#rates.get(sender.connection)
    if (rates === undefined) {
      rates = { since: now, publishes: 0, subscribes: 0 }
      this.#rates.set(sender.connection, rates)
    }
    if (now - rates.since >= second) {
      rates.since = now
      rates.publishes = 0
      rates.subscribes = 0
    }
    const count = packet._tag === "Publish" ? ++rates.publishes : ++rates.subscribes
    return count > quota.maximum
      ? react(quota.reaction, packet, `more than ${quota.maximum} ${packet._tag} in a second`)
      : undefined
  }

  judgeFilter(sender: Sender, { filter }: SubscribeFilter): number {
    const { filterLevels, forbiddenCharacters, subscriptions, topics } = this.#quotas
    if (
      filterLevels !== undefined && !isQuota(filterLevels) && levelsOf(plain(filter)) > filterLevels.maximum
    ) return filterLevels.reasonCode
    if (isForbidden(filter, forbiddenCharacters)) return ReasonCodes.topicFilterInvalid
    if (topics !== undefined && !topics.subscribe(sender.clientId).includes(filter)) {
      return ReasonCodes.topicFilterInvalid
    }
    return subscriptions !== undefined && !isQuota(subscriptions) && !sender.subscriptions.has(filter) &&
        sender.subscriptions.size >= subscriptions.maximum
      ? subscriptions.reasonCode
      : 0
  }

  bringsRetained(filter: string): boolean {
    return this.#quotas.retainedForWildcards !== false || !hasWildcard(filter)
  }

  delivers(filter: string, topic: string): boolean {
    return this.#quotas.multiLevelWildcardMatchesParent !== false || !filter.endsWith("/#") ||
      levelsOf(topic) >= levelsOf(filter)
  }

  separatesOverlapping(version: ProtocolVersion): boolean {
    return this.#quotas.separatesOverlapping?.includes(version) ?? false
  }

  closed(connection: number): void {
    this.#rates.delete(connection)
  }
}

const isForbidden = (text: string, characters: string | undefined): boolean => {
  for (const character of characters ?? "") if (text.includes(character)) return true
  return false
}

/** `isThrottling`: the quotas in a second are enforced too. */
export const makeGuard = (profile: BrokerProfile, isThrottling: boolean): BrokerGuard =>
  new Guard(profile, isThrottling)
