/**
 * Counts the packets that `Withhold` faults hold back, and finds the faults that hold as many as they may. It holds no
 * packet itself: the connections and the core do. `hub.ts` calls it.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import type { ActiveFault } from "./faultTable.ts"

/** A fault that holds as many packets of a connection as it may. */
export interface FullFault {
  readonly connection: number
  readonly by: ActiveFault
}

export class Withheld {
  #heldBy = new WeakMap<Packet, ActiveFault>()
  #full: Array<FullFault> = []

  /** An acknowledgement that the core holds back. */
  hold(packet: Packet, by: ActiveFault, connection: number): void {
    this.#heldBy.set(packet, by)
    this.count(by, connection)
  }

  /** The fault that holds an acknowledgement. */
  holderOf(packet: Packet): ActiveFault | undefined {
    return this.#heldBy.get(packet)
  }

  /** The fault holds one more packet of this connection. */
  count(by: ActiveFault, connection: number): void {
    by.held++
    const { action } = by.fault
    if (action._tag === "Withhold" && by.held >= action.count) {
      by.held = 0
      this.#full.push({ connection, by })
    }
  }

  takeFull(): ReadonlyArray<FullFault> {
    return this.#full.splice(0)
  }

  clear(): void {
    this.#full = []
  }
}
