/**
 * What all parts of the session engine share: the options, the connection's state, and the output that collects.
 */
import { type Packet, pingreq } from "../../Packet.ts"
import type { StoreRecord } from "../../StoreRecord.ts"
import { compactChanges } from "./compactChanges.ts"
import type {
  Consumer,
  DeliveryFor,
  EngineEvent,
  EngineOptions,
  IndependentOutput,
  Outbound,
  Output,
  ServerLimits
} from "./contract.ts"
import { PoisonGuard } from "./poison.ts"

/** What an output may hold before it is looked through for what later inputs have made void. */
const compactAt = 1024

const makeOutput = (): Output => ({
  changes: [],
  packets: [],
  accepted: [],
  settled: [],
  deliveries: [],
  consumers: [],
  events: [],
  spaceAvailable: false
})

/**
 * The shared state.
 */
export class EngineCore {
  readonly options: EngineOptions
  readonly isVersion5: boolean
  readonly poison: PoisonGuard
  output: Output = makeOutput()
  /** What was taken last, until it is written: a lost connection calls parts of it back. */
  taken: Output | undefined
  /** The limits of the live connection; undefined while there is none. */
  limits: ServerLimits | undefined
  /** The number of the live or last connection, from 1. */
  connection = 0
  /** Packets may be sent: there is a connection, and it has not been condemned by a violation. */
  online = false
  writable = true
  /** What CONNECT announced for what the server sends. */
  receiveMaximum: number
  /** The time of the latest input. */
  now = 0
  /** What is to be added to the time of inputs for milliseconds since the epoch, which records and messages have. */
  epochOffset = 0
  /** Outbound messages from this sequence on are in no output but the collecting one. */
  freshSequence = 1
  /** Messages of the collecting output were given up without being sent. */
  hasDiscarded = false
  #compactChangesAt = compactAt
  #compactAcceptedAt = compactAt

  constructor(options: EngineOptions) {
    this.options = options
    this.receiveMaximum = options.receiveMaximum
    this.isVersion5 = options.protocolVersion === 5
    this.poison = new PoisonGuard(options.poisonThreshold, () => this.send(pingreq))
  }

  /** PUBLISH packets may be sent. */
  get sendable(): boolean {
    return this.online && this.writable
  }

  send(packet: Packet): void {
    this.output.packets.push(packet)
  }

  put(record: StoreRecord): void {
    this.output.changes.push({ _tag: "Put", record })
    this.#bound()
  }

  delete(key: string): void {
    this.output.changes.push({ _tag: "Delete", key })
    this.#bound()
  }

  /** Packet identifiers of what the network has not got, and never will on this connection. */
  get unwritten(): ReadonlySet<number> {
    const identifiers = new Set<number>()
    for (const output of [this.output, this.taken]) {
      for (const packet of output?.packets ?? []) {
        if ("packetIdentifier" in packet) identifiers.add(packet.packetIdentifier)
      }
    }
    return identifiers
  }

  accept(outbound: Outbound): void {
    const { accepted } = this.output
    if (accepted.push(outbound) < this.#compactAcceptedAt) return
    retainInPlace(accepted, isAcceptable)
    this.#compactAcceptedAt = Math.max(compactAt, accepted.length * 2)
  }

  /** A message is settled as failed that no packet and no commit speaks for. */
  discard(outbound: Outbound): void {
    this.hasDiscarded = true
    this.output.settled.push(outbound)
  }

  emit(event: EngineEvent): void {
    this.output.events.push(event)
  }

  notify(consumer: Consumer): void {
    this.output.consumers.push(consumer)
  }

  take(): Output | undefined {
    const output = this.output
    const isEmpty = output.packets.length === 0 && output.changes.length === 0 && output.deliveries.length === 0 &&
      output.settled.length === 0 && output.accepted.length === 0 && output.consumers.length === 0 &&
      output.events.length === 0 && !output.spaceAvailable
    if (isEmpty) return undefined
    this.taken = output
    this.output = makeOutput()
    this.hasDiscarded = false
    this.#compactChangesAt = compactAt
    this.#compactAcceptedAt = compactAt
    return output
  }

  takeIndependent(output: Output = this.output): IndependentOutput | undefined {
    const isCollecting = output === this.output
    const settled = isCollecting && !this.hasDiscarded ? none : takeOut(output.settled, isDiscarded)
    const deliveries = output.deliveries.length === 0 ? none : takeOut(output.deliveries, isIndependent)
    const events = output.events.splice(0)
    const { spaceAvailable } = output
    if (isCollecting) this.hasDiscarded = false
    output.spaceAvailable = false
    if (settled.length === 0 && deliveries.length === 0 && events.length === 0 && !spaceAvailable) return undefined
    return { settled, deliveries, events, spaceAvailable }
  }

  // While a store takes nothing the same records change again and again: what is kept of it is bounded by the records.
  #bound(): void {
    const { changes } = this.output
    if (changes.length < this.#compactChangesAt) return
    compactChanges(changes, this.freshSequence)
    this.#compactChangesAt = Math.max(compactAt, changes.length * 2)
  }
}

const none: Array<never> = []

/** Whether its acceptance is still to be told. */
export const isAcceptable = ({ outcome, state }: Outbound): boolean =>
  state !== "settled" || outcome?._tag === "Acknowledged"

/** Whether its end has not been brought about by the server. */
const isDiscarded = ({ outcome }: Outbound): boolean =>
  outcome?._tag === "Failed" && discardReasons.has(outcome.reason._tag)

const discardReasons: ReadonlySet<string> = new Set(["Dropped", "Expired", "StorageFailed"])

/** The identifier of a QoS 2 message has to be in the store before anyone sees the message (MQTT 4.3.3). */
const isIndependent = ({ delivery }: DeliveryFor): boolean => delivery.message.qos !== 2

/** Moves the elements that pass into an array of their own. */
const takeOut = <A>(array: Array<A>, passes: (value: A) => boolean): Array<A> => {
  const taken: Array<A> = []
  retainInPlace(array, (value) => {
    if (!passes(value)) return true
    taken.push(value)
    return false
  })
  return taken
}

/**
 * Removes the elements that do not pass, in place: the array has been handed out already.
 */
export const retainInPlace = <A>(array: Array<A>, keep: (value: A) => boolean): void => {
  let kept = 0
  for (let i = 0; i < array.length; i++) {
    const value = array[i]!
    if (keep(value)) array[kept++] = value
  }
  array.length = kept
}
