/**
 * The stage after the target: what follows from the outcome of a message. It counts the outcome, acknowledges the
 * source through `inFlight.ts`, reports failures, and makes a dead letter of a message that was refused or that failed.
 * A message on which the target's server ends the connection (poison) is refused by the target's session and settled
 * here.
 *
 * Every stage calls it with an `Outcome`. It publishes nothing itself: a dead letter waits in the queue of its target.
 */
import type { MqttError, MqttErrorReason } from "../../MqttError.ts"
import type { Counters } from "./counters.ts"
import { smallerForm } from "./deadLetterForm.ts"
import type { DeadLetters } from "./deadLetters.ts"
import type { Failures } from "./failures.ts"
import type { Batch, Count, DeadLetter, ForwardedMessage, Published, Received, Settled } from "./forwardedMessage.ts"
import type { InFlight } from "./inFlight.ts"
import type { Outcome, Settle } from "./outcome.ts"

/** Where a message waits to be published as a dead letter, see `TargetQueue`. */
export interface DeadLetterQueue {
  readonly isVersion5: boolean
  readonly push: (message: Received | Settled) => void
}

export interface SettlementParts {
  readonly counters: Counters
  readonly deadLetters: DeadLetters
  readonly failures: Failures
  readonly inFlight: InFlight
}

export class Settlement {
  /** Undefined without the option. */
  deadLetterQueue: DeadLetterQueue | undefined
  readonly #parts: SettlementParts
  readonly #counters: Counters

  constructor(parts: SettlementParts) {
    this.#parts = parts
    this.#counters = parts.counters
  }

  readonly settle: Settle = (message: Received | Settled | Published, outcome: Outcome): void => {
    if (message.group?._tag === "Batch") return this.#settleBatch(message, message.group, outcome)
    if (outcome._tag === "Forwarded") {
      if (message.sourceState !== "open") return
      return message.deadLetter === undefined
        ? this.#finish(message, "forwarded")
        : this.#deadLettered(message, message.deadLetter)
    }
    if (message.state !== "received" && message.state !== "settled") return
    if (message.sourceState !== "open") {
      if (outcome._tag === "Refused") this.#refusedLater(message, outcome.reason)
      return
    }
    switch (outcome._tag) {
      case "Duplicate":
        return this.#finish(message, "duplicate")
      case "Filtered":
        return this.#finish(message, "filtered")
      case "Returned":
        return this.#finish(message, "returned")
      case "Dropped":
        return this.#finish(message, outcome.reason)
      case "Refused":
        return this.#refused(message, outcome.reason)
      case "Failed": {
        const { cause, detail } = outcome
        return this.#fail(message, this.#parts.failures.programFailed(message, detail, cause))
      }
    }
  }

  /** What becomes of a batch becomes of each of its messages. */
  #settleBatch(batch: Received | Settled | Published, { members }: Batch, outcome: Outcome): void {
    if (outcome._tag === "Forwarded") {
      if (batch.sourceState !== "open") return
      batch.close("acknowledged")
    }
    for (const member of members) {
      // A dead letter of it is published on its own.
      if (outcome._tag !== "Forwarded") member.leaveBatch()
      this.settle(member, outcome)
    }
  }

  /** A message is counted, and its source is told. A message of several parts is, when the last of them is finished. */
  #finish(message: ForwardedMessage, count: Count): void {
    if (message.group?._tag !== "Part") return this.#count(message, count)
    const { state, whole } = message.group
    message.close("acknowledged")
    if (weights.indexOf(count) > weights.indexOf(state.count)) state.count = count
    if (--state.open === 0 && (whole as ForwardedMessage).sourceState === "open") this.#count(whole, state.count)
  }

  #count(message: ForwardedMessage, count: Count): void {
    const { counters, inFlight } = this.#parts
    switch (count) {
      case "forwarded":
        counters.noteForwarded(message.message.payload.length)
        break
      case "duplicate":
        counters.duplicates++
        break
      case "returned":
        counters.returned++
        return inFlight.giveBack(message)
      case "filtered":
      case "deadLettered":
      case "failed":
        counters[count]++
        break
      default:
        counters.dropped[count]++
    }
    inFlight.acknowledge(message)
  }

  #deadLettered(message: ForwardedMessage, { error }: DeadLetter): void {
    this.#parts.failures.report(message, error, "deadLetter")
    this.#finish(message, "deadLettered")
  }

  /** No dead letter of the message remains, or none is wanted. */
  #failed(message: ForwardedMessage, error: MqttError, deadLetterError?: MqttError): void {
    this.#parts.failures.report(message, error, "failed", deadLetterError)
    this.#finish(message, "failed")
  }

  #refused(message: Received | Settled, reason: MqttErrorReason): void {
    const { failures } = this.#parts
    const { deadLetter } = message
    const drop = isOver(reason) ? (reason._tag === "Expired" ? "expired" : "targetQueue") : undefined
    if (drop === undefined) return this.#fail(message, failures.refused(message, reason))
    if (deadLetter === undefined) return this.#finish(message, drop)
    this.#failed(message, deadLetter.error, failures.refused(message, reason))
  }

  /** The target's queue had stored the message, and the source is acknowledged. Only the report remains. */
  #refusedLater(message: Received | Settled, reason: MqttErrorReason): void {
    if (message.sourceState === "returned") return
    const { deadLetters, failures } = this.#parts
    const { deadLetter } = message
    const error = failures.refused(message, reason)
    if (deadLetter !== undefined) {
      if (!this.#publishSmaller(message, deadLetter, reason)) {
        failures.report(message, deadLetter.error, "failed", error)
      }
      return
    }
    this.#counters.refusedLater++
    if (isOver(reason) || !deadLetters.isWanted(message)) return failures.report(message, error, "failed")
    this.#publishDeadLetter(message, { error, form: "whole" })
  }

  #fail(message: Received | Settled, error: MqttError): void {
    const { deadLetter } = message
    if (deadLetter === undefined) {
      if (!this.#parts.deadLetters.isWanted(message)) return this.#failed(message, error)
      if (message.state === "settled") message.releaseOrigin()
      return this.#publishDeadLetter(message, { error, form: "whole" })
    }
    // Whatever the outcome of a dead letter, no other message waits for it.
    if (!this.#publishSmaller(message, deadLetter, error.reason)) this.#failed(message, deadLetter.error, error)
  }

  /** Publishes a dead letter in a smaller form; false: there is none. */
  #publishSmaller(message: Received | Settled, { error, form }: DeadLetter, reason: MqttErrorReason): boolean {
    // Without user properties the smaller forms say nothing.
    const smaller = this.deadLetterQueue!.isVersion5 ? smallerForm(form, reason) : undefined
    if (smaller === undefined) return false
    this.#publishDeadLetter(message, { error, form: smaller })
    return true
  }

  #publishDeadLetter(message: Received | Settled, deadLetter: DeadLetter): void {
    this.deadLetterQueue!.push(message.failed(deadLetter))
  }
}

/** As what a message of several parts counts: the last of these that one of its parts counts as. */
const weights: ReadonlyArray<Count> = [
  "forwarded",
  "expired",
  "looped",
  "targetQueue",
  "deadLettered",
  "failed",
  "returned"
]

/** The message has expired, or the policy of the target's queue has dropped it. That is no refusal of the message. */
const isOver = ({ _tag }: MqttErrorReason): boolean => _tag === "Expired" || _tag === "Dropped"
