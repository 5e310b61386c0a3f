/**
 * Inbound messages on their way to consumers, and the QoS 2 exchanges that they belong to.
 */
import { Message } from "../../Message.ts"
import { none } from "../../Properties.ts"
import type { Delivery } from "./contract.ts"
import type { EngineConsumer } from "./subscriptionEntry.ts"

const empty = new Uint8Array(0)

/**
 * One inbound message and who has not finished with it.
 */
export class InboundDelivery implements Delivery {
  readonly message: Message
  readonly arrivedAt: number
  readonly packetIdentifier: number
  readonly bytes: number
  stale = false
  remaining = 0
  /** Consumers that left without finishing, and whose successor may still come: see `HeldMessages`. */
  vacancies = 0
  /** All consumers are done, or were given up: the acknowledgement may go out. */
  done = false
  /** Of the acknowledgement: success as soon as one consumer has taken the message. */
  reasonCode = 0
  /** One consumer at least has taken or refused it. */
  answered = false
  /** A copy that the server had retained: of no use to anyone but those who wait for it. */
  readonly isRetainedCopy: boolean
  /** Position in the order of arrival. */
  readonly sequence: number
  /** Of QoS 2. */
  readonly exchange: Exchange | undefined
  // Nearly all messages have one consumer: no array for them.
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

  /** Somebody has not finished with it, or may still come for it. */
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

  /** Whether the consumer was still to finish. */
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

  /** A stale delivery with the same consumers, without what the message holds. */
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

  /** A consumer's answer: a refusal counts only while nobody has taken the message. */
  answer(reasonCode: number): void {
    if (reasonCode < 0x80) this.reasonCode = 0
    else if (!this.answered || this.reasonCode >= 0x80) this.reasonCode = reasonCode
    this.answered = true
  }
}

/**
 * A QoS 2 packet identifier of the server, from its first PUBLISH to its PUBREL (MQTT 4.3.3).
 */
export class Exchange {
  readonly packetIdentifier: number
  /** See `InboundRecord`. */
  readonly use: string
  /** PUBREC may be sent, again and again. */
  done = false
  reasonCode = 0
  /** It may be of a session that the server has lost: the server has not spoken of it since. */
  isRestored = false
  /** The connection on which a PUBREC waits for its turn, 0: none does. */
  queuedOn = 0
  /** The exchange is over: a PUBREC that still waits for its turn is not sent. */
  released = false
  /** The connection of the latest PUBLISH, on which it takes a place in the window. */
  connection = 0
  /** The message, until it is acknowledged; undefined also when an earlier process had it and did not finish. */
  delivery: InboundDelivery | undefined = undefined
  /** Names of the consumers that have finished with the message while others have not: they do not get it again. */
  finished: Array<string> | undefined = undefined

  constructor(packetIdentifier: number, use: string) {
    this.packetIdentifier = packetIdentifier
    this.use = use
  }
}
