/**
 * What the tables of docs/guides/options.md say about an option, derived from the code: its type from what the options
 * answer to a value that is none, its default from what they make of a record without it.
 */
import { ForwarderOptions, type MqttError, SessionOptions } from "@effect-mqttx/core"
import { Duration, Redacted, Result } from "effect"

type Tree = { readonly [key: string]: unknown }

/** The decoder of a kind of options, with records that have nothing but what is required. */
export interface Kind {
  readonly decode: (input: unknown) => Result.Result<object, MqttError.MqttError>
  readonly minimal: Tree
  /** Groups that are absent by default, with what they require. */
  readonly groups: { readonly [name: string]: Tree }
  /** What an option of a group requires beside it. */
  readonly companions: { readonly [path: string]: Tree }
}

export const session: Kind = {
  decode: SessionOptions.decode,
  minimal: { name: "a", servers: ["mqtts://a"] },
  groups: { will: { topic: "a", payload: "b" }, tls: {}, proxy: { url: "http://a:1", username: "u" } },
  companions: { "tls.key": { cert: "a" } }
}

export const forwarder: Kind = {
  decode: ForwarderOptions.decode,
  minimal: { name: "a", sources: ["a"], filters: ["a"], target: "b" },
  groups: {},
  companions: {}
}

/** The record with one option set, or with one left out. */
const withOption = (kind: Kind, path: string, set: (group: Record<string, unknown>, key: string) => void): unknown => {
  const [first, second] = path.split(".") as [string, string | undefined]
  const options: Record<string, unknown> = { ...kind.minimal }
  if (second === undefined) set(options, first)
  else {
    const group: Record<string, unknown> = { ...kind.groups[first], ...kind.companions[path] }
    set(group, second)
    options[first] = group
  }
  return options
}

const issues = (kind: Kind, path: string, value: unknown): ReadonlyArray<MqttError.OptionsIssue> => {
  const decoded = kind.decode(withOption(kind, path, (group, key) => {
    group[key] = value
  }))
  const reason = Result.isFailure(decoded) ? decoded.failure.reason : undefined
  return reason?._tag === "InvalidOptions" ? reason.issues.filter((issue) => issue.path.startsWith(path)) : []
}

const get = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((inner, key) => (inner as Tree | undefined)?.[key], value)

const isSecret = (kind: Kind, path: string): boolean => {
  const decoded = kind.decode(withOption(kind, path, (group, key) => {
    group[key] = "aaaa"
  }))
  return Result.isSuccess(decoded) && Redacted.isRedacted(get(decoded.success, path))
}

const names: { readonly [message: string]: string } = {
  "expected true or false": "boolean",
  "expected a text": "text",
  "expected a topic name": "text",
  "Expected string": "text",
  "Expected array": "rules",
  "expected a text or an array of texts": "texts",
  "expected a text or bytes": "text or bytes",
  "expected an array of pairs of texts": "pairs of texts",
  "expected a duration of whole seconds": "whole seconds",
  "expected a duration from 1 millisecond to 24 days": "duration",
  "expected a duration from 0 to 24 days": "duration or 0",
  "expected a Schedule": "code",
  "expected an Effect, or a function that answers one": "code",
  "expected an Authenticator": "code"
}

/** The type of an option as the tables have it. */
export const typeOf = (kind: Kind, path: string): string => {
  if (isSecret(kind, path)) return "secret"
  // No option takes it, and none takes it for the beginning of an array.
  const message = issues(kind, path, Number.NaN)[0]?.message ?? ""
  const choice = /^expected one of (.*)$/.exec(message)
  if (choice !== null) return choice[1]!.split(", ").map((value) => `\`${value}\``).join(", ")
  const range = /^expected (a whole number|whole numbers|a number|a duration of whole seconds) from (\S+) to (\S+)/
    .exec(
      message
    )
  if (range !== null) {
    const [, what, from, to] = range
    const name = { "a whole number": "integer", "whole numbers": "integers", "a number": "number" }[what!] ??
      "whole seconds"
    return Number(to) === Number.MAX_SAFE_INTEGER ? `${name}, at least ${from}` : `${name}, ${from} to ${to}`
  }
  if (message === "Expected object") {
    const inner = issues(kind, path, { "no such option": "a" })
    return inner.some((issue) => issue.path === `${path}.no such option`) && !path.includes(".") ? "group" : "record"
  }
  return names[message] ?? "rule"
}

/** Whether options without it are refused. */
export const isRequired = (kind: Kind, path: string): boolean => {
  const decoded = kind.decode(withOption(kind, path, (group, key) => {
    delete group[key]
  }))
  const reason = Result.isFailure(decoded) ? decoded.failure.reason : undefined
  return reason?._tag === "InvalidOptions" && reason.issues.some((issue) => issue.path === path)
}

const render = (value: unknown): string =>
  Array.isArray(value)
    ? value.length === 0 ? "none" : value.map(render).join(", ")
    : Duration.isDuration(value)
    ? `\`${Duration.toSeconds(value)} s\``
    : typeof value === "object"
    ? "none"
    : `\`${String(value)}\``

/** The default of an option as the tables have it; undefined: there is none. */
export const defaultOf = (kind: Kind, path: string): string | undefined => {
  const decoded = kind.decode({ ...kind.minimal, ...kind.groups })
  if (Result.isFailure(decoded)) throw decoded.failure
  const inGroup = path.includes(".") && kind.groups[path.split(".")[0]!]?.[path.split(".")[1]!] !== undefined
  const value = inGroup ? undefined : get(decoded.success, path)
  return value === undefined || (!path.includes(".") && path in kind.groups) ? undefined : render(value)
}
