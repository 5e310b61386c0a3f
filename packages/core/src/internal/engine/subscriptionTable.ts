/**
 * The subscriptions of a session by topic filter, what is stored of them, and which of them differ from what the server
 * has. It knows no consumers by itself. `subscriptions.ts` and `subscriptionFlow.ts` change it.
 */
import { subscriptionKey, type SubscriptionRecord } from "../../StoreRecord.ts"
import type { EngineCore } from "./core.ts"
import type { Router } from "./router.ts"
import { type RequestedSubscription, SubscriptionEntry } from "./subscriptionEntry.ts"

export class SubscriptionTable {
  readonly #core: EngineCore
  readonly #router: Router
  // Made with the first subscription, because many sessions only publish.
  #entries: Map<string, SubscriptionEntry> | undefined
  /** Entries to review before the next output is taken. */
  #due: Set<SubscriptionEntry> | undefined
  /** Entries known only from the store, until the first connection. */
  #restored: Array<SubscriptionEntry> | undefined
  /** Number of entries that differ from what the server has; undefined: not counted since the last change. */
  #pending: number | undefined = undefined

  constructor(core: EngineCore, router: Router) {
    this.#core = core
    this.#router = router
  }

  /** Number of subscriptions that the server is known to have. */
  get known(): number {
    let count = 0
    for (const { isKnown } of this.#entries?.values() ?? []) {
      if (isKnown) count++
    }
    return count
  }

  /** Subscriptions that the server has or will have, when it has answered every request. */
  get occupied(): number {
    let count = 0
    for (const { isKnown, isWanted, request } of this.#entries?.values() ?? []) {
      if (isWanted && (isKnown || request !== undefined)) count++
    }
    return count
  }

  /** Counted once after each change: sessions ask in every turn, and may have a hundred thousand entries. */
  get pending(): number {
    if (this.#pending !== undefined) return this.#pending
    let count = 0
    for (const entry of this.#entries?.values() ?? []) {
      if (entry.request !== undefined || entry.isDue) count++
    }
    return this.#pending = count
  }

  /** An entry may have changed. The engine tells it with every input that can change one. */
  changed(): void {
    this.#pending = undefined
  }

  isSettled(filter: string): boolean {
    const entry = this.#entries?.get(filter)
    return entry === undefined || (entry.request === undefined && !entry.isDue)
  }

  get(filter: string): SubscriptionEntry | undefined {
    return this.#entries?.get(filter)
  }

  /** The entry of a filter, a new one for a filter that had none. */
  entryOf(filter: string): SubscriptionEntry {
    let entry = this.#entries?.get(filter)
    if (entry === undefined) {
      entry = new SubscriptionEntry(filter)
      this.#entries ??= new Map()
      this.#entries.set(filter, entry)
    }
    return entry
  }

  restore(records: ReadonlyArray<SubscriptionRecord>): void {
    for (const record of records) {
      const entry = this.entryOf(record.filter)
      entry.keep = true
      entry.wasGranted = record.granted
      entry.isKnown = true
      entry.isUncertain = !record.granted
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
      if (!entry.isKnown) continue
      entry.isUncertain = true
      entry.isDoubtful = true
    }
    this.#restored = undefined
  }

  /** The server may have begun a new session without these subscriptions. */
  doubt(): void {
    for (const entry of this.#entries?.values() ?? []) {
      if (!entry.isKnown) continue
      entry.isUncertain = true
      entry.isDoubtful = true
    }
  }

  /** CONNACK: every entry that differs from the server's state is due. */
  connected(): void {
    for (const entry of this.#entries?.values() ?? []) this.mark(entry)
  }

  /** The server has no subscriptions any more. `keepsWanted`: those without consumers are requested again. */
  sessionLost(keepsWanted: boolean): void {
    for (const entry of this.#entries?.values() ?? []) {
      this.unrecord(entry)
      entry.forget()
      if (!keepsWanted) entry.wasGranted = false
    }
    this.#restored = undefined
  }

  /** Requests under way may or may not have been processed. */
  disconnected(): void {
    for (const entry of this.#entries?.values() ?? []) {
      if (entry.request === undefined) continue
      if (entry.request.kind === "unsubscribe") entry.isKnown = false
      entry.request = undefined
      entry.isUncertain = true
      for (const member of entry.members) {
        if (member.request === undefined) continue
        member.request = undefined
        member.wantsRetained = entry.isKnown && member.waitsUntil === Infinity
      }
    }
  }

  /** The entry may need a packet. */
  mark(entry: SubscriptionEntry): void {
    this.#pending = undefined
    this.#due ??= new Set()
    this.#due.add(entry)
  }

  /** Takes the entries to review, once each. Entries with a request under way are reviewed when it is answered. */
  takeDue(): ReadonlyArray<SubscriptionEntry> {
    if (this.#due === undefined) return []
    const due: Array<SubscriptionEntry> = []
    this.#pending = undefined
    for (const entry of this.#due) {
      if (entry.request !== undefined) continue
      if (!entry.isWanted && !entry.isKnown && !entry.isUncertain) this.#remove(entry)
      else if (entry.retryAt === 0 && entry.isDue) due.push(entry)
    }
    // Not cleared: an empty set of an idle session takes as much as a full one.
    this.#due = undefined
    return due
  }

  get hasDue(): boolean {
    return this.#due !== undefined
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

  unrecord(entry: SubscriptionEntry): void {
    if (entry.recorded === undefined) return
    entry.recorded = undefined
    this.#core.delete(subscriptionKey(entry.filter))
  }

  #put(entry: SubscriptionEntry, record: SubscriptionRecord): void {
    if (!this.#core.options.durable || entry.hasRecorded(record)) return
    entry.recorded = record
    this.#core.put(record)
  }

  #remove(entry: SubscriptionEntry): void {
    this.#entries?.delete(entry.filter)
    if (entry.identifier !== 0) this.#router.removeIdentifier(entry)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { entries: this.#entries, due: this.#due, restored: this.#restored }
  }

  set privateState(state) {
    this.#entries = state.entries
    this.#due = state.due
    this.#restored = state.restored
    this.#pending = undefined
  }
}
