/**
 * The sender of the engine: accepts messages, sends them as the window admits, and decides what a lost connection or
 * session means for them. New publishes stay within the server's Receive Maximum. The handshakes are in
 * `outboundHandshake.ts`, retransmission is in `retransmission.ts`. `engine.ts` calls it.
 *
 * Size: its class has a method for each input about publishes, and its state for flight records.
 */
import { Indeterminate, type MqttErrorReason, PoisonMessage, SessionLost } from "../../MqttError.ts"
import type { QoS } from "../../QoS.ts"
import { outboundKey } from "../../StoreRecord.ts"
import type { Admission, Outbound, Output, PublishRequest } from "./contract.ts"
import { type EngineCore, isAcceptable, retainInPlace } from "./core.ts"
import { DirectPublishes } from "./directPublishes.ts"
import type { PacketIdentifiers } from "./identifiers.ts"
import { refuseLater, refuseRequest } from "./limits.ts"
import { OutboundHandshake } from "./outboundHandshake.ts"
import { OutboundMessage, weigh } from "./outboundMessage.ts"
import { originKeys, OutboundMessages, putOrigins } from "./outboundMessages.ts"
import { OutboundPackets } from "./outboundPackets.ts"
import { acknowledged, failed, succeeded } from "./publishOutcome.ts"
import { Retransmission } from "./retransmission.ts"
import { SendWindow } from "./sendWindow.ts"

export class OutboundFlow {
  readonly #core: EngineCore
  readonly messages: OutboundMessages
  readonly #packets: OutboundPackets
  readonly #window: SendWindow
  readonly #retransmission: Retransmission
  readonly handshake: OutboundHandshake
  readonly direct: DirectPublishes
  /** Set when the session has ended: nothing is queued again. */
  #ended: { readonly reason: MqttErrorReason } | undefined = undefined

  constructor(core: EngineCore, identifiers: PacketIdentifiers<unknown>, flushSubscriptions: () => void) {
    const messages = new OutboundMessages(core, identifiers)
    const packets = new OutboundPackets(core)
    const window = new SendWindow(core)
    const retransmission = new Retransmission(core, messages, packets, window)
    this.#core = core
    this.messages = messages
    this.#packets = packets
    this.#window = window
    this.#retransmission = retransmission
    this.direct = new DirectPublishes(core, messages, packets, retransmission, flushSubscriptions)
    this.handshake = new OutboundHandshake(core, messages, packets, window, retransmission)
  }

  publish(request: PublishRequest, now: number): Admission {
    const core = this.#core
    const refusal = this.#ended?.reason ?? refuseRequest(request, core)
    if (refusal !== undefined) return { _tag: "Refused", reason: refusal }
    const bytes = weigh(request)
    const direct = this.messages.queue.size === 0 && this.#retransmission.isDone &&
      !core.poison.isAlone && this.#admits(request.qos, bytes)
    if (!direct) {
      const answer = this.messages.queue.admit(request.topic, bytes)
      if (answer !== undefined) return answer
    }
    const message = this.messages.make(request, bytes, now)
    core.accept(message)
    if (request.origin !== undefined && core.options.durable) putOrigins(core, request.origin)
    if (core.limits !== undefined) message.checked = core.connection
    if (direct) {
      this.#transmit(message, now)
    } else {
      this.messages.queue.append(message)
      this.messages.put(message)
    }
    return { _tag: "Accepted", outbound: message }
  }

  withdraw(outbound: Outbound): boolean {
    if (!(outbound instanceof OutboundMessage) || !this.messages.queue.has(outbound) || outbound.wasSent) return false
    this.messages.queue.remove(outbound)
    outbound.state = "settled"
    this.messages.delete(outbound)
    const { origin } = outbound.request
    // What the message is made from is not in the session any more.
    if (origin !== undefined && this.#core.options.durable) {
      for (const key of originKeys(origin)) this.#core.delete(key)
    }
    return true
  }

