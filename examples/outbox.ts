/**
 * Messages and rows, both or none: `tsc -b examples && node examples/dist/outbox.js`.
 *
 * A shop places orders and gets payments. An order that is rolled back is not published. A payment that the broker
 * sends twice is booked once, and answered once. The database is DATABASE_URL, or a PostgreSQL that the example starts
 * when one is installed.
 */
import { MqttSession } from "@effect-mqttx/core"
import { SqlInbox, SqlOutbox, SqlStore } from "@effect-mqttx/store-sql"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Layer, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { databaseUrl } from "./database/postgres.ts"

const makeTables = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS shop_orders, shop_payments`
  yield* sql`CREATE TABLE shop_orders (id text PRIMARY KEY)`
  yield* sql`CREATE TABLE shop_payments (text text)`
})

/** A row and a message in one transaction. */
const placeOrder = Effect.fnUntraced(function*(id: string, isPaid: boolean) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`INSERT INTO shop_orders (id) VALUES (${id})`
    yield* SqlOutbox.enqueue("shop", `orders/${id}`, "placed")
    if (!isPaid) return yield* Effect.fail("the card was refused")
  }))
})

/** Books each payment once, and answers it in the same transaction. */
const bookPayments = Effect.fnUntraced(function*(session: MqttSession.Session, subscribed: Deferred.Deferred<void>) {
  const sql = yield* SqlClient.SqlClient
  yield* SqlInbox.consume(
    session,
    "payments/+",
    (message) =>
      Effect.andThen(
        sql`INSERT INTO shop_payments (text) VALUES (${message.text})`,
        SqlOutbox.enqueue("shop", "receipts", message.text)
      ),
    { consumer: "billing", concurrency: 4, onSubscribed: () => Deferred.succeed(subscribed, undefined) }
  )
})

const program = Effect.fnUntraced(function*(broker: ScriptedBroker.Service) {
  const sql = yield* SqlClient.SqlClient
  const session = yield* MqttSession.MqttSession
  yield* makeTables
  yield* Effect.forkScoped(SqlOutbox.relay(session))
  const subscribed = yield* Deferred.make<void>()
  yield* Effect.forkScoped(bookPayments(session, subscribed))
  yield* Deferred.await(subscribed)

  yield* placeOrder("1", true)
  yield* Effect.ignore(placeOrder("2", false))

  // The acknowledgement is lost with the connection, so the broker sends the payment again.
  const lost = yield* broker.inject(Fault.dropBefore({ direction: "received", packet: "Puback" }))
  yield* (yield* broker.publish("payments/1", "10 euros", { qos: 1 })).settled
  yield* placeOrder("3", true)

  const isOwn = (topic: string): boolean => topic.startsWith("orders/") || topic === "receipts"
  const sent = () => broker.published.map(({ topic }) => topic).filter(isOwn)
  yield* broker.awaitUntil(() => sent().includes("orders/3"))
  const payments = yield* sql`SELECT text FROM shop_payments`
  yield* Effect.log(
    `published: ${sent().join(", ")}; lost acknowledgements: ${lost.hits()}; booked: ${payments.length}`
  )
  if (sent().join() !== "orders/1,receipts,orders/3" || payments.length !== 1) {
    yield* Effect.die("a message was lost, or came twice")
  }
}, Effect.scoped)

const main = Effect.gen(function*() {
  const url = yield* databaseUrl
  if (Option.isNone(url)) return yield* Effect.log("skipped, there is no PostgreSQL on this machine")
  const broker = yield* ScriptedBroker.make()
  const database = PgClient.layer({ url: Redacted.make(url.value) })
  const services = Layer.mergeAll(
    MqttSession.layerDurable({ name: "shop", servers: [broker.url], reconnect: { initialDelay: "20 millis" } }).pipe(
      Layer.provide(SqlStore.layer())
    ),
    SqlInbox.layer(),
    SqlOutbox.layer()
  )
  yield* Effect.provide(program(broker), Layer.provideMerge(services, database))
})

NodeRuntime.runMain(Effect.scoped(main))
