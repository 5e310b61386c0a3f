/**
 * One session that this node owns: opens it behind a fence, runs its handlers, and opens it again after an end that it
 * did not ask for. The table of the node starts it and releases it.
 */
import { Closed, isMqttError, MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { SessionStatus } from "@effect-mqttx/core/SessionStatus"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { makeFence } from "./fence.ts"

/** What a kind of sessions says about each of them. Its services are provided. */
export interface Definition {
  /** Opens the durable session of a client identifier. */
  readonly open: (clientId: string) => Effect.Effect<Session, MqttError, SessionStore | Scope.Scope>
  /** Subscribes and handles messages, for as long as the session lasts. */
  readonly run: (session: Session, clientId: string) => Effect.Effect<unknown, unknown, Scope.Scope>
}

/** Before a session that ended is opened again, and before handlers that failed run again. */
const patience = Schedule.min([Schedule.exponential("200 millis", 2), Schedule.spaced("5 seconds")])

export class OwnedSession {
  readonly clientId: string
  readonly #definition: Definition
  readonly #isOwner: () => boolean
  readonly #opening: Semaphore.Semaphore
  /** The attempt to open the session: the session, or why there is none. */
  #attempt = Deferred.makeUnsafe<Session, MqttError>()
  #session: Session | undefined
  #lastError: MqttError | undefined

  /** `opening` bounds the sessions that the node opens at once. */
  constructor(clientId: string, definition: Definition, isOwner: () => boolean, opening: Semaphore.Semaphore) {
    this.clientId = clientId
    this.#definition = definition
    this.#isOwner = isOwner
    this.#opening = opening
  }

  /** The session. Waits while it is being opened, and fails with the error of an attempt that failed. */
  get session(): Effect.Effect<Session, MqttError> {
    return Effect.suspend(() => Deferred.await(this.#attempt))
  }

  /** The open session; undefined: there is none now. */
  get current(): Session | undefined {
    return this.#session
  }

  /** Why the session was not opened, or ended. */
  get lastError(): MqttError | undefined {
    return this.#lastError
  }

  /**
   * Keeps the session open until it is interrupted. Ends by itself only where there is no such session
   * (`SessionNotFound`).
   */
  get keep(): Effect.Effect<void, never, SessionStore> {
    return Effect.gen({ self: this }, function*() {
      let pause: Effect.Success<typeof steps> | undefined
      while (true) {
        const attempt = this.#attempt
        const error = yield* Effect.flip(Effect.scoped(this.#live(attempt)))
        const wasOpen = this.#session !== undefined
        this.#session = undefined
        this.#lastError = error
        this.#attempt = Deferred.makeUnsafe()
        yield* Deferred.fail(this.#attempt, error)
        yield* Deferred.fail(attempt, error)
        if (error.reason._tag === "SessionNotFound") return
        if (wasOpen) pause = undefined
        pause ??= yield* steps
        yield* Effect.logWarning("a session of the cluster is not open, and will be opened again", error)
        yield* pause
        this.#attempt = Deferred.makeUnsafe()
      }
    })
  }

  /** Finishes what the session has in hand, within its `drainTimeout`, and ends it without its will. */
  get drain(): Effect.Effect<void> {
    return Effect.suspend(() => this.#session === undefined ? Effect.void : this.#session.drain)
  }

  /** From opening the session to its end, which is a failure. */
  #live(attempt: Deferred.Deferred<Session, MqttError>): Effect.Effect<never, MqttError, SessionStore | Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { lost, services } = yield* makeFence(this.#isOwner)
      const session = yield* this.#opening.withPermits(1)(Effect.provideContext(
        this.#definition.open(this.clientId),
        services as Context.Context<SessionStore>
      ))
      this.#session = session
      this.#lastError = undefined
      yield* Deferred.succeed(attempt, session)
      return yield* Effect.raceFirst(Effect.raceFirst(lost, ended(session)), this.#handle(session))
    })
  }

  #handle(session: Session): Effect.Effect<never> {
    return Effect.scoped(Effect.suspend(() => this.#definition.run(session, this.clientId))).pipe(
      Effect.andThen(Effect.never),
      Effect.tapCause((cause) =>
        Effect.flatMap(session.status, (status) =>
          Cause.hasInterruptsOnly(cause) || isClosed(cause) || isOver(status)
            ? Effect.void
            : Effect.logError("the handlers of a session failed, and will run again", cause))
      ),
      Effect.sandbox,
      Effect.retry(patience),
      Effect.orDie
    )
  }
}

const isOver = ({ failure, state }: SessionStatus): boolean =>
  state === "closed" || (state === "disconnected" && failure !== undefined)

/** The session is ending: its status follows. */
const isClosed = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return isMqttError(error) && error.reason._tag === "Closed"
}

/** Fails when the session has ended for good. */
const ended = (session: Session): Effect.Effect<never, MqttError> =>
  session.statusChanges.pipe(
    Stream.filter(isOver),
    Stream.runHead,
    Effect.flatMap((status) =>
      Effect.fail(
        status._tag === "Some" && status.value.failure !== undefined
          ? status.value.failure
          : new MqttError({ session: session.name, reason: new Closed({}) })
      )
    )
  )

/** The pauses of one series of failures: each run of the effect waits for the next one. */
const steps = Effect.map(Schedule.toStepWithSleep(patience), (step) => Effect.asVoid(Effect.ignore(step(undefined))))
