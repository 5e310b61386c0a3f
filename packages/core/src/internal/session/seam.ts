/**
 * The way from a session to its parts, for what this library builds on top of sessions and what users have no business with.
 */
import type * as Effect from "effect/Effect"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import type { ConsumeObserver } from "./consume.ts"
import type { Driver } from "./driver.ts"
import type { OriginLedger } from "./originLedger.ts"
import type { Publisher } from "./publisher.ts"
import type { Subscriber } from "./subscriber.ts"

export interface SessionSeam {
  readonly driver: Driver
  readonly publisher: Publisher
  readonly subscriber: Subscriber
  /** `Session.consume` with an observer. */
  readonly consume: <E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options: ConsumeOptions<E, R>,
    observer?: ConsumeObserver
  ) => Effect.Effect<void, MqttError | E, R>
  /** What has been forwarded into the session; durable sessions only. */
  readonly origins: OriginLedger | undefined
  /** Called with each QoS 2 identifier that the server of a durable session has released. */
  readonly releaseListeners: Set<(packetIdentifier: number) => void> | undefined
}

const seams = new WeakMap<Session, SessionSeam>()

export const register = (session: Session, seam: SessionSeam): void => {
  seams.set(session, seam)
}

/** Undefined for a session that is not of this library's making. */
export const seamOf = (session: Session): SessionSeam | undefined => seams.get(session)
