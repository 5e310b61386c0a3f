/**
 * The functions of `Topic`: validation, matching, captures and overlap of topic names and topic filters (MQTT 4.7) and
 * of shared subscriptions (MQTT 4.8.2). Modules of the library import them from here, because `Topic` also exports
 * templates, which are built on them.
 */
import * as Result from "effect/Result"
import { InvalidFilter, InvalidTopic } from "../MqttError.ts"
import { type Fault, findFault } from "./utf8String.ts"
import { kindOf } from "./valueNames.ts"

const slash = 0x2f
const plus = 0x2b
const hash = 0x23
const dollar = 0x24

const sharePrefix = "$share/"

const findTextFault = (text: string, wildcards: "allowed" | "forbidden"): Fault | undefined =>
  text === "" ? { offset: 0, detail: "empty" } : typeof text === "string" ? findFault(text, wildcards) : noText(text)

// Programs without types may pass topics of any type.
const noText = (value: unknown): Fault => ({ offset: 0, detail: `expected a text, got ${kindOf(value)}` })

const findShareFault = (filter: string): Fault | undefined => {
  for (let i = sharePrefix.length; i < filter.length; i++) {
    const unit = filter.charCodeAt(i)
    if (unit === plus || unit === hash) {
      return { offset: i, detail: "wildcard in the share name" }
    }
    if (unit === slash) {
      if (i === sharePrefix.length) {
        return { offset: i, detail: "empty share name" }
      }
      return i + 1 === filter.length ? { offset: i + 1, detail: "no topic filter behind the share name" } : undefined
    }
  }
  return filter.length === sharePrefix.length
    ? { offset: filter.length, detail: "empty share name" }
    : { offset: filter.length, detail: "no topic filter behind the share name" }
}

