/**
 * A node in a process of its own. Its arguments are the settings of `programs.ts` in JSON. Messages of a session become
 * rows, each in one transaction with a message of the outbox, which the session publishes.
 */
import { ClusterSession, ClusterTimings } from "@effect-mqttx/cluster"
import { SqlInbox, SqlOutbox, SqlStore } from "@effect-mqttx/store-sql"
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, Option, References } from "effect"
import { RunnerAddress } from "effect/cluster"
import { SqlClient } from "effect/sql"
import type { ProgramSettings } from "./programs.ts"

const settings = JSON.parse(process.argv[2]!) as ProgramSettings
const { broker, clientIds, database, name, port, prefix, protocolVersion } = settings
const address = Option.some(RunnerAddress.make("127.0.0.1", port))

class Sites extends ClusterSession.Service<Sites>()(prefix) {}

const node = Sites.layer({
  clientIds,
  options: (clientId) => ({
    servers: [broker],
    username: name,
    protocolVersion,
    log: "off" as const,
    will: { topic: `${prefix}/${clientId}/will`, payload: name }
  }),
  run: (session, clientId) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const receive = SqlInbox.consume(
        session,
        `${prefix}/${clientId}/in`,
        (message) =>
          Effect.andThen(
            sql.unsafe("INSERT INTO rows (site, text) VALUES ($1, $2)", [clientId, message.text]),
            SqlOutbox.enqueue(session.name, `${prefix}/${clientId}/out`, `${message.text} ${name}`)
          ),
        { consumer: "rows" }
      )
      yield* Effect.all([receive, SqlOutbox.relay(session)], { concurrency: 2 })
    })
}).pipe(
  Layer.provide(NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: { ...ClusterTimings.failover, runnerAddress: address, runnerListenAddress: address }
  })),
  Layer.provide([
    SqlStore.layer(ClusterTimings.store),
    SqlInbox.layer(),
    SqlOutbox.layer({ listen: false, pollInterval: "100 millis" })
  ]),
  Layer.provide(
    PgClient.layer({ host: "127.0.0.1", port: database, username: "plant", database: prefix, maxConnections: 20 })
  )
)

NodeRuntime.runMain(
  Layer.launch(node).pipe(
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
)
