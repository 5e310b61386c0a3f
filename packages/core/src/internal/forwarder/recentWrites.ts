/**
 * The routes of messages that cannot carry them, that is where MQTT 3.1.1 is involved: what the forwarders of a manager
 * have written to each broker lately, so that a forwarder that reads there knows the route of what comes back.
 *
 * A message is recognised by a digest of topic and payload. Two equal messages look alike, therefore copies are
 * counted: each reader recognises a written message once for each of its filters that match the topic (mosquitto sends
 * a copy for each on 3.1.1), and an equal message of another client is one copy more, and passes.
 *
 * Nothing here decides about a message, and nothing is stored: a program that starts knows of nothing. Times are
 * milliseconds of the sessions' clock. Everything is bounded in number, and in time as far as the readers keep up.
 */
import type { Message } from "../../Message.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import type { Outbound } from "../engine/contract.ts"
import { digest } from "./digest.ts"
import { Fifo } from "./fifo.ts"
import { type Reader, window } from "./reader.ts"
import type { Route } from "./route.ts"

/** Written messages, and topics with a retained message, that are known of one broker. */
const capacity = 65_536

const noPayload = new Uint8Array(0)

/**
 * One message that was handed to a session for publishing.
 */
export class Written {
  readonly route: Route
  /** The message itself tells its route to those who read it by MQTT 5. */
  readonly isCarried: boolean
  readonly #isKept: boolean
  /** Until it is settled. */
  #outbound: Outbound | undefined
  #settledAt = Infinity

  constructor(outbound: Outbound, route: Route, isCarried: boolean) {
    this.#outbound = outbound
    this.#isKept = outbound.request.qos !== 0
    this.route = route
    this.isCarried = isCarried
  }

  /** The server has it, or that will never be known: it may come back from now on, for a while. */
  settle(now: number): void {
    this.#outbound = undefined
    this.#settledAt = now
  }

  /** The server never had it. */
  discard(): void {
    this.#outbound = undefined
    this.#settledAt = -Infinity
  }

  isOver(before: number): boolean {
    return this.#settledAt < before
  }

  /** What has not left its queue cannot have come back. */
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
class Equals {
  readonly #written = new Fifo<Written>()
  /** How many were forgotten before the first. */
  #forgotten = 0
  /** How many copies of all, forgotten ones included, each member has taken. */
  #taken: Map<unknown, number> | undefined

  get isEmpty(): boolean {
    return this.#written.size === 0
  }

  push(written: Written): void {
    this.#written.push(written)
  }

  shift(): void {
    this.#written.shift()
    this.#forgotten++
  }

  take(reader: Reader, topic: string, now: number): Route | undefined {
    const copies = reader.copiesOf(topic)
    let taken = this.#taken?.get(reader.member) ?? 0
    let index = Math.max(0, Math.floor(taken / copies) - this.#forgotten)
    // What cannot come any more is passed over for all time, so that each message is looked at once.
    while (this.#written.at(index)?.mayReach(reader, now) === false) index++
    taken = Math.max(taken, (this.#forgotten + index) * copies)
    let written = this.#written.at(index)
    while (written?.isQueued === true || written?.mayReach(reader, now) === false) written = this.#written.at(++index)
    this.#taken ??= new Map()
    this.#taken.set(reader.member, written === undefined ? taken : taken + 1)
    return written?.route
  }
}

interface Retained {
  readonly key: number
  readonly written: Written
}

/** What is known of one broker. */
class Broker {
  readonly readers = new Set<Reader>()
  readonly #all = new Fifo<{ readonly key: number; readonly written: Written }>()
  readonly #byKey = new Map<number, Equals>()
  /** What was written to be retained last, by topic: it is delivered whenever a subscription begins. */
  readonly #retained = new Map<number, Retained>()

  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#retained.size === 0
  }

  isReadBlind(isCarried: boolean): boolean {
    if (!isCarried) return this.readers.size > 0
    for (const reader of this.readers) if (reader.options.protocolVersion === 4) return true
    return false
  }

  note(key: number, written: Written, retainedTopic: number | undefined, now: number): void {
    for (const reader of this.readers) reader.follow(now)
    this.#forget(now)
    this.#all.push({ key, written })
    let equals = this.#byKey.get(key)
    if (equals === undefined) this.#byKey.set(key, equals = new Equals())
    equals.push(written)
    if (retainedTopic === undefined) return
    this.#retained.delete(retainedTopic)
    this.#retained.set(retainedTopic, { key, written })
    if (this.#retained.size > capacity) this.#retained.delete(this.#retained.keys().next().value!)
  }

  passing(key: number, reader: Reader, topic: string, now: number): Route | undefined {
    return this.#byKey.get(key)?.take(reader, topic, now)
  }

  retained(topicKey: number, key: number, reader: Reader): Route | undefined {
    const retained = this.#retained.get(topicKey)
    return retained?.key === key && retained.written.isFor(reader) ? retained.written.route : undefined
  }

  /** Takes over what is known of another one: they are the same. */
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
      const equals = this.#byKey.get(next.key)!
      equals.shift()
      if (equals.isEmpty) this.#byKey.delete(next.key)
    }
  }
}

/**
 * The brokers of one manager.
 */
export class RecentWrites {
  /** By their marks. */
  readonly #brokers = new Map<string, Broker>()
  /** Readers that no message tells its route. */
  #blind = 0

  /** Registers a reader; the answer ends it. */
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
    if (protocolVersion === 4) this.#blind++
    return () => {
      const present = this.#brokers.get(brokers[0]!)
      if (present?.readers.delete(reader) !== true) return
      if (protocolVersion === 4) this.#blind--
      if (present.readers.size > 0) return
      for (const [mark, each] of this.#brokers) if (each === present) this.#brokers.delete(mark)
    }
  }

  /** Whether somebody may read what is written by this version, and not be told its route. */
  isNeeded(protocolVersion: ProtocolVersion): boolean {
    return this.#blind > 0 || (protocolVersion === 4 && this.#brokers.size > 0)
  }

  /** Notes what is written to a broker; undefined: nobody who needs it reads there. */
  note(
    brokers: ReadonlyArray<string>,
    outbound: Outbound,
    route: Route,
    isCarried: boolean,
    now: number
  ): Written | undefined {
    const { payload, retain, topic } = outbound.request
    let written: Written | undefined
    let noted: Broker | undefined
    for (let i = 0; i < brokers.length; i++) {
      const broker = this.#brokers.get(brokers[i]!)
      if (broker === undefined || broker === noted || !broker.isReadBlind(isCarried)) continue
      noted = broker
      written ??= new Written(outbound, route, isCarried)
      broker.note(digest(topic, payload), written, retain ? digest(topic, noPayload) : undefined, now)
    }
    return written
  }

  /**
   * The route of a message that carries none; undefined: no forwarder of this manager has written it, as far as is
   * known.
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
    if (!retain) route = broker.passing(key, reader, topic, now)
    else {
      const topicKey = digest(topic, noPayload)
      // On 3.1.1 the mark says that a subscription has begun; on MQTT 5 it may also be the publisher's own.
      route = protocolVersion === 4
        ? broker.retained(topicKey, key, reader) ?? broker.passing(key, reader, topic, now)
        : broker.passing(key, reader, topic, now) ?? broker.retained(topicKey, key, reader)
    }
    if (route !== undefined) reader.note(packetIdentifier, key, route)
    return route
  }

  #join(broker: Broker, other: Broker, now: number): void {
    broker.join(other, now)
    for (const [mark, each] of this.#brokers) if (each === other) this.#brokers.set(mark, broker)
  }
}
