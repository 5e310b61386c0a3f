/**
 * Waits until sessions are ready: one, or all current ones.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { MqttError, type Timeout } from "../../MqttError.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import { parseDuration } from "../options/durations.ts"
import { optionsIssues, refusal } from "../options/plain.ts"
import { standingOf, timeoutReason } from "../session/timeouts.ts"
import { nameOf } from "../valueNames.ts"
import { awaitChecks } from "./checks.ts"
import type { AwaitOptions } from "./contract.ts"
import type { Registry } from "./registry.ts"
import { SessionsNotReady } from "./sessionsNotReady.ts"

const defaultTimeout = "30 seconds"

/** See `Manager.awaitReady`. */
export const awaitReady = Effect.fnUntraced(function*(
  registry: Registry,
  name: string,
  options: AwaitOptions | undefined
): Effect.fn.Return<void, MqttError> {
  const method = "awaitReady"
  const timeout = yield* timeoutOf(options)
  const session = yield* registry.session(name, method)
  yield* Effect.timeoutOrElse(session.awaitReady, {
    duration: timeout,
    orElse: () =>
      Effect.flatMap(
        session.status,
        (status) => Effect.fail(new MqttError({ session: nameOf(name), method, reason: notReady(timeout, status) }))
      )
  })
})

/** See `Manager.awaitAllReady`. */
export const awaitAllReady = Effect.fnUntraced(function*(
  registry: Registry,
  options: AwaitOptions | undefined
): Effect.fn.Return<void, SessionsNotReady | MqttError> {
  const method = "awaitAllReady"
  const timeout = yield* timeoutOf(options)
  const settled = yield* registry.forAll((entry) =>
    Effect.flatMap(entry.expect(method), (session) =>
      Effect.timeoutOrElse(session.awaitReady, {
        duration: timeout,
        orElse: () =>
          Effect.flatMap(session.status, (status) =>
            Effect.fail(
              status.lastError ?? new MqttError({ session: entry.name, method, reason: notReady(timeout, status) })
            ))
      }))
  )
  const failures: Array<SessionsNotReady["failures"][number]> = []
  for (const [name, result] of settled) {
    if (result._tag === "Success") continue
    const status = yield* Effect.option(Effect.flatMap(registry.find(name, method), (entry) => entry.status))
    const state = status._tag === "None" ? "closed" : status.value.state
    failures.push({ session: name, state, error: result.failure })
  }
  if (failures.length > 0) return yield* new SessionsNotReady({ failures })
})

const timeoutOf = (options: AwaitOptions = {}): Effect.Effect<Duration.Duration, MqttError> =>
  Effect.suspend(() => {
    const error = refusal(optionsIssues(options, awaitChecks), "awaitReady")
    return error === undefined
      ? Effect.succeed(parseDuration(options.timeout ?? defaultTimeout)!)
      : Effect.fail(error)
  })

const notReady = (timeout: Duration.Duration, status: SessionStatus): Timeout =>
  timeoutReason("becoming ready", Duration.toMillis(timeout), standingOf(status))
