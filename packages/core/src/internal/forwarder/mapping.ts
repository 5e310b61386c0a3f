/**
 * Maps the topic of a received message to the topic that it is forwarded to.
 */
import * as Result from "effect/Result"
import { InvalidFilter, InvalidOptions, InvalidTopic } from "../../MqttError.ts"
import { type CaptureTemplate, expand, makeTemplate, type Piece } from "../captureTemplate.ts"
import * as Topic from "../topics.ts"
import { findFault } from "../utf8String.ts"

/**
 * A rule as the options write it: from a topic, a filter with wildcards, or a filter with named parameters, to a
 * template; or the replacement of a topic prefix.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type MappingRule =
  | { readonly from: string; readonly to: string }
  | { readonly strip: string; readonly add: string }

export type CompiledRule =
  | CaptureTemplate & { readonly _tag: "Template" }
  | { readonly _tag: "Prefix"; readonly strip: string; readonly add: string }

/**
 * The result of a mapping: a topic; undefined when no rule matches; or `InvalidTopic` when the rule's result is not a
 * valid topic.
 */
export type Mapped = string | undefined | InvalidTopic

const parameter = /^[:*]([A-Za-z][A-Za-z0-9_]*)$/
const placeholder = /\{([^{}]*)\}/g

/**
 * Compiles a rule. Fails with a description of what is wrong with it.
 *
 * `:name` in the filter stands for one level and `*name` at its end for the rest, as `+` and `#` do. In the template
 * `{1}`, `{2}` and so on are replaced by the matches of the wildcards from left to right, `{name}` by the match of a
 * parameter, and `{0}` by the whole topic. When the rest matches no level, a level of the template that consists only
 * of it is left out.
 */
export const compileRule = (rule: MappingRule): Result.Result<CompiledRule, InvalidFilter | InvalidOptions> => {
  if ("strip" in rule) return compilePrefix(rule)
  const names: Array<string | undefined> = []
  const levels = rule.from.split("/").map((level) => {
    const name = parameter.exec(level)?.[1]
    if (name !== undefined) names.push(name)
    else if (level === "+" || level === "#") names.push(undefined)
    return name === undefined ? level : level.startsWith("*") ? "#" : "+"
  })
  const filter = levels.join("/")
  if (Topic.isShared(filter)) return issue("from", "the share belongs to the subscription, not to the mapping")
  const valid = Topic.validateFilter(filter)
  if (Result.isFailure(valid)) return Result.fail(new InvalidFilter({ ...valid.failure, filter: rule.from }))
  const named = names.filter((name) => name !== undefined)
  if (new Set(named).size < named.length) return issue("from", `two parameters of ${rule.from} have the same name`)
  const pieces: Array<Piece> = []
  let end = 0
  for (const match of rule.to.matchAll(placeholder)) {
    if (match.index > end) pieces.push({ _tag: "Text", text: rule.to.slice(end, match.index) })
    end = match.index + match[0].length
    const key = match[1]!
    const index = /^\d+$/.test(key) ? Number(key) - 1 : names.indexOf(key)
    if (key === "0") pieces.push({ _tag: "Whole" })
    else if (index < 0 || index >= names.length) {
      return issue("to", `${match[0]} stands for nothing in ${rule.from}`)
    } else pieces.push({ _tag: "Capture", index })
  }
  if (end < rule.to.length) pieces.push({ _tag: "Text", text: rule.to.slice(end) })
  const texts = pieces.map((piece) => piece._tag === "Text" ? piece.text : "").join("")
  const fault = rule.to === "" ? "is empty" : templateFault(texts, rule.to)
  return fault === undefined
    ? Result.succeed({ _tag: "Template", ...makeTemplate(filter, pieces) })
    : issue("to", fault)
}

const compilePrefix = (
  { add, strip }: { readonly strip: string; readonly add: string }
): Result.Result<CompiledRule, InvalidOptions> => {
  if (strip === "" && add === "") return issue("strip", "a rule that neither strips nor adds does nothing")
  const fault = findFault(strip, "forbidden")?.detail
  if (fault !== undefined) return issue("strip", fault)
  const addFault = templateFault(add, add)
  if (addFault !== undefined) return issue("add", addFault)
  return Result.succeed({ _tag: "Prefix", strip, add })
}

const templateFault = (texts: string, whole: string): string | undefined =>
  whole.startsWith("$") ? "topics that begin with $ belong to the server" : findFault(texts, "forbidden")?.detail

const issue = (path: string, message: string): Result.Result<never, InvalidOptions> =>
  Result.fail(new InvalidOptions({ issues: [{ path, message }] }))

/**
 * The first rule that matches a topic decides.
 */
export const applyRules = (rules: ReadonlyArray<CompiledRule>, topic: string): Mapped => {
  for (let i = 0; i < rules.length; i++) {
    const mapped = applyRule(rules[i]!, topic)
    if (mapped !== undefined) return checked(mapped)
  }
  return undefined
}

/**
 * Accepts a topic that messages may be forwarded to: valid in MQTT, and outside the server's own `$` topics (MQTT
 * 4.7.2).
 */
export const checked = (topic: string): string | InvalidTopic => {
  if (topic.startsWith("$")) {
    return new InvalidTopic({ topic, offset: 0, detail: "topics that begin with $ belong to the server" })
  }
  const valid = Topic.validateName(topic)
  return Result.isFailure(valid) ? valid.failure : topic
}

const applyRule = (rule: CompiledRule, topic: string): string | undefined => {
  if (rule._tag === "Prefix") {
    // An empty prefix does not match the server's own topics, like a filter that begins with a wildcard (MQTT 4.7.2).
    if (!topic.startsWith(rule.strip) || (rule.strip === "" && topic.startsWith("$"))) return undefined
    return rule.add + topic.slice(rule.strip.length)
  }
  return expand(rule, topic)
}
