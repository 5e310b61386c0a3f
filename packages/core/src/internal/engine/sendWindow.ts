/**
 * The send window of one connection: the QoS 1 and QoS 2 messages that are on their way without acknowledgement, and
 * how many of them there may be (Receive Maximum, MQTT 4.9). It sends nothing. The parts of the sender call it.
 */
import type { QoS } from "../../QoS.ts"
import type { EngineCore } from "./core.ts"
import type { OutboundMessage } from "./outboundMessage.ts"

export class SendWindow {
  readonly #core: EngineCore
  /** The places taken on this connection (all, and QoS 2 only), then the sizes of these windows. */
  #inflight = 0
  #inflightQoS2 = 0
  #window = 0
  #windowQoS2 = 0

  constructor(core: EngineCore) {
    this.#core = core
  }

  /** CONNACK: a new window begins. */
  connected(): void {
    const { isVersion5, limits: server, options } = this.#core
    this.#window = Math.min(options.maxInflight, server!.receiveMaximum)
    this.#windowQoS2 = isVersion5 ? Infinity : options.maxInflightQoS2
  }

  /** Frees all places. */
  clear(): void {
    this.#inflight = 0
    this.#inflightQoS2 = 0
  }

  /** Whether a message of this QoS finds a place. QoS 0 needs none. */
  admits(qos: QoS): boolean {
    return qos === 0 || (this.#inflight < this.#window && (qos === 1 || this.#inflightQoS2 < this.#windowQoS2))
  }

  /** Takes a place on this connection. */
  occupy(message: OutboundMessage, now: number): void {
    message.connection = this.#core.connection
    this.#core.poison.sent(message, now)
    this.#inflight++
    if (message.request.qos === 2) this.#inflightQoS2++
  }

  /** Frees the place of a message. A message that was sent only on an earlier connection has none. */
  vacate(message: OutboundMessage): void {
    if (message.connection !== this.#core.connection) return
    this.#core.poison.answered(message)
    this.#inflight--
    if (message.request.qos === 2) this.#inflightQoS2--
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      inflight: this.#inflight,
      inflightQoS2: this.#inflightQoS2,
      window: this.#window,
      windowQoS2: this.#windowQoS2
    }
  }

  set privateState(state) {
    this.#inflight = state.inflight
    this.#inflightQoS2 = state.inflightQoS2
    this.#window = state.window
    this.#windowQoS2 = state.windowQoS2
  }
}
