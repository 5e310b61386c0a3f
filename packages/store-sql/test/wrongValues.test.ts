/**
 * The store and its options with wrong values of every kind.
 */
import { SqlOutbox } from "@effect-mqttx/store-sql"
import { PostgresServer } from "@effect-mqttx/testing"
import { PgClient } from "@effect/sql-pg"
import { describe, layer } from "@effect/vitest"
import { Config, Effect, Layer, Result } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import * as Path from "node:path"
import { nothing, subject, testExports } from "../../../test/support/wrongExports.ts"
import { tryWrongValues } from "../../../test/support/wrongStores.ts"
import { options, parameter, type } from "../../../test/support/wrongValues.ts"
import { decodeOptions } from "../src/internal/outbox/options.ts"
import { Outbox } from "../src/internal/outbox/outbox.ts"
import { PostgresOutboxStatements } from "../src/internal/postgres/outboxStatements.ts"
import { store, withoutSync } from "./support/postgres.ts"

// Which of the numbers are in the bounds is a matter of other tests.
const some = type("duration", () => "1 day")
const input = options("options", {
  tablePrefix: type("prefix", () => "text", (value) => typeof value === "string"),
  leaseDuration: some,
  acquireTimeout: some,
  statementTimeout: some
})
const inboxInput = options("options", {
  tablePrefix: type("prefix", () => "text", (value) => typeof value === "string"),
  keepKeysFor: some,
  keepKeys: type("count", () => 5, (value) => typeof value === "number" && Number.isInteger(value)),
  statementTimeout: some
})
// Without a path, so that none opens a file.
const sqliteInput = options("options", { busyTimeout: some })
const outboxInput = options("options", {
  tablePrefix: type("prefix", () => "text", (value) => typeof value === "string"),
  pollInterval: some,
  window: type("count", () => 5, (value) => typeof value === "number" && Number.isInteger(value)),
  listen: type("flag", () => true, (value) => typeof value === "boolean"),
  statementTimeout: some
})
const config = parameter("config", type("config", () => Config.succeed({})))

testExports(
  Path.join(import.meta.dirname, "../src"),
  (name) => import(`../src/${name}.ts`),
  {
    SqlInbox: {
      // It reaches for the database at once, which is not there: what is right fails too.
      make: subject("effect", inboxInput),
      layer: subject("layer", inboxInput),
      layerConfig: subject("layer", config),
      consume: subject("effect", nothing("session", () => undefined))
    },
    SqlOutbox: {
      make: subject("effect", outboxInput),
      layer: subject("layer", outboxInput),
      layerConfig: subject("layer", config),
      enqueue: subject("effect", nothing("session", () => undefined)),
      relay: subject("effect", nothing("session", () => undefined))
    },
    SqliteClient: {
      make: subject("effect", sqliteInput),
      layer: subject("layer", sqliteInput),
      layerConfig: subject("layer", config)
    },
    SqlStore: {
      make: subject("effect", input),
      layer: subject("layer", input),
      layerConfig: subject("layer", config)
    }
  },
  Layer.effect(
    SqlOutbox.SqlOutbox,
    // The one of `make` needs a database.
    Effect.map(SqlClient.SqlClient, (sql) => {
      const outbox = new Outbox(sql, new PostgresOutboxStatements(sql, "mqttx"), Result.getOrThrow(decodeOptions({})))
      return {
        enqueue: (session, topic, payload, given = {}) => outbox.enqueue(session, topic, payload, given),
        relay: (session) => outbox.relay(session)
      }
    })
  ).pipe(
    Layer.provideMerge(Layer.effect(
      SqlClient.SqlClient,
      SqlClient.make({ acquirer: Effect.never, compiler: PgClient.makeCompiler(), driver: "pg", spanAttributes: [] })
    )),
    Layer.provide(Reactivity.layer)
  ) as Layer.Layer<never>
)

describe.skipIf(!PostgresServer.isPresent())("an SQL store that is called with wrong values", () => {
  layer(PostgresServer.layer(withoutSync), { excludeTestServices: true })((it) => {
    it.effect("fails with a typed error, and continues", () =>
      Effect.gen(function*() {
        yield* tryWrongValues(yield* store(yield* PostgresServer.PostgresServer))
      }), 180_000)
  })
})
