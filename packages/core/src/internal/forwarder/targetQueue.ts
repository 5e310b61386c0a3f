/**
 * The stage of a forwarder where messages wait for their target: while its session has no room or no connection, does
 * not exist, or the rate limit has no token. It publishes them in order, and reports the outcome of each to
 * `settlement.ts`. What the target lost it publishes again.
 *
 * Everything here is synchronous and called by the sessions, so that the messages of one read leave with one write of
 * the target.
 */
import { ForwarderFailed, InvalidPayload, type MqttErrorReason } from "../../MqttError.ts"
import type { MessageProperties } from "../../Properties.ts"
import type { Admission, Outbound, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import { Fifo } from "../fifo.ts"
import type { SessionCore } from "../session/core.ts"
import type { OriginLedger } from "../session/originLedger.ts"
import type { Counters } from "./counters.ts"
import type { EarlierRuns } from "./earlierRuns.ts"
import {
  membersOf,
  type MessageQueue,
  originsOf,
  type Published,
  type Received,
  type Settled,
  type Waiting
} from "./forwardedMessage.ts"
import { joinBatch, originOf } from "./joining.ts"
import type { LoopCheck } from "./loopCheck.ts"
import type { LoopGuard } from "./loopGuard.ts"
import type { ForwarderBatch, ForwarderOptions } from "./options.ts"
import { dropped, duplicate, forwarded, type Outcome, refused, returned, type Settle } from "./outcome.ts"
import { Outgoing } from "./outgoing.ts"
import { type DirectTarget, writeDirectly } from "./passThrough.ts"
import type { WrittenMessage } from "./recentWrites.ts"
import type { TokenBucket } from "./tokenBucket.ts"

export interface TargetQueueParts {
  readonly options: ForwarderOptions
  readonly counters: Counters
  readonly guard: LoopGuard
  readonly loopCheck: LoopCheck
  readonly earlierRuns: EarlierRuns
  /** Calls back after this number of milliseconds. */
  readonly wake: (millis: number, callback: () => void) => void
  /** Makes the payload of a batch. */
  readonly join: ForwarderBatch["join"] | undefined
  readonly settle: Settle
}

/** The reasons of refused publishes that end. */
const waitedFor: ReadonlySet<MqttErrorReason["_tag"]> = new Set<MqttErrorReason["_tag"]>(["QueueFull", "StorageFailed"])

/** The reasons of failed publishes after which the server may still have the message. */
const unknownOutcomes: ReadonlySet<MqttErrorReason["_tag"]> = new Set<MqttErrorReason["_tag"]>([
  "Closed",
  "StorageFailed",
  "SessionLost",
  "Indeterminate",
  "PoisonMessage"
])

export class TargetQueue implements DirectTarget, MessageQueue {
  readonly name: string
  readonly #parts: TargetQueueParts
  readonly #isTarget: boolean
  readonly #bucket: TokenBucket | undefined
  #session: SessionCore | undefined
  #outgoing: Outgoing | undefined
  readonly #waiting = new Fifo<Waiting>()
  #orders = 0
  #isPumping = false
  #isParked = false
  #isAsleep = false
  #onNothingOwed: (() => void) | undefined

  /** `isTarget` is false for a queue of dead letters only. */
  constructor(name: string, parts: TargetQueueParts, isTarget: boolean, bucket: TokenBucket | undefined) {
    this.name = name
    this.#parts = parts
    this.#isTarget = isTarget
    this.#bucket = bucket
  }

  get session(): SessionCore | undefined {
    return this.#session
  }

  get outgoing(): Outgoing | undefined {
    return this.#outgoing
  }

  get isFree(): boolean {
    return this.#session?.publisher.isParking === false && this.#waiting.size === 0 && !this.#isPumping
  }

  /** Whether the session that was there last publishes on MQTT 5. */
  get isVersion5(): boolean {
    return this.#outgoing?.isVersion5 === true
  }

  /** Messages that the session has accepted survive it, and the next session of its name sends them. */
  get isDurable(): boolean {
    return this.#session?.options.persistence === "durable"
  }

  join(session: SessionCore): void {
    const { guard, loopCheck, options } = this.#parts
    this.#session = session
    this.#outgoing = new Outgoing(options, session.options, guard.marks.of(session.options), loopCheck.signer)
    for (let i = 0; i < this.#waiting.size; i++) this.#waiting.at(i)!.prepare(undefined)
    this.pump()
  }

  leave(session: SessionCore): void {
    if (this.#session !== session) return
    this.#unpark()
    this.#session = undefined
  }

  /**
   * Stops publishing. A message whose source is acknowledged does not come again, so its loss is reported. All others
   * are given back to their sources by then.
   */
  close(): void {
    const { options, settle } = this.#parts
    const detail = "the forwarder has stopped before it could publish the message"
    for (let message = this.#waiting.shift(); message !== undefined; message = this.#waiting.shift()) {
      if (message.sourceState !== "acknowledged") continue
      settle(message.settle(), refused(new ForwarderFailed({ forwarder: options.name, detail })))
    }
    if (this.#session !== undefined) this.leave(this.#session)
  }

  /**
   * Calls back when no message waits here whose source is acknowledged, at once if there is none. The returned function
   * cancels that.
   */
  whenNothingOwed(callback: () => void): () => void {
    this.#onNothingOwed = callback
    this.#noteOwed()
    return () => {
      this.#onNothingOwed = undefined
    }
  }

  #noteOwed(): void {
    if (this.#onNothingOwed === undefined) return
    for (let i = 0; i < this.#waiting.size; i++) if (this.#waiting.at(i)!.sourceState === "acknowledged") return
    this.#onNothingOwed()
  }

  push(message: Received | Settled): void {
    this.#waiting.push(message.enqueue(this, ++this.#orders))
    this.pump()
  }

  /** The same for a message that no check concerns, while it is free: it waits only when it is not accepted. */
  pushPassing(message: Received): void {
    const waiting = message.enqueue(this, ++this.#orders)
    const request = this.#requestOf(waiting, 0)
    const admission = request instanceof InvalidPayload ? undefined : this.#session!.engineLoop.publish(request)
    if (admission?._tag === "Accepted") return this.#publish(waiting, admission.outbound, undefined)
    this.#waiting.push(waiting)
    if (admission === undefined || this.#answerOf(admission, waiting) === undefined) this.pump()
  }

  /** Publishes what the session accepts. Returns false when it accepts no more for now. */
  pump(): boolean {
    if (this.#isPumping) return true
    this.#isPumping = true
    const answer = this.#publishWaiting()
    this.#isPumping = false
    this.#noteOwed()
    return answer
  }

  /** Sends what the session has accepted, without waiting for the end of the turn. */
  flush(): void {
    this.#session?.engineLoop.flush()
  }

  // Parked: called when the session has room again.

  readonly attempt = (): boolean => {
    const done = this.pump()
    if (done) this.#unpark()
    return done
  }

  /** The session cannot publish for now, or is closing. Queued messages stay queued. */
  readonly fail = (): void => {
    if (this.#isParked) this.#session?.publisher.park(this)
  }

  // MessageQueue: called with what became of a publish.

  onAccepted(message: Published): void {
    message.accept()
    if (message.origin !== undefined) message.ledger?.add(message.origin)
    else if (message.group !== undefined) { for (const origin of originsOf(message)) message.ledger?.add(origin) }
    if (!this.isDurable || this.#parts.options.acceptance === "acknowledged") return
    this.#parts.settle(message, forwarded)
  }

  onSettled(message: Published, outcome: PublishOutcome): void {
    const { settle } = this.#parts
    endWritten(message, outcome)
    const isStored = message.state === "accepted" && this.isDurable
    const settled = message.settle()
    const { sourceState } = settled
    if (sourceState === "returned" && settleEarlier(this.#parts.earlierRuns, settled, outcome)) return
    if (outcome._tag === "Acknowledged") return settle(settled, forwarded)
    switch (outcome.reason._tag) {
      case "Closed":
      case "StorageFailed":
        if (sourceState !== "open") return
        // The store has the message, and the next session of that name sends it.
        return isStored ? settle(settled, forwarded) : this.#publishAgain(settled)
      case "SessionLost":
        if (sourceState === "returned") return
        if (sourceState === "open") settled.releaseOrigin()
        return this.#publishAgain(settled)
      default:
        return settle(settled, refused(outcome.reason))
    }
  }

  withdraw(message: Published): boolean {
    if (this.isDurable || this.#session?.engineLoop.withdraw(message.outbound) !== true) return false
    message.written?.discard()
    message.settle()
    return true
  }

  /** Puts a message back in its position. */
  #publishAgain(message: Settled): void {
    this.#parts.counters.retried++
    let index = 0
    while (index < this.#waiting.size && this.#waiting.at(index)!.order < message.order) index++
    this.#waiting.insert(index, message.enqueue(this, message.order))
    // Runs after all messages that failed together are back in their positions.
    this.#sleep(1)
  }

  #publishWaiting(): boolean {
    const session = this.#session
    if (session === undefined) return true
    // A caller that has waited longer for room goes first.
    if (!this.#isParked && session.publisher.isParking && this.#waiting.size > 0) return this.#park()
    for (let message = this.#waiting.at(0); message !== undefined; message = this.#waiting.at(0)) {
      // Read only when needed: most messages have no expiry, and most forwarders no rate limit.
      const now = message.expiresAt !== undefined || this.#bucket !== undefined ? session.engineLoop.now() : 0
      if (message.deadLetter === undefined && message.sourceState === "open") {
        const outcome = message.group?._tag === "Batch"
          ? joinBatch(
            message,
            message.group,
            this.#parts,
            (member) => this.#outcomeBefore(member, session, session.engineLoop.now())
          )
          : this.#outcomeBefore(message, session, now)
        if (outcome !== undefined) {
          this.#remove(message, outcome)
          continue
        }
        if (!message.hasToken && this.#bucket !== undefined) {
          if (!this.#bucket.take(now)) return this.#sleep(this.#bucket.wait)
          message.takeToken()
        }
      }
      const request = this.#requestOf(message, now)
      if (request instanceof InvalidPayload) {
        this.#remove(message, refused(request))
        continue
      }
      if (writeDirectly(request, message.delivery.message, this.#outgoing!, session, this.#parts.guard)) {
        this.#remove(message, forwarded)
        continue
      }
      const admission = session.engineLoop.publish(request)
      if (admission._tag === "Accepted") {
        this.#waiting.shift()
        this.#publish(message, admission.outbound, request.origin === undefined ? undefined : session.origins)
        continue
      }
      const answer = this.#answerOf(admission, message)
      if (answer !== undefined) return answer
    }
    return true
  }

  /** What `pump` answers when the first message is not accepted; undefined: it is removed, and the next one follows. */
  #answerOf(admission: Exclude<Admission, { readonly _tag: "Accepted" }>, message: Waiting): boolean | undefined {
    // A full queue and an unavailable store are waited for.
    if (admission._tag === "Full" || waitedFor.has(admission.reason._tag)) return this.#park()
    // The session has ended; the next session of its name takes the rest.
    if (admission.reason._tag === "Closed") return true
    this.#remove(message, refused(admission.reason))
    return undefined
  }

  /** The outcome of a message that must not be published; undefined: publish it. */
  #outcomeBefore(message: Waiting | Received, { origins }: SessionCore, now: number): Outcome | undefined {
    if (message.delivery.stale) return returned
    if (message.expiresAt !== undefined && message.expiresAt <= now) return dropped("expired")
    // Checked again for the current session: at reception there may have been no session, or another one.
    const isChecked = message.state === "waiting" && message.request !== undefined
    if (!isChecked && this.#isTarget && this.#parts.loopCheck.hasReached(message)) {
      return dropped("looped")
    }
    return origins !== undefined && message.origin !== undefined && origins.has(message.origin) ? duplicate : undefined
  }

  #remove(message: Waiting, outcome: Outcome): void {
    this.#waiting.shift()
    this.#parts.settle(message.settle(), outcome)
  }

  #publish(waiting: Waiting, outbound: Outbound, ledger: OriginLedger | undefined): void {
    const message = waiting.publish(outbound, ledger)
    message.remember(noteWrite(message, outbound, this.#outgoing!, this.#parts.guard))
  }

  #requestOf(message: Waiting, now: number): PublishRequest | InvalidPayload {
    const outgoing = this.#outgoing!
    const { deadLetter, expiresAt } = message
    let { request } = message
    if (request === undefined) {
      // Only the ledger of the target is asked and cleaned.
      const origin = this.isDurable && this.#isTarget ? originOf(message) : undefined
      const made = deadLetter === undefined
        ? outgoing.request(message, origin)
        : outgoing.deadLetter(message, deadLetter, this.#parts.options.deadLetter!.topic, origin)
      if (made instanceof InvalidPayload) return made
      message.prepare(request = made)
    }
    if (deadLetter !== undefined || expiresAt === undefined) return request
    return withRemainingLifetime(request, message, now, expiresAt)
  }

  #park(): false {
    this.#isParked = true
    this.#session!.publisher.park(this)
    return false
  }

  #unpark(): void {
    this.#isParked = false
    this.#session?.publisher.unpark(this)
  }

  #sleep(millis: number): true {
    if (this.#isAsleep) return true
    this.#isAsleep = true
    this.#parts.wake(millis, () => {
      this.#isAsleep = false
      this.pump()
    })
    return true
  }
}

/** Tells the earlier runs; false: none of them waits for the outcome. */
const settleEarlier = (earlierRuns: EarlierRuns, message: Settled, outcome: PublishOutcome): boolean => {
  let isAwaited = false
  for (const each of membersOf(message)) if (earlierRuns.settle(each, outcome)) isAwaited = true
  return isAwaited
}

/** The target may read the message back; undefined: no reader needs to know. */
const noteWrite = (
  message: Published,
  outbound: Outbound,
  outgoing: Outgoing,
  { recentWrites }: LoopGuard
): WrittenMessage | undefined => {
  const { brokers, isVersion5 } = outgoing
  if (!recentWrites.isNeeded(isVersion5 ? 5 : 4)) return undefined
  const now = message.source.session.engineLoop.now()
  return recentWrites.note(brokers, outbound, outgoing.routeOf(message), isVersion5, now)
}

/** What the server has, or may have, may come back from now on. */
const endWritten = ({ source, written }: Published, outcome: PublishOutcome): void => {
  if (written === undefined) return
  if (outcome._tag === "Acknowledged" || unknownOutcomes.has(outcome.reason._tag)) {
    written.settle(source.session.engineLoop.now())
  } else written.discard()
}

/**
 * Subtracts the time that the message has waited from its expiry interval. A message that is sent keeps at least one
 * second.
 */
const withRemainingLifetime = (
  request: PublishRequest,
  message: Waiting,
  now: number,
  expiresAt: number
): PublishRequest => {
  const { messageExpiryInterval, ...properties } = request.properties
  const expiresAfter = expiresAt - now
  const remaining: MessageProperties = messageExpiryInterval === undefined
    ? properties
    : {
      ...properties,
      messageExpiryInterval: Math.max(1, messageExpiryInterval - Math.floor((now - message.delivery.arrivedAt) / 1000))
    }
  return { ...request, properties: remaining, expiresAfter }
}
