/**
 * Times for clusters that own MQTT sessions. Effect's defaults suit jobs: a node that dies keeps its shards for 35
 * seconds. With these times another node takes over its sessions after three to five, on machines that are not
 * overloaded.
 *
 * **Example** (A node with a fast fail-over)
 *
 * ```ts
 * import { ClusterTimings } from "@effect-mqttx/cluster"
 * import { SqlStore } from "@effect-mqttx/store-sql"
 * import { NodeClusterSocket } from "@effect/platform-node"
 *
 * export const Cluster = NodeClusterSocket.layer({ storage: "sql", shardingConfig: ClusterTimings.failover })
 * export const Store = SqlStore.layer(ClusterTimings.store)
 * ```
 */
import type { SessionOptionsInput } from "@effect-mqttx/core/SessionOptions"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"

/**
 * A `ShardingConfig` for fail-over within some five seconds. All nodes of a cluster have the same.
 *
 * There are 30 shards, which suits up to ten nodes. A shard that moves is released by a statement of its own, and a
 * node that cannot release in time loses all its shards, so fewer are better. More nodes need more (`shardsPerGroup`),
 * and all nodes must have the same number.
 *
 * A node proves each second that it lives, and is out after three seconds without a proof: killed, paused or cut off
 * from the database. Each node looks twice a second who is there. A database that does not answer for a second ends the
 * sessions of a node too, because it cannot know whether it still owns them.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export const failover = {
  shardsPerGroup: 30,
  shardLockExpiration: 3000,
  shardLockRefreshInterval: 1000,
  refreshAssignmentsInterval: 500,
  runnerHealthCheckInterval: 1000,
  entityMessagePollInterval: 500,
  entityReplyPollInterval: 200,
  entityTerminationTimeout: 2000,
  sendRetryInterval: 100
} as const satisfies Partial<ShardingConfig["Service"]>

/**
 * Options of `SqlStore` and `RedisStore` that go with `failover`: the lease of a dead owner ends with its shard lock.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export const store = { leaseDuration: 3000, acquireTimeout: 10_000 } as const

/**
 * Defaults of the sessions of a cluster, within the time of a fail-over. Sessions of `ClusterSession` have them.
 * Sessions that a singleton makes should have them too.
 *
 * A session that another connection took over waits for `permanentDelay`: longer than a node needs to learn that it has
 * lost its locks.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export const session = {
  drainTimeout: "1 second",
  reconnect: { initialDelay: "200 millis", maxDelay: "30 seconds", permanentDelay: "5 seconds" }
} as const satisfies Partial<SessionOptionsInput>
