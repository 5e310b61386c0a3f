/**
 * Counts by the reason of an error.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { ReasonCounts } from "../../SessionStatus.ts"

/** Counts by reason; a key is added with its first error. */
export type Reasons = { -readonly [Reason in keyof ReasonCounts]: number }

export const countReason = (reasons: Reasons, reason: MqttErrorReason["_tag"], count = 1): void => {
  reasons[reason] = (reasons[reason] ?? 0) + count
}
