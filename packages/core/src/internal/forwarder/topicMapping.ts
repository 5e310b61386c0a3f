/**
 * The stage of a forwarder that gives a message the topic that it is forwarded to: by the rules of the options, then by
 * the program's function, see `mapping.ts` for the rules. It hands messages to `batching.ts`, `splitting.ts` or
 * `targetQueue.ts`.
 */
import { InvalidTopic } from "../../MqttError.ts"
import type { Received } from "./forwardedMessage.ts"
import { checked } from "./mapping.ts"
import type { ForwarderHooks, ForwarderOptions } from "./options.ts"
import { dropped, failed, refused, type Settle } from "./outcome.ts"
import type { TopicPlans } from "./topicPlans.ts"

export interface TopicMappingParts {
  readonly options: ForwarderOptions
  readonly map: ForwarderHooks<unknown>["map"]
  readonly plans: TopicPlans
  /** The next stage. */
  readonly next: (message: Received) => void
  readonly settle: Settle
}

export class TopicMapping {
  readonly #parts: TopicMappingParts

  constructor(parts: TopicMappingParts) {
    this.#parts = parts
  }

  readonly map = (message: Received): void => {
    const { map, next, options, plans, settle } = this.#parts
    const { topic } = message.delivery.message
    let mapped = plans.of(topic).mapped
    if (mapped === undefined && map !== undefined) {
      try {
        const answer = map(message.message)
        if (answer !== undefined) mapped = checked(answer)
      } catch (cause) {
        return settle(message, failed("the mapping died", cause))
      }
    }
    if (mapped === undefined) {
      if (options.unmapped === "drop") return settle(message, dropped("unmapped"))
      mapped = topic.startsWith("$") ? checked(topic) : topic
    }
    if (mapped instanceof InvalidTopic) return settle(message, refused(mapped))
    message.map(mapped)
    next(message)
  }
}
