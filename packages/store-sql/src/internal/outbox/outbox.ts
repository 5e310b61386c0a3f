/**
 * The outbox: adds messages in the transactions of programs, and runs the relays that hand them to sessions.
 * `SqlOutbox` makes one for each layer.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { Payload } from "@effect-mqttx/core/Publication"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Attempts } from "../attempts.ts"
import { hashOf, textOf } from "../names.ts"
import { invalidArgument, toBytes } from "./message.ts"
import type { SqlOutboxOptions } from "./options.ts"
import { Relay } from "./relay.ts"
import type { OutboxStatements } from "./statements.ts"

/** Sessions that have a relay: a second one would publish the same rows. */
const relayed = new WeakSet<MqttSession.Session>()

/** The rows that the relays of a session have not finished handing over, see `RelayParts`. */
const unfinished = new WeakMap<MqttSession.Session, Set<string>>()

const unfinishedOf = (session: MqttSession.Session): Set<string> => {
  const rows = unfinished.get(session) ?? new Set()
  unfinished.set(session, rows)
  return rows
}

/** Drivers of PostgreSQL that hear notifications, as that of `@effect/sql-pg` does. */
interface Listening {
  readonly listen: (
    channel: string
  ) => Effect.Effect<Queue.Dequeue<{ readonly payload: string }, SqlError>, SqlError, Scope.Scope>
}

const listeningOf = (sql: object): Listening | undefined =>
  "listen" in sql && typeof sql.listen === "function" ? sql as Listening : undefined

export class Outbox {
  readonly attempts: Attempts<OutboxStatements>
  readonly #sql: SqlClient.SqlClient
  readonly #options: SqlOutboxOptions
  /** The relays of this program by the hashes of their sessions. */
  readonly #relays = new Map<string, Relay>()

  constructor(sql: SqlClient.SqlClient, statements: OutboxStatements, options: SqlOutboxOptions) {
    this.#sql = sql
    this.#options = options
    this.attempts = new Attempts(statements, options.statementTimeout)
  }

  enqueue(
    session: string,
    topic: string,
    payload: Payload,
    options: unknown
  ): Effect.Effect<void, MqttError | SqlError> {
    const method = "SqlOutbox.enqueue"
    return Effect.gen({ self: this }, function*() {
      if (typeof session !== "string") return yield* invalidArgument(method, "session", "must be the name of a session")
      const message = yield* Effect.mapError(
        Effect.fromResult(toBytes(topic, payload, options, yield* Clock.currentTimeMillis)),
        (reason) => new MqttError({ session, method, reason, ...(typeof topic === "string" && { topic }) })
      )
      const hash = hashOf(textOf(session))
      yield* this.attempts.statements.insert(hash, message)
      yield* this.#sql.afterCommit(Effect.sync(() => this.#relays.get(hexOf(hash))?.wake()))
    })
  }

  relay(session: MqttSession.Session): Effect.Effect<never, MqttError> {
    const method = "SqlOutbox.relay"
    return Effect.suspend((): Effect.Effect<never, MqttError> => {
      if (!MqttSession.isSession(session)) return Effect.fail(invalidArgument(method, "session", "must be a session"))
      const { pollInterval, window } = this.#options
      const hash = hashOf(textOf(session.name))
      const relay = new Relay({
        session,
        hash,
        attempts: this.attempts,
        window,
        pollInterval,
        unfinished: unfinishedOf(session)
      })
      return Effect.acquireRelease(
        Effect.suspend(() => {
          if (relayed.has(session)) return Effect.fail(invalidArgument(method, "session", "has a relay already"))
          relayed.add(session)
          this.#relays.set(hexOf(hash), relay)
          return Effect.void
        }),
        () =>
          Effect.sync(() => {
            relayed.delete(session)
            this.#relays.delete(hexOf(hash))
          })
      ).pipe(
        Effect.andThen(Effect.forkScoped(this.#listen(hexOf(hash), relay))),
        Effect.andThen(relay.run),
        Effect.scoped
      )
    })
  }

  /** Wakes a relay by the notifications of other programs, where the driver hears them. Polling remains. */
  #listen(session: string, relay: Relay): Effect.Effect<void> {
    const driver = this.#options.listen ? listeningOf(this.#sql) : undefined
    if (driver === undefined) return Effect.void
    return driver.listen(this.attempts.statements.channel).pipe(
      Effect.flatMap((notifications) =>
        Effect.forever(
          Effect.map(Queue.take(notifications), ({ payload }) => {
            if (payload === session) relay.wake()
          })
        )
      ),
      Effect.scoped,
      (listening) => this.attempts.statements.outside(listening),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.ignore
    )
  }
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
