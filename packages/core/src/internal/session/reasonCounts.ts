/**
 * Counts by the reason of an error.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { ReasonCounts } from "../../SessionStatus.ts"

/** Counts by reason; a key is added with its first error. */
export type Reasons = { -readonly [Reason in keyof ReasonCounts]: number }

/** Answers the counts, which are made with the first error: most sessions have none. */
export const countReason = (
  reasons: Reasons | undefined,
  reason: MqttErrorReason["_tag"],
  count = 1
): Reasons => {
  const counts = reasons ?? {}
  counts[reason] = (counts[reason] ?? 0) + count
  return counts
}
