/**
 * The types of the scripted broker's faults. `Fault` exports them.
 */
import type { Packet, Tag } from "@effect-mqttx/core/Packet"
import type * as Duration from "effect/Duration"
import type { Direction } from "../../PacketRecord.ts"

/**
 * Selects the packets that a fault applies to. Absent fields match everything.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PacketMatch {
  /** `received` by the broker, or `sent` by it. */
  readonly direction?: Direction
  /** The type of the packet, or several. */
  readonly packet?: Tag | ReadonlyArray<Tag>
  /** The client identifier. */
  readonly clientId?: string
  /** The number of a connection, or `next`: the first one that is opened after the fault was injected. */
  readonly connection?: number | "next"
  /** Applies from the n-th matching packet on, counted from 1 since the fault was injected. */
  readonly nth?: number
  /** Any other condition. */
  readonly where?: (packet: Packet) => boolean
  /** Between 0 and 1, drawn from the broker's seeded generator. */
  readonly probability?: number
}

/**
 * What happens to a packet.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
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
 * The order in which withheld packets are sent.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ReleaseOrder = "original" | "reverse" | "shuffle"

/**
 * A fault, for `ScriptedBroker`'s `inject`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Fault {
  /** The packets that it applies to. */
  readonly match: PacketMatch
  /** What happens to them. */
  readonly action: FaultAction
  /** The number of packets that it applies to before it is removed; Infinity: no limit. */
  readonly times: number
}
