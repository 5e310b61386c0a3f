/**
 * One message that a program publishes, and the fibers that wait for its outcome. `publisher.ts` makes it.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import { type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { EnqueueReceipt, PublishReceipt } from "../../Publication.ts"
import type { Outbound, OutboundOwner, PublishOutcome, PublishRequest } from "../engine/contract.ts"
import type { Parked, PublishHost } from "./publishHost.ts"

const success: PublishReceipt = Object.freeze({ reasonCode: 0, reasonString: undefined })

/** The usual success, shared by all publishes. */
export const succeeded: Exit.Exit<PublishReceipt, MqttError> = Exit.succeed(success)

/** The part of the publisher that an operation uses. */
export interface OperationHost extends PublishHost {
  readonly track: (operation: PublishOperation) => void
  readonly untrack: (operation: PublishOperation) => void
}

/**
 * One message and the fibers that wait for it. It is itself the interruption finalizer, which withdraws the message:
 * this saves one closure and one Effect per publish.
 */
export class PublishOperation extends Effectable.Class<void> implements OutboundOwner, Parked {
  readonly topic: string
  readonly method: "publish" | "enqueue"
  readonly #publisher: OperationHost
  readonly request: PublishRequest
  resume: ((exit: Effect.Effect<PublishReceipt, MqttError>) => void) | undefined
  accept: ((exit: Effect.Effect<EnqueueReceipt, MqttError>) => void) | undefined
  isTracked = false
  next: PublishOperation | undefined
  previous: PublishOperation | undefined
  #outbound: Outbound | undefined
  #outcome: PublishOutcome | undefined
  #listeners: Set<(exit: Effect.Effect<PublishReceipt, MqttError>) => void> | undefined

  constructor(publisher: OperationHost, topic: string, method: "publish" | "enqueue", request: PublishRequest) {
    super()
    this.request = request
    this.#publisher = publisher
    this.topic = topic
    this.method = method
  }

  attempt(): boolean {
    const admission = this.#publisher.engineLoop.publish(this.request)
    if (admission._tag === "Full") return false
    this.#publisher.unpark(this)
    switch (admission._tag) {
      case "Refused":
        this.fail(this.#error(admission.reason))
        return true
      case "Accepted":
        this.#outbound = admission.outbound
        admission.outbound.owner = this
        if (this.method === "publish") this.#publisher.track(this)
        return true
    }
  }

  onAccepted(): void {
    const accept = this.accept
    if (accept === undefined) return
    this.accept = undefined
    accept(Effect.succeed({ acknowledged: this.#acknowledged }))
  }

  onSettled(outbound: Outbound): void {
    const outcome = outbound.outcome!
    if (this.method === "publish") {
      this.#publisher.untrack(this)
      this.resume?.(this.#exit(outcome))
      this.resume = undefined
      return
    }
    // The error is made only for a fiber that waits: a full queue may drop a million messages.
    this.#outcome = outcome
    // A message that is refused before its acceptance is committed was never accepted.
    if (this.accept !== undefined && outcome._tag === "Failed") {
      this.accept(Exit.fail(this.#error(outcome.reason)))
      this.accept = undefined
    } else if (this.#listeners === undefined && outcome._tag === "Failed") {
      this.#publisher.options.lifecycle.messageFailed(this.topic, outcome.reason)
    }
    if (this.#listeners !== undefined) {
      const exit = this.#exit(outcome)
      for (const listener of this.#listeners) listener(exit)
      this.#listeners = undefined
    }
  }

  #exit(outcome: PublishOutcome): Exit.Exit<PublishReceipt, MqttError> {
    if (outcome._tag === "Failed") return Exit.fail(this.#error(outcome.reason))
    const { reasonCode, reasonString } = outcome
    return reasonCode === 0 && reasonString === undefined ? succeeded : Exit.succeed({ reasonCode, reasonString })
  }

  #error(reason: MqttErrorReason): MqttError {
    return this.#publisher.error(reason, this.method, this.topic)
  }

  get #acknowledged(): Effect.Effect<PublishReceipt, MqttError> {
    return Effect.callback((resume) => {
      if (this.#outcome !== undefined) return resume(this.#exit(this.#outcome))
      const listeners = this.#listeners ??= new Set()
      listeners.add(resume)
      return Effect.sync(() => listeners.delete(resume))
    })
  }

  fail(error: MqttError): void {
    this.resume?.(Effect.fail(error))
    this.resume = undefined
    this.accept?.(Effect.fail(error))
    this.accept = undefined
  }

  /** The session cannot continue now. An unsent message is withdrawn; a sent one continues without an observer. */
  abort(error: MqttError): void {
    this.#withdraw()
    this.fail(error)
  }

  override asEffect(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.resume = undefined
      this.accept = undefined
      this.#publisher.unpark(this)
      this.#withdraw()
    })
  }

  #withdraw(): void {
    this.#publisher.untrack(this)
    if (this.#outbound !== undefined) this.#publisher.engineLoop.withdraw(this.#outbound)
  }
}
