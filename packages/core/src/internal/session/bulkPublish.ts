/**
 * Publishes many messages: submits them in batches while the queue has space, and gives one outcome for all.
 * `publisher.ts` calls it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { InvalidOptions, type MqttError } from "../../MqttError.ts"
import type { OutgoingMessage, PublishSummary } from "../../Publication.ts"
import type { Outbound, OutboundOwner } from "../engine/contract.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import { noSuchOption } from "../options/plain.ts"
import { kindOf } from "../valueNames.ts"
import type { Parked, PublishHost } from "./publishHost.ts"
import { isRefusal, makeRequest, noOptions } from "./publishRequest.ts"

/** Number of queued messages at which a bulk waits, and the number of its messages between two checks. */
const bulkHighWater = 2048
const bulkInterval = 64

// Without this check `{ topic, payload, qos: 1 }` would be sent at QoS 0.
const messageIssues = (message: unknown): ReadonlyArray<OptionsIssue> | undefined => {
  if (typeof message !== "object" || message === null) {
    return [{ path: "", message: `expected a message with a topic and a payload, got ${kindOf(message)}` }]
  }
  for (const key in message) {
    if (key !== "topic" && key !== "payload" && key !== "options") {
      return [{ path: key, message: `${noSuchOption}: a message has topic, payload and options` }]
    }
  }
  return undefined
}

/**
 * The owner of many messages: it counts outcomes and needs no callback per message.
 */
export class BulkPublish implements OutboundOwner, Parked {
  readonly #publisher: PublishHost
  readonly #highWater: number
  readonly onAccepted = undefined
  #outbounds: Array<Outbound> = []
  #compactAt = 4096
  #outstanding = 0
  #published = 0
  #failure: MqttError | undefined
  #batch: ReadonlyArray<OutgoingMessage> = []
  #index = 0
  #resume: ((exit: Effect.Effect<void, MqttError>) => void) | undefined
  #whenSettled: ((exit: Effect.Effect<PublishSummary, MqttError>) => void) | undefined

  constructor(publisher: PublishHost) {
    this.#publisher = publisher
    this.#highWater = Math.min(bulkHighWater, Math.max(1, publisher.options.queueMessages >> 1))
  }

  submit(batch: ReadonlyArray<OutgoingMessage>): Effect.Effect<void, MqttError> {
    return Effect.callback((resume) => {
      this.#batch = batch
      this.#index = 0
      this.#resume = resume
      if (this.#publisher.isParking || !this.attempt()) this.#publisher.park(this)
      return Effect.sync(() => {
        this.#resume = undefined
        this.#publisher.unpark(this)
      })
    })
  }

  /** A plain loop over the batch, which stops when enough messages are queued. */
  attempt(): boolean {
    const batch = this.#batch
    const publisher = this.#publisher
    const { engineLoop } = publisher
    const refusal = publisher.refusal
    if (this.#failure !== undefined) return this.#finishBatch(Effect.fail(this.#failure))
    if (refusal !== undefined) return this.#refuse(refusal)
    while (this.#index < batch.length) {
      if (this.#index % bulkInterval === 0 && engineLoop.stats.queuedMessages >= this.#highWater) return false
      const message = batch[this.#index]!
      if (message?.options === undefined) {
        const issues = messageIssues(message)
        if (issues !== undefined) return this.#refuse(publisher.error(new InvalidOptions({ issues }), "publishAll"))
      }
      const { options = noOptions, payload, topic } = message
      const request = makeRequest(publisher.options.protocolVersion, topic, payload, options)
      if (isRefusal(request)) return this.#refuse(publisher.error(request, "publishAll", topic))
      if (request.qos === 0) {
        if (engineLoop.directWrites.publish(request)) {
          this.#published++
          this.#index++
          continue
        }
        if (engineLoop.directWrites.isTurnFull) return false
      }
      const admission = engineLoop.publish(request)
      if (admission._tag === "Full") return false
      if (admission._tag === "Refused") {
        return this.#finishBatch(Effect.fail(publisher.error(admission.reason, "publishAll", topic)))
      }
      admission.outbound.owner = this
      this.#track(admission.outbound)
      this.#index++
    }
    return this.#finishBatch(Effect.void)
  }

  fail(error: MqttError): void {
    this.#finishBatch(Effect.fail(error))
  }

  #refuse(error: MqttError): true {
    this.#publisher.engineLoop.counters.refused(error.reason)
    return this.#finishBatch(Effect.fail(error))
  }

  onSettled(outbound: Outbound): void {
    this.#outstanding--
    const outcome = outbound.outcome!
    if (outcome._tag === "Acknowledged") this.#published++
    else this.#failure ??= this.#publisher.error(outcome.reason, "publishAll", outbound.request.topic)
    if (this.#outstanding === 0) this.#whenSettled?.(this.#summary)
  }

  get settled(): Effect.Effect<PublishSummary, MqttError> {
    return Effect.callback((resume) => {
      if (this.#outstanding === 0) return resume(this.#summary)
      this.#whenSettled = resume
      return Effect.sync(() => {
        this.#whenSettled = undefined
      })
    })
  }

  /** After a failure or an interruption, withdraws the messages that were not sent. */
  finish(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const outbound of this.#outbounds) {
      if (outbound.state === "queued") this.#publisher.engineLoop.withdraw(outbound)
    }
    this.#outbounds = []
  }

  get #summary(): Effect.Effect<PublishSummary, MqttError> {
    return this.#failure === undefined
      ? Effect.succeed({ published: this.#published })
      : Effect.fail(this.#failure)
  }

  #track(outbound: Outbound): void {
    this.#outstanding++
    this.#outbounds.push(outbound)
    if (this.#outbounds.length < this.#compactAt) return
    this.#outbounds = this.#outbounds.filter((each) => each.state === "queued")
    this.#compactAt = Math.max(4096, this.#outbounds.length * 2)
  }

  #finishBatch(exit: Effect.Effect<void, MqttError>): true {
    const resume = this.#resume
    this.#resume = undefined
    this.#publisher.unpark(this)
    resume?.(exit)
    return true
  }
}
