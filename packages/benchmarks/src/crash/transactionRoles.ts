/**
 * What the killed processes do in transactions: one writes a row for each message by the inbox, the other adds messages
 * and rows by the outbox.
 */
import type { MqttSession } from "@effect-mqttx/core"
import { SqlInbox, SqlOutbox } from "@effect-mqttx/store-sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import * as Stream from "effect/Stream"
import type { Orders, Report } from "./contract.ts"
import { numberOf, payloadOf, topicOf } from "./payload.ts"
import { sqlLayer } from "./stores.ts"

/** Every fifth transaction is rolled back. */
const isRolledBack = (transaction: number): boolean => transaction % 5 === 0

/** Messages of a transaction. */
const size = 8

/** The last transaction. A process that begins after it only relays. */
const last = 100_000_000

const makeTables = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const id = sql.onDialectOrElse({
    sqlite: () => sql`INTEGER PRIMARY KEY AUTOINCREMENT`,
    orElse: () => sql`bigint GENERATED ALWAYS AS IDENTITY`
  })
  yield* sql`CREATE TABLE IF NOT EXISTS handled (id ${id}, number integer, topic text)`
  yield* sql`CREATE TABLE IF NOT EXISTS posted (number integer)`
})

export const inbox = (session: MqttSession.Session, { place, qos, seed }: Orders, report: (report: Report) => void) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* makeTables
    yield* SqlInbox.consume(
      session,
      "feed/#",
      (message) => {
        const number = numberOf(seed, message.text)
        if (number === undefined) return Effect.die(new Error(`an altered payload: ${message.text}`))
        report(["begun", number])
        return sql`INSERT INTO handled (number, topic) VALUES (${number}, ${message.topic})`
      },
      {
        consumer: "billing",
        qos: qos === 1 ? 1 : 2,
        concurrency: 4,
        onSubscribed: () => Effect.sync(() => report(["ready"]))
      }
    )
  }).pipe(Effect.provide(Layer.provideMerge(SqlInbox.layer(), sqlLayer(place))))

/** Transactions one after the other, so that their messages have an order. */
export const outbox = (
  session: MqttSession.Session,
  { from, place, qos, seed }: Orders,
  report: (report: Report) => void
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* makeTables
    yield* Effect.forkScoped(Effect.orDie(SqlOutbox.relay(session)))
    yield* Stream.range(Math.ceil(from / size), last).pipe(
      Stream.mapEffect((transaction) => {
        const post = Effect.gen(function*() {
          for (let number = transaction * size; number < (transaction + 1) * size; number++) {
            report(["begun", number])
            yield* sql`INSERT INTO posted (number) VALUES (${number})`
            yield* SqlOutbox.enqueue(session.name, topicOf("crash", number), payloadOf(seed, number), {
              qos: qos === 1 ? 1 : 2
            })
          }
          if (isRolledBack(transaction)) return yield* Effect.fail("rolled back")
        })
        // The database is killed too: a transaction whose end is unknown is not begun again.
        return Effect.ignore(sql.withTransaction(post))
      }),
      Stream.runDrain
    )
    yield* Effect.never
  }).pipe(
    Effect.provide(Layer.provideMerge(SqlOutbox.layer({ pollInterval: "100 millis" }), sqlLayer(place)))
  )
