/**
 * Topic aliases of one connection, one table for each direction (MQTT 3.3.2.3.4).
 */
import type { Violation } from "../codec/contract.ts"
import { type AutomaticAlias, AutomaticAliases } from "./automaticAliases.ts"
import * as violations from "./violations.ts"

/**
 * Aliases that the server defines.
 */
export class InboundAliases {
  readonly #maximum: number
  #topics: Map<number, string> | undefined

  constructor(maximum: number) {
    this.#maximum = maximum
  }

  clear(): void {
    this.#topics = undefined
  }

  /** Resolves the topic of an alias. Defines the alias when the packet carries a topic. */
  resolve(alias: number, topic: string): string | Violation {
    if (alias === 0 || alias > this.#maximum) return violations.topicAliasInvalid(alias, this.#maximum)
    if (topic !== "") {
      this.#topics ??= new Map()
      this.#topics.set(alias, topic)
      return topic
    }
    return this.#topics?.get(alias) ?? violations.topicAliasUnknown(alias)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { topics: this.#topics }
  }

  set privateState(state) {
    this.#topics = state.topics
  }
}

/**
 * Aliases that the publishers of this session choose, and automatic ones.
 */
export class OutboundAliases {
  #topics: Map<number, string> | undefined
  #automaticMaximum = 0
  /** Made with the first publish, because a program may have many idle sessions. */
  #automatic: AutomaticAliases | undefined

  /** A new connection, on which automatic aliases reach to this maximum; 0: there are none. */
  connected(automaticMaximum: number): void {
    this.#topics = undefined
    this.#automaticMaximum = automaticMaximum
    this.#automatic = undefined
  }

  /** Forgets all definitions on a connection that goes on. Each alias is defined again before its next use. */
  clear(): void {
    this.#topics = undefined
    this.#automatic = undefined
  }

  /** The topic field to send: empty when the server knows the pair already. */
  define(alias: number, topic: string): string {
    this.#topics ??= new Map()
    const defined = this.#topics.get(alias)
    if (defined === topic) return ""
    if (defined === undefined) this.#automaticAliases?.reserve(alias)
    this.#topics.set(alias, topic)
    return topic
  }

  /** The automatic alias for a publish to the topic; undefined: none. */
  automatic(topic: string): AutomaticAlias | undefined {
    return this.#automaticAliases?.use(topic)
  }

  get #automaticAliases(): AutomaticAliases | undefined {
    if (this.#automatic !== undefined || this.#automaticMaximum === 0) return this.#automatic
    return this.#automatic = new AutomaticAliases(this.#automaticMaximum)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { topics: this.#topics, automaticMaximum: this.#automaticMaximum, automatic: this.#automatic }
  }

  set privateState(state) {
    this.#topics = state.topics
    this.#automaticMaximum = state.automaticMaximum
    this.#automatic = state.automatic
  }
}
