/**
 * Topic names and topic filters (MQTT 4.7) and shared subscriptions (MQTT 4.8.2): validation, matching, captures,
 * overlap.
 *
 * Names and filters are compared code unit by code unit, without normalisation. All characters that MQTT allows are
 * accepted, including the control characters and non-characters that it merely advises against (MQTT 1.5.4). The null
 * character and lone surrogates are refused.
 *
 * The checks accept values of any type, and refuse values that are not strings. Matching expects a valid filter and
 * name, and throws a TypeError for other types. Offsets count UTF-16 code units, as `String.charAt` does.
 */
import { dual } from "effect/Function"
import * as Topics from "./internal/topics.ts"

export {
  innerFilter,
  isShared,
  isValidFilter,
  isValidName,
  parseShared,
  validateFilter,
  validateName
} from "./internal/topics.ts"
export { make as template } from "./TopicTemplate.ts"

/**
 * Whether a topic name matches a topic filter (MQTT 4.7). A filter that begins with a wildcard does not match a name
 * that begins with `$` (MQTT 4.7.2). A shared subscription matches by its inner filter.
 *
 * **Example** (Matching a topic name)
 *
 * ```ts
 * import { Topic } from "@effect-mqttx/core"
 *
 * Topic.matches("sensors/+/temperature", "sensors/room1/temperature") // => true
 *
 * const filters = ["sensors/#", "alarms/#"]
 * filters.filter(Topic.matches("sensors/room1/temperature")) // => ["sensors/#"]
 * ```
 *
 * @stability stable
 * @category matching
 * @since 0.1.0
 */
export const matches: {
  (topic: string): (filter: string) => boolean
  (filter: string, topic: string): boolean
} = dual(2, Topics.matches)

/**
 * The parts of a topic name that the wildcards of a filter match: one string for each `+`, and for `#` the rest of the
 * name, which is `""` for the parent level. Undefined when the name does not match.
 *
 * **Example** (Reading the levels of a topic name)
 *
 * ```ts
 * import { Topic } from "@effect-mqttx/core"
 *
 * Topic.captures("sensors/+/#", "sensors/room1/temperature/max") // => ["room1", "temperature/max"]
 * ```
 *
 * @stability stable
 * @category matching
 * @since 0.1.0
 */
export const captures: {
  (topic: string): (filter: string) => ReadonlyArray<string> | undefined
  (filter: string, topic: string): ReadonlyArray<string> | undefined
} = dual(2, Topics.captures)

/**
 * Whether there is a topic name that both filters match.
 *
 * **Example** (Comparing topic filters)
 *
 * ```ts
 * import { Topic } from "@effect-mqttx/core"
 *
 * Topic.overlaps("sensors/+/temperature", "sensors/room1/#") // => true
 * Topic.overlaps("sensors/+/temperature", "sensors/+/humidity") // => false
 * ```
 *
 * @stability stable
 * @category matching
 * @since 0.1.0
 */
export const overlaps: {
  (that: string): (self: string) => boolean
  (self: string, that: string): boolean
} = dual(2, Topics.overlaps)
