/**
 * Nodes of one cluster in this process: each has an address, a database driver, a store and a runner of its own, as a
 * process would have.
 */
import { ClusterSession } from "@effect-mqttx/cluster"
import type { MqttSession } from "@effect-mqttx/core"
import { SqlStore } from "@effect-mqttx/store-sql"
import { NodeClusterSocket } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Exit, Layer, Logger, Option, Scope, Stream } from "effect"
import { RunnerAddress } from "effect/cluster"
import { freePort } from "../../../../test/support/freePort.ts"
import * as timings from "./timings.ts"

export { connectionsOf } from "../../../../test/support/mosquittoLog.ts"
export { freePort }

export interface NodeOptions {
  /** The port of PostgreSQL, or of a proxy in front of it. */
  readonly database: number
  readonly broker: string
  /** The kind of the sessions and the prefix of the tables: each test has a cluster of its own. */
  readonly prefix: string
  readonly run?: (session: MqttSession.Session, clientId: string) => Effect.Effect<unknown, unknown>
  readonly clientIds?: ReadonlyArray<string>
  readonly protocolVersion?: 4 | 5
}

/** The begin of a connection of this node. */
export interface Connected {
  readonly clientId: string
  readonly isPresent: boolean
}

/** A node that owns sessions. It leaves with its scope. Its user name at the broker is its address. */
export const node = ({ broker, clientIds, database, prefix, protocolVersion, run }: NodeOptions) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const address = `127.0.0.1:${port}`
    const connected: Array<Connected> = []
    class Sites extends ClusterSession.Service<Sites>()(prefix) {}
    const note = (session: MqttSession.Session, clientId: string) =>
      session.events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            if (event._tag === "Connected") connected.push({ clientId, isPresent: event.sessionPresent })
          })
        ),
        Effect.forkScoped
      )
    const layer = Sites.layer({
      clientIds,
      options: () => ({
        servers: [broker],
        username: address,
        log: "off" as const,
        ...(protocolVersion === undefined ? undefined : { protocolVersion })
      }),
      run: (session, clientId) =>
        Effect.scoped(
          Effect.andThen(note(session, clientId), run === undefined ? Effect.never : run(session, clientId))
        )
    }).pipe(
      Layer.provide(NodeClusterSocket.layer({
        storage: "sql",
        shardingConfig: {
          ...timings.sharding,
          availableShardGroups: ["default"],
          runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)),
          runnerListenAddress: Option.some(RunnerAddress.make("127.0.0.1", port))
        }
      })),
      Layer.provide(SqlStore.layer(timings.store)),
      Layer.provide(PgClient.layer({ host: "127.0.0.1", port: database, username: "plant", database: "postgres" }))
    )
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return {
      address,
      sites: Context.get(context, Sites),
      /** All connections of its sessions so far. */
      connected: (): ReadonlyArray<Connected> => connected,
      /** What SIGTERM does: hands the sessions over, and leaves. */
      leave: Scope.close(scope, Exit.void)
    }
  })

/** Take so many that each node has some: their shards fall to the nodes by addresses, which differ in each run. */
export const identifiers = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

/** Without the log lines of runners. */
export const quiet = Effect.provide(Logger.layer([]))
