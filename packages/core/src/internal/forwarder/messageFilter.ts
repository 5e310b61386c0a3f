/**
 * The second stage of a forwarder: a delivery becomes a message in flight, and is filtered. It does not pass when it
 * would go in a circle, when it is a dead letter of this forwarder, or when a filter, the samples or the program's own
 * function leave it out. It publishes and maps nothing.
 *
 * `source.ts` hands it deliveries. It hands messages to `transformations.ts` or `topicMapping.ts`.
 */
import type { Message } from "../../Message.ts"
import type { Delivery, PublishOutcome } from "../engine/contract.ts"
import type { Counters } from "./counters.ts"
import type { DeadLetters } from "./deadLetters.ts"
import type { EarlierRuns } from "./earlierRuns.ts"
import { type ForwardedMessage, receive, type Received } from "./forwardedMessage.ts"
import type { InFlight } from "./inFlight.ts"
import type { LoopCheck } from "./loopCheck.ts"
import type { ForwarderOptions } from "./options.ts"
import { dropped, failed, filtered, forwarded, returned, type Settle } from "./outcome.ts"
import type { PassThrough } from "./passThrough.ts"
import type { Test } from "./selection.ts"
import type { Source } from "./source.ts"
import type { TopicPlans } from "./topicPlans.ts"

export interface MessageFilterParts {
  readonly options: ForwarderOptions
  readonly counters: Counters
  readonly inFlight: InFlight
  readonly earlierRuns: EarlierRuns
  readonly loopCheck: LoopCheck
  readonly deadLetters: DeadLetters
  readonly plans: TopicPlans
  /** The program's filter; undefined: all messages pass. */
  readonly filter: ((message: Message) => boolean) | undefined
  readonly selection: Test | undefined
  /** The short way; undefined: all messages go through the stages. */
  readonly passThrough: PassThrough | undefined
  /** The next stage. */
  readonly next: (message: Received) => void
  readonly settle: Settle
}

export class MessageFilter {
  readonly #parts: MessageFilterParts

  constructor(parts: MessageFilterParts) {
    this.#parts = parts
  }

  receive(source: Source, deliveries: ReadonlyArray<Delivery>, now: number): void {
    const { counters } = this.#parts
    counters.received += deliveries.length
    counters.receivedRate.add(now, deliveries.length)
    for (let i = 0; i < deliveries.length; i++) this.#receive(source, deliveries[i]!, now)
  }

  #receive(source: Source, delivery: Delivery, now: number): void {
    const { earlierRuns, inFlight, loopCheck, options, passThrough } = this.#parts
    const route = loopCheck.routeOf(source, delivery, now)
    if (passThrough !== undefined && !earlierRuns.has(delivery) && passThrough.forward(source, delivery, route)) return
    const message = receive(source, delivery, route, source.originOf(delivery, options.name))
    inFlight.add(message)
    if (!earlierRuns.has(delivery)) return this.#filter(message, now)
    earlierRuns.follow(delivery, (outcome) => this.#settledEarlier(message, outcome))
  }

  /** An earlier run of the forwarder had published the message, and that publish has ended. */
  #settledEarlier(message: Received, outcome: PublishOutcome): void {
    if (!isReceived(message)) return
    const { settle } = this.#parts
    if (message.delivery.stale) settle(message, returned)
    else if (outcome._tag === "Acknowledged") settle(message, forwarded)
    else this.#filter(message, message.source.session.engineLoop.now())
  }

  #filter(message: Received, now: number): void {
    const { deadLetters, filter, loopCheck, next, options, plans, selection, settle } = this.#parts
    const { delivery, source } = message
    const loop = loopCheck.stops(message)
    if (loop !== undefined) return settle(message, dropped(loop))
    if (delivery.message.topic === options.deadLetter?.topic && deadLetters.isOne(source, delivery.message)) {
      return settle(message, dropped("looped"))
    }
    let passes: boolean
    try {
      passes = !plans.of(delivery.message.topic).isExcluded && (filter === undefined || filter(delivery.message)) &&
        (selection === undefined || selection(delivery.message, now))
    } catch (cause) {
      return settle(message, failed("the filter died", cause))
    }
    if (passes) next(message)
    else settle(message, filtered)
  }
}

/** False: the forwarder has given the message back since. */
const isReceived = (message: ForwardedMessage): boolean => message.state === "received"
