/**
 * The inbox: runs what a message is to do in one transaction with the record that it was done, and does nothing where
 * the record is there. `SqlInbox` makes one for each layer.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { type DeliveryEntry, entryOf, type KeyEntry } from "./entry.ts"
import type { SqlInboxOptions } from "./options.ts"
import { type Arrival, type InboxStatements, largestDeletion, type Owner } from "./statements.ts"

const longestUnpruned = 60_000

export class Inbox {
  readonly statements: InboxStatements
  readonly #sql: SqlClient.SqlClient
  readonly #options: SqlInboxOptions
  readonly #program: string
  /**
   * Which arrival a message is, so that another attempt at it is told from an equal message that came before. A
   * delivery has one object, however often its handler runs.
   */
  readonly #arrivals = new WeakMap<Message, Arrival>()
  #arrived = 0
  /** What each consumer has recorded since its keys were pruned. */
  readonly #unpruned = new Map<string, { count: number; since: number }>()

  constructor(sql: SqlClient.SqlClient, statements: InboxStatements, options: SqlInboxOptions, program: string) {
    this.#sql = sql
    this.#options = options
    this.#program = program
    this.statements = statements
  }

  /** `owner` is that of the message's session, where this database keeps it. */
  once<A, E, R>(
    consumer: string,
    message: Message,
    effect: Effect.Effect<A, E, R>,
    key: string | undefined,
    owner: Owner | undefined
  ): Effect.Effect<Option.Option<A>, E | MqttError | SqlError, R> {
    return Effect.suspend((): Effect.Effect<Option.Option<A>, E | MqttError | SqlError, R> => {
      const entry = entryOf(consumer, message, key)
      if (entry === undefined) return Effect.map(this.#together(effect), Option.some)
      return entry._tag === "Key"
        ? Effect.tap(this.#recorded(this.statements.recordKey(entry), effect), () => this.#prune(consumer, entry))
        : this.#delivered(entry, message, effect, owner)
    })
  }

  /** The owner of a session, if this database keeps it. Later owners have other epochs. */
  ownerOf(session: string): Effect.Effect<Owner | undefined, SqlError> {
    return this.statements.outside(this.statements.ownerOf(session))
  }

  #delivered<A, E, R>(
    entry: DeliveryEntry,
    message: Message,
    effect: Effect.Effect<A, E, R>,
    owner: Owner | undefined
  ): Effect.Effect<Option.Option<A>, E | MqttError | SqlError, R> {
    const arrival = this.#arrivalOf(message)
    const isNew = Effect.flatMap(
      this.statements.recordDelivery(entry, arrival, owner),
      (recorded) => recorded.isOwned ? Effect.succeed(recorded.isNew) : Effect.fail(fenced(message.session))
    )
    const attempt = this.#recorded(isNew, effect)
    // Without DUP it is the first delivery [MQTT-3.3.1-1]: a row of the same value is of an equal message before it,
    // whose acknowledgement the server has. That row is deleted by itself, before the message is processed: otherwise a
    // redelivery after a crash in the midst of it would find the row.
    if (message.qos !== 1 || message.dup) return attempt
    return Effect.flatMap(attempt, (result) =>
      Option.isSome(result)
        ? Effect.succeed(result)
        : Effect.flatMap(
          this.statements.outside(this.statements.forgetDelivery(entry, arrival)),
          (wasOther): Effect.Effect<Option.Option<A>, E | MqttError | SqlError, R> =>
            wasOther ? attempt : Effect.succeed(result)
        ))
  }

  /** Runs an effect in one transaction with a record, if there is none yet. */
  #recorded<A, E, R, E2>(
    record: Effect.Effect<boolean, E2>,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<Option.Option<A>, E | E2 | SqlError, R> {
    return this.#together(
      Effect.flatMap(
        record,
        (isNew): Effect.Effect<Option.Option<A>, E, R> => isNew ? Effect.map(effect, Option.some) : Effect.succeedNone
      )
    )
  }

  /** A transaction of its own, whatever its caller has begun. */
  #together<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> {
    // `SqlClient` dies where a rollback fails, as it does over a lost connection, which undoes the transaction anyway.
    return Effect.catchDefect(
      this.statements.outside(this.#sql.withTransaction(effect)),
      (defect) => isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect)
    )
  }

  #arrivalOf(message: Message): Arrival {
    const known = this.#arrivals.get(message)
    if (known !== undefined) return known
    const arrival = { program: this.#program, arrival: ++this.#arrived }
    this.#arrivals.set(message, arrival)
    return arrival
  }

  /** Keeps the bounds of the keys. The message is processed, so a failure is no failure of it. */
  #prune(consumer: string, { owner }: KeyEntry): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { keepKeys, keepKeysFor } = this.#options
      const now = yield* Clock.currentTimeMillis
      const unpruned = this.#unpruned.get(consumer) ?? { count: 0, since: Number.NEGATIVE_INFINITY }
      this.#unpruned.set(consumer, unpruned)
      unpruned.count++
      if (unpruned.count < keepKeys / 10 && now - unpruned.since < longestUnpruned) return
      // Set before, so that messages that run at the same time do not prune too.
      unpruned.count = 0
      unpruned.since = now
      const once = this.statements.pruneKeys(owner, Duration.toMillis(keepKeysFor), keepKeys)
      yield* this.statements.outside(Effect.repeat(once, { while: (deleted) => deleted === largestDeletion }))
    }).pipe(
      Effect.catchCause((cause) => Effect.logWarning("old keys of the inbox could not be deleted", { consumer }, cause))
    )
  }
}

/** The name of this program in the rows, unlike that of any other. */
export const programName: Effect.Effect<string> = Effect.map(
  Effect.all([Random.nextInt, Random.nextInt]),
  ([one, two]) => `${one.toString(36)}${two.toString(36)}`
)

const fenced = (session: string): MqttError =>
  new MqttError({
    session,
    method: "SqlInbox.consume",
    reason: new StorageFailed({ kind: "fenced", detail: "another owner has taken the session over" })
  })
