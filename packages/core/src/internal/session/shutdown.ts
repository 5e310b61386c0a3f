/**
 * Ends a session: in order, within `drainTimeout`, or because its store failed permanently.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Closed, type MqttError } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { SessionCore } from "./core.ts"

/** What keeps the session connected. */
export interface Connecting {
  readonly forget: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
}

export class Shutdown {
  /** The client itself ends the connection: no further attempt follows. */
  isStopping = false
  /** The store failed permanently, with this error. */
  storageLost: MqttError | undefined
  readonly #core: SessionCore
  #supervisor: Connecting | undefined
  #running: Fiber.Fiber<unknown, unknown> | undefined

  constructor(core: SessionCore) {
    this.#core = core
  }

  /** The session has begun to connect. */
  begun(supervisor: Connecting): void {
    this.#supervisor = supervisor
  }

  /** Ends the connection, if there is one after all, and makes no other. */
  get disconnected(): Effect.Effect<void> {
    return Effect.suspend(() => this.#supervisor?.stop ?? Effect.void)
  }

  /** See `Session.drain`. Runs in its own fiber, so that it continues when a waiting caller is interrupted. */
  get drain(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#running ??= this.#core.fork(this.#shutDown())
      return Effect.asVoid(Fiber.await(this.#running))
    })
  }

  /** The store failed permanently: ends the session with this failure. */
  endWithoutStorage(failure: MqttError): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { engineLoop, lifecycle, publisher, subscriber, turns } = this.#core
      this.storageLost = failure
      const isShuttingDown = this.isStopping
      this.isStopping = true
      if (lifecycle.current().storageFailure === undefined) lifecycle.emit({ _tag: "StorageDegraded", error: failure })
      publisher.suspendAwaiting(failure)
      subscriber.suspendAwaiting(failure, true)
      const { connection } = engineLoop
      if (connection !== undefined && !isShuttingDown) {
        yield* connection.close(ReasonCode.implementationSpecificError)
        lifecycle.emit({ _tag: "Disconnected", error: failure })
      }
      yield* this.disconnected
      const isClosed = lifecycle.current().state === "closed"
      lifecycle.set({
        ...(isClosed ? undefined : { state: "disconnected" as const }),
        ready: false,
        server: undefined,
        lastError: failure,
        failure,
        storageFailure: failure
      })
      turns.turned()
    })
  }

  /**
   * Waits for messages in flight, and for those that streams have taken. Waits for another connection only where a
   * publisher was told that its message of QoS 0 is sent, and the connection ended before.
   */
  get #finishWork(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { engineLoop, isDurable, lifecycle, turns } = this.#core
      // A session that ends at the server needs no more deliveries. A durable one gets the rest when it comes back.
      if (!isDurable) {
        const filters = new Set(Array.from(engineLoop.queues).flatMap((queue) => queue.consumer.request.filters))
        for (const filter of filters) engineLoop.unsubscribe(filter)
        yield* turns.until(() => engineLoop.connection === undefined || engineLoop.stats.pendingSubscriptions === 0)
      }
      for (const queue of engineLoop.queues) queue.end("orderly", () => engineLoop.schedule())
      yield* turns.until(() => {
        const { direct } = engineLoop.engine
        if (engineLoop.connection === undefined) return !direct.isOwed || lifecycle.current().failure !== undefined
        for (const queue of engineLoop.queues) if (!queue.isIdle) return false
        return engineLoop.stats.queuedMessages + engineLoop.stats.inflight === 0 && !direct.isOwed
      })
      yield* turns.untilStored
    })
  }

  #shutDown(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { engineLoop, failures, lifecycle, options, publisher, subscriber, turns, unclaimed } = this.#core
      publisher.close()
      subscriber.close()
      failures.stop()
      yield* Effect.timeoutOption(this.#finishWork, options.drainTimeout)
      this.isStopping = true
      yield* turns.untilFlushed
      const { connection } = engineLoop
      if (connection !== undefined) {
        yield* connection.close(0, options.persistence === "process" ? 0 : undefined)
        lifecycle.emit({ _tag: "Disconnected", error: undefined })
        if (this.#supervisor !== undefined) yield* this.#supervisor.forget
      }
      // Not awaited: the end of the session waits for its fibers.
      this.#core.fork(this.disconnected)
      for (const queue of engineLoop.queues) queue.close()
      engineLoop.end(new Closed({}))
      if (engineLoop.outputs.isReleasing) {
        // Yields, because a fiber that a turn resumed may call this: the rest of that turn's events must come before
        // the end.
        yield* Effect.yieldNow
        engineLoop.flush()
      }
      lifecycle.set({ state: "closed", ready: false, server: undefined })
      lifecycle.end()
      unclaimed.end()
    })
  }
}
