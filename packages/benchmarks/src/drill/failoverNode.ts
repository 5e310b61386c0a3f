/**
 * A node of the fail-over drill, in a process of its own: owns sessions, whose messages become rows, each in one
 * transaction with a message of the outbox that the session publishes. Its argument is `NodeOrders` in JSON.
 */
import { ClusterSession, ClusterTimings } from "@effect-mqttx/cluster"
import { SqlInbox, SqlOutbox, SqlStore } from "@effect-mqttx/store-sql"
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { RunnerAddress } from "effect/cluster"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import { SqlClient } from "effect/sql"

export interface NodeOrders {
  /** The user name at the broker. */
  readonly name: string
  /** The port of the node in the cluster. */
  readonly port: number
  readonly broker: string
  readonly database: string
  readonly clientIds: ReadonlyArray<string>
}

const { broker, clientIds, database, name, port } = JSON.parse(process.argv[2]!) as NodeOrders
const address = Option.some(RunnerAddress.make("127.0.0.1", port))

class Sites extends ClusterSession.Service<Sites>()("drill") {}

const node = Sites.layer({
  clientIds,
  options: () => ({ servers: [broker], username: name, log: "off" as const }),
  run: (session, clientId) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const receive = SqlInbox.consume(
        session,
        `drill/${clientId}/in`,
        (message) =>
          Effect.andThen(
            sql.unsafe("INSERT INTO drill_rows (site, number) VALUES ($1, $2)", [clientId, message.text]),
            SqlOutbox.enqueue(session.name, `drill/${clientId}/out`, `${message.text} ${name}`)
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
  Layer.provide(PgClient.layer({ url: Redacted.make(database), maxConnections: 20 }))
)

NodeRuntime.runMain(
  Layer.launch(node).pipe(
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
)
