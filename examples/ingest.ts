/**
 * Ingest into a database, exactly once: `tsc -b examples && node examples/dist/ingest.js`.
 *
 * A process inserts a row for each reading. Its connection is cut again and again, and it is killed with kill -9 in the
 * middle, so that the broker sends many readings twice. In the end each has one row, although the table has no key. The
 * database is DATABASE_URL, or a PostgreSQL that the example starts when one is installed.
 */
import { MqttSession } from "@effect-mqttx/core"
import { SqlInbox, SqlStore } from "@effect-mqttx/store-sql"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer, Option, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { databaseUrl } from "./database/postgres.ts"

const count = 600

/** The process that ingests. The row and the note that the message was processed are one transaction. */
const ingest = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const session = yield* MqttSession.MqttSession
  yield* SqlInbox.consume(
    session,
    "sensors/+/reading",
    (message) => sql`INSERT INTO readings (topic, text) VALUES (${message.topic}, ${message.text})`,
    { consumer: "ingest", concurrency: 4 }
  )
})

const ingestLayer = Effect.gen(function*() {
  const broker = yield* Config.String("BROKER_URL")
  const database = PgClient.layer({ url: Redacted.make(yield* Config.String("DATABASE_URL")) })
  return Layer.mergeAll(
    MqttSession.layerDurable({
      name: "ingest",
      clientId: "ingest",
      servers: [broker],
      // The broker sends no more before some are acknowledged.
      receiveMaximum: 20,
      reconnect: { initialDelay: "10 millis", maxDelay: "50 millis" }
    }).pipe(
      // After a kill -9 the next process waits so long for the session.
      Layer.provide(SqlStore.layer({ leaseDuration: "2 seconds" }))
    ),
    SqlInbox.layer()
  ).pipe(Layer.provideMerge(database))
}).pipe(Layer.unwrap)

/** This program again, as the process that ingests. It is killed with the scope. */
const startIngest = (environment: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [process.argv[1]!, "--ingest"], {
        env: { ...process.env, ...environment },
        stdio: ["ignore", "ignore", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const main = Effect.gen(function*() {
  const url = yield* databaseUrl
  if (Option.isNone(url)) return yield* Effect.log("skipped, there is no PostgreSQL on this machine")
  yield* compare(url.value).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url.value) })))
})

const compare = Effect.fnUntraced(function*(database: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS readings`
  yield* sql`CREATE TABLE readings (topic text, text text)`
  const rows = Effect.map(
    sql<{ readonly all: number; readonly different: number }>`
      SELECT count(*)::integer AS all, count(DISTINCT text)::integer AS different FROM readings
    `,
    ([row]) => row!
  )

  const broker = yield* ScriptedBroker.make()
  const environment = { BROKER_URL: broker.url, DATABASE_URL: database }
  const first = yield* startIngest(environment)
  yield* broker.awaitPacket({ direction: "sent", packet: "Suback" })
  yield* broker.cutEvery({ packets: [50, 200], seed: 1 })
  const publications = yield* Effect.forEach(
    Array.from({ length: count }, (_, reading) => reading),
    (reading) => broker.publish(`sensors/${reading % 10}/reading`, `${reading}`, { qos: reading % 2 === 0 ? 1 : 2 })
  )

  yield* rows.pipe(Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: ({ all }) => all >= count / 2 }))
  first.kill("SIGKILL")
  const before = yield* rows
  yield* Effect.log(`killed after ${before.all} of ${count} readings`)

  yield* startIngest(environment)
  yield* Effect.forEach(publications, ({ settled }) => settled, { discard: true })
  const repeated = broker.sent("Publish", "ingest").filter(({ packet }) => packet.dup).length
  const after = yield* rows
  yield* Effect.log(`sent again by the broker: ${repeated}; rows: ${after.all}, different ones: ${after.different}`)
  if (before.all === count || repeated === 0) yield* Effect.die("nothing was interrupted")
  if (after.all !== count || after.different !== count) yield* Effect.die("a reading was lost, or came twice")
}, Effect.timeout("50 seconds"))

if (process.argv.includes("--ingest")) NodeRuntime.runMain(Effect.provide(ingest, ingestLayer))
else NodeRuntime.runMain(Effect.scoped(main))