  /**
   * Takes back what these outputs have accepted. None of it was sent. Only the latest messages are affected, so no
   * message that stays was to be sent after them.
   */
  reject(taken: Output | undefined, reason: MqttErrorReason): ReadonlyArray<string> {
    const { output } = this.#core
    const rejected = new Set<OutboundMessage>()
    const rejectAll = (part: Output): void => {
      const own = new Set<Outbound>()
      for (const message of part.accepted) {
        if (!(message instanceof OutboundMessage) || !isAcceptable(message)) continue
        own.add(message)
        rejected.add(message)
      }
      part.accepted.length = 0
      this.#packets.remove(part, rejected)
      retainInPlace(part.settled, (message) => !own.has(message))
    }
    if (taken !== undefined) rejectAll(taken)
    rejectAll(output)
    // The removal of packets needed the packet identifiers, which are free from here on.
    const keys: Array<string> = []
    const outcome = failed(reason)
    for (const message of rejected) {
      const { origin } = message.request
      keys.push(outboundKey(message.sequence))
      if (origin !== undefined) keys.push(...originKeys(origin))
      if (this.messages.queue.has(message)) {
        this.messages.queue.remove(message)
      } else if (message.state === "publishing") {
        this.#retransmission.leavePublishing(message)
        this.#window.vacate(message)
        this.messages.identifiers.release(message.packetIdentifier)
      }
      message.state = "settled"
      message.outcome = outcome
      this.#core.discard(message)
    }
    if (this.#core.options.durable) { for (const key of keys) this.#core.delete(key) }
    return keys
  }

  /** Fails all messages but keeps their records, with which a durable session continues later. */
  abandon(reason: MqttErrorReason): void {
    const outcome = failed(reason)
    this.#ended = { reason }
    for (const list of [this.messages.releasing, this.messages.publishing]) {
      while (list.head !== undefined) {
        const message = list.head
        list.remove(message)
        this.messages.identifiers.release(message.packetIdentifier)
        this.messages.finish(message, outcome)
      }
    }
    this.messages.queue.abandonStored(reason)
    while (this.messages.queue.head !== undefined) {
      const message = this.messages.queue.head
      this.messages.queue.remove(message)
      this.messages.finish(message, outcome)
    }
    this.#retransmission.stop()
    this.#window.clear()
  }

  connected(): void {
    this.#window.connected()
    this.#packets.connected()
  }

  /** The server has the session. */
  resume(now: number): void {
    this.#window.clear()
    this.#retransmission.resume(now)
  }

  /**
   * The server has no session. Messages that it acknowledged with PUBREC are complete; the others are sent from the
   * start or fail.
   */
  sessionLost(now: number): void {
    while (this.messages.releasing.head !== undefined) {
      const message = this.messages.releasing.head
      this.messages.releasing.remove(message)
      this.messages.complete(message, succeeded(message.reasonCode, message.reasonString))
    }
    const again: Array<OutboundMessage> = []
    const lost = this.#core.options.unacknowledgedOnSessionLost === "fail" && this.messages.publishing.size > 0
      ? failed(new SessionLost({}))
      : undefined
    while (this.messages.publishing.head !== undefined) {
      const message = this.messages.publishing.head
      this.messages.publishing.remove(message)
      message.wasSent = true
      if (lost === undefined) again.push(this.messages.unsend(message))
      else this.messages.complete(message, lost)
    }
    this.messages.putBack(again, now)
    this.messages.endQuarantines()
    this.#retransmission.stop()
    this.#window.clear()
  }

  /**
   * Queues again what the network never got: direct publishes, which were accepted before the others, the whole
   * collecting output, and QoS 0 of the output that was not written.
   */
  disconnected(now: number): void {
    const core = this.#core
    const back = this.direct.take().concat(this.#packets.disconnected())
    for (const message of back) {
      if (message.state !== "publishing") continue
      this.messages.publishing.remove(message)
      this.messages.unsend(message)
    }
    this.#retransmission.stop()
    if (back.length === 0) return
    for (const message of back) {
      message.state = "queued"
      message.outcome = undefined
    }
    const isSettled = (message: Outbound): boolean => message.outcome !== undefined
    retainInPlace(core.output.settled, isSettled)
    if (core.taken !== undefined) retainInPlace(core.taken.settled, isSettled)
    if (this.#ended === undefined) this.messages.putBack(back, now)
    else for (const message of back) this.messages.finish(message, failed(this.#ended.reason))
  }

  takenOutput(): void {
    this.#core.freshSequence = this.messages.nextSequence
    this.#packets.takenOutput()
  }

  written(): void {
    this.#packets.written()
  }

  /**
   * The network got the first `count` messages of the output that was taken. The message that cannot be encoded fails,
   * because it would end every connection.
   */
  partlyWritten(count: number, failure: MqttErrorReason | undefined): void {
    const refused = this.#packets.partlyWritten(count, failure !== undefined)
    if (failure === undefined || refused === undefined) return
    if (refused.request.qos === 0) {
      refused.outcome = failed(failure)
    } else if (refused.state === "publishing") {
      this.#retransmission.leavePublishing(refused)
      this.#window.vacate(refused)
      this.messages.complete(refused, failed(failure))
    }
  }

  /** Sends what the window admits: retransmissions first, then new messages. */
  pump(now: number): void {
    const { queue } = this.messages
    if (!this.#retransmission.isDone) this.#retransmission.pump(now)
    if (this.#retransmission.isDone) {
      for (let message = queue.head; message !== undefined; message = queue.head) {
        if (!this.#core.sendable) break
        if (message.isExpired(now)) {
          queue.expire(message)
          continue
        }
        const refusal = refuseLater(message, this.#core)
        if (refusal !== undefined) {
          queue.remove(message)
          this.messages.delete(message)
          this.messages.finish(
            message,
            failed(message.wasSent ? new Indeterminate({ refusal: refusal.message }) : refusal)
          )
          continue
        }
        if (!this.#admits(message.request.qos, message.bytes) || !this.#core.poison.admits(message)) break
        queue.remove(message)
        if (message.request.qos === 0) this.messages.delete(message)
        this.#transmit(message, now)
      }
    }
    if (queue.takeSpaceAvailable()) this.#core.output.spaceAvailable = true
  }

  /** The oldest message that the network got on this connection and that the server has not answered. */
  oldestUnanswered(unwritten: ReadonlySet<number>): OutboundMessage | undefined {
    let oldest: OutboundMessage | undefined = undefined
    for (const list of [this.messages.releasing, this.messages.publishing]) {
      for (let message = list.head; message !== undefined; message = message.next) {
        if (message.connection !== this.#core.connection || unwritten.has(message.packetIdentifier)) continue
        if (oldest === undefined || message.order < oldest.order) oldest = message
      }
    }
    return oldest
  }

  /** Gives up a message over which the server ends connections. */
  giveUp(message: OutboundMessage, last: string): void {
    if (message.list === this.messages.releasing) this.#retransmission.leaveReleasing(message)
    else this.#retransmission.leavePublishing(message)
    this.#core.emit({ _tag: "OutboundDropped", topic: message.request.topic, reason: "poison" })
    this.messages.quarantine(message, failed(new PoisonMessage({ connections: message.strikes, last })))
  }

  /** Whether `pump` would send more: it stopped only because the output was large enough. */
  get hasMore(): boolean {
    const hasRetransmission = this.#retransmission.hasMore
    if (hasRetransmission !== undefined) return hasRetransmission
    const { head } = this.messages.queue
    return head !== undefined && this.#admits(head.request.qos, head.bytes) && this.#core.poison.permits(head)
  }

  /**
   * Whether a message without a packet identifier may be sent now. Unacknowledged messages are bounded in bytes, too.
   */
  #admits(qos: QoS, bytes: number): boolean {
    if (!this.#core.sendable || this.#packets.isFull || !this.#window.admits(qos)) return false
    if (qos === 0) return true
    const { identifiers, publishing } = this.messages
    return identifiers.available &&
      (publishing.size === 0 || publishing.bytes + bytes <= this.#core.options.queue.bytes)
  }

  #transmit(message: OutboundMessage, now: number): void {
    if (message.request.qos === 0) {
      this.#packets.publish(message, false, now)
      this.messages.finish(message, acknowledged)
      return
    }
    message.packetIdentifier = this.messages.identifiers.allocate(message)
    message.state = "publishing"
    this.#window.occupy(message, now)
    this.messages.publishing.append(message)
    this.messages.put(message)
    this.#packets.publish(message, false, now)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { packets: this.#packets, window: this.#window, retransmission: this.#retransmission, ended: this.#ended }
  }

  set privateState(state) {
    this.#ended = state.ended
  }
}
