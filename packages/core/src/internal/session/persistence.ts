/**
 * Checks the options of a session against what makes it: `durable` needs a store, and the functions that make durable
 * sessions have one among their requirements. The type says the same; what comes from Config, JSON or JavaScript is
 * refused here with `InvalidOptions`.
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

/** With `durable` where nothing else is written. */
const asDurable = (input: unknown): unknown =>
  isRecord(input) && input["persistence"] === undefined ? { ...input, persistence: "durable" } : input

/** Decodes options, and reports what is wrong with their persistence together with all other mistakes. */
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

/** Options of a session that has no store; `durable` is the function that takes the others. */
export const withoutStore = (
  input: unknown,
  method: string,
  durable: string
): Effect.Effect<SessionOptions.SessionOptions, MqttError> =>
  Effect.suspend(() =>
    decoded(
      input,
      writtenIn(input) === "durable" ? `a durable session needs a SessionStore: use ${durable}` : undefined,
      method
    )
  )

/** Options of a durable session; `other` is the function that takes the others. */
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

/** Options of a session that is durable unless they say otherwise. */
export const durableByDefault = (input: unknown): Effect.Effect<SessionOptions.SessionOptions, MqttError> =>
  Effect.suspend(() => Effect.fromResult(SessionOptions.decode(asDurable(input))))

const isStore = having("open", "a SessionStore")

/** The store that the program provides. A type that was cast away, or JavaScript, may have provided none. */
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
