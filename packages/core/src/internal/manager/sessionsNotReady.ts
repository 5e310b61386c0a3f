/**
 * The failure of waiting for several sessions; re-exported by `SessionManager.ts`.
 */
import * as Schema from "effect/Schema"
import { MqttError } from "../../MqttError.ts"
import { TaggedError } from "../errors/shared.ts"

const Failure = Schema.Struct({
  session: Schema.String,
  state: Schema.Literals(["disconnected", "connecting", "connected", "reconnecting", "closed"]),
  error: MqttError
})

/**
 * Sessions that are not ready: each with its name, its state, and the error.
 *
 * The reason of an `error` is the permanent failure of the session, the failure of its last attempt, `Timeout` when it
 * only takes long, or `Closed` when the session is disconnected.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export class SessionsNotReady
  extends TaggedError<SessionsNotReady>("@effect-mqttx/core/SessionsNotReady")("SessionsNotReady", {
    failures: Schema.Array(Failure)
  })
{
  override get message(): string {
    const lines = this.failures.map(({ error, session, state }) => `${session} (${state}): ${error.reason.message}`)
    return `sessions that are not ready: ${lines.join("; ")}`
  }

  /** Whether waiting longer may help for every one of them. */
  get isRetryable(): boolean {
    return this.failures.every(({ error }) => error.isRetryable)
  }
}
