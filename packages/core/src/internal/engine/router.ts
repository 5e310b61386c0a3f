/**
 * Decides which consumers get an inbound message. It delivers nothing: `inbound.ts` does. `subscriptions.ts` keeps its
 * tables up to date.
 */
import { TopicIndex } from "../topicIndex.ts"
import * as Topic from "../topics.ts"
import type { EngineConsumer, Member } from "./subscriptionEntry.ts"
import type { SubscriptionEntry } from "./subscriptionEntry.ts"

/** Milliseconds that a consumer waits for retained messages after SUBACK, and for more of them after each one. */
export const retainedWait = 10_000

/**
 * The result of routing. `targets`: there are consumers for the message. `unclaimed`: it belongs to subscriptions
 * without a consumer, or to no subscription. `covered`: no consumer needs this copy.
 */
export type Routing = "targets" | "unclaimed" | "covered"

const none: ReadonlyArray<never> = []

/**
 * The routing tables: filters that have consumers, and subscription identifiers.
 */
export class Router {
  /**
   * The consumers of the latest `route`, the first `count` of them. The next call overwrites them, which saves an
   * array.
   */
  readonly targets: Array<EngineConsumer> = []
  count = 0
  // All are made with the first subscription, because many sessions only publish.
  #tree: TopicIndex<SubscriptionEntry> | undefined
  /** What the tree holds, in the order in which it came. */
  #entries: Set<SubscriptionEntry> | undefined
  #byIdentifier: Map<number, SubscriptionEntry> | undefined
  #routing = 0

  add(entry: SubscriptionEntry): void {
    this.#tree ??= new TopicIndex()
    this.#entries ??= new Set()
    this.#tree.add(entry.filter, entry)
    this.#entries.add(entry)
  }

  remove(entry: SubscriptionEntry): void {
    this.#tree?.remove(entry.filter, entry)
    this.#entries?.delete(entry)
  }

  addIdentifier(entry: SubscriptionEntry): void {
    this.#byIdentifier ??= new Map()
    this.#byIdentifier.set(entry.identifier, entry)
  }

  hasIdentifier(identifier: number): boolean {
    return this.#byIdentifier?.has(identifier) ?? false
  }

  removeIdentifier(entry: SubscriptionEntry): void {
    this.#byIdentifier?.delete(entry.identifier)
  }

  route(topic: string, identifiers: ReadonlyArray<number> | undefined, retain: boolean, now: number): Routing {
    this.count = 0
    this.#routing++
    const entries = identifiers === undefined ? undefined : this.#identified(identifiers)
    if (entries === undefined) {
      const matching = this.#tree?.match(topic) ?? none
      for (let i = 0; i < matching.length; i++) this.#offer(matching[i]!, undefined, topic, retain, now)
      if (this.count > 0) return "targets"
      return matching.length === 0 && !retain ? "unclaimed" : "covered"
    }
    let isClaimed = false
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      if (entry.members.length > 0 || (retain && !entry.retainAsPublished)) isClaimed = true
      this.#offer(entry, entries, topic, retain, now)
    }
    if (this.count > 0) return "targets"
    return isClaimed ? "covered" : "unclaimed"
  }

  /** Whether a consumer that has just joined would get this unclaimed message. */
  claims(consumer: EngineConsumer, topic: string, identifiers: ReadonlyArray<number> | undefined): boolean {
    const entries = identifiers === undefined ? undefined : this.#identified(identifiers)
    for (const member of consumer.members) {
      if (entries === undefined) {
        if (Topic.matches(member.entry.filter, topic)) return true
      } else if (entries.includes(member.entry) && this.#isFirstMatch(member, topic)) {
        return true
      }
    }
    return false
  }

  /** The known subscriptions that the packet names; undefined: none. */
  #identified(identifiers: ReadonlyArray<number>): ReadonlyArray<SubscriptionEntry> | undefined {
    let entries: Array<SubscriptionEntry> | undefined = undefined
    for (let i = 0; i < identifiers.length; i++) {
      const entry = this.#byIdentifier?.get(identifiers[i]!)
      if (entry === undefined) continue
      entry.isProven = true
      if (entries === undefined) entries = [entry]
      else entries.push(entry)
    }
    return entries
  }

  #offer(
    entry: SubscriptionEntry,
    entries: ReadonlyArray<SubscriptionEntry> | undefined,
    topic: string,
    retain: boolean,
    now: number
  ): void {
    const isRetainedCopy = retain && !entry.retainAsPublished
    const { members } = entry
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      const { consumer } = member
      if (consumer.routing === this.#routing) continue
      if (isRetainedCopy) {
        if (!takesRetainedCopy(member, topic, now)) continue
      } else {
        if (entries !== undefined && consumer.members.length > 1 && !this.#isFirstMatch(member, topic)) continue
        if (consumer.seen !== undefined) noteLiveMessage(consumer, topic, now)
      }
      consumer.routing = this.#routing
      this.targets[this.count++] = consumer
    }
  }

  /**
   * The server may send one copy for each matching subscription of a consumer. The consumer takes the copy that names
   * the first of them, among the subscriptions that the server certainly has.
   */
  #isFirstMatch({ consumer, entry, position }: Member, topic: string): boolean {
    const matching = this.#tree?.match(topic) ?? none
    for (let i = 0; i < matching.length; i++) {
      const other = matching[i]!
      if (other === entry || !other.isServed) continue
      const { members } = other
      for (let j = 0; j < members.length; j++) {
        if (members[j]!.consumer === consumer && members[j]!.position < position) return false
      }
    }
    return true
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { entries: [...this.#entries ?? []], byIdentifier: this.#byIdentifier, routing: this.#routing }
  }

  set privateState({ byIdentifier, entries, routing }) {
    this.#tree?.clear()
    this.#entries?.clear()
    for (const entry of entries) this.add(entry)
    this.#byIdentifier = byIdentifier
    this.#routing = routing
  }
}

// Another consumer's SUBSCRIBE makes the server send retained messages again, so each topic counts once.
const takesRetainedCopy = (member: Member, topic: string, now: number): boolean => {
  const { seen } = member.consumer
  if (!(member.waitsUntil > now) || seen === undefined || seen.has(topic)) return false
  seen.add(topic)
  if (member.waitsUntil !== Infinity) member.waitsUntil = now + retainedWait
  return true
}

// A message published now is newer than the retained one.
const noteLiveMessage = (consumer: EngineConsumer, topic: string, now: number): void => {
  if (consumer.isWaiting(now)) consumer.seen!.add(topic)
  else consumer.seen = undefined
}
