/**
 * The outcome of a forwarded message. It is the only thing that a stage of a forwarder reports: every stage hands a
 * message to the next stage, or its outcome to `settlement.ts`.
 */
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { MqttErrorReason } from "../../MqttError.ts"
import type { Published, Received, Settled } from "./forwardedMessage.ts"

export interface Forwarded {
  readonly _tag: "Forwarded"
}

/**
 * `Forwarded`: the target's server has acknowledged it, or the durable queue of the target has stored it. `Duplicate`:
 * the target already has it, and nothing is published. `Filtered`: it does not pass the filters of the options.
 * `Returned`: the server will deliver it again. `Refused`: the target does not take it. `Failed`: the program's code
 * failed.
 */
export type Outcome =
  | Forwarded
  | { readonly _tag: "Duplicate" }
  | { readonly _tag: "Filtered" }
  | { readonly _tag: "Returned" }
  | { readonly _tag: "Dropped"; readonly reason: keyof ForwarderDrops }
  | { readonly _tag: "Refused"; readonly reason: MqttErrorReason }
  | { readonly _tag: "Failed"; readonly detail: string; readonly cause: unknown }

export interface Settle {
  (message: Received | Settled, outcome: Outcome): void
  /** The durable queue of the target has stored the message, and goes on publishing it. */
  (message: Published, outcome: Forwarded): void
}

export const forwarded: Forwarded = { _tag: "Forwarded" }
export const duplicate: Outcome = { _tag: "Duplicate" }
export const filtered: Outcome = { _tag: "Filtered" }
export const returned: Outcome = { _tag: "Returned" }

export const dropped = (reason: keyof ForwarderDrops): Outcome => ({ _tag: "Dropped", reason })
export const refused = (reason: MqttErrorReason): Outcome => ({ _tag: "Refused", reason })
export const failed = (detail: string, cause: unknown): Outcome => ({ _tag: "Failed", detail, cause })
