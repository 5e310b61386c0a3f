/**
 * The parts of a session.
 *
 * The engine loop carries out what the engine decides, once per turn; everything in a session passes through it. The
 * library's own code on top of sessions (managers, routes, forwarders) uses the core. Programs get a `Session`, see
 * `facade.ts`.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Message } from "../../Message.ts"
import type { MqttError } from "../../MqttError.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionStatus } from "../../SessionStatus.ts"
import type { ConsumeOptions } from "../../Subscription.ts"
import type { Broadcast } from "./broadcast.ts"
import type { ConsumeObserver } from "./consumeObserver.ts"
import type { Session } from "./contract.ts"
import type { DroppedMessages } from "./droppedMessages.ts"
import type { EngineLoop } from "./engineLoop.ts"
import type { SessionFailures } from "./failureLedger.ts"
import type { SessionRecorder } from "./flightRecord.ts"
import type { Lifecycle, LifecycleState } from "./lifecycle.ts"
import type { OriginLedger } from "./originLedger.ts"
import type { Publisher } from "./publisher.ts"
import type { Renewal } from "./renewal.ts"
import type { Subscriber } from "./subscriber.ts"
import type { SessionTracing } from "./tracing.ts"
import type { Turns } from "./turns.ts"

export interface SessionCore {
  readonly name: string
  readonly options: SessionOptions
  readonly clientId: string
  readonly isDurable: boolean
  readonly engineLoop: EngineLoop
  readonly lifecycle: Lifecycle
  readonly publisher: Publisher
  readonly subscriber: Subscriber
  readonly failures: SessionFailures
  readonly turns: Turns
  /** Present with the option `tracing`. */
  readonly tracing: SessionTracing | undefined
  readonly dropped: DroppedMessages
  readonly unclaimed: Broadcast<Message>
  readonly shutdown: SessionShutdown
  /** Origins of the messages that were forwarded into the session; durable sessions only. */
  readonly origins: OriginLedger | undefined
  /** Called with each QoS 2 packet identifier that the server of a durable session released. */
  readonly releaseListeners: Set<(packetIdentifier: number) => void> | undefined
  /** Present where credentials are asked for before each attempt. */
  readonly renewal: Renewal | undefined
  /** Present with the option `flightRecorder`. */
  readonly recorder: SessionRecorder | undefined
  /** The public interface of the session. */
  readonly session: Session
  /** Succeeds when the session has ended. */
  readonly untilClosed: Effect.Effect<void>
  /** Runs an effect in the background until the session ends. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** `Session.consume` with an observer. */
  readonly consume: <E, R>(
    filters: string | ReadonlyArray<string>,
    handler: (message: Message) => Effect.Effect<unknown, E, R>,
    options: ConsumeOptions<E, R>,
    observer?: ConsumeObserver
  ) => Effect.Effect<void, MqttError | E, R>
  readonly statusOf: (state: LifecycleState) => SessionStatus
}

/** The end of a session, see `shutdown.ts`. */
export interface SessionShutdown {
  readonly isStopping: boolean
  readonly storageLost: MqttError | undefined
  readonly drain: Effect.Effect<void>
}
