/**
 * The relay of one session: reads the rows of the outbox in their order and hands them to the session, whose commits
 * mark them as accepted. It publishes nothing by itself, and it needs no lock, because only the owner of the session
 * can commit.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { EnqueueReceipt } from "@effect-mqttx/core/Publication"
import type { OutboundRecord } from "@effect-mqttx/core/StoreRecord"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import type { Attempts } from "../attempts.ts"
import { originOf } from "./key.ts"
import { fromBytes, invalidArgument, isOfMessage, optionsOf } from "./message.ts"
import type { OutboxRow, OutboxStatements } from "./statements.ts"

const method = "SqlOutbox.relay"

/** Until the database, or the session, takes messages again. */
const patience = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")])

/** How often to look for a row that the session gives back: its commit is on its way already. */
const returnInterval = "50 millis"

/** The order of identifiers, which may be too large for a number. */
const byNumber = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)

export interface RelayParts {
  readonly session: Session
  /** The hash of the session's name. */
  readonly hash: Uint8Array
  readonly attempts: Attempts<OutboxStatements>
  readonly window: number
  readonly pollInterval: Duration.Duration
  /**
   * Rows whose handing over has begun and not ended, or was given up. The session gives the latter back by a commit,
   * which may come later than the next relay.
   */
  readonly unfinished: Set<string>
}

interface Due {
  readonly row: OutboxRow
  readonly record: OutboundRecord
}

export class Relay {
  readonly #parts: RelayParts
  readonly #bell = Latch.makeUnsafe(false)
  /** Messages that the session has accepted and the server has not acknowledged. */
  #unacknowledged = 0
  /** The number of messages that are handed over one by one, because one among them was refused. */
  #alone = 0
  #isPaused = false

  constructor(parts: RelayParts) {
    this.#parts = parts
  }

  /** There may be something to do. */
  wake(): void {
    this.#bell.openUnsafe()
  }

  /** Runs until it is interrupted, or the session ends. */
  get run(): Effect.Effect<never, MqttError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { hash, pollInterval } = this.#parts
      if (!(yield* this.#statement((all) => all.isKept(hash)))) return yield* notKept()
      yield* this.#statement((all) => all.removeOfEarlierOwners(hash))
      while (true) {
        // Closed before the reading, so that what comes meanwhile opens it.
        this.#bell.closeUnsafe()
        if (!(yield* this.#step)) yield* Effect.raceFirst(this.#bell.await, Effect.sleep(pollInterval))
      }
    })
  }

  /** Hands over what there is and fits. False: nothing. */
  get #step(): Effect.Effect<boolean, MqttError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { hash, session, unfinished, window } = this.#parts
      // A queue that refuses or drops messages would let a later one overtake.
      const isSingle = this.#alone > 0 || session.options.queue.policy !== "suspend"
      const room = Math.min(window - this.#unacknowledged, isSingle ? 1 : window)
      if (room <= 0) return false
      const rows = yield* this.#statement((all) => all.next(hash, room))
      if (unfinished.size > 0 && (yield* this.#wouldOvertake(rows))) {
        yield* Effect.sleep(returnInterval)
        return true
      }
      const due: Array<Due> = []
      for (const row of rows) {
        const record = fromBytes(row.message)
        if (Result.isSuccess(record)) {
          due.push({ row, record: record.success })
          continue
        }
        const { failure } = record
        if (failure._tag === "NewerFormat") return yield* newerFormat(failure.format)
        yield* this.#refuse(row, undefined, failure.detail)
      }
      if (due.length > 0) yield* this.#handOver(due)
      return rows.length > 0
    })
  }

