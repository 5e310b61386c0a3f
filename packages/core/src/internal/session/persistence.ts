/**
 * Checks the option `persistence` against the function that makes the session. `durable` needs a store, and only the
 * functions for durable sessions require one. The types say the same; this refuses options from Config, JSON or
 * JavaScript with `InvalidOptions`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { MqttError } from "../../MqttError.ts"
import * as SessionOptions from "../../SessionOptions.ts"
import { SessionStore } from "../../SessionStore.ts"
import type { OptionsIssue } from "../errors/operation.ts"
import { having, isRecord, refusal } from "../options/plain.ts"

const writtenIn = (input: unknown): unknown => isRecord(input) ? input["persistence"] : undefined

/** Sets `durable` where the option is absent. */
const asDurable = (input: unknown): unknown =>
  isRecord(input) && input["persistence"] === undefined ? { ...input, persistence: "durable" } : input

/** Decodes options. Reports a wrong persistence together with all other mistakes. */
const decoded = (
  input: unknown,
  mistake: string | undefined,
  method: string
): Effect.Effect<SessionOptions.SessionOptions, MqttError> => {
  const options = SessionOptions.decode(input)
  if (mistake === undefined) return Effect.fromResult(options)
  const issues: Array<OptionsIssue> = Result.isFailure(options) && options.failure.reason._tag === "InvalidOptions"
    ? [...options.failure.reason.issues]
    : []
  issues.push({ path: "persistence", message: mistake })
  return Effect.fail(refusal(issues, method, isRecord(input) ? input["name"] : undefined)!)
}

/**
 * Decodes options of a session without a store; `durable` names the function for durable sessions. Where types end, a
 * durable session passes if the program provides a store all the same.
 */
export const withoutStore = (
  input: unknown,
  method: string,
  durable: string
): Effect.Effect<SessionOptions.SessionOptions, MqttError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const lacksStore = writtenIn(input) === "durable" && Context.getOrUndefined(context, SessionStore) === undefined
    return decoded(input, lacksStore ? `a durable session needs a SessionStore: use ${durable}` : undefined, method)
  })

/** Decodes options of a durable session; `other` names the function for the others. */
export const durableOnly = (
  input: unknown,
  method: string,
  other: string
): Effect.Effect<SessionOptions.SessionOptions, MqttError> =>
  Effect.suspend(() => {
    const written = writtenIn(input)
    return decoded(
      asDurable(input),
      written === "none" || written === "process" ? `must be "durable" or absent here: use ${other}` : undefined,
      method
    )
  })

/** Decodes options of a session that is durable by default. */
export const durableByDefault = (input: unknown): Effect.Effect<SessionOptions.SessionOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(SessionOptions.decode(asDurable(input))))

const isStore = having("open", "a SessionStore")

/** The store that the program provides. It may be missing in JavaScript, or when a type was cast away. */
export const storeOf = (
  session: string | undefined,
  method: string
): Effect.Effect<SessionStore["Service"], MqttError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const refused = (path: string, message: string): Effect.Effect<never, MqttError> =>
      Effect.fail(refusal([{ path, message }], method, session)!)
    const store = Context.getOrUndefined(context, SessionStore)
    if (store === undefined) {
      return refused("persistence", "a durable session needs a SessionStore, and the program provides none")
    }
    const message = isStore(store)
    return message === undefined ? Effect.succeed(store) : refused("SessionStore", message)
  })
