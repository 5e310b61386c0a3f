/**
 * Loop guard for MQTT 3.1.1, which has no user properties. It remembers what the forwarders of a manager have recently
 * written to each broker, so that a forwarder that reads there finds the route of a message that comes back.
 *
 * A message is recognised by a digest of topic and payload. Two equal messages have one digest, therefore copies are
 * counted. Each reader recognises a written message once for each of its filters that match the topic (mosquitto sends
 * a copy for each on 3.1.1). An equal message of another client is one copy more, and passes.
 *
 * This module makes no decision about a message and stores nothing: its memory is empty when a program starts. Times
 * are milliseconds of the sessions' clock. Every table has a bound in number, and a bound in time as long as the
 * readers keep up.
 */
import type { Message } from "../../Message.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import { digest } from "../digest.ts"
import type { Outbound } from "../engine/contract.ts"
import { Fifo } from "../fifo.ts"
import { type Reader, window } from "./reader.ts"
import type { Route } from "./route.ts"

/** Number of written messages, and of topics with a retained message, that are remembered for one broker. */
const capacity = 65_536

const noPayload = new Uint8Array(0)

/**
 * One message that was given to a session for publishing.
 */
export class WrittenMessage {
  readonly route: Route
  /** The message itself carries its route for readers on MQTT 5. */
  readonly isCarried: boolean
  readonly #isKept: boolean
  /** Set until the message is settled. */
  #outbound: Outbound | undefined
  #settledAt = Infinity

  constructor(outbound: Outbound, route: Route, isCarried: boolean) {
    this.#outbound = outbound
    this.#isKept = outbound.request.qos !== 0
    this.route = route
    this.isCarried = isCarried
  }

  /** The server has the message, or its outcome will never be known. It may come back for a while from now on. */
  settle(now: number): void {
    this.#outbound = undefined
    this.#settledAt = now
  }

  /** The server never received the message. */
  discard(): void {
    this.#outbound = undefined
    this.#settledAt = -Infinity
  }

  isOver(before: number): boolean {
    return this.#settledAt < before
  }

  /** A message that has not left the queue cannot have come back. */
  get isQueued(): boolean {
    return this.#outbound?.state === "queued"
  }

  isFor(reader: Reader): boolean {
    return !(this.isCarried && reader.options.protocolVersion === 5)
  }

  mayReach(reader: Reader, now: number): boolean {
    return this.isFor(reader) && reader.mayHave(this.#settledAt, this.#isKept, now)
  }
}

/** Written messages with the same digest. */
class EqualMessages {
  readonly #written = new Fifo<WrittenMessage>()
  /** The number of forgotten messages before the first remembered one. */
  #forgotten = 0
  /** How many copies of all of them, forgotten ones included, each member has received. */
  #received: Map<unknown, number> | undefined

  get isEmpty(): boolean {
    return this.#written.size === 0
  }

  push(written: WrittenMessage): void {
    this.#written.push(written)
  }

  shift(): void {
    this.#written.shift()
    this.#forgotten++
  }

