/**
 * The sender of the engine: the send window, the QoS 1 and QoS 2 handshakes (MQTT 4.3), and retransmission in a resumed
 * session (MQTT 4.4). New publishes stay within the server's Receive Maximum. `engine.ts` calls it.
 */
import { Indeterminate, type MqttErrorReason, PoisonMessage, SessionLost } from "../../MqttError.ts"
import type { Puback, Pubcomp, Pubrec } from "../../Packet.ts"
import { none, type PublishProperties } from "../../Properties.ts"
import type { QoS } from "../../QoS.ts"
import { originKey, outboundKey, type OutboundRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { Admission, Outbound, Output, PublishOutcome, PublishRequest } from "./contract.ts"
import { type EngineCore, isAcceptable, retainInPlace } from "./core.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import * as limits from "./limits.ts"
import { MessageList, OutboundMessage, removePublishes, weigh, withRemainingExpiry } from "./outboundMessage.ts"
import { OutboundQueue } from "./outboundQueue.ts"
import { acknowledged, failed, outcomeOf, succeeded } from "./publishOutcome.ts"
import { OutboundAliases } from "./topicAliases.ts"
import * as violations from "./violations.ts"

/** Limit of PUBLISH packets in one output, in bytes. The rest stays in the queue, whose bounds apply to it. */
const outputBytes = 1_048_576

/**
 * The sender.
 */
export class OutboundFlow {
  readonly #core: EngineCore
  readonly #identifiers: PacketIdentifiers<unknown>
  readonly #queue: OutboundQueue
  readonly #aliases = new OutboundAliases()
  /** Sent and not acknowledged: QoS 1 until PUBACK, QoS 2 until PUBREC. In the order of first transmission. */
  readonly #publishing = new MessageList()
  /** QoS 2 between PUBREC and PUBCOMP, in the order of the PUBRECs. */
  readonly #releasing = new MessageList()
  /**
   * The next message of `#releasing` whose PUBREL, and of `#publishing` whose PUBLISH, must be sent again on this
   * connection.
   */
  #release: OutboundMessage | undefined = undefined
  #replay: OutboundMessage | undefined = undefined
  /** Messages that were given up after transmission: the server may still use their packet identifiers. */
  #quarantined: Set<OutboundMessage> | undefined = undefined
  /** The places taken in the windows of this connection (all, and QoS 2 only), then the sizes of these windows. */
  #inflight = 0
  #inflightQoS2 = 0
  #window = 0
  #windowQoS2 = 0
  /** Messages whose PUBLISH is in the collecting output, and their bytes. */
  #sent: Array<OutboundMessage> = []
  #sentBytes = 0
  /** The same for the output that was taken and is not written yet. */
  #taken: Array<OutboundMessage> = []
  #sequence = 1
  /** Set when the session has ended: nothing is queued again. */
  #ended: { readonly reason: MqttErrorReason } | undefined = undefined

  constructor(core: EngineCore, identifiers: PacketIdentifiers<unknown>) {
    this.#core = core
    this.#identifiers = identifiers
    this.#queue = new OutboundQueue(core, this.#publishing)
  }

  get queuedMessages(): number {
    return this.#queue.size
  }

  get queuedBytes(): number {
    return this.#queue.bytes
  }

  get oldestQueuedAt(): number | undefined {
    return this.#queue.head?.acceptedAt
  }

  get inflightBytes(): number {
    return this.#publishing.bytes
  }

  get inflight(): number {
    return this.#publishing.size + this.#releasing.size
  }

  publish(request: PublishRequest, now: number): Admission {
    const core = this.#core
    const refusal = this.#ended?.reason ?? this.#refuse(request)
    if (refusal !== undefined) return { _tag: "Refused", reason: refusal }
    const bytes = weigh(request)
    const direct = this.#queue.size === 0 && this.#release === undefined && this.#replay === undefined &&
      !this.#core.poison.isAlone && this.#admitsNew(request.qos, bytes)
    if (!direct) {
      const answer = this.#queue.admit(request.topic, bytes)
      if (answer !== undefined) return answer
    }
    const message = new OutboundMessage(request, this.#sequence++, bytes, now, this.#expiryOf(request, now))
    core.accept(message)
    if (request.origin !== undefined && core.options.durable) core.put({ _tag: "Origin", origin: request.origin })
    if (core.limits !== undefined) message.checked = core.connection
    if (direct) {
      this.#transmit(message, now)
    } else {
      this.#queue.append(message)
      this.#put(message)
    }
    return { _tag: "Accepted", outbound: message }
  }

  withdraw(outbound: Outbound): boolean {
    if (!(outbound instanceof OutboundMessage) || !this.#queue.has(outbound) || outbound.wasSent) return false
    this.#queue.remove(outbound)
    outbound.state = "settled"
    this.#delete(outbound)
    return true
  }

  /**
   * Takes back what these outputs have accepted. None of it was sent. Only the latest messages are affected, so no
   * message that stays was to be sent after them.
   */
  reject(taken: Output | undefined, reason: MqttErrorReason): ReadonlyArray<string> {
    const { output } = this.#core
    const rejected = new Set<OutboundMessage>()
    const rejectAll = (part: Output, sent: Array<OutboundMessage>): void => {
      const own = new Set<Outbound>()
      for (const message of part.accepted) {
        if (!(message instanceof OutboundMessage) || !isAcceptable(message)) continue
        own.add(message)
        rejected.add(message)
      }
      part.accepted.length = 0
      removePublishes(part.packets, sent, rejected)
      retainInPlace(part.settled, (message) => !own.has(message))
    }
    if (taken !== undefined) rejectAll(taken, this.#taken)
    rejectAll(output, this.#sent)
    // `removePublishes` needed the packet identifiers, which are free from here on.
    const keys: Array<string> = []
    const outcome = failed(reason)
    for (const message of rejected) {
      const { origin } = message.request
      keys.push(outboundKey(message.sequence))
      if (origin !== undefined) keys.push(originKey(origin))
      if (this.#queue.has(message)) {
        this.#queue.remove(message)
      } else if (message.state === "publishing") {
        this.#leavePublishing(message)
        this.#vacate(message)
        this.#identifiers.release(message.packetIdentifier)
      }
      message.state = "settled"
      message.outcome = outcome
      this.#core.discard(message)
    }
    this.#sentBytes = this.#sent.reduce((bytes, message) => bytes + message.bytes + 16, 0)
    // An alias may have been defined by a packet that is not sent.
    this.#aliases.clear()
    if (this.#core.options.durable) { for (const key of keys) this.#core.delete(key) }
    return keys
  }

  /** Fails all messages but keeps their records, with which a durable session continues later. */
  abandon(reason: MqttErrorReason): void {
    const outcome = failed(reason)
    this.#ended = { reason }
    for (const list of [this.#releasing, this.#publishing]) {
      while (list.head !== undefined) {
        const message = list.head
        list.remove(message)
        this.#identifiers.release(message.packetIdentifier)
        this.#finish(message, outcome)
      }
    }
    while (this.#queue.head !== undefined) {
      const message = this.#queue.head
      this.#queue.remove(message)
      this.#finish(message, outcome)
    }
    this.#release = this.#replay = undefined
    this.#inflight = 0
    this.#inflightQoS2 = 0
  }

  restore(records: ReadonlyArray<OutboundRecord>): void {
    for (const record of [...records].sort((a, b) => a.sequence - b.sequence)) {
      const { acceptedAt, expiresAt, packetIdentifier, payload, properties, qos, retain, sequence, topic } = record
      const request = {
        topic,
        payload,
        qos,
        retain,
        properties,
        topicAlias: 0,
        expiresAfter: undefined,
        origin: undefined
      }
      const offset = this.#core.epochOffset
      const message = new OutboundMessage(
        request,
        sequence,
        weigh(request),
        acceptedAt - offset,
        (expiresAt ?? Infinity) - offset
      )
      if (sequence >= this.#sequence) this.#sequence = sequence + 1
      if (record.state === "queued") {
        this.#queue.append(message)
        continue
      }
      message.packetIdentifier = packetIdentifier
      this.#identifiers.reserve(packetIdentifier, message)
      if (record.state === "quarantined") {
        message.state = "settled"
        this.#quarantined ??= new Set()
        this.#quarantined.add(message)
        continue
      }
      message.state = record.state
      const list = record.state === "publishing" ? this.#publishing : this.#releasing
      list.append(message)
    }
  }

  /** CONNACK: a new window begins. */
  connected(): void {
    const { isVersion5, limits: server, options } = this.#core
    this.#window = Math.min(options.maxInflight, server!.receiveMaximum)
    this.#windowQoS2 = isVersion5 ? Infinity : options.maxInflightQoS2
    this.#aliases.clear()
  }

  /** The server has the session: sends PUBRELs first, then PUBLISHes as the window admits (MQTT 4.4). */
  resume(now: number): void {
    this.#inflight = 0
    this.#inflightQoS2 = 0
    this.#release = this.#releasing.head
    this.#replay = this.#publishing.head
    this.#replayReleases(now)
  }

  /**
   * The server has no session. Messages that it acknowledged with PUBREC are complete; the others are sent from the
   * start or fail.
   */
  sessionLost(now: number): void {
    while (this.#releasing.head !== undefined) {
      const message = this.#releasing.head
      this.#releasing.remove(message)
      this.#complete(message, succeeded(message.reasonCode, message.reasonString))
    }
    const again: Array<OutboundMessage> = []
    const lost = this.#core.options.unacknowledgedOnSessionLost === "fail" && this.#publishing.size > 0
      ? failed(new SessionLost({}))
      : undefined
    while (this.#publishing.head !== undefined) {
      const message = this.#publishing.head
      this.#publishing.remove(message)
      message.wasSent = true
      if (lost === undefined) again.push(this.#unsend(message))
      else this.#complete(message, lost)
    }
    this.#putBack(again, now)
    for (const message of this.#quarantined ?? []) this.#endQuarantine(message)
    this.#quarantined = undefined
    this.#release = this.#replay = undefined
    this.#inflight = 0
    this.#inflightQoS2 = 0
  }

  /**
   * Queues again what the network never got: the whole collecting output, and QoS 0 of the output that was not written.
   */
  disconnected(now: number): void {
    const core = this.#core
    const back: Array<OutboundMessage> = []
    for (const message of this.#taken) {
      if (message.request.qos === 0 && message.state === "settled") back.push(message)
    }
    for (const message of this.#sent) {
      if (message.request.qos === 0) back.push(message)
      else if (message.state === "publishing") {
        this.#publishing.remove(message)
        back.push(this.#unsend(message))
      }
    }
    this.#taken = []
    this.#sent = []
    this.#sentBytes = 0
    this.#release = this.#replay = undefined
    if (back.length === 0) return
    for (const message of back) {
      message.state = "queued"
      message.outcome = undefined
    }
    const isSettled = (message: Outbound): boolean => message.outcome !== undefined
    retainInPlace(core.output.settled, isSettled)
    if (core.taken !== undefined) retainInPlace(core.taken.settled, isSettled)
    if (this.#ended === undefined) this.#putBack(back, now)
    else for (const message of back) this.#finish(message, failed(this.#ended.reason))
  }

  takenOutput(): void {
    this.#core.freshSequence = this.#sequence
    if (this.#sent.length === 0) return
    this.#taken = this.#taken.length === 0 ? this.#sent : this.#taken.concat(this.#sent)
    this.#sent = []
    this.#sentBytes = 0
  }

  written(): void {
    if (this.#taken.length > 0) this.#taken = []
  }

  /**
   * The network got the first `count` messages of the output that was taken. The message that cannot be encoded fails,
   * because it would end every connection.
   */
  partlyWritten(count: number, failure: MqttErrorReason | undefined): void {
    const refused = failure === undefined ? undefined : this.#taken[count]
    this.#taken.splice(0, refused === undefined ? count : count + 1)
    for (const message of this.#taken) {
      if (message.request.qos === 0) message.outcome = undefined
    }
    if (failure === undefined || refused === undefined) return
    if (refused.request.qos === 0) {
      refused.outcome = failed(failure)
    } else if (refused.state === "publishing") {
      this.#leavePublishing(refused)
      this.#vacate(refused)
      this.#complete(refused, failed(failure))
    }
  }

  /** Sends what the window admits: retransmissions first, then new messages. */
  pump(now: number): void {
    const queue = this.#queue
    this.#replayReleases(now)
    if (this.#release === undefined) this.#replayPublishes(now)
    if (this.#release === undefined && this.#replay === undefined) {
      for (let message = queue.head; message !== undefined; message = queue.head) {
        if (!this.#core.sendable) break
        if (message.isExpired(now)) {
          queue.expire(message)
          continue
        }
        const refusal = this.#check(message)
        if (refusal !== undefined) {
          queue.remove(message)
          this.#delete(message)
          this.#finish(message, failed(message.wasSent ? new Indeterminate({ refusal: refusal.message }) : refusal))
          continue
        }
        if (!this.#admitsNew(message.request.qos, message.bytes) || !this.#core.poison.admits(message)) break
        queue.remove(message)
        if (message.request.qos === 0) this.#delete(message)
        this.#transmit(message, now)
      }
    }
    if (queue.takeSpaceAvailable()) this.#core.output.spaceAvailable = true
  }

  #replayReleases(now: number): void {
    for (let message = this.#release; message !== undefined; message = this.#release) {
      if (!this.#core.online || !this.#core.poison.admits(message)) return
      this.#release = message.next
      this.#occupy(message, now)
      this.#sendPubrel(message.packetIdentifier, 0)
    }
  }

  #replayPublishes(now: number): void {
    for (let message = this.#replay; message !== undefined; message = this.#replay) {
      if (!this.#admits(message.request.qos) || !this.#core.poison.admits(message)) return
      this.#replay = message.next
      const refusal = this.#check(message)
      if (refusal === undefined) {
        this.#occupy(message, now)
        this.#sendPublish(message, true, now)
      } else {
        this.#publishing.remove(message)
        this.#quarantine(message, failed(new Indeterminate({ refusal: refusal.message })))
      }
    }
  }

  /** The oldest message that the network got on this connection and that the server has not answered. */
  oldestUnanswered(unwritten: ReadonlySet<number>): OutboundMessage | undefined {
    let oldest: OutboundMessage | undefined = undefined
    for (const list of [this.#releasing, this.#publishing]) {
      for (let message = list.head; message !== undefined; message = message.next) {
        if (message.connection !== this.#core.connection || unwritten.has(message.packetIdentifier)) continue
        if (oldest === undefined || message.order < oldest.order) oldest = message
      }
    }
    return oldest
  }

  /** Gives up a message over which the server ends connections. */
  giveUp(message: OutboundMessage, last: string): void {
    if (message.list === this.#releasing) this.#releasing.remove(message)
    else this.#leavePublishing(message)
    this.#core.emit({ _tag: "OutboundDropped", topic: message.request.topic, reason: "poison" })
    this.#quarantine(message, failed(new PoisonMessage({ connections: message.strikes, last })))
  }

  /** Whether `pump` would send more: it stopped only because the output was large enough. */
  get hasMore(): boolean {
    if (this.#release !== undefined) return false
    if (this.#replay !== undefined) {
      return this.#admits(this.#replay.request.qos) && this.#core.poison.permits(this.#replay)
    }
    const { head } = this.#queue
    return head !== undefined && this.#admitsNew(head.request.qos, head.bytes) && this.#core.poison.permits(head)
  }

  nextDeadline(): number | undefined {
    return this.#queue.nextDeadline()
  }

  tick(now: number): void {
    this.#queue.tick(now)
  }

  onPuback(packet: Puback): Violation | undefined {
    const owner = this.#identifiers.get(packet.packetIdentifier)
    if (owner === undefined) return this.#unknown(packet)
    if (!(owner instanceof OutboundMessage) || owner.request.qos !== 1) return this.#wrong(packet)
    if (owner.state === "settled") return this.#endQuarantine(owner)
    this.#leavePublishing(owner)
    this.#vacate(owner)
    this.#complete(owner, outcomeOf(packet))
    return undefined
  }

  onPubrec(packet: Pubrec): Violation | undefined {
    const owner = this.#identifiers.get(packet.packetIdentifier)
    if (owner === undefined) {
      this.#sendPubrel(packet.packetIdentifier, this.#core.isVersion5 ? 0x92 : 0)
      return this.#unknown(packet)
    }
    if (!(owner instanceof OutboundMessage) || owner.request.qos !== 2) return this.#wrong(packet)
    if (owner.state === "settled") {
      if (packet.reasonCode >= 0x80) return this.#endQuarantine(owner)
      this.#sendPubrel(packet.packetIdentifier, 0)
      return undefined
    }
    if (owner.state === "releasing") {
      this.#sendPubrel(packet.packetIdentifier, 0)
      return undefined
    }
    this.#leavePublishing(owner)
    if (packet.reasonCode >= 0x80) {
      this.#vacate(owner)
      this.#complete(owner, outcomeOf(packet))
      return undefined
    }
    // A message from an earlier connection takes its place only now, because it was not sent on this one.
    if (owner.connection === this.#core.connection) this.#vacate(owner)
    this.#occupy(owner, this.#core.now)
    owner.state = "releasing"
    owner.reasonCode = packet.reasonCode
    owner.reasonString = packet.properties.reasonString
    owner.dropPayload()
    this.#releasing.append(owner)
    this.#put(owner)
    this.#sendPubrel(packet.packetIdentifier, 0)
    return undefined
  }

  onPubcomp(packet: Pubcomp): Violation | undefined {
    const owner = this.#identifiers.get(packet.packetIdentifier)
    if (owner === undefined) return this.#unknown(packet)
    if (!(owner instanceof OutboundMessage)) return this.#wrong(packet)
    if (owner.state === "settled") return this.#endQuarantine(owner)
    if (owner.state !== "releasing") return this.#wrong(packet)
    if (this.#release === owner) this.#release = owner.next
    this.#releasing.remove(owner)
    this.#vacate(owner)
    this.#complete(owner, succeeded(owner.reasonCode, owner.reasonString))
    return undefined
  }

  #unknown(packet: Puback | Pubrec | Pubcomp): undefined {
    this.#core.emit({
      _tag: "UnknownPacketIdentifier",
      packet: packet._tag,
      packetIdentifier: packet.packetIdentifier
    })
    return undefined
  }

  #wrong(packet: Puback | Pubrec | Pubcomp): Violation {
    return violations.wrongAcknowledgement(packet._tag, packet.packetIdentifier)
  }

  #refuse(request: PublishRequest): MqttErrorReason | undefined {
    const { responseTopic } = request.properties
    if (responseTopic !== undefined) {
      const reason = limits.refuseResponseTopic(responseTopic)
      if (reason !== undefined) return reason
    }
    const impossible = limits.refuseImpossible(request)
    if (impossible !== undefined) return impossible
    const { limits: server, options } = this.#core
    if (server === undefined) return undefined
    if (request.topicAlias !== 0) {
      const reason = limits.refuseTopicAlias(request.topicAlias, server)
      if (reason !== undefined) return reason
    }
    return limits.refusePublish(request, server, options.protocolVersion)
  }

  // The alias of a message that was accepted before the connection is not checked, because it is not used.
  #check(message: OutboundMessage): MqttErrorReason | undefined {
    const { connection, limits: server, options } = this.#core
    if (message.checked === connection) return undefined
    message.checked = connection
    return limits.refusePublish(message.request, server!, options.protocolVersion)
  }

  #admits(qos: QoS): boolean {
    if (!this.#core.sendable || this.#sentBytes >= outputBytes) return false
    if (qos === 0) return true
    return this.#inflight < this.#window && (qos === 1 || this.#inflightQoS2 < this.#windowQoS2)
  }

  /** The same for a message without a packet identifier yet. Unacknowledged messages are bounded in bytes, too. */
  #admitsNew(qos: QoS, bytes: number): boolean {
    if (!this.#admits(qos)) return false
    if (qos === 0) return true
    const { size } = this.#publishing
    return this.#identifiers.available &&
      (size === 0 || this.#publishing.bytes + bytes <= this.#core.options.queue.bytes)
  }

  /** Takes a place in the window of this connection. */
  #occupy(message: OutboundMessage, now: number): void {
    message.connection = this.#core.connection
    this.#core.poison.sent(message, now)
    this.#inflight++
    if (message.request.qos === 2) this.#inflightQoS2++
  }

  /** Frees its place in the window. A message that was sent only on an earlier connection has none. */
  #vacate(message: OutboundMessage): void {
    if (message.connection !== this.#core.connection) return
    this.#core.poison.answered(message)
    this.#inflight--
    if (message.request.qos === 2) this.#inflightQoS2--
  }

  #transmit(message: OutboundMessage, now: number): void {
    if (message.request.qos === 0) {
      this.#sendPublish(message, false, now)
      this.#finish(message, acknowledged)
      return
    }
    message.packetIdentifier = this.#identifiers.allocate(message)
    message.state = "publishing"
    this.#occupy(message, now)
    this.#publishing.append(message)
    this.#put(message)
    this.#sendPublish(message, false, now)
  }

  #sendPublish(message: OutboundMessage, dup: boolean, now: number): void {
    const { payload, qos, retain, topic, topicAlias } = message.request
    let name = topic
    let properties: PublishProperties = none
    if (this.#core.isVersion5) {
      properties = message.properties
      if (properties.messageExpiryInterval !== undefined) {
        properties = withRemainingExpiry(properties, properties.messageExpiryInterval, now - message.acceptedAt)
      }
      if (topicAlias !== 0 && !dup && topicAlias <= this.#core.limits!.topicAliasMaximum) {
        name = this.#aliases.define(topicAlias, topic)
        properties = { ...properties, topicAlias }
      }
    }
    const { packetIdentifier } = message
    this.#core.output.packets.push({
      _tag: "Publish",
      topic: name,
      payload,
      qos,
      retain,
      dup,
      packetIdentifier,
      properties
    })
    // A retransmission was on the network before: it counts as sent even if this output is not written.
    if (!dup) this.#sent.push(message)
    this.#sentBytes += message.bytes + 16
  }

  #sendPubrel(packetIdentifier: number, reasonCode: number): void {
    this.#core.send({ _tag: "Pubrel", packetIdentifier, reasonCode, properties: none })
  }

  #leavePublishing(message: OutboundMessage): void {
    if (this.#replay === message) this.#replay = message.next
    this.#publishing.remove(message)
  }

  /**
   * Settles a message that was sent and may have arrived. Its packet identifier stays in use while the server has the
   * session: the server could take another message under the identifier for this one.
   */
  #quarantine(message: OutboundMessage, outcome: PublishOutcome): void {
    message.dropPayload()
    this.#quarantined ??= new Set()
    this.#quarantined.add(message)
    if (this.#core.options.durable) this.#core.put(message.toRecord(this.#core.epochOffset, "quarantined"))
    this.#finish(message, outcome)
  }

  #endQuarantine(message: OutboundMessage): undefined {
    this.#quarantined?.delete(message)
    this.#identifiers.release(message.packetIdentifier)
    this.#delete(message)
    return undefined
  }

  /** Makes the message look as if it was never sent. */
  #unsend(message: OutboundMessage): OutboundMessage {
    this.#identifiers.release(message.packetIdentifier)
    message.packetIdentifier = 0
    message.state = "queued"
    return message
  }

  #putBack(messages: ReadonlyArray<OutboundMessage>, now: number): void {
    if (messages.length === 0) return
    this.#queue.putBack(messages)
    for (const message of messages) {
      if (message.isExpired(now)) this.#queue.expire(message)
      else this.#put(message)
    }
  }

  /** Settles a message that had a packet identifier. */
  #complete(message: OutboundMessage, outcome: PublishOutcome): void {
    this.#identifiers.release(message.packetIdentifier)
    this.#delete(message)
    this.#finish(message, outcome)
  }

  #finish(message: OutboundMessage, outcome: PublishOutcome): void {
    message.state = "settled"
    message.outcome = outcome
    this.#core.output.settled.push(message)
  }

  #expiryOf({ expiresAfter = Infinity, properties }: PublishRequest, now: number): number {
    const { expiresAfter: limit = Infinity } = this.#core.options.queue
    return now + Math.min(expiresAfter, limit, (properties.messageExpiryInterval ?? Infinity) * 1000)
  }

  #put(message: OutboundMessage): void {
    if (this.#core.options.durable) this.#core.put(message.toRecord(this.#core.epochOffset))
  }

  #delete(message: OutboundMessage): void {
    if (this.#core.options.durable) this.#core.delete(outboundKey(message.sequence))
  }
}
