/**
 * The receive window of one connection: the QoS 1 and QoS 2 messages of the server that have no final acknowledgement,
 * bounded by our Receive Maximum (MQTT 4.9). It acknowledges nothing. The parts of the receiver call it.
 */
import type { Violation } from "../codec/contract.ts"
import type { EngineCore } from "./core.ts"
import * as violations from "./violations.ts"

export class ReceiveWindow {
  readonly #core: EngineCore
  /** Places taken on this connection. PUBACK, PUBCOMP or a refusing PUBREC frees a place. */
  #taken = 0
  /** The server has exceeded the receive maximum on this connection, and the event was emitted. */
  #isExceeded = false

  constructor(core: EngineCore) {
    this.#core = core
  }

  /** The server has as many unacknowledged messages under way as it may have. */
  get isUsedUp(): boolean {
    return this.#taken >= this.#core.receiveMaximum
  }

  /** Whether the server has to wait for our acknowledgements. MQTT 3.1.1 does not announce the window. */
  get isFull(): boolean {
    return this.#core.isVersion5 && this.isUsedUp
  }

  connected(): void {
    this.#isExceeded = false
  }

  disconnected(): void {
    this.#taken = 0
  }

  /**
   * Takes a place. A server may exceed the receive maximum as long as memory allows it. Some do: mosquitto 2.0, for
   * example, when a backlog or many retained messages leave at once.
   */
  occupy(): Violation | undefined {
    const core = this.#core
    if (this.isFull) {
      if (core.heldBytes > core.options.inboundLimit) return violations.receiveMaximumExceeded(core.receiveMaximum)
      if (!this.#isExceeded) {
        this.#isExceeded = true
        core.emit({ _tag: "ReceiveMaximumExceeded", receiveMaximum: core.receiveMaximum })
      }
    }
    this.#taken++
    return undefined
  }

  vacate(): void {
    this.#taken--
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { taken: this.#taken, isExceeded: this.#isExceeded }
  }

  set privateState(state) {
    this.#taken = state.taken
    this.#isExceeded = state.isExceeded
  }
}
