/**
 * State that all parts of the session engine share: the options, the state of the connection, and the collecting
 * output. It decides nothing about messages. Only the parts of the engine use it.
 */
import type { Packet } from "../../Packet.ts"
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

/** An output of this length is searched for entries that later inputs made obsolete. */
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
  /** The output that was taken last, until it is written. A lost connection takes parts of it back. */
  taken: Output | undefined
  /** The limits of the live connection; undefined while there is none. */
  limits: ServerLimits | undefined
  /** The number of the live or last connection, from 1. */
  connection = 0
  /** The session of the server, see `Message.serverSession`. */
  serverSession = ""
  /** Packets may be sent: there is a connection, and no violation has condemned it. */
  online = false
  writable = true
  /** Receive Maximum that CONNECT announced: it bounds what the server sends. */
  receiveMaximum: number
  /** The time of the latest input. */
  now = 0
  /** Milliseconds to add to the time of inputs to get milliseconds since the epoch, which records and messages use. */
  epochOffset = 0
  /** Memory of the inbound messages that consumers have not finished, in bytes. */
  heldBytes = 0
  /** Outbound messages from this sequence number on are only in the collecting output. */
  freshSequence = 1
  /** The collecting output contains messages that were given up before they were sent. */
  hasDiscarded = false
  #compactChangesAt = compactAt
  #compactAcceptedAt = compactAt

  constructor(options: EngineOptions) {
    this.options = options
    this.receiveMaximum = options.receiveMaximum
    this.isVersion5 = options.protocolVersion === 5
    this.poison = new PoisonGuard(options.poisonThreshold, this)
  }

  /** See `SessionEngine`. */
  get canHandOut(): boolean {
    const { changes, deliveries, events, packets, settled } = this.output
    return packets.length === 0 && changes.length === 0 &&
      (settled.length > 0 || deliveries.length > 0 || events.length > 0)
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

  /** Packet identifiers of packets that the network has not got and will not get on this connection. */
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

  /** Settles a message as failed. No packet and no commit belongs to this outcome. */
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

  // While a store takes no commits, the same records change repeatedly. Compaction bounds the changes by the number of
  // records.
  #bound(): void {
    const { changes } = this.output
    if (changes.length < this.#compactChangesAt) return
    compactChanges(changes, this.freshSequence)
    this.#compactChangesAt = Math.max(compactAt, changes.length * 2)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { compactChangesAt: this.#compactChangesAt, compactAcceptedAt: this.#compactAcceptedAt }
  }

  set privateState(state) {
    this.#compactChangesAt = state.compactChangesAt
    this.#compactAcceptedAt = state.compactAcceptedAt
  }
}

const none: Array<never> = []

/** Whether its acceptance is still to be reported. */
export const isAcceptable = ({ outcome, state }: Outbound): boolean =>
  state !== "settled" || outcome?._tag === "Acknowledged"

/** Whether the engine itself ended the message, not the server. */
const isDiscarded = ({ outcome }: Outbound): boolean =>
  outcome?._tag === "Failed" && discardReasons.has(outcome.reason._tag)

const discardReasons: ReadonlySet<string> = new Set(["Dropped", "Expired", "StorageFailed"])

/** The packet identifier of a QoS 2 message must be stored before a consumer sees the message (MQTT 4.3.3). */
const isIndependent = ({ delivery }: DeliveryFor): boolean => delivery.message.qos !== 2

/** Moves the elements that pass into a new array. */
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
 * Removes the elements that do not pass, in place, because others already hold the array.
 */
export const retainInPlace = <A>(array: Array<A>, keep: (value: A) => boolean): void => {
  let kept = 0
  for (let i = 0; i < array.length; i++) {
    const value = array[i]!
    if (keep(value)) array[kept++] = value
  }
  array.length = kept
}
