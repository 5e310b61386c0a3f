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
export * from "./internal/topics.ts"
export { make as template } from "./TopicTemplate.ts"
