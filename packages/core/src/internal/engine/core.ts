/**
 * What all parts of the session engine share: the options, the connection's state, and the output that collects.
 */
import type { Packet } from "../../Packet.ts"
import type { StoreRecord } from "../../StoreRecord.ts"
import type { Consumer, EngineEvent, EngineOptions, Output, ServerLimits } from "./contract.ts"

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

  constructor(options: EngineOptions) {
    this.options = options
    this.receiveMaximum = options.receiveMaximum
    this.isVersion5 = options.protocolVersion === 5
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
  }

  delete(key: string): void {
    this.output.changes.push({ _tag: "Delete", key })
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
    return output
  }
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
