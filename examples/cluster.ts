/**
 * Sessions with one owner among several nodes: `tsc -b examples && node examples/dist/cluster.js`.
 *
 * Two nodes of a cluster own four sessions together. Any node publishes through any session. One node leaves, and the
 * other one continues its sessions where they were. The database is DATABASE_URL, or a PostgreSQL that the example
 * starts when one is installed. Real nodes are processes; here they are layers with an address each.
 */
import { ClusterSession, ClusterTimings } from "@effect-mqttx/cluster"
import { SqlStore } from "@effect-mqttx/store-sql"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Exit, Layer, Option, Redacted, Schedule, Scope } from "effect"
import { RunnerAddress } from "effect/cluster"
import { databaseUrl } from "./database/postgres.ts"

class Sites extends ClusterSession.Service<Sites>()("sites") {}

const clientIds = ["site-1", "site-2", "site-3", "site-4"]

/** What was handled, and where. */
const handled: Array<string> = []

const layerNode = (port: number, broker: string, database: string) => {
  const address = Option.some(RunnerAddress.make("127.0.0.1", port))
  return Sites.layer({
    clientIds,
    options: () => ({ servers: [broker] }),
    run: (session, clientId) =>
      session.consume(`${clientId}/commands`, (message) => Effect.sync(() => handled.push(message.text)), {
        qos: 2,
        consumer: "commands"
      })
  }).pipe(
    Layer.provide(NodeClusterSocket.layer({
      storage: "sql",
      shardingConfig: { ...ClusterTimings.failover, runnerAddress: address, runnerListenAddress: address }
    })),
    Layer.provide(SqlStore.layer(ClusterTimings.store)),
    Layer.provide(PgClient.layer({ url: Redacted.make(database) }))
  )
}

/** The nodes that own the sessions, when all of them are connected. */
const owners = (sites: ClusterSession.Sessions) =>
  Effect.forEach(clientIds, (id) =>
    sites.status(id).pipe(
      Effect.filterOrFail(({ ready }) => ready, () => "not yet"),
      Effect.retry(Schedule.spaced("100 millis")),
      Effect.map(({ node }) => node)
    ), { concurrency: "unbounded" })

const program = Effect.fnUntraced(function*(database: string) {
  const broker = yield* ScriptedBroker.make()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const leaving = yield* Layer.buildWithScope(Layer.fresh(layerNode(34_431, broker.url, database)), scope)
  const staying = yield* Layer.build(Layer.fresh(layerNode(34_432, broker.url, database)))
  const [first, second] = [Context.get(leaving, Sites), Context.get(staying, Sites)]

  yield* Effect.log(`owned by ${(yield* owners(second)).join(", ")}`)
  yield* Effect.forEach(clientIds, (id) => first.publish(id, `${id}/readings`, "23.5", { qos: 2 }))

  // What SIGTERM does to a process.
  yield* Scope.close(scope, Exit.void)
  // The broker keeps the command for the session while it moves.
  yield* Effect.forEach(clientIds, (id) => broker.publish(`${id}/commands`, `open ${id}`, { qos: 2 }))
  const after = yield* owners(second)
  yield* Effect.forEach(clientIds, (id) => second.publish(id, `${id}/readings`, "24.0", { qos: 2 }))
  yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => handled.length >= clientIds.length }))
  yield* Effect.log(`owned by ${after.join(", ")}; handled: ${[...handled].sort().join(", ")}`)
  if (handled.length !== clientIds.length || after.some((node) => node !== "127.0.0.1:34432")) {
    yield* Effect.die("a session was lost, or a command came twice")
  }
}, Effect.scoped)

const main = Effect.gen(function*() {
  const url = yield* databaseUrl
  if (Option.isNone(url)) return yield* Effect.log("skipped, there is no PostgreSQL on this machine")
  yield* program(url.value).pipe(Effect.timeout("1 minute"))
})

NodeRuntime.runMain(Effect.scoped(main))
