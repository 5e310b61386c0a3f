/**
 * The names of a session's options in the environment: `reconnect.initialDelay` becomes `RECONNECT_INITIAL_DELAY` after
 * the prefix.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as EffectString from "effect/String"
import { decodeTexts, decodeValues, toPlain } from "./decode.ts"
import { names, type Persistence, type SessionOptions, type SessionOptionsInput } from "./fields.ts"
import { groupNames } from "./groups.ts"
import { isRecord, withoutUndefined } from "./plain.ts"
import { configOf, pairsOf, toTexts, treeOf, type Variable } from "./variables.ts"

const constantCase = (name: string): string =>
  name === "maxInflightQoS2" ? "MAX_INFLIGHT_QOS2" : EffectString.configCase(name)

const variablesOf = (name: string): ReadonlyArray<Variable> =>
  groupNames[name]
    // Properties of a will and queries of servers have no string form. A query is a part of the URL.
    ?.filter((key) => key !== "properties" && key !== "queries")
    .map((key) => ({ name: `${constantCase(name)}_${constantCase(key)}`, path: [name, key] as const })) ??
    [{ name: constantCase(name), path: [name] }]

const variables: ReadonlyArray<Variable> = names.flatMap(variablesOf)

const valueOf = (option: string, text: string): unknown => {
  switch (option) {
    case "connectUserProperties":
      return pairsOf(text)
    case "headers":
      return Object.fromEntries(pairsOf(text))
    default:
      return text
  }
}

/**
 * The `persistence` that a Config uses for options without one. The layers of durable sessions set it. It cannot be
 * changed after decoding, because a default could not be told from an explicit value, and other defaults, such as that
 * of `sessionExpiry`, follow from it.
 */
export const DefaultPersistence: Context.Reference<Persistence> = Context.Reference(
  "@effect-mqttx/core/internal/DefaultPersistence",
  { defaultValue: (): Persistence => "process" }
)

/** See `SessionOptions.config`. */
export const sessionConfig = (prefix: string, base: Partial<SessionOptionsInput>): Config.Config<SessionOptions> => {
  // Code has no string form, so it is added to the options that the strings make.
  const { authentication, credentials, reconnectSchedule, ...others } = isRecord(base) ? base : {}
  const code = withoutUndefined({ authentication, credentials, reconnectSchedule })
  const plain = toTexts(toPlain(others))
  const tree = isRecord(plain) ? plain : {}
  const read = Config.mapEffect(Config.succeed(undefined), () => Effect.service(DefaultPersistence))
  return Config.flatMap(read, (persistence) =>
    configOf(
      prefix,
      { options: names, variables },
      (found) => {
        const decoded = decodeTexts(treeOf({ persistence, ...tree }, found, variables, valueOf))
        return Object.keys(code).length === 0
          ? decoded
          : Result.flatMap(decoded, (options) => decodeValues({ ...options, ...code }))
      }
    ))
}
