/**
 * A message on its way through a forwarder, as a union of states. Each state has only the fields and the transitions
 * that it can have.
 *
 * received -> waiting -> published -> accepted -> settled. A message that never reaches a target goes from `received`
 * or `waiting` to `settled`. A settled message whose publish is repeated, or that becomes a dead letter, waits again.
 * What the source knows is a state of its own, because a durable target lets the source be acknowledged before the
 * publish has an outcome.
 *
 * Messages that are published as one have a batch, which is on its way in their place while they are `received`. A
 * message of which several are published has parts, which are on their way in its place. Batches and parts are no
 * messages in flight: what becomes of them is what becomes of the received messages.
 *
 * This module decides nothing: the stages of the forwarder do, see `relay.ts`.
 */
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { OriginKey } from "../../StoreRecord.ts"
import type { Delivery, Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import type { SessionCore } from "../session/core.ts"
import type { OriginLedger } from "../session/originLedger.ts"
import type { DeadLetterForm } from "./deadLetterForm.ts"
import type { WrittenMessage } from "./recentWrites.ts"
import type { Route } from "./route.ts"
import type { Source } from "./source.ts"

/** The queue of the target that publishes a message, see `TargetQueue`. */
export interface MessageQueue {
  /** The name of the target's session. */
  readonly name: string
  readonly isDurable: boolean
  readonly session: SessionCore | undefined
  readonly onAccepted: (message: Published) => void
  readonly onSettled: (message: Published, outcome: PublishOutcome) => void
  /** Takes back a message that is not sent and not stored. Then it is settled, without an outcome. */
  readonly withdraw: (message: Published) => boolean
}

/** Why a message goes to the dead-letter topic, and how much of it. */
export interface DeadLetter {
  readonly error: MqttError
  readonly form: DeadLetterForm
}

/**
 * What the source knows of a message. `open`: nothing yet. `acknowledged`: the outcome is counted, and the source is
 * told. `returned`: the forwarder gave the message back without an outcome.
 */
export type SourceState = "open" | "acknowledged" | "returned"

/** A message that is published for others. */
export interface Batch {
  readonly _tag: "Batch"
  /** In their order. Those that must not be published leave it. */
  members: ReadonlyArray<Received>
  /** The payload of the batch is that of its members. */
  isJoined: boolean
}

/** A message for which a batch is published. */
export interface Member {
  readonly _tag: "Member"
  readonly batch: ForwardedMessage
}

/** How a message is counted when it is finished. */
export type Count =
  | "forwarded"
  | "duplicate"
  | "filtered"
  | keyof ForwarderDrops
  | "deadLettered"
  | "failed"
  | "returned"

/** A message that is published as several. */
export interface Whole {
  readonly _tag: "Whole"
  readonly parts: ReadonlyArray<Received>
  /** The parts that are not finished. */
  open: number
  /** How the message is counted, as far as is known. */
  count: Count
}

/** One of several messages that are published for another one. */
export interface Part {
  readonly _tag: "Part"
  readonly whole: Received
  readonly state: Whole
}

interface Common {
  readonly source: Source
  readonly delivery: Delivery
  /** The message as it leaves the transformation. */
  readonly message: Message
  /** The topic that the message is forwarded to; empty: not mapped. */
  readonly topic: string
  /** The forwarders and brokers that the message has passed. */
  readonly route: Route
  /** Set for a QoS 2 message that a durable session received. */
  readonly origin: OriginKey | undefined
  /** Time of the monotonic clock; undefined: never. */
  readonly expiresAt: number | undefined
  readonly deadLetter: DeadLetter | undefined
  /** Undefined for a message that is published on its own. */
  readonly group: Batch | Member | Whole | Part | undefined
  /** Ends the message for its source. It is settled, unless a target has it and will report the outcome. */
  readonly close: (sourceState: "acknowledged" | "returned") => void
}

/** No target has it: it is filtered, transformed and mapped. */
export interface Received extends Common {
  readonly state: "received"
  readonly sourceState: "open"
  readonly transform: (message: Message) => void
  readonly map: (topic: string) => void
  /** It is published on its own, or not at all. */
  readonly leaveBatch: () => void
  readonly failed: (deadLetter: DeadLetter) => Received
  readonly enqueue: (queue: MessageQueue, order: number) => Waiting
}

/** It waits in the queue of a target until the target's session accepts it. */
export interface Waiting extends Common {
  readonly state: "waiting"
  readonly sourceState: "open" | "acknowledged"
  readonly queue: MessageQueue
  /** Position in the order of the queue. */
  readonly order: number
  /** It has a token of the rate limit. */
  readonly hasToken: boolean
  /** Built for the present session of the target. */
  readonly request: PublishRequest | undefined
  readonly takeToken: () => void
  readonly prepare: (request: PublishRequest | undefined) => void
  /** Of a batch: its members have become one message. */
  readonly transform: (message: Message) => void
  readonly publish: (outbound: Outbound, ledger: OriginLedger | undefined) => Published
  readonly settle: () => Settled
}

/**
 * The target's session has it. `published`: it is not stored yet. `accepted`: the acceptance is committed, or nothing
 * is to be stored.
 */
export interface Published extends Common {
  readonly state: "published" | "accepted"
  readonly sourceState: SourceState
  readonly queue: MessageQueue
  readonly outbound: Outbound
  /** The ledger that stores the origin in the same write as the acceptance. */
  readonly ledger: OriginLedger | undefined
  /** How the target's broker recognises the message when it comes back, see `RecentWrites`. */
  readonly written: WrittenMessage | undefined
  readonly remember: (written: WrittenMessage | undefined) => void
  readonly accept: () => void
  readonly settle: () => Settled
}

/** Its last publish has an outcome, or nothing was published. */
export interface Settled extends Common {
  readonly state: "settled"
  readonly sourceState: SourceState
  /** Where it was published last. */
  readonly queue: MessageQueue | undefined
  readonly order: number
  readonly failed: (deadLetter: DeadLetter) => Settled
  /**
   * Removes the origin, of a batch those of its members, from the ledger, because the published copy is lost or never
   * counts. A redelivery must be published again.
   */
  readonly releaseOrigin: () => void
  readonly enqueue: (queue: MessageQueue, order: number) => Waiting
}

export type ForwardedMessage = Received | Waiting | Published | Settled

export const receive = (
  source: Source,
  delivery: Delivery,
  route: Route,
  origin: OriginKey | undefined
): Received => new MessageInFlight(source, delivery, route, origin) as unknown as Received

/** The batch of messages that have source, route and topic in common. It has the properties of none of them. */
export const batchOf = (members: ReadonlyArray<Received>): Received => {
  const { delivery, message, route, source, topic } = members.at(-1)!
  const batch = new MessageInFlight(source, delivery, route, undefined)
  batch.message = message
  batch.topic = topic
  batch.expiresAt = undefined
  batch.group = { _tag: "Batch", members, isJoined: false }
  const member: Member = { _tag: "Member", batch: batch as unknown as Received }
  for (const each of members) (each as unknown as MessageInFlight).group = member
  return batch as unknown as Received
}

/** The messages that are published in the place of another one. */
export const partsOf = (whole: Received, messages: ReadonlyArray<Message>): ReadonlyArray<Received> => {
  const parts: Array<Received> = []
  const state: Whole = { _tag: "Whole", parts, open: messages.length, count: "forwarded" }
  for (const message of messages) {
    const part = new MessageInFlight(whole.source, whole.delivery, whole.route, undefined)
    part.message = message
    part.topic = whole.topic
    part.group = { _tag: "Part", whole, state }
    parts.push(part as unknown as Received)
  }
  ;(whole as unknown as MessageInFlight).group = state
  return parts
}

/** The messages for which a message is published: itself, or the members of a batch. */
export const membersOf = (message: ForwardedMessage): ReadonlyArray<ForwardedMessage> =>
  message.group?._tag === "Batch" ? message.group.members : [message]

/** The origins of a message, or of the members of a batch. */
export const originsOf = (message: ForwardedMessage): ReadonlyArray<OriginKey> =>
  membersOf(message).map(({ origin }) => origin).filter((origin) => origin !== undefined)

/**
 * All states in one object, so that a transition allocates nothing. It is also the owner of its publish, and the node
 * of the list of messages in flight. Only this class sees the fields of other states.
 */
class MessageInFlight implements OutboundOwner {
  readonly source: Source
  readonly delivery: Delivery
  message: Message
  topic = ""
  readonly route: Route
  readonly origin: OriginKey | undefined
  // Undefined and not Infinity: a field of that value would allocate a number.
  expiresAt: number | undefined
  deadLetter: DeadLetter | undefined = undefined
  group: Batch | Member | Whole | Part | undefined = undefined
  state: ForwardedMessage["state"] = "received"
  sourceState: SourceState = "open"
  queue: MessageQueue | undefined = undefined
  order = 0
  hasToken = false
  request: PublishRequest | undefined = undefined
  outbound: Outbound | undefined = undefined
  ledger: OriginLedger | undefined = undefined
  written: WrittenMessage | undefined = undefined
  previous: MessageInFlight | undefined = undefined
  next: MessageInFlight | undefined = undefined

  constructor(source: Source, delivery: Delivery, route: Route, origin: OriginKey | undefined) {
    const { message } = delivery
    const { messageExpiryInterval: lifetime } = message.properties
    this.source = source
    this.delivery = delivery
    this.message = message
    this.route = route
    this.origin = origin
    this.expiresAt = lifetime === undefined ? undefined : delivery.arrivedAt + lifetime * 1000
  }

  transform(message: Message): void {
    this.message = message
  }

  map(topic: string): void {
    this.topic = topic
  }

  leaveBatch(): void {
    this.group = undefined
  }

  failed(deadLetter: DeadLetter): this {
    this.deadLetter = deadLetter
    return this
  }

  enqueue(queue: MessageQueue, order: number): Waiting {
    this.state = "waiting"
    this.queue = queue
    this.order = order
    return this as unknown as Waiting
  }

  takeToken(): void {
    this.hasToken = true
  }

  prepare(request: PublishRequest | undefined): void {
    this.request = request
  }

  publish(outbound: Outbound, ledger: OriginLedger | undefined): Published {
    this.state = "published"
    this.outbound = outbound
    this.ledger = ledger
    this.request = undefined
    outbound.owner = this
    return this as unknown as Published
  }

  remember(written: WrittenMessage | undefined): void {
    this.written = written
  }

  accept(): void {
    this.state = "accepted"
  }

  settle(): Settled {
    this.state = "settled"
    this.request = undefined
    this.outbound = undefined
    this.written = undefined
    return this as unknown as Settled
  }

  releaseOrigin(): void {
    if (this.origin !== undefined) this.ledger?.release(this.origin)
    else if (this.group !== undefined) {
      for (const origin of originsOf(this as unknown as ForwardedMessage)) this.ledger?.release(origin)
    }
    this.ledger = undefined
  }

  close(sourceState: "acknowledged" | "returned"): void {
    this.sourceState = sourceState
    if (this.state !== "published" && this.state !== "accepted") this.settle()
  }

  // OutboundOwner

  onAccepted(): void {
    if (this.state === "published") this.queue!.onAccepted(this as unknown as Published)
  }

  onSettled(outbound: Outbound): void {
    this.queue!.onSettled(this as unknown as Published, outbound.outcome!)
  }
}

/**
 * Messages in the order of their arrival. The list goes through the messages, so that it allocates nothing.
 */
export class ForwardedMessages {
  #head: MessageInFlight | undefined = undefined
  #tail: MessageInFlight | undefined = undefined
  size = 0

  get head(): ForwardedMessage | undefined {
    return this.#head as unknown as ForwardedMessage | undefined
  }

  append(message: ForwardedMessage): void {
    const node = message as unknown as MessageInFlight
    const tail = this.#tail
    node.previous = tail
    if (tail === undefined) this.#head = node
    else tail.next = node
    this.#tail = node
    this.size++
  }

  remove(message: ForwardedMessage): void {
    const node = message as unknown as MessageInFlight
    const { next, previous } = node
    if (previous === undefined) this.#head = next
    else previous.next = next
    if (next === undefined) this.#tail = previous
    else next.previous = previous
    node.previous = node.next = undefined
    this.size--
  }
}
