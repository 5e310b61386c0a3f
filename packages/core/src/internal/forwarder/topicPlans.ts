/**
 * Computes what the configuration says about a topic, once for each topic.
 */
import * as Topic from "../topics.ts"
import { applyRules, type CompiledRule, type Mapped } from "./mapping.ts"
import type { ForwarderOptions } from "./options.ts"

/** Number of topics whose plan is cached. Long topics are not cached, to bound the memory. */
const knownTopics = 4096
const longestKnown = 256

export interface TopicPlan {
  readonly isExcluded: boolean
  readonly mapped: Mapped
}

export class TopicPlans {
  readonly #exclude: ReadonlyArray<string>
  readonly #rules: ReadonlyArray<CompiledRule>
  readonly #known = new Map<string, TopicPlan>()

  constructor({ exclude }: ForwarderOptions, rules: ReadonlyArray<CompiledRule>) {
    this.#exclude = exclude
    this.#rules = rules
  }

  of(topic: string): TopicPlan {
    const known = this.#known.get(topic)
    if (known !== undefined) return known
    const plan: TopicPlan = {
      isExcluded: this.#exclude.some((filter) => Topic.matches(filter, topic)),
      mapped: applyRules(this.#rules, topic)
    }
    if (topic.length <= longestKnown) {
      if (this.#known.size >= knownTopics) this.#known.clear()
      this.#known.set(topic, plan)
    }
    return plan
  }
}
