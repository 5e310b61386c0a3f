/**
 * A fault that the scripted broker commits; Fault exports it.
 */
import type { Packet, Tag } from "@effect-mqttx/core/Packet"
import type * as Duration from "effect/Duration"
import type { Direction } from "../../PacketRecord.ts"

/**
 * Which packets a fault hits. Absent fields match everything.
 */
export interface PacketMatch {
  /** `received` by the broker, or `sent` by it. */
  readonly direction?: Direction
  readonly packet?: Tag | ReadonlyArray<Tag>
  readonly clientId?: string
  /** A connection's number, or `next`: the first one that is opened after the fault was injected. */
  readonly connection?: number | "next"
  /** Only from the n-th matching packet on, counted from 1 since the fault was injected. */
  readonly nth?: number
  readonly where?: (packet: Packet) => boolean
  /** Between 0 and 1, drawn from the broker's seeded generator. */
  readonly probability?: number
}

/**
 * What happens to a packet.
 */
export type FaultAction =
  | { readonly _tag: "DropBefore"; readonly reset: boolean }
  | { readonly _tag: "DropAfter"; readonly reset: boolean }
  | { readonly _tag: "CutInside"; readonly bytes: number | undefined; readonly reset: boolean }
  | { readonly _tag: "Delay"; readonly duration: Duration.Duration }
  | { readonly _tag: "Duplicate"; readonly copies: number }
  | { readonly _tag: "Discard" }
  | { readonly _tag: "Withhold"; readonly count: number; readonly order: ReleaseOrder }
  | { readonly _tag: "Replace"; readonly by: (packet: Packet) => ReadonlyArray<Packet> }
  | { readonly _tag: "SendRaw"; readonly bytes: Uint8Array; readonly instead: boolean }
  | { readonly _tag: "GoSilent" }
  | { readonly _tag: "StopReading" }

/**
 * In which order withheld packets go out.
 */
export type ReleaseOrder = "original" | "reverse" | "shuffle"

/**
 * A fault: to be given to `ScriptedBroker`'s `inject`.
 */
export interface Fault {
  readonly match: PacketMatch
  readonly action: FaultAction
  /** How many packets it hits before it is over; Infinity: until it is removed. */
  readonly times: number
}
