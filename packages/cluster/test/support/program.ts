/**
 * A node in a process of its own. Its arguments are the settings of `programs.ts` in JSON. Messages of a session become
 * rows, each in one transaction with a message of the outbox, which the session publishes. With the state in Redis
 * there is no outbox, and the session takes the message itself, at least once.
 */
import { ClusterSession } from "@effect-mqttx/cluster"
import { RedisStore } from "@effect-mqttx/store-redis"
import { SqlInbox, SqlOutbox, SqlStore } from "@effect-mqttx/store-sql"
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, Option, References } from "effect"
import { RunnerAddress } from "effect/cluster"
import { SqlClient } from "effect/sql"
import type { ProgramSettings } from "./programs.ts"
import * as timings from "./timings.ts"

const settings = JSON.parse(process.argv[2]!) as ProgramSettings
const { broker, clientIds, database, name, port, prefix, protocolVersion, redis } = settings
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
            redis === undefined
              ? SqlOutbox.enqueue(session.name, `${prefix}/${clientId}/out`, `${message.text} ${name}`)
              : session.enqueue(`${prefix}/${clientId}/out`, `${message.text} ${name}`, { qos: 2 })
          ),
        { consumer: "rows" }
      )
      yield* redis === undefined ? Effect.all([receive, SqlOutbox.relay(session)], { concurrency: 2 }) : receive
    })
}).pipe(
  Layer.provide(NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: { ...timings.sharding, runnerAddress: address, runnerListenAddress: address }
  })),
  Layer.provide([
    redis === undefined
      ? SqlStore.layer(timings.store)
      : RedisStore.layer(timings.store).pipe(Layer.provide(NodeRedis.layer({ url: redis }))),
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
