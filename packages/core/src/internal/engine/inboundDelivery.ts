/**
 * State of inbound messages on their way to consumers, and of the QoS 2 exchanges that they belong to. It sends
 * nothing: `inbound.ts` decides.
 */
import { Message } from "../../Message.ts"
import { none } from "../../Properties.ts"
import type { Delivery } from "./contract.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"

const empty = new Uint8Array(0)

/**
 * One inbound message and the consumers that have not finished it.
 */
export class InboundDelivery implements Delivery {
  readonly message: Message
  readonly arrivedAt: number
  readonly packetIdentifier: number
  readonly bytes: number
  stale = false
  remaining = 0
  /** Number of consumers that left without finishing and whose successor may still come, see `HeldMessages`. */
  vacancies = 0
  /** All consumers have finished, or were given up. The acknowledgement may be sent. */
  isDone = false
  /** Reason code of the acknowledgement. Success as soon as one consumer has accepted the message. */
  reasonCode = 0
  /** At least one consumer has accepted or refused the message. */
  wasAnswered = false
  /** A copy that the server had retained: only consumers that wait for retained messages need it. */
  readonly isRetainedCopy: boolean
  /** Position in the order of arrival. */
  readonly sequence: number
  /** QoS 2 only. */
  readonly exchange: Exchange | undefined
  // Nearly all messages have one consumer: this field avoids an array.
  #first: EngineConsumer | undefined = undefined
  #others: Array<EngineConsumer> | undefined = undefined

  constructor(
    message: Message,
    arrivedAt: number,
    packetIdentifier: number,
    bytes: number,
    sequence: number,
    isRetainedCopy: boolean,
    exchange: Exchange | undefined
  ) {
    this.message = message
    this.arrivedAt = arrivedAt
    this.packetIdentifier = packetIdentifier
    this.bytes = bytes
    this.sequence = sequence
    this.isRetainedCopy = isRetainedCopy
    this.exchange = exchange
  }

  get use(): string {
    return this.exchange?.use ?? ""
  }

  /** A consumer has not finished the message, or a successor may still come for it. */
  get isOwed(): boolean {
    return this.remaining > 0 || this.vacancies > 0
  }

  get consumers(): ReadonlyArray<EngineConsumer> {
    if (this.#first === undefined) return []
    return this.#others === undefined ? [this.#first] : [this.#first, ...this.#others]
  }

  add(consumer: EngineConsumer): void {
    this.remaining++
    if (this.#first === undefined) this.#first = consumer
    else (this.#others ??= []).push(consumer)
  }

  has(consumer: EngineConsumer): boolean {
    return this.#first === consumer || (this.#others?.includes(consumer) ?? false)
  }

  /** Removes a consumer. Answers whether it had not finished. */
  remove(consumer: EngineConsumer): boolean {
    const others = this.#others
    if (this.#first === consumer) {
      this.#first = others?.pop()
    } else {
      const index = others?.indexOf(consumer) ?? -1
      if (index < 0) return false
      others!.splice(index, 1)
    }
    this.remaining--
    return true
  }

  /** A stale delivery with the same consumers, without the payload. */
  toStub(): InboundDelivery {
    const { properties: { subscriptionIdentifiers }, qos, receivedAt, retain, session, topic } = this.message
    const message = new Message({
      topic,
      payload: empty,
      qos,
      retain,
      dup: false,
      properties: subscriptionIdentifiers === undefined ? none : { subscriptionIdentifiers },
      session,
      receivedAt
    })
    const { arrivedAt, isRetainedCopy, packetIdentifier, sequence } = this
    const stub = new InboundDelivery(message, arrivedAt, packetIdentifier, 0, sequence, isRetainedCopy, undefined)
    stub.stale = true
    for (const consumer of this.consumers) stub.add(consumer)
    return stub
  }

  /** Records a consumer's answer. A refusal counts only as long as no consumer has accepted the message. */
  answer(reasonCode: number): void {
    if (reasonCode < 0x80) this.reasonCode = 0
    else if (!this.wasAnswered || this.reasonCode >= 0x80) this.reasonCode = reasonCode
    this.wasAnswered = true
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { first: this.#first, others: this.#others }
  }

  set privateState(state) {
    this.#first = state.first
    this.#others = state.others
  }
}

/**
 * A QoS 2 packet identifier of the server, from its first PUBLISH to its PUBREL (MQTT 4.3.3).
 */
export class Exchange {
  readonly packetIdentifier: number
  /** See `InboundRecord`. */
  readonly use: string
  /** PUBREC may be sent, and repeated. */
  isDone = false
  reasonCode = 0
  /** The identifier may belong to a session that the server has lost: the server has not mentioned it since. */
  isRestored = false
  /** The connection on whose queue a PUBREC waits; 0: none. */
  queuedOn = 0
  /** The exchange has ended: a PUBREC that still waits is not sent. */
  isReleased = false
  /** The connection of the latest PUBLISH, in whose window it takes a place. */
  connection = 0
  /** The message, until it is acknowledged. Undefined also when an earlier process received it and did not finish. */
  delivery: InboundDelivery | undefined = undefined
  /** Names of the consumers that finished the message while others had not. They do not get it again. */
  finished: Array<string> | undefined = undefined

  constructor(packetIdentifier: number, use: string) {
    this.packetIdentifier = packetIdentifier
    this.use = use
  }
}

/** Whether the consumer finished the message before a restart of the session. */
export const hasFinished = ({ name }: EngineConsumer, exchange: Exchange | undefined): boolean =>
  name !== undefined && exchange?.finished !== undefined && exchange.finished.includes(name)
