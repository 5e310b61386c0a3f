/**
 * Decides which messages become dead letters, and builds their content: the whole message with marks, or as much of it
 * as the server accepts.
 *
 * The output of a forwarder is never its input again. Messages on its own dead-letter topic are not forwarded. A
 * message that the forwarder has already had, before the message became a dead letter, makes no further dead letter.
 * This module publishes nothing and counts nothing, see `settlement.ts`.
 */
import type { Message } from "../../Message.ts"
import type { MessageProperties, UserProperty } from "../../Properties.ts"
import { carriedProperties, comesBack, deadLetterProperties, topicsBehind } from "../deadLetter.ts"
import { isSameBroker } from "./brokers.ts"
import { serversKey } from "./deadLetterForm.ts"
import type { DeadLetter, ForwardedMessage } from "./forwardedMessage.ts"
import type { ForwarderOptions } from "./options.ts"
import { isAboutRoute } from "./route.ts"
import type { Source } from "./source.ts"

/** The topics that a message had before it became a dead letter. Properties that a client could forge do not count. */
export const topicsBefore = (
  { loopGuard }: ForwarderOptions,
  { delivery, source }: ForwardedMessage
): ReadonlyArray<string> =>
  loopGuard === undefined ? topicsBehind(delivery.message, serversKey(source.session.options)) : []

/**
 * The decisions of one forwarder.
 */
export class DeadLetters {
  readonly #options: ForwarderOptions
  readonly #brokersOf: (session: string) => ReadonlyArray<string> | undefined

  constructor(options: ForwarderOptions, brokersOf: (session: string) => ReadonlyArray<string> | undefined) {
    this.#options = options
    this.#brokersOf = brokersOf
  }

  /** Whether a message has arrived on the dead-letter topic. */
  isOne({ brokers }: Source, { topic }: Message): boolean {
    return topic === this.#options.deadLetter?.topic && this.#goTo(brokers)
  }

  /** Whether a failed message needs a dead letter. */
  isWanted(message: ForwardedMessage): boolean {
    const { deadLetter, filters } = this.#options
    if (deadLetter === undefined) return false
    const topic = this.#goTo(message.source.brokers) ? deadLetter.topic : ""
    return !comesBack(message.delivery.message, topicsBefore(this.#options, message), filters, topic)
  }

  #goTo(brokers: ReadonlyArray<string>): boolean {
    const others = this.#brokersOf(this.#options.deadLetter!.session)
    return others !== undefined && isSameBroker(brokers, others)
  }
}

/**
 * The properties of a dead letter.
 *
 * @param topics of the message, see `topicsBefore`
 * @param route the properties of its route
 */
export const formProperties = (
  { message }: ForwardedMessage,
  { error, form }: DeadLetter,
  forwarder: string,
  topics: ReadonlyArray<string>,
  route: ReadonlyArray<UserProperty>
): MessageProperties => {
  const carried = carriedProperties(message)
  const own = (carried.userProperties ?? []).filter(([name]) => !isAboutRoute(name))
  if (form === "unmarked") return { ...carried, userProperties: [...own, ...route] }
  const detail = error.message
  const more: ReadonlyArray<UserProperty> = [...route, ["mqttx-forwarder", forwarder]]
  if (form === "whole") {
    return deadLetterProperties(message.with({ properties: { ...carried, userProperties: own } }), topics, detail, more)
  }
  return deadLetterProperties(message.with({ properties: {} }), topics, detail, [
    ...more,
    ["mqttx-payload-bytes", String(message.payload.length)]
  ])
}
