/**
 * What single and bulk publishes need of the publisher that they belong to.
 */
import type * as Duration from "effect/Duration"
import { type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { Lifecycle } from "./lifecycle.ts"

/**
 * Something that waits for room in the queue. `attempt` answers false when there still is none, and otherwise takes
 * itself out of the waiting room before it resumes anyone: a resumed fiber runs at once, and may come back for more.
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
  /** Knows why something takes long, and is told of failures that nobody awaits. */
  readonly lifecycle: Lifecycle
}

export interface PublishHost {
  readonly engineLoop: EngineLoop
  readonly options: PublisherOptions
  /** Publishes wait for room in the queue. */
  readonly isParking: boolean
  /** Why nothing can be published now. */
  readonly refusal: MqttError | undefined
  readonly park: (parked: Parked) => void
  readonly unpark: (parked: Parked) => void
  readonly error: (reason: MqttErrorReason, method: string, topic?: string) => MqttError
}
