/**
 * Decides whether what a forwarder writes can come back to it. Works on sets of topics, each written as topic filters.
 *
 * All answers err on one side: an image may be larger than the real result of a rule, never smaller.
 */
import { isParent, type Piece } from "../captureTemplate.ts"
import * as Topic from "../topics.ts"
import type { CompiledRule } from "./mapping.ts"

const isWildcard = (level: string): boolean => level === "+" || level === "#"

/** Whether every topic that the second filter matches is matched by the first one. */
export const covers = (wide: string, narrow: string): boolean => {
  const a = Topic.innerFilter(wide).split("/")
  const b = Topic.innerFilter(narrow).split("/")
  // Filters that begin with a wildcard do not match the server's own topics (MQTT 4.7.2).
  if (isWildcard(a[0]!) && b[0]!.startsWith("$")) return false
  for (let i = 0;; i++) {
    const levelA = a[i]
    const levelB = b[i]
    if (levelA === "#") return true
    if (levelA === undefined || levelB === undefined) return levelA === levelB
    if (levelB === "#" || (levelA !== "+" && levelA !== levelB)) return false
  }
}

/** Removes the filters that another one covers: on MQTT 3.1.1 some servers send a copy for each. */
export const withoutCovered = (filters: ReadonlyArray<string>): ReadonlyArray<string> =>
  filters.filter((filter, index) =>
    !filters.some((other, at) => at !== index && covers(other, filter) && (at < index || !covers(filter, other)))
  )

/** The filter that matches the topics that both filters match; undefined when there are none. */
export const intersect = (filterA: string, filterB: string): string | undefined => {
  if (!Topic.overlaps(filterA, filterB)) return undefined
  const a = Topic.innerFilter(filterA).split("/")
  const b = Topic.innerFilter(filterB).split("/")
  const levels: Array<string> = []
  for (let i = 0;; i++) {
    const levelA = a[i]
    const levelB = b[i]
    if (levelA === "#") return levels.concat(b.slice(i)).join("/")
    if (levelB === "#") return levels.concat(a.slice(i)).join("/")
    if (levelA === undefined || levelB === undefined) return levels.join("/")
    levels.push(levelA === "+" ? levelB : levelA)
  }
}

/**
 * The topics that a rule makes of those that a filter matches, as a filter; undefined when the rule matches none of
 * them.
 */
export const imageOf = (rule: CompiledRule, source: string): string | undefined => {
  if (rule._tag === "Prefix") return prefixImage(rule, Topic.innerFilter(source))
  const domain = intersect(rule.filter, source)
  if (domain === undefined) return undefined
  const captured = capturesOf(rule.filter, domain)
  // A domain with more topics than the parent has a wildcard at its end, and its image there covers that of the parent.
  const pieces = isParent(rule.filter, domain) ? rule.parentPieces : rule.pieces
  return joinPieces(
    pieces.map((piece: Piece) =>
      piece._tag === "Text" ? [piece.text] : piece._tag === "Whole" ? patternOf(domain) : captured[piece.index]!
    )
  )
}

/** A string with holes: one level of any text; any levels; or nothing, or a slash and any levels. */
type Pattern = ReadonlyArray<string | typeof anyLevel | typeof anyRest | typeof anyTail>
const anyLevel = Symbol("anyLevel")
const anyRest = Symbol("anyRest")
const anyTail = Symbol("anyTail")

const patternOf = (filter: string): Pattern => {
  const pattern: Array<Pattern[number]> = []
  const levels = filter.split("/")
  for (let i = 0; i < levels.length; i++) {
    // The rest of "a/#" may be missing together with its slash.
    if (levels[i] === "#") return [...pattern, i === 0 ? anyRest : anyTail]
    if (i > 0) pattern.push("/")
    pattern.push(levels[i] === "+" ? anyLevel : levels[i]!)
  }
  return pattern
}

/** What each wildcard of a rule's filter can match among the topics of a narrower filter. */
const capturesOf = (filter: string, domain: string): ReadonlyArray<Pattern> => {
  const captures: Array<Pattern> = []
  const domainLevels = domain.split("/")
  filter.split("/").forEach((level, i) => {
    if (level === "#") captures.push(i >= domainLevels.length ? [""] : patternOf(domainLevels.slice(i).join("/")))
    else if (level === "+") captures.push([domainLevels[i] === "+" ? anyLevel : domainLevels[i] ?? ""])
  })
  return captures
}

