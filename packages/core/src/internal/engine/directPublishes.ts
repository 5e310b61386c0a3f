/**
 * QoS 0 messages that become bytes of the next write at once, without an outbound message and an output. It decides
 * which ones, and remembers what is needed to queue them again when the connection ends before that write. It sends
 * nothing. `engine.ts` shows it to the session.
 */
import type { Publish } from "../../Packet.ts"
import { separatePayload } from "../codec/bufferPool.ts"
import type { Direct, PublishRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import { refuseRequest } from "./limits.ts"
import { type OutboundMessage, weigh } from "./outboundMessage.ts"
import type { OutboundMessages } from "./outboundMessages.ts"
import type { OutboundPackets } from "./outboundPackets.ts"
import type { Retransmission } from "./retransmission.ts"

const none: ReadonlyArray<OutboundMessage> = []

export class DirectPublishes implements Direct {
  readonly #core: EngineCore
  readonly #messages: OutboundMessages
  readonly #packets: OutboundPackets
  readonly #retransmission: Retransmission
  readonly #flushSubscriptions: () => void
  /** The topics, because the packets may have only an alias. */
  #topics: Array<string> = []
  /** The sequence number of the first one. No other message is accepted between them, so theirs are consecutive. */
  #first = 0
  #returned = none
  /** Those that have returned on any connection and were not sent since. */
  #unsent = none

  constructor(
    core: EngineCore,
    messages: OutboundMessages,
    packets: OutboundPackets,
    retransmission: Retransmission,
    flushSubscriptions: () => void
  ) {
    this.#core = core
    this.#messages = messages
    this.#packets = packets
    this.#retransmission = retransmission
    this.#flushSubscriptions = flushSubscriptions
  }

  publish(request: PublishRequest, now: number): Publish | undefined {
    const core = this.#core
    const { output } = core
    core.now = now
    // As in `publish`: a SUBSCRIBE before it precedes it.
    this.#flushSubscriptions()
    const isFirst = core.taken === undefined && output.packets.length === 0 && output.changes.length === 0 &&
      this.#messages.queue.size === 0 && this.#retransmission.isDone
    if (
      request.qos !== 0 || request.expiresAfter !== undefined || request.payload.length >= separatePayload ||
      !isFirst || !core.sendable || core.poison.isAlone || refuseRequest(request, core) !== undefined
    ) {
      return undefined
    }
    return this.#packets.direct(request)
  }

  appended(topic: string): number {
    const topics = this.#topics
    const sequence = this.#messages.reserve()
    if (topics.length === 0) this.#first = sequence
    // Not `push`, which is a call here.
    topics[topics.length] = topic
    return sequence
  }

  get hasAny(): boolean {
    return this.#topics.length > 0
  }

  get topics(): ReadonlyArray<string> {
    return this.#topics
  }

  get isOwed(): boolean {
    return this.hasAny || this.#prune().length > 0
  }

  written(): number {
    const count = this.#topics.length
    if (count > 0) this.#topics = []
    if (this.#unsent.length > 0) this.#prune()
    return count
  }

  returned(packets: ReadonlyArray<Publish>, now: number): number {
    const written = this.#topics.length - packets.length
    this.#returned = packets.map((packet, index) => {
      const request = requestOf(packet, this.#topics[written + index]!)
      return this.#messages.make(request, weigh(request), now, this.#first + written + index)
    })
    this.#topics = []
    this.#unsent = this.#prune().concat(this.#returned)
    return written
  }

  #prune(): ReadonlyArray<OutboundMessage> {
    return this.#unsent = this.#unsent.filter(({ state }) => state !== "settled")
  }

  /** Takes out the messages that have returned, to queue them again. */
  take(): ReadonlyArray<OutboundMessage> {
    const returned = this.#returned
    this.#returned = none
    return returned
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { topics: this.#topics, first: this.#first, returned: this.#returned, unsent: this.#unsent }
  }

  set privateState(state) {
    this.#topics = state.topics
    this.#first = state.first
    this.#returned = state.returned
    this.#unsent = state.unsent
  }
}

const requestOf = ({ payload, properties, retain }: Publish, topic: string): PublishRequest => ({
  topic,
  payload,
  qos: 0,
  retain,
  properties,
  topicAlias: 0,
  expiresAfter: undefined,
  origin: undefined
})
