/**
 * Errors for what took too long, with what the session knows about the reason.
 *
 * A time limit says nothing by itself: that the connection was refused, or that the store is full, is in the state of
 * the session. Called by everything that has a time limit: publishing, subscribing, requests, and waiting for
 * readiness.
 */
import { type MqttError, type MqttErrorReason, Timeout } from "../../MqttError.ts"
import type { SessionState } from "../../SessionEvent.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import { causeText } from "../errors/shared.ts"

/**
 * What a session knows about why something takes long.
 */
export interface Standing {
  readonly state: SessionState
  readonly server: string | undefined
  readonly lastError: MqttError | undefined
  readonly storageFailure: MqttError | undefined
}

/** The part of a session's status that says why something takes long. */
export const standingOf = ({ lastError, server, state, storage }: SessionStatus): Standing => ({
  state,
  server,
  lastError,
  storageFailure: storage?.failure
})

/**
 * The reason of an operation that took longer than `millis`.
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
  // What the reason says in front of the network's own words is said already.
  const words = reason._tag === "ConnectionRefused" && reason.cause !== undefined
    ? causeText(reason.cause)
    : reason.message
  return `the session is not connected: ${words}`
}
