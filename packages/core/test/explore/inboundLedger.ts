/**
 * What is known from outside about the messages of the server: who is owed each of them, and who has finished it. It
 * judges every handing out and every acknowledgement, and knows nothing of the engine's state.
 */
import type { QoS } from "../../src/QoS.ts"
import { holds } from "./violation.ts"

interface Vacancy {
  /** Consumers from this serial number on have joined after the leave. */
  readonly from: number
}

interface InboundFact {
  readonly qos: QoS
  hasArrived: boolean
  /** `Acknowledged` and the like, once the server is done with it. */
  outcome: string | undefined
  /** The engine has said that nobody claimed it. */
  isDropped: boolean
  isFinished: boolean
  /** See `Delivery.use`; undefined until it was handed out, and for QoS 0 and 1. */
  use: string | undefined
  /** Names that have to finish it, and those that have. */
  readonly owed: Set<string>
  readonly finished: Set<string>
  /** Parties whose finish is in the store, or needs none. */
  readonly committed: Set<string>
  /**
   * Consumers, by serial number, to whom it was handed, who have finished it, and who have it or are about to get it.
   */
  readonly handed: Set<number>
  readonly finishedBy: Set<number>
  readonly holders: Set<number>
  /** Consumers without a name that left it unfinished and have no successor yet. */
  vacancies: Array<Vacancy>
}

/** A consumer as the ledger sees it. */
export interface Party {
  readonly serial: number
  name: string | undefined
  /** Stands for the one place without a name that there is, whatever consumer takes it; otherwise undefined. */
  readonly sole: string | undefined
}

type Finish = readonly [message: number, party: Party]

/** The ledger. */
export class InboundLedger {
  readonly facts: Array<InboundFact> = []
  /** Names that were given, and whether the store has them. */
  readonly names = new Map<string, "given" | "stored">()
  /** Finishes that the next output, and the one that is being committed, make durable. */
  #collecting: Array<Finish> = []
  #committing: Array<Finish> = []

  served(qos: QoS): void {
    this.facts.push({
      qos,
      hasArrived: false,
      outcome: undefined,
      isDropped: false,
      isFinished: false,
      use: undefined,
      owed: new Set(),
      finished: new Set(),
      committed: new Set(),
      handed: new Set(),
      finishedBy: new Set(),
      holders: new Set(),
      vacancies: []
    })
  }

  /** The PUBLISH is about to reach the engine. */
  arriving(message: number): void {
    const fact = this.facts[message]!
    if (fact.hasArrived) return
    fact.hasArrived = true
    for (const name of this.names.keys()) fact.owed.add(name)
  }

  joined({ name }: Party): void {
    if (name !== undefined && !this.names.has(name)) this.names.set(name, "given")
  }

  /** The engine has chosen this consumer for the message. */
  routed(message: number, { name, serial }: Party): void {
    const fact = this.facts[message]!
    if (fact.qos === 0) return
    if (name !== undefined || !fact.finishedBy.has(serial)) {
      if (name === undefined) fact.holders.add(serial)
      const index = fact.vacancies.findIndex(({ from }) => serial >= from)
      if (index >= 0) fact.vacancies = fact.vacancies.filter((_, other) => other !== index)
    }
  }

  handedOut(message: number, { name, serial, sole }: Party, use: string): void {
    const fact = this.facts[message]!
    if (fact.qos === 2) {
      const namesake = this.facts.findIndex((other) => other.use === use)
      const isRight = namesake === message || (namesake < 0 && fact.use === undefined)
      holds(isRight, "a use names one message", () => `s${message} has ${use}, before it ${fact.use ?? `s${namesake}`}`)
      fact.use = use
      holds(!fact.handed.has(serial), "QoS 2 once to a consumer", () => `s${message} again to consumer ${serial}`)
      const party = name ?? sole
      holds(
        party === undefined || !fact.committed.has(party),
        "finished is never seen again",
        () => `s${message} again to ${party}`
      )
    }
    fact.handed.add(serial)
  }

  finish(message: number, party: Party): void {
    const fact = this.facts[message]!
    fact.isFinished = true
    fact.finishedBy.add(party.serial)
    fact.holders.delete(party.serial)
    if (party.name !== undefined) fact.finished.add(party.name)
    this.#collecting.push([message, party])
  }

  /** The consumer leaves; `isKept`: what it has not finished has to wait for its successor. */
  left({ name, serial }: Party, next: number, isKept: boolean): void {
    for (const fact of this.facts) {
      if (!fact.holders.delete(serial) || name !== undefined || !isKept) continue
      fact.vacancies = [...fact.vacancies, { from: next }]
    }
  }

  /** The name is forgotten: what waits for it is wanted by nobody, and a present consumer goes on without it. */
  forgotten(name: string, present: Party | undefined): void {
    this.names.delete(name)
    for (const fact of this.facts) {
      fact.owed.delete(name)
      if (present === undefined) continue
      if (fact.handed.has(present.serial) && !fact.finishedBy.has(present.serial)) fact.holders.add(present.serial)
    }
    if (present !== undefined) present.name = undefined
  }

  dropped(message: number): void {
    this.facts[message]!.isDropped = true
  }

  /** What was held for a successor need not be held any more. */
  waited(): void {
    for (const fact of this.facts) fact.vacancies = []
  }

  taken(): void {
    this.#committing.push(...this.#collecting)
    this.#collecting = []
  }

  /** The store has the finishes of the output that was taken, and these names. */
  committed(names: ReadonlySet<string>): void {
    for (const [message, { name, sole }] of this.#committing) {
      const party = name ?? sole
      if (party !== undefined) this.facts[message]!.committed.add(party)
    }
    this.#committing = []
    for (const name of this.names.keys()) this.names.set(name, names.has(name) ? "stored" : "given")
  }

  /** The process is gone: only what is stored counts. */
  died(): void {
    this.#collecting = []
    this.#committing = []
    for (const [name, state] of this.names) {
      if (state === "stored") continue
      this.names.delete(name)
      for (const fact of this.facts) fact.owed.delete(name)
    }
    for (const fact of this.facts) {
      // Those consumers are gone.
      fact.handed.clear()
      fact.finishedBy.clear()
      fact.holders.clear()
      fact.vacancies = []
    }
  }

  /** The server is done with the message. */
  ended(message: number, outcome: string): void {
    const fact = this.facts[message]!
    fact.outcome = outcome
    if (outcome !== "Acknowledged" || fact.qos === 0 || fact.isDropped) return
    const detail = (what: string) => () => `s${message} was acknowledged, ${what}`
    holds(fact.isFinished, "acknowledged only when finished", detail("which nobody has finished"))
    for (const name of fact.owed) {
      holds(fact.finished.has(name), "acknowledged only when finished", detail(`which ${name} has not finished`))
    }
    for (const serial of fact.holders) {
      holds(false, "acknowledged only when finished", detail(`which consumer ${serial} has not finished`))
    }
    holds(
      fact.vacancies.length === 0,
      "acknowledged only when finished",
      detail("which a consumer left unfinished without a successor")
    )
  }
}
