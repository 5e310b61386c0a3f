/**
 * The part of the publisher that single and bulk publishes use.
 */
import type * as Duration from "effect/Duration"
import { type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { Lifecycle } from "./lifecycle.ts"

/**
 * An operation that waits for queue space. `attempt` answers false while there is none. Otherwise it unparks itself
 * before it resumes a fiber: the fiber runs at once, and may publish again.
 */
export interface Parked {
  readonly attempt: () => boolean
  readonly fail: (error: MqttError) => void
}

export interface PublisherOptions {
  readonly session: string
  readonly protocolVersion: 4 | 5
  readonly publishTimeout: Duration.Duration | undefined
  readonly queueMessages: number
  /** Gives the reason of a timeout, and gets failures that no fiber awaits. */
  readonly lifecycle: Lifecycle
}

export interface PublishHost {
  readonly engineLoop: EngineLoop
  readonly options: PublisherOptions
  /** Whether publishes wait for queue space. */
  readonly isParking: boolean
  /** Why nothing can be published now; undefined: publishing is possible. */
  readonly refusal: MqttError | undefined
  readonly park: (parked: Parked) => void
  readonly unpark: (parked: Parked) => void
  readonly error: (reason: MqttErrorReason, method: string, topic?: string) => MqttError
}
