/**
 * The faults in force, and the choice of the fault that applies to a packet.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import type { Direction } from "../../PacketRecord.ts"
import type { Fault, FaultAction } from "./fault.ts"
import type { SeededRandom } from "./random.ts"

export interface ActiveFault {
  readonly fault: Fault
  /** The number of connections when the fault was injected. */
  readonly after: number
  seen: number
  hits: number
  /** For `Withhold`: how many packets are held now, over all connections. */
  held: number
  readonly onHit: Array<() => void>
}

export interface FaultTable {
  readonly isEmpty: () => boolean
  readonly inject: (fault: Fault, lastConnection: number) => ActiveFault
  readonly remove: (active: ActiveFault) => void
  readonly clear: () => void
  /** The first fault that applies, with the hit counted. `only` restricts the kinds of actions. */
  readonly find: (
    direction: Direction,
    connection: number,
    clientId: string,
    packet: Packet,
    only: (action: FaultAction) => boolean
  ) => ActiveFault | undefined
}

export const makeFaultTable = (random: SeededRandom): FaultTable => {
  let faults: Array<ActiveFault> = []
  const matches = (
    active: ActiveFault,
    direction: Direction,
    connection: number,
    clientId: string,
    packet: Packet
  ): boolean => {
    const { match } = active.fault
    if (match.direction !== undefined && match.direction !== direction) return false
    if (match.packet !== undefined) {
      const hit = typeof match.packet === "string" ? match.packet === packet._tag : match.packet.includes(packet._tag)
      if (!hit) return false
    }
    if (match.clientId !== undefined && match.clientId !== clientId) return false
    if (
      match.connection === "next"
        ? connection !== active.after + 1
        : (match.connection ?? connection) !== connection
    ) {
      return false
    }
    return match.where === undefined || match.where(packet)
  }
  return {
    isEmpty: () => faults.length === 0,
    inject: (fault, after) => {
      const active: ActiveFault = { fault, after, seen: 0, hits: 0, held: 0, onHit: [] }
      faults.push(active)
      return active
    },
    remove: (active) => {
      faults = faults.filter((other) => other !== active)
    },
    clear: () => {
      faults = []
    },
    find: (direction, connection, clientId, packet, only) => {
      for (const active of faults) {
        const { action, match, times } = active.fault
        if (!only(action) || !matches(active, direction, connection, clientId, packet)) continue
        active.seen++
        if (match.nth !== undefined && active.seen < match.nth) continue
        if (match.probability !== undefined && random.next() >= match.probability) continue
        active.hits++
        if (active.hits >= times) faults = faults.filter((other) => other !== active)
        for (const listener of active.onHit.splice(0)) listener()
        return active
      }
      return undefined
    }
  }
}
