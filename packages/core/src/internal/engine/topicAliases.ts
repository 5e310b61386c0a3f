/**
 * Topic aliases of one connection, one table for each direction (MQTT 3.3.2.3.4).
 */
import type { Violation } from "../codec/contract.ts"
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
}

/**
 * Aliases that the publishers of this session choose.
 */
export class OutboundAliases {
  #topics: Map<number, string> | undefined

  clear(): void {
    this.#topics = undefined
  }

  /** The topic field to send: empty when the server knows the pair already. */
  define(alias: number, topic: string): string {
    this.#topics ??= new Map()
    if (this.#topics.get(alias) === topic) return ""
    this.#topics.set(alias, topic)
    return topic
  }
}
