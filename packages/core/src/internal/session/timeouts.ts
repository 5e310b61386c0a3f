/**
 * Makes timeout errors that say why an operation took too long.
 *
 * A timeout alone says little. The state of the session tells the reason, for example a refused connection or a full
 * store. Publishing, subscribing, requests and waiting for readiness use it.
 */
import { type MqttError, type MqttErrorReason, Timeout } from "../../MqttError.ts"
import type { SessionState } from "../../SessionEvent.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import { causeText } from "../errors/shared.ts"

/**
 * The state of a session that explains a timeout.
 */
export interface Standing {
  readonly state: SessionState
  readonly server: string | undefined
  readonly lastError: MqttError | undefined
  readonly storageFailure: MqttError | undefined
}

/** Takes this state from the session's status. */
export const standingOf = ({ lastError, server, state, storage }: SessionStatus): Standing => ({
  state,
  server,
  lastError,
  storageFailure: storage?.failure
})

/**
 * The `Timeout` of an operation that took longer than `millis`.
 */
export const timeoutReason = (operation: string, millis: number, standing: Standing): Timeout => {
  const { lastError, server, state, storageFailure } = standing
  if (storageFailure !== undefined) {
    return new Timeout({ operation, millis, detail: storageFailure.reason.message, cause: storageFailure })
  }
  if (state === "connected") return new Timeout({ operation, millis })
  if (lastError === undefined) {
    const tried = server === undefined ? "" : `: it is trying ${server}`
    return new Timeout({ operation, millis, detail: `the session is not connected${tried}` })
  }
  return new Timeout({ operation, millis, detail: whyNotConnected(lastError.reason), cause: lastError })
}

/** Why a session is not connected, in one sentence. */
export const whyNotConnected = (reason: MqttErrorReason): string => {
  // The reason's own prefix would repeat what is said already.
  const words = reason._tag === "ConnectionRefused" && reason.cause !== undefined
    ? causeText(reason.cause)
    : reason.message
  return `the session is not connected: ${words}`
}