const findFilterFault = (filter: string): Fault | undefined => {
  const fault = findTextFault(filter, "allowed") ?? (isShared(filter) ? findShareFault(filter) : undefined)
  if (fault !== undefined) {
    return fault
  }
  const start = innerStart(filter)
  const last = filter.length - 1
  for (let i = start; i <= last; i++) {
    const unit = filter.charCodeAt(i)
    if (unit !== plus && unit !== hash) {
      continue
    }
    const opens = i === start || filter.charCodeAt(i - 1) === slash
    if (unit === hash && (!opens || i !== last)) {
      return { offset: i, detail: "# that is not alone in the last level" }
    }
    if (!opens || (i !== last && filter.charCodeAt(i + 1) !== slash)) {
      return { offset: i, detail: "+ that does not fill its level" }
    }
  }
  return undefined
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

/**
 * Checks a topic name to publish to: at least one character, at most 65,535 bytes in UTF-8, no wildcard, no null
 * character, no lone surrogate (MQTT 4.7.1, 4.7.3).
 *
 * @stability stable
 * @category validation
 * @since 0.1.0
 */
export const validateName = (topic: string): Result.Result<string, InvalidTopic> => {
  const fault = findTextFault(topic, "forbidden")
  return fault === undefined ? Result.succeed(topic) : Result.fail(new InvalidTopic({ topic: textOf(topic), ...fault }))
}

/**
 * Whether `validateName` would succeed, for hot paths.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isValidName = (topic: string): boolean => findTextFault(topic, "forbidden") === undefined

/**
 * Checks a topic filter. The rules are those of a topic name, but `+` may fill a level and `#` the last one (MQTT
 * 4.7.1). A filter that begins with `$share/` is a shared subscription, `$share/name/filter`, whose name contains
 * neither `/` nor wildcards (MQTT 4.8.2). The common 3.1.1 servers read it in the same way.
 *
 * @stability stable
 * @category validation
 * @since 0.1.0
 */
export const validateFilter = (filter: string): Result.Result<string, InvalidFilter> => {
  const fault = findFilterFault(filter)
  return fault === undefined
    ? Result.succeed(filter)
    : Result.fail(new InvalidFilter({ filter: textOf(filter), ...fault }))
}

/**
 * Whether `validateFilter` would succeed.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isValidFilter = (filter: string): boolean => findFilterFault(filter) === undefined

/**
 * Whether a filter is that of a shared subscription (MQTT 4.8.2).
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isShared = (filter: string): boolean => typeof filter === "string" && filter.startsWith(sharePrefix)

/**
 * The share name of a shared subscription and its inner filter; undefined for other filters and for malformed ones.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const parseShared = (filter: string): { readonly group: string; readonly filter: string } | undefined => {
  if (!isShared(filter) || findShareFault(filter) !== undefined) {
    return undefined
  }
  const start = innerStart(filter)
  return { group: filter.slice(sharePrefix.length, start - 1), filter: filter.slice(start) }
}

/**
 * The filter that decides which messages match: the inner filter of a shared subscription, otherwise the filter itself.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const innerFilter = (filter: string): string => {
  const start = innerStart(filter)
  return start === 0 ? filter : filter.slice(start)
}

const innerStart = (filter: string): number => isShared(filter) ? filter.indexOf("/", sharePrefix.length) + 1 : 0

/** See `Topic.matches`. */
export const matches = (filter: string, topic: string): boolean => {
  // Compares code units without splitting levels: without a tree this runs for each message and subscription.
  let f = innerStart(filter)
  let t = 0
  const filterEnd = filter.length
  const topicEnd = topic.length
  if (topic.charCodeAt(0) === dollar && (filter.charCodeAt(f) === plus || filter.charCodeAt(f) === hash)) {
    return false
  }
  for (;;) {
    const first = filter.charCodeAt(f)
    if (first === hash && f + 1 === filterEnd) {
      return true
    }
    if (first === plus) {
      f++
      while (t < topicEnd && topic.charCodeAt(t) !== slash) {
        t++
      }
    } else {
      for (; f < filterEnd; f++, t++) {
        const unit = filter.charCodeAt(f)
        if (unit === slash) {
          break
        }
        if (t === topicEnd || topic.charCodeAt(t) !== unit) {
          return false
        }
      }
      if (t < topicEnd && topic.charCodeAt(t) !== slash) {
        return false
      }
    }
    if (f === filterEnd) {
      return t === topicEnd
    }
    if (t === topicEnd) {
      // "a/#" matches its parent "a" as well.
      return f + 2 === filterEnd && filter.charCodeAt(f + 1) === hash
    }
    f++
    t++
  }
}

/** See `Topic.captures`. */
export const captures = (filter: string, topic: string): ReadonlyArray<string> | undefined => {
  if (!matches(filter, topic)) {
    return undefined
  }
  const captured: Array<string> = []
  let start = 0
  for (const level of innerFilter(filter).split("/")) {
    if (level === "#") {
      captured.push(topic.slice(start))
      break
    }
    const end = topic.indexOf("/", start)
    if (level === "+") {
      captured.push(end === -1 ? topic.slice(start) : topic.slice(start, end))
    }
    start = end === -1 ? topic.length : end + 1
  }
  return captured
}

/** See `Topic.overlaps`. */
export const overlaps = (filterA: string, filterB: string): boolean => {
  const a = innerFilter(filterA).split("/")
  const b = innerFilter(filterB).split("/")
  if ((isWildcard(a[0]) && b[0]?.startsWith("$") === true) || (isWildcard(b[0]) && a[0]?.startsWith("$") === true)) {
    return false
  }
  for (let i = 0;; i++) {
    const levelA = a[i]
    const levelB = b[i]
    if (levelA === "#" || levelB === "#") {
      return true
    }
    if (levelA === undefined || levelB === undefined) {
      return levelA === levelB
    }
    if (levelA !== "+" && levelB !== "+" && levelA !== levelB) {
      return false
    }
  }
}

const isWildcard = (level: string | undefined): boolean => level === "+" || level === "#"
