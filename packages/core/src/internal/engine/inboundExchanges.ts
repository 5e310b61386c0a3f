/**
 * The QoS 2 packet identifiers that the server has not released with PUBREL (MQTT 4.3.3), and their records. It sends
 * nothing. The parts of the receiver call it.
 */
import { inboundKey, type InboundRecord } from "../../StoreRecord.ts"
import type { EngineCore } from "./core.ts"
import { Exchange } from "./inboundDelivery.ts"
import type { ReceiveWindow } from "./receiveWindow.ts"

export class InboundExchanges {
  readonly #core: EngineCore
  readonly #window: ReceiveWindow
  // Made with the first identifier, because many sessions never get QoS 2.
  #exchanges: Map<number, Exchange> | undefined
  #uses = 0

  constructor(core: EngineCore, window: ReceiveWindow) {
    this.#core = core
    this.#window = window
  }

  get size(): number {
    return this.#exchanges?.size ?? 0
  }

  /** There are restored packet identifiers that the server has not mentioned since. */
  get hasRestored(): boolean {
    for (const { isRestored } of this.values()) if (isRestored) return true
    return false
  }

  get(packetIdentifier: number): Exchange | undefined {
    return this.#exchanges?.get(packetIdentifier)
  }

  values(): Iterable<Exchange> {
    return this.#exchanges?.values() ?? []
  }

  restore(records: ReadonlyArray<InboundRecord>): void {
    for (const { acknowledged, finished, packetIdentifier, use } of records) {
      const exchange = new Exchange(packetIdentifier, use === "" ? this.#nextUse() : use)
      exchange.isDone = acknowledged
      if (finished.length > 0) exchange.finished = [...finished]
      this.#exchanges ??= new Map()
      exchange.isRestored = true
      this.#exchanges.set(packetIdentifier, exchange)
    }
  }

  /** The server may have lost the session without the client knowing. */
  doubt(): void {
    for (const exchange of this.values()) exchange.isRestored = true
  }

  /** The first PUBLISH under a packet identifier. */
  begin(packetIdentifier: number): Exchange {
    const exchange = new Exchange(packetIdentifier, this.#nextUse())
    exchange.connection = this.#core.connection
    this.#exchanges ??= new Map()
    this.#exchanges.set(packetIdentifier, exchange)
    return exchange
  }

  put({ finished, isDone, packetIdentifier, use }: Exchange): void {
    if (!this.#core.options.durable) return
    this.#core.put({
      _tag: "Inbound",
      packetIdentifier,
      acknowledged: isDone,
      use,
      finished: isDone ? [] : finished ?? []
    })
  }

  /** The packet identifier is free again. */
  end(exchange: Exchange): void {
    exchange.isReleased = true
    this.#exchanges?.delete(exchange.packetIdentifier)
    if (exchange.connection === this.#core.connection) this.#window.vacate()
    if (this.#core.options.durable) {
      this.#core.delete(inboundKey(exchange.packetIdentifier))
      this.#core.emit({ _tag: "InboundReleased", packetIdentifier: exchange.packetIdentifier })
    }
  }

  /** The server has no session, hence knows no packet identifier. */
  sessionLost(): void {
    for (const exchange of this.values()) {
      exchange.isReleased = true
      if (this.#core.options.durable) this.#core.delete(inboundKey(exchange.packetIdentifier))
    }
    this.#exchanges = undefined
  }

  #nextUse(): string {
    return `${this.#core.options.life}.${(this.#uses++).toString(36)}`
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { exchanges: this.#exchanges, uses: this.#uses }
  }

  set privateState(state) {
    this.#exchanges = state.exchanges
    this.#uses = state.uses
  }
}
