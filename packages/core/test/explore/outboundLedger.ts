/**
 * What is known from outside about the messages of the client: what was promised to the publisher, and what the server
 * got. It judges every outcome.
 */
import type { Outbound } from "../../src/internal/engine/contract.ts"
import type { QoS } from "../../src/QoS.ts"
import { holds } from "./violation.ts"

interface OutboundFact {
  readonly qos: QoS
  readonly sequence: number
  isAccepted: boolean
  /** The process that published it is gone. */
  isOrphaned: boolean
  /** Its end may have been in an output that died with its process. */
  isUnheard: boolean
  /** The sessions that the server lost while it may have had the message. */
  losses: number
  settlements: number
  outcome: string | undefined
  arrivals: number
  /** The network has the PUBLISH. */
  isWritten: boolean
  /** Its publisher was told of success before the network had it. */
  isDirect: boolean
}

/** Ends that say that the server does not have the message, and never will. */
const definite: ReadonlySet<string> = new Set([
  "NotSupported",
  "PacketTooLarge",
  "Dropped",
  "Expired",
  "QueueFull",
  "PublishRefused"
])

/** The ledger. */
export class OutboundLedger {
  readonly facts: Array<OutboundFact> = []

  publishedDirectly(qos: QoS, sequence: number): void {
    this.published(qos, sequence, true)
  }

  published(qos: QoS, sequence: number, isDirect = false): void {
    this.facts.push({
      qos,
      sequence,
      isAccepted: false,
      isOrphaned: false,
      isUnheard: false,
      losses: 0,
      settlements: 0,
      outcome: undefined,
      arrivals: 0,
      isWritten: false,
      isDirect
    })
  }

  accepted({ sequence }: Outbound): void {
    const fact = this.#bySequence(sequence)
    if (fact !== undefined) fact.isAccepted = true
  }

  settled({ outcome, sequence }: Outbound, hasTimePassed: boolean): void {
    const fact = this.#bySequence(sequence)
    if (fact === undefined || outcome === undefined) return
    const message = `c${this.facts.indexOf(fact)}`
    fact.settlements++
    holds(fact.settlements === 1, "settled once", () => `${message} was settled ${fact.settlements} times`)
    fact.outcome = outcome._tag === "Acknowledged" ? "Acknowledged" : outcome.reason._tag
    holds(fact.outcome !== "Expired" || hasTimePassed, "time is monotonic", () => `${message} has expired at once`)
    this.#judge(message, fact)
  }

  /** What the server took the message for is known by its text. */
  arrived(message: number): void {
    const fact = this.facts[message]!
    // More of QoS 1 makes no difference.
    if (fact.qos !== 1 || fact.arrivals === 0) fact.arrivals++
    const name = `c${message}`
    if (fact.qos !== 1) {
      const allowed = fact.qos === 0 ? 1 : 1 + fact.losses
      holds(fact.arrivals <= allowed, "QoS 2 once at the server", () => `${name} arrived ${fact.arrivals} times`)
    }
    this.#judge(name, fact)
    if (fact.arrivals > 1 || fact.losses > 0) return
    for (let i = 0; i < message; i++) {
      const earlier = this.facts[i]!
      if (earlier.qos !== fact.qos || earlier.arrivals > 0 || earlier.outcome !== undefined) continue
      if (fact.qos === 0 || earlier.isUnheard || (earlier.isOrphaned && !earlier.isAccepted)) continue
      holds(false, "order of arrival", () => `${name} before c${i}`)
    }
  }

  sessionLost(): void {
    for (const fact of this.facts) fact.losses++
  }

  /** The process is gone; `unheard` are the messages whose end it had stored and not told. */
  died(unheard: ReadonlyArray<Outbound>): void {
    for (const fact of this.facts) fact.isOrphaned = true
    for (const { sequence } of unheard) {
      const fact = this.#bySequence(sequence)
      if (fact !== undefined) fact.isUnheard = true
    }
  }

  /** Everything has come to its end. */
  check(): void {
    for (let i = 0; i < this.facts.length; i++) {
      const fact = this.facts[i]!
      if (!fact.isOrphaned && !fact.isDirect) {
        holds(fact.settlements === 1, "settled once", () => `c${i} was never settled`)
      }
      if (!fact.isOrphaned && fact.isDirect && fact.settlements === 0) {
        holds(fact.isWritten, "accepted is not lost", () => `c${i} was published directly and never sent`)
      }
      const failed = fact.outcome !== undefined && fact.outcome !== "Acknowledged"
      if (fact.qos === 0 || failed || !fact.isAccepted || fact.isUnheard) continue
      holds(fact.arrivals > 0, "accepted is not lost", () => `c${i} never reached the server`)
    }
  }

  written(message: number): void {
    this.facts[message]!.isWritten = true
  }

  #judge(message: string, { arrivals, isWritten, outcome, qos }: OutboundFact): void {
    if (outcome === undefined) return
    if (outcome === "Acknowledged") {
      const isTrue = qos === 0 ? isWritten : arrivals > 0
      holds(
        isTrue,
        "the outcome is true",
        () => `${message} is acknowledged and was not ${qos === 0 ? "sent" : "received"}`
      )
    } else if (definite.has(outcome)) {
      holds(arrivals === 0, "the outcome is true", () => `${message} failed as ${outcome} and is at the server`)
    }
  }

  #bySequence(sequence: number): OutboundFact | undefined {
    return this.facts.findLast((fact) => fact.sequence === sequence)
  }
}
