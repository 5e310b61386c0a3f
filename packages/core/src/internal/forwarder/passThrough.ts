/**
 * The short way of a forwarder for a message that no stage decides about, and that need not wait. At QoS 0 it becomes a
 * packet of the target's next write at once: no object follows it through the stages, and no place in flight is taken.
 * At QoS 1 it is in flight, and goes to the target's session without the stages and the queue between them. It says no
 * whenever the message would have to wait, or when a later stage decides about it, and the message goes through the
 * stages.
 *
 * `messageFilter.ts` calls it. Only forwarders without functions of the program, without selection and without a rate
 * limit have it, see `relay.ts`.
 */
import type { Message } from "../../Message.ts"
import type { Delivery, PublishRequest } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { Counters } from "./counters.ts"
import { receive, type Received } from "./forwardedMessage.ts"
import type { InFlight } from "./inFlight.ts"
import type { LoopGuard } from "./loopGuard.ts"
import type { ForwarderHooks, ForwarderOptions } from "./options.ts"
import type { Forwardable, Outgoing } from "./outgoing.ts"
import { noRoute, type Route } from "./route.ts"
import type { Source } from "./source.ts"
import type { TopicPlans } from "./topicPlans.ts"

/** The target of a forwarder, for messages that do not wait, see `TargetQueue`. */
export interface DirectTarget {
  readonly session: SessionCore | undefined
  /** Builds the requests for the session. */
  readonly outgoing: Outgoing | undefined
  /** No message waits for the session. */
  readonly isFree: boolean
  /** Publishes a message that no check concerns. Only while it is free. */
  readonly pushPassing: (message: Received) => void
}

export interface PassThroughParts {
  readonly options: ForwarderOptions
  readonly counters: Counters
  readonly guard: LoopGuard
  readonly inFlight: InFlight
  readonly plans: TopicPlans
  readonly target: DirectTarget
}

/** Whether messages of a forwarder may take the short way. */
export const canPassThrough = (
  { rateLimit }: ForwarderOptions,
  { batch, filter, map, split, transform }: ForwarderHooks<unknown>
): boolean =>
  rateLimit === undefined && batch === undefined && filter === undefined && map === undefined && split === undefined &&
  transform === undefined

export class PassThrough {
  readonly #parts: PassThroughParts
  /** The message on its way. The next one overwrites it, so that a message allocates nothing here. */
  readonly #passing: { -readonly [Key in keyof Forwardable]: Forwardable[Key] | undefined } = {
    message: undefined,
    topic: undefined,
    route: noRoute,
    source: undefined
  }

  constructor(parts: PassThroughParts) {
    this.#parts = parts
  }

  /**
   * Whether the message is forwarded: in the target's write, and counted, or in flight. False: nothing has happened.
   */
  forward(source: Source, delivery: Delivery, route: Route): boolean {
    const { counters, guard, inFlight, target } = this.#parts
    const { message } = delivery
    // QoS 2 has an origin, which the target's ledger is asked for.
    if (message.qos === 2 || route !== noRoute || delivery.stale || !target.isFree) return false
    // Its stage subtracts the time that it has waited.
    if (message.properties.messageExpiryInterval !== undefined) return false
    const topic = this.#topicOf(message)
    if (topic === undefined) return false
    if (message.qos === 1) {
      const received = receive(source, delivery, noRoute, undefined)
      received.map(topic)
      inFlight.add(received)
      target.pushPassing(received)
      return true
    }
    const passing = this.#passing
    passing.message = message
    passing.topic = topic
    passing.source = source
    const request = target.outgoing!.request(passing as Forwardable, undefined)
    if (!("qos" in request) || !writeDirectly(request, message, target.outgoing!, target.session!, guard)) return false
    counters.noteForwarded(message.payload.length)
    source.acknowledge(delivery)
    return true
  }

  /** The topic that it is forwarded to; undefined: a later stage decides. */
  #topicOf({ topic }: Message): string | undefined {
    const { options: { deadLetter, unmapped }, plans } = this.#parts
    const { isExcluded, mapped } = plans.of(topic)
    if (isExcluded || topic === deadLetter?.topic) return undefined
    if (mapped !== undefined) return typeof mapped === "string" ? mapped : undefined
    return unmapped === "pass" && !topic.startsWith("$") ? topic : undefined
  }
}

/** QoS 0 at both ends needs no outcome, unless the target may read the message back. */
export const writeDirectly = (
  request: PublishRequest,
  { qos }: Message,
  { isVersion5 }: Outgoing,
  { engineLoop }: SessionCore,
  { recentWrites }: LoopGuard
): boolean =>
  request.qos === 0 && qos === 0 && !recentWrites.isNeeded(isVersion5 ? 5 : 4) &&
  engineLoop.directWrites.publish(request)