  take(reader: Reader, topic: string, now: number): Route | undefined {
    const copies = reader.copiesOf(topic)
    let received = this.#received?.get(reader.member) ?? 0
    let index = Math.max(0, Math.floor(received / copies) - this.#forgotten)
    // What cannot arrive any more is skipped permanently, so that each message is examined once.
    while (this.#written.at(index)?.mayReach(reader, now) === false) index++
    received = Math.max(received, (this.#forgotten + index) * copies)
    let written = this.#written.at(index)
    while (written?.isQueued === true || written?.mayReach(reader, now) === false) written = this.#written.at(++index)
    this.#received ??= new Map()
    this.#received.set(reader.member, written === undefined ? received : received + 1)
    return written?.route
  }
}

interface Retained {
  readonly key: number
  readonly written: WrittenMessage
}

/** The writes that are remembered for one broker. */
class Broker {
  readonly readers = new Set<Reader>()
  readonly #all = new Fifo<{ readonly key: number; readonly written: WrittenMessage }>()
  readonly #byKey = new Map<number, EqualMessages>()
  /** The last write with the retain flag, by topic. It is delivered whenever a subscription begins. */
  readonly #retained = new Map<number, Retained>()

  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#retained.size === 0
  }

  isReadWithoutRoute(isCarried: boolean): boolean {
    if (!isCarried) return this.readers.size > 0
    for (const reader of this.readers) if (reader.options.protocolVersion === 4) return true
    return false
  }

  note(key: number, written: WrittenMessage, retainedTopic: number | undefined, now: number): void {
    for (const reader of this.readers) reader.follow(now)
    this.#forget(now)
    this.#all.push({ key, written })
    let equal = this.#byKey.get(key)
    if (equal === undefined) this.#byKey.set(key, equal = new EqualMessages())
    equal.push(written)
    if (retainedTopic === undefined) return
    this.#retained.delete(retainedTopic)
    this.#retained.set(retainedTopic, { key, written })
    if (this.#retained.size > capacity) this.#retained.delete(this.#retained.keys().next().value!)
  }

  published(key: number, reader: Reader, topic: string, now: number): Route | undefined {
    return this.#byKey.get(key)?.take(reader, topic, now)
  }

  retained(topicKey: number, key: number, reader: Reader): Route | undefined {
    const retained = this.#retained.get(topicKey)
    return retained?.key === key && retained.written.isFor(reader) ? retained.written.route : undefined
  }

  /** Merges the memory of another broker into this one, when the two turn out to be the same. */
  join(other: Broker, now: number): void {
    for (const reader of other.readers) this.readers.add(reader)
    for (let i = 0; i < other.#all.size; i++) {
      this.note(other.#all.at(i)!.key, other.#all.at(i)!.written, undefined, now)
    }
    for (const [topic, retained] of other.#retained) this.#retained.set(topic, retained)
  }

  #forget(now: number): void {
    const oldest = this.#all.at(0)
    if (oldest === undefined || (this.#all.size < capacity && !oldest.written.isOver(now - window))) return
    let before = now - window
    for (const reader of this.readers) before = Math.min(before, reader.needsFrom(now))
    for (let next = this.#all.at(0); next !== undefined; next = this.#all.at(0)) {
      if (this.#all.size < capacity && !next.written.isOver(before)) return
      this.#all.shift()
      const equal = this.#byKey.get(next.key)!
      equal.shift()
      if (equal.isEmpty) this.#byKey.delete(next.key)
    }
  }
}

/**
 * The brokers of one manager.
 */
export class RecentWrites {
  /** The brokers by their marks. */
  readonly #brokers = new Map<string, Broker>()
  /** Readers whose messages carry no route. */
  #readersWithoutRoute = 0

  /** Registers a reader. The returned function removes it. */
  read(reader: Reader, now: number): () => void {
    const { brokers, protocolVersion } = reader.options
    let broker: Broker | undefined
    for (const mark of brokers) {
      const other = this.#brokers.get(mark)
      if (other === undefined || other === broker) continue
      if (broker === undefined) broker = other
      else this.#join(broker, other, now)
    }
    broker ??= new Broker()
    broker.readers.add(reader)
    for (const mark of brokers) this.#brokers.set(mark, broker)
    if (protocolVersion === 4) this.#readersWithoutRoute++
    return () => {
      const present = this.#brokers.get(brokers[0]!)
      if (present?.readers.delete(reader) !== true) return
      if (protocolVersion === 4) this.#readersWithoutRoute--
      if (present.readers.size > 0) return
      for (const [mark, each] of this.#brokers) if (each === present) this.#brokers.delete(mark)
    }
  }

  /** Whether a reader may receive what is written by this version without its route. */
  isNeeded(protocolVersion: ProtocolVersion): boolean {
    return this.#readersWithoutRoute > 0 || (protocolVersion === 4 && this.#brokers.size > 0)
  }

  /** Records a write to a broker; undefined: no reader there needs it. */
  note(
    brokers: ReadonlyArray<string>,
    outbound: Outbound,
    route: Route,
    isCarried: boolean,
    now: number
  ): WrittenMessage | undefined {
    const { payload, retain, topic } = outbound.request
    let written: WrittenMessage | undefined
    let last: Broker | undefined
    for (let i = 0; i < brokers.length; i++) {
      const broker = this.#brokers.get(brokers[i]!)
      if (broker === undefined || broker === last || !broker.isReadWithoutRoute(isCarried)) continue
      last = broker
      written ??= new WrittenMessage(outbound, route, isCarried)
      broker.note(digest(topic, payload), written, retain ? digest(topic, noPayload) : undefined, now)
    }
    return written
  }

  /**
   * The route of a message that carries none; undefined: as far as is known, no forwarder of this manager has written
   * it.
   */
  take(reader: Reader, message: Message, packetIdentifier: number, now: number): Route | undefined {
    const { brokers, protocolVersion } = reader.options
    const broker = this.#brokers.get(brokers[0]!)
    if (broker === undefined || broker.isEmpty) return undefined
    reader.follow(now)
    const { payload, retain, topic } = message
    const key = digest(topic, payload)
    const repeated = reader.repeated(message, packetIdentifier, key)
    if (repeated !== undefined) return repeated
    let route: Route | undefined
    if (!retain) route = broker.published(key, reader, topic, now)
    else {
      const topicKey = digest(topic, noPayload)
      // On 3.1.1 the retain flag says that a subscription has begun. On MQTT 5 it may also be the publisher's own flag.
      route = protocolVersion === 4
        ? broker.retained(topicKey, key, reader) ?? broker.published(key, reader, topic, now)
        : broker.published(key, reader, topic, now) ?? broker.retained(topicKey, key, reader)
    }
    if (route !== undefined) reader.note(packetIdentifier, key, route)
    return route
  }

  #join(broker: Broker, other: Broker, now: number): void {
    broker.join(other, now)
    for (const [mark, each] of this.#brokers) if (each === other) this.#brokers.set(mark, broker)
  }
}
