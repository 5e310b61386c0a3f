/**
 * The error of a shared session that is not one of MQTT. `SharedSession` exports it.
 */
import * as Data from "effect/Data"

/**
 * What went wrong between the tabs.
 *
 * - `ownerLost`: the tab with the session ended before it answered. The server may have the message.
 * - `timeout`: the tab with the session did not answer in time. The server may have the message.
 * - `noOwner`: no tab had a session in time. Nothing was sent.
 * - `tooLarge`: the message is larger than `maximumMessageBytes`. Nothing was sent.
 * - `overloaded`: the tab with the session has too much to do for other tabs. Nothing was sent.
 * - `invalid`: the arguments are no message or no topic filters. Nothing was sent.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type SharedSessionErrorKind = "ownerLost" | "timeout" | "noOwner" | "tooLarge" | "overloaded" | "invalid"

/**
 * A failure between the tabs, in addition to the errors of the session, which are `MqttError`.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class SharedSessionError extends Data.TaggedError("SharedSessionError")<{
  /** What went wrong. */
  readonly kind: SharedSessionErrorKind
  /** The same in words. */
  readonly detail: string
}> {
  override get message(): string {
    return `the shared session: ${this.detail}`
  }

  /** Whether the server may have got a message that was published. */
  get mayBePublished(): boolean {
    return this.kind === "ownerLost" || this.kind === "timeout"
  }
}