/**
 * Converts a string with holes to a filter: a level with a hole becomes `+`, and everything after a hole of several
 * levels becomes `#`.
 */
const joinPieces = (patterns: ReadonlyArray<Pattern>): string => {
  const levels: Array<string> = [""]
  const parts = patterns.flat()
  let open = false
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!
    if (part === anyTail && i === parts.length - 1) return [...levels, "#"].join("/")
    if (part === anyTail || part === anyRest) {
      // It may continue in the level that has begun.
      const begun = part === anyTail || open || levels.at(-1) !== ""
      return [...levels.slice(0, -1), ...(begun ? ["+", "#"] : ["#"])].join("/")
    }
    if (part === anyLevel) {
      open = true
      levels[levels.length - 1] = "+"
      continue
    }
    part.split("/").forEach((text, i) => {
      if (i > 0) {
        levels.push("")
        open = false
      }
      if (!open) levels[levels.length - 1] += text
    })
  }
  return levels.join("/")
}

const prefixImage = (
  { add, strip }: { readonly strip: string; readonly add: string },
  source: string
): string | undefined => {
  // Compares whole levels, and counts the level in which the prefix ends as matching. That can only enlarge the image.
  const whole = strip.slice(0, strip.lastIndexOf("/") + 1)
  if (strip === "") return source.startsWith("$") ? undefined : joinPieces([[add], patternOf(source)])
  if (whole !== strip) {
    const reached = whole === "" && strip.startsWith("$") ? source.startsWith("$") : Topic.overlaps(`${whole}#`, source)
    return reached ? joinPieces([[add], [anyRest]]) : undefined
  }
  const domain = intersect(`${whole}#`, source)
  if (domain === undefined) return undefined
  const depth = whole.split("/").length - 1
  const rest = domain.split("/").slice(depth)
  // "a/#" matches "a" too, which does not begin with "a/".
  return rest.length === 0 ? undefined : joinPieces([[add], patternOf(rest.join("/"))])
}

/**
 * The parts of a mapping that the decision needs.
 */
export interface ImageSource {
  readonly filters: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
  readonly rules: ReadonlyArray<CompiledRule>
  /** Topics that no rule matches pass unchanged. */
  readonly pass: boolean
  /** Code decides about topics that no rule matches: they may become any topic. */
  readonly isOpen: boolean
}

/** The part of a filter's topics that no rule matches; undefined when that is empty. */
const unmapped = (filter: string, rules: ReadonlyArray<CompiledRule>): string | undefined => {
  let rest = filter
  for (const rule of rules) {
    if (rule._tag === "Template") {
      if (covers(rule.filter, rest)) return undefined
    } else if (rule.strip === "") {
      if (!rest.startsWith("$")) return undefined
    } else if (rule.strip.endsWith("/") && covers(`${rule.strip}#`, rest)) {
      // The filter "a/#" matches "a" as well, and the prefix "a/" does not.
      const parent = rule.strip.slice(0, -1)
      if (!Topic.matches(rest, parent)) return undefined
      rest = parent
    }
  }
  return rest
}

/** Filters that together match every topic that the forwarder can write. */
export const images = ({ filters, isOpen, pass, rules }: ImageSource): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const filter of filters.map(Topic.innerFilter)) {
    for (const rule of rules) {
      const image = imageOf(rule, filter)
      if (image !== undefined) found.push(image)
    }
    const rest = unmapped(filter, rules)
    if (rest === undefined) continue
    if (isOpen) found.push("#")
    else if (pass) found.push(rest)
  }
  return found
}

/**
 * A filter of the source that can match what the forwarder writes, and the image that it matches; undefined when
 * nothing can come back.
 */
export const findLoop = (source: ImageSource): { readonly filter: string; readonly image: string } | undefined => {
  const { exclude, filters } = source
  for (const image of images(source)) {
    for (const filter of filters) {
      const back = intersect(filter, image)
      if (back !== undefined && !exclude.some((each) => covers(each, back))) return { filter, image }
    }
  }
  return undefined
}
