/**
 * The grammar of topic filters for SUBSCRIBE and UNSUBSCRIBE (MQTT 4.7.1 and 4.8.2).
 */
import * as Result from "effect/Result"
import type { ProtocolVersion } from "../../QoS.ts"
import * as Topic from "../topics.ts"

/**
 * The problem of a topic filter; undefined: it is valid.
 */
export const filterProblem = (filter: string, version: ProtocolVersion): string | undefined => {
  // 3.1.1 has no shared subscriptions: there `$share` is an ordinary level. Without its first character the filter has
  // the same levels and no such prefix.
  const levels = version === 4 && Topic.isShared(filter) ? filter.slice(1) : filter
  if (Topic.isValidFilter(levels)) {
    return undefined
  }
  const result = Topic.validateFilter(levels)
  return Result.isFailure(result) ? `topic filter "${filter}": ${result.failure.detail}` : undefined
}