  /** Whether a row that the session still has to give back belongs before one of these, or is the only one. */
  #wouldOvertake(rows: ReadonlyArray<OutboxRow>): Effect.Effect<boolean, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const { hash, session, unfinished } = this.#parts
      const read = new Set(rows.map(({ id }) => id))
      const missing = [...unfinished].filter((id) => !read.has(id)).sort(byNumber)
      if (missing.length === 0) return false
      // An ended session gives nothing back.
      if ((yield* session.status).state === "closed") return false
      const present = new Set(
        yield* this.#statement((all) => all.present(hash, missing[0]!, missing[missing.length - 1]!))
      )
      const last = rows[rows.length - 1]
      let isBefore = false
      for (const id of missing) {
        if (!present.has(id)) unfinished.delete(id)
        else if (last === undefined || byNumber(id, last.id) < 0) isBefore = true
      }
      return isBefore
    })
  }

  #handOver(due: ReadonlyArray<Due>): Effect.Effect<void, MqttError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const now = yield* Clock.currentTimeMillis
      // All at once, so that they share a commit. The session takes them in this order.
      const results = yield* Effect.forEach(due, ({ record, row }) => this.#enqueue(row, record, now), {
        concurrency: "unbounded"
      })
      const done: Array<string> = []
      let failure: MqttError | undefined
      for (let i = 0; i < due.length; i++) {
        const { record, row } = due[i]!
        const result = results[i]!
        if (result === undefined) {
          yield* Effect.logWarning("a message expired in the outbox", { topic: record.topic })
          done.push(row.id)
        } else if (Result.isSuccess(result)) {
          done.push(row.id)
          yield* this.#watch(record.topic, result.success)
        } else if (due.length === 1 && isOfMessage(result.failure)) {
          yield* this.#refuse(row, record.topic, result.failure.message)
        } else {
          failure ??= result.failure
        }
      }
      this.#alone = Math.max(0, this.#alone - due.length)
      if (done.length > 0) yield* this.#remove(done, due.length > done.length || results.includes(undefined))
      if (failure === undefined) {
        this.#isPaused = false
        return
      }
      // One commit refuses all of its messages for one that cannot be stored.
      if (isOfMessage(failure)) this.#alone = due.length
      else yield* this.#pause(failure)
    })
  }

  /** Undefined: the message has expired. */
  #enqueue(
    { id }: OutboxRow,
    record: OutboundRecord,
    now: number
  ): Effect.Effect<Result.Result<EnqueueReceipt, MqttError> | undefined> {
    const { session, unfinished } = this.#parts
    const options = optionsOf(record, now)
    if (options === undefined) {
      unfinished.delete(id)
      return Effect.undefined
    }
    unfinished.add(id)
    return Effect.map(
      Effect.result(session.enqueue(record.topic, record.payload, { ...options, origin: originOf(id) })),
      (result) => {
        // A timeout gives the message up as an interruption does.
        if (Result.isSuccess(result) || result.failure.reason._tag !== "Timeout") unfinished.delete(id)
        return result
      }
    )
  }

  #remove(ids: ReadonlyArray<string>, isMixed: boolean): Effect.Effect<void, MqttError> {
    return Effect.flatMap(
      this.#statement((all) => all.remove(this.#parts.hash, ids)),
      (areAccepted) => areAccepted || isMixed ? Effect.void : Effect.fail(notKept())
    )
  }

  /** The session tells no failure that somebody awaits, so it is told here. */
  #watch(topic: string, { acknowledged }: EnqueueReceipt): Effect.Effect<void, never, Scope.Scope> {
    this.#unacknowledged++
    return acknowledged.pipe(
      Effect.catch((error) =>
        // The next life of the session has the message.
        error.reason._tag === "Closed"
          ? Effect.void
          : Effect.logWarning("a message of the outbox was not published", { topic }, error)
      ),
      Effect.ensuring(Effect.sync(() => {
        this.#unacknowledged--
        this.wake()
      })),
      Effect.forkScoped,
      Effect.asVoid
    )
  }

  #refuse(row: OutboxRow, topic: string | undefined, reason: string): Effect.Effect<void, MqttError> {
    return Effect.andThen(
      Effect.logError("a message of the outbox cannot be published, and stays there", { id: row.id, topic, reason }),
      this.#statement((all) => all.refuse(this.#parts.hash, row.id, reason))
    )
  }

  /** The session takes nothing now. Fails when that is its end. */
  #pause(failure: MqttError): Effect.Effect<void, MqttError> {
    const { reason } = failure
    if (reason._tag === "Closed" || (reason._tag === "StorageFailed" && !reason.isRetryable)) {
      return Effect.fail(failure)
    }
    const isTold = this.#isPaused
    this.#isPaused = true
    return Effect.andThen(
      isTold ? Effect.void : Effect.logWarning("the session takes no message of the outbox for now", failure),
      Effect.sleep("1 second")
    )
  }

  /** Runs a statement until the database answers. */
  #statement<A>(statement: (all: OutboxStatements) => Effect.Effect<A, SqlError>): Effect.Effect<A, MqttError> {
    let isTold = false
    return this.#parts.attempts.run(statement).pipe(
      Effect.tapError((reason) => {
        if (isTold) return Effect.void
        isTold = true
        return Effect.logWarning("the outbox cannot be read", reason)
      }),
      Effect.retry({ schedule: patience, while: ({ isRetryable }) => isRetryable }),
      Effect.mapError((reason) => new MqttError({ session: this.#parts.session.name, method, reason }))
    )
  }
}

const notKept = (): MqttError =>
  invalidArgument(method, "session", "its store is not the SqlStore of this database and this tablePrefix")

const newerFormat = (format: number): MqttError =>
  new MqttError({
    method,
    reason: new StorageFailed({ kind: "newerFormat", detail: `a message of the outbox has format ${format}` })
  })
