/**
 * Chooses the outbound topic aliases of one connection by their benefit (MQTT 3.3.2.3.4). A topic gets an alias when it
 * is published a second time, so that a topic that is published once costs no byte. When all aliases are in use, it
 * takes that of another topic only if it came back sooner than the other was used: with more topics in turn than
 * aliases, some keep theirs and none is defined in vain. It sends nothing. `topicAliases.ts` calls it.
 */
import { type MessageProperties, none, type PublishProperties } from "../../Properties.ts"
import { withTopicAlias } from "../codec/encodeProperties.ts"
import { EncodedProperties } from "../encodedProperties.ts"

/** A shorter topic, in UTF-16 units, saves too little: an alias takes three bytes. */
const shortestTopic = 16
/** A longer topic gets no alias, which bounds the memory of the tables. */
const longestTopic = 1024
/** The most automatic aliases of a connection, and the most topics of each generation of candidates. */
const maximumTopics = 256

/**
 * A topic with an alias. It is its own list node.
 */
export class AutomaticAlias {
  readonly topic: string
  readonly alias: number
  /** The number of the publish that used it last. */
  lastUse: number
  older: AutomaticAlias | undefined = undefined
  newer: AutomaticAlias | undefined = undefined
  #isDefined = false
  #base: MessageProperties | undefined = undefined
  #properties: PublishProperties = none

  constructor(topic: string, alias: number, lastUse: number) {
    this.topic = topic
    this.alias = alias
    this.lastUse = lastUse
  }

  /** The topic field of the next packet: empty when an earlier packet of the connection has defined the alias. */
  define(): string {
    if (this.#isDefined) return ""
    this.#isDefined = true
    return this.topic
  }

  /** Properties with the alias. Those that many messages share are made once; others are not kept alive. */
  addTo(properties: MessageProperties): PublishProperties {
    if (properties === this.#base) return this.#properties
    const added = withTopicAlias(properties, this.alias)
    if (properties === none || EncodedProperties.isShared(properties)) {
      this.#base = properties
      this.#properties = added
    }
    return added
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { isDefined: this.#isDefined }
  }

  set privateState(state) {
    this.#isDefined = state.isDefined
  }
}

export class AutomaticAliases {
  #lowest: number
  #aliases = new Map<string, AutomaticAlias>()
  /** Aliases that publishers have chosen themselves. */
  #reserved = new Set<number>()
  #oldest: AutomaticAlias | undefined = undefined
  #newest: AutomaticAlias | undefined = undefined
  #next: number
  #publishes = 0
  /** Topics without an alias, with their latest publish. Two generations, because a Map has no cheap eviction. */
  #candidates = new Map<string, number>()
  #earlierCandidates = new Map<string, number>()

  /** Aliases are given from the maximum downwards: publishers that choose their own begin with 1. */
  constructor(maximum: number) {
    this.#next = maximum
    this.#lowest = Math.max(1, maximum - maximumTopics + 1)
  }

  /** The alias for a publish to the topic; undefined: it has not earned one. */
  use(topic: string): AutomaticAlias | undefined {
    if (topic.length < shortestTopic || topic.length > longestTopic) return undefined
    const publish = ++this.#publishes
    const known = this.#aliases.get(topic)
    if (known !== undefined) {
      known.lastUse = publish
      if (known !== this.#newest) {
        this.#unlink(known)
        this.#append(known)
      }
      return known
    }
    const previous = this.#candidates.get(topic) ?? this.#earlierCandidates.get(topic)
    const alias = previous === undefined ? 0 : this.#allocate(publish - previous, publish)
    if (alias === 0) {
      this.#consider(topic, publish)
      return undefined
    }
    const added = new AutomaticAlias(topic, alias, publish)
    this.#aliases.set(topic, added)
    this.#append(added)
    return added
  }

  /** A publisher has chosen this alias: it is never automatic on this connection. */
  reserve(alias: number): void {
    if (alias < this.#lowest || this.#reserved.has(alias)) return
    this.#reserved.add(alias)
    for (let entry = this.#oldest; entry !== undefined; entry = entry.newer) {
      if (entry.alias === alias) return this.#remove(entry)
    }
  }

  /** An alias for a topic that came back after so many publishes; 0: none. */
  #allocate(interval: number, publish: number): number {
    while (this.#next >= this.#lowest) {
      const alias = this.#next--
      if (!this.#reserved.has(alias)) return alias
    }
    const oldest = this.#oldest
    if (oldest === undefined || publish - oldest.lastUse <= interval) return 0
    this.#remove(oldest)
    this.#consider(oldest.topic, oldest.lastUse)
    return oldest.alias
  }

  #consider(topic: string, publish: number): void {
    if (this.#candidates.size >= maximumTopics) {
      this.#earlierCandidates = this.#candidates
      this.#candidates = new Map()
    }
    this.#candidates.set(topic, publish)
  }

  #remove(entry: AutomaticAlias): void {
    this.#aliases.delete(entry.topic)
    this.#unlink(entry)
  }

  #append(entry: AutomaticAlias): void {
    entry.older = this.#newest
    entry.newer = undefined
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  #unlink(entry: AutomaticAlias): void {
    const { newer, older } = entry
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      lowest: this.#lowest,
      aliases: this.#aliases,
      reserved: this.#reserved,
      oldest: this.#oldest,
      newest: this.#newest,
      next: this.#next,
      publishes: this.#publishes,
      candidates: this.#candidates,
      earlierCandidates: this.#earlierCandidates
    }
  }

  set privateState(state) {
    this.#lowest = state.lowest
    this.#aliases = state.aliases
    this.#reserved = state.reserved
    this.#oldest = state.oldest
    this.#newest = state.newest
    this.#next = state.next
    this.#publishes = state.publishes
    this.#candidates = state.candidates
    this.#earlierCandidates = state.earlierCandidates
  }
}
