/**
 * Topic templates as strings: converts `sensors/:room/temperature` to a topic filter, to topic names, and back to the
 * parameters.
 */
import * as Result from "effect/Result"
import { InvalidFilter, InvalidTopic } from "../MqttError.ts"
import { findFault } from "./utf8String.ts"
import { kindOf, nameOf } from "./valueNames.ts"

/** One level: literal text, or a parameter that stands for one level (`level`) or for all that follow (`rest`). */
export interface Level {
  readonly text: string
  readonly parameter: "level" | "rest" | undefined
}

export interface Pattern {
  readonly levels: ReadonlyArray<Level>
  readonly filter: string
  readonly names: ReadonlyArray<string>
}

/** Parameters as strings, as in a topic. */
export type Texts = { readonly [name: string]: string }

const nameOfParameter = /^[A-Za-z][A-Za-z0-9_]*$/

const issueAt = (path: string, offset: number, detail: string): Result.Result<never, InvalidFilter> =>
  Result.fail(new InvalidFilter({ filter: path, offset, detail }))

export const parsePattern = (path: string): Result.Result<Pattern, InvalidFilter> => {
  if (typeof path !== "string") return issueAt("", 0, `expected a text, got ${kindOf(path)}`)
  if (path === "") return issueAt(path, 0, "empty")
  if (path.startsWith("$share/")) return issueAt(path, 0, "a share name belongs to the subscription")
  const fault = findFault(path, "allowed")
  if (fault !== undefined) return issueAt(path, fault.offset, fault.detail)
  const levels: Array<Level> = []
  const names: Array<string> = []
  const texts = path.split("/")
  let offset = 0
  for (const text of texts) {
    const wildcard = text.search(/[+#]/)
    if (wildcard !== -1) return issueAt(path, offset + wildcard, "wildcard: use :name, or *name for the rest")
    if (text.startsWith(":") || text.startsWith("*")) {
      const name = text.slice(1)
      if (!nameOfParameter.test(name)) {
        return issueAt(path, offset, "the name of a parameter is a letter, then letters, digits and _")
      }
      if (names.includes(name)) return issueAt(path, offset, `there are two parameters ${name}`)
      const rest = text.startsWith("*")
      if (rest && levels.length + 1 !== texts.length) {
        return issueAt(path, offset, `*${name} is not the last level`)
      }
      names.push(name)
      levels.push({ text: name, parameter: rest ? "rest" : "level" })
    } else {
      levels.push({ text, parameter: undefined })
    }
    offset += text.length + 1
  }
  return Result.succeed({
    levels,
    names,
    filter: levels.map(({ parameter, text }) => parameter === undefined ? text : parameter === "rest" ? "#" : "+").join(
      "/"
    )
  })
}

/**
 * A topic name; with `partial`, a topic filter with wildcards for absent parameters.
 */
export const formatPattern = (
  pattern: Pattern,
  texts: { readonly [name: string]: string | undefined },
  partial: boolean
): Result.Result<string, InvalidTopic> => {
  const { levels } = pattern
  const parts: Array<string> = []
  let offset = 0
  for (let i = 0; i < levels.length; i++) {
    const { parameter, text } = levels[i]!
    if (parameter === undefined) {
      parts.push(text)
      offset += text.length + 1
      continue
    }
    const value = Object.hasOwn(texts, text) ? texts[text] : undefined
    if (value === undefined && partial) {
      parts.push(parameter === "rest" ? "#" : "+")
      offset += 2
      continue
    }
    const rest = parameter === "rest"
    const fault = typeof value !== "string" ? { offset: 0, detail: "missing" } : faultOf(value, rest, i === 0)
    if (fault !== undefined) {
      return Result.fail(
        new InvalidTopic({
          topic: [...parts, nameOf(value)].join("/"),
          offset: offset + fault.offset,
          detail: `the parameter ${text}: ${fault.detail}`
        })
      )
    }
    // The rest may be empty: "a/#" matches "a" as well.
    if (value !== "") parts.push(value!)
    offset += value!.length + 1
  }
  const topic = parts.join("/")
  // Each part is short enough by itself, but all of them together may be too long.
  const fault = topic === "" ? { offset: 0, detail: "empty" } : findFault(topic, "allowed")
  return fault === undefined ? Result.succeed(topic) : Result.fail(new InvalidTopic({ topic, ...fault }))
}

const faultOf = (
  value: string,
  rest: boolean,
  first: boolean
): { readonly offset: number; readonly detail: string } | undefined => {
  if (!rest && value === "") return { offset: 0, detail: "empty" }
  if (!rest) {
    const slash = value.indexOf("/")
    if (slash !== -1) return { offset: slash, detail: "/ in one level" }
  }
  // The filter begins with a wildcard there, which does not match such names (MQTT 4.7.2).
  if (first && value.startsWith("$")) return { offset: 0, detail: "$ at the begin of the topic" }
  return findFault(value, "forbidden")
}

/**
 * The parameters of a topic name; undefined for a name that `formatPattern` cannot make.
 */
export const matchPattern = (pattern: Pattern, topic: string): Texts | undefined => {
  if (typeof topic !== "string") return undefined
  // Walks over the topic instead of splitting it, because this runs for each message.
  const { levels } = pattern
  const texts: Record<string, string> = {}
  const length = topic.length
  let start = 0
  for (let i = 0; i < levels.length; i++) {
    const { parameter, text } = levels[i]!
    if (parameter === "rest") {
      if (start > length) {
        texts[text] = ""
        return texts
      }
      if (start === length || (i === 0 && topic.startsWith("$"))) return undefined
      texts[text] = topic.slice(start)
      return texts
    }
    if (start > length) return undefined
    const slash = topic.indexOf("/", start)
    const end = slash === -1 ? length : slash
    if (parameter === undefined) {
      if (end - start !== text.length || !topic.startsWith(text, start)) return undefined
    } else {
      if (end === start || (i === 0 && topic.startsWith("$"))) return undefined
      texts[text] = topic.slice(start, end)
    }
    start = end + 1
  }
  return start > length ? texts : undefined
}

/**
 * The topic filter of a shared subscription (MQTT 4.8.2).
 */
export const sharedFilter = (group: string, filter: string): Result.Result<string, InvalidFilter> => {
  if (typeof group !== "string") return issueAt(filter, 0, `expected a share name, got ${kindOf(group)}`)
  const shared = `$share/${group}/${filter}`
  const fault = group === "" ? 0 : group.search(/[+#/]/)
  if (fault !== -1) {
    return issueAt(
      shared,
      "$share/".length + fault,
      group === "" ? "empty share name" : "/ or wildcard in the share name"
    )
  }
  const unencodable = findFault(shared, "allowed")
  return unencodable === undefined ? Result.succeed(shared) : issueAt(shared, unencodable.offset, unencodable.detail)
}
