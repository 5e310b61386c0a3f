/**
 * Cuts connections at random packet boundaries and inside packets.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import type { Direction } from "../../PacketRecord.ts"
import type { HubConnection } from "./connection.ts"
import type { FaultAction } from "./fault.ts"
import { makeRandom } from "./random.ts"

export interface CutterOptions {
  readonly seed: number
  readonly minimum: number
  readonly maximum: number
  readonly limit: number
  readonly handshake: boolean
  readonly clientId: string | undefined
}

export interface Cutter {
  readonly cuts: () => number
  /** The action for this packet, if the connection is cut here. */
  readonly onPacket: (connection: HubConnection, direction: Direction, packet: Packet) => FaultAction | undefined
}

const received: ReadonlyArray<FaultAction> = [
  { _tag: "DropBefore", reset: false },
  { _tag: "DropAfter", reset: false }
]
const sent: ReadonlyArray<FaultAction> = [
  { _tag: "DropBefore", reset: false },
  { _tag: "DropAfter", reset: false },
  { _tag: "CutInside", bytes: undefined, reset: false }
]

export const makeCutter = (options: CutterOptions): Cutter => {
  const random = makeRandom(options.seed)
  let cuts = 0
  return {
    cuts: () => cuts,
    onPacket: (connection, direction, packet) => {
      if (cuts >= options.limit) return undefined
      if (options.clientId !== undefined && options.clientId !== connection.clientId) return undefined
      if (!options.handshake && (packet._tag === "Connect" || packet._tag === "Connack")) return undefined
      // A DISCONNECT of the client is an orderly end, so there is no cut at it.
      if (packet._tag === "Disconnect") return undefined
      connection.untilCut ??= random.between(options.minimum, options.maximum)
      if (--connection.untilCut > 0) return undefined
      cuts++
      const actions = direction === "received" ? received : sent
      return actions[random.between(0, actions.length - 1)]
    }
  }
}
