/**
 * All figures of a program at one moment: sessions, routes, stores and forwarders, as plain data that survive JSON.
 * `MqttMetrics` makes them.
 *
 * No snapshot holds a secret, a payload or the topic of a message: what it names are sessions, servers, the filters of
 * routes, and what went wrong. Times are milliseconds; points in time are counted from the epoch, and absent when there
 * was none.
 */
import type * as Schema from "effect/Schema"
import type * as Model from "./internal/snapshot/model.ts"
import { snapshotSchema } from "./internal/snapshot/schema.ts"

export type {
  AbsentConsumerSnapshot,
  ConnectionSnapshot,
  ForwarderSessionSnapshot,
  ForwarderSnapshot,
  MetricsSnapshot,
  Problem,
  RouteSnapshot,
  SessionSnapshot,
  StorageSnapshot,
  StoreSnapshot,
  SubscriptionFailureSnapshot,
  TotalsSnapshot,
  UnreadyCause
} from "./internal/snapshot/model.ts"

/**
 * Everything, at one moment.
 */
export type MqttSnapshot = Model.MqttSnapshot

/**
 * The schema of snapshots: what it encodes is JSON as it is.
 */
export const MqttSnapshot: Schema.Codec<MqttSnapshot> = snapshotSchema
