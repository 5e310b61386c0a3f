/**
 * Counts the failed messages of a session: how many, since when, and with which outcome. It emits one event per outcome
 * and turn of the event loop, whatever the number of messages.
 */
import type { HandlerMetrics } from "../../SessionStatus.ts"
import type { FailureOutcome } from "../../Subscription.ts"
import type { FailingMessage, FailureLedger, FailureReport } from "../messageFailures.ts"
import type { Lifecycle } from "./lifecycle.ts"

/** The session, for its ledger. */
export interface FailureLedgerHost {
  readonly engineLoop: { readonly now: () => number; readonly schedule: () => void }
  readonly lifecycle: Lifecycle
}

export class SessionFailures implements FailureLedger {
  readonly isSilent: boolean
  readonly #host: FailureLedgerHost
  /** In the order of failure, oldest first. */
  #failing: Set<FailingMessage> | undefined
  #isFailing = false
  #noted: Map<FailureOutcome, { count: number; last: FailureReport }> | undefined
  #listeners: Set<() => void> | undefined
  #isStopping = false
  #failures = 0
  #retries = 0
  #givenUp = 0
  #deadLettered = 0

  constructor(host: FailureLedgerHost, isSilent: boolean) {
    this.#host = host
    this.isSilent = isSilent
  }

  begin(): FailingMessage {
    const message = { since: this.#host.engineLoop.now() }
    this.#failing ??= new Set()
    this.#failing.add(message)
    this.#host.engineLoop.schedule()
    return message
  }

  end(message: FailingMessage): void {
    if (this.#failing?.delete(message) === true) this.#host.engineLoop.schedule()
  }

  failed(): void {
    this.#failures++
  }

  retried(): void {
    this.#retries++
  }

  note(report: FailureReport): void {
    const { outcome } = report
    if (outcome === "skip" || outcome === "deadLetterRefused") this.#givenUp++
    else if (outcome === "deadLetter") this.#deadLettered++
    const noted = this.#noted ??= new Map()
    const entry = noted.get(outcome)
    if (entry === undefined) noted.set(outcome, { count: 1, last: report })
    else {
      entry.count++
      entry.last = report
    }
    this.#host.engineLoop.schedule()
  }

  onStopping(listener: () => void): () => void {
    if (this.#isStopping) {
      listener()
      return () => {}
    }
    const listeners = this.#listeners ??= new Set()
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** The session begins to end. */
  stop(): void {
    this.#isStopping = true
    for (const listener of this.#listeners ?? []) listener()
  }

  /** Emits the events, at the end of a turn of the event loop. */
  turned(): void {
    const noted = this.#noted
    if (noted !== undefined) {
      this.#noted = undefined
      for (const { count, last } of noted.values()) {
        this.#host.lifecycle.emit({ _tag: "HandlerFailed", delay: undefined, error: undefined, ...last, count })
      }
    }
    const since = this.since
    if ((since !== undefined) === this.#isFailing) return
    this.#isFailing = !this.#isFailing
    this.#host.lifecycle.set({ failingSince: since })
  }

  get failing(): number {
    return this.#failing?.size ?? 0
  }

  /** When the oldest of the failing messages first failed. */
  get since(): number | undefined {
    for (const { since } of this.#failing ?? []) return since
    return undefined
  }

  get metrics(): HandlerMetrics {
    const { since } = this
    return {
      failures: this.#failures,
      retries: this.#retries,
      givenUp: this.#givenUp,
      deadLettered: this.#deadLettered,
      failing: this.failing,
      oldestFailingAge: since === undefined ? 0 : Math.max(0, this.#host.engineLoop.now() - since)
    }
  }
}
