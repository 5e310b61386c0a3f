/**
 * All metrics of a program at one moment: sessions, routes, stores and forwarders, as plain data that can be converted
 * to JSON and back. `MqttMetrics` makes them.
 *
 * No snapshot contains a secret, a payload or the topic of a message. It contains the names of sessions, servers and
 * the filters of routes, and errors. Times are milliseconds; points in time are counted from the epoch, and absent when
 * the event never happened.
 */
import type * as Schema from "effect/Schema"
import type * as Snapshot from "./internal/snapshot/schema.ts"
import { snapshotSchema } from "./internal/snapshot/schema.ts"

export type {
  AbsentConsumerSnapshot,
  ConnectionSnapshot,
  ForwarderSessionSnapshot,
  ForwarderSnapshot,
  MetricsSnapshot,
  Problem,
  RouteSessionSnapshot,
  RouteSnapshot,
  SessionSnapshot,
  StorageSnapshot,
  StoreSnapshot,
  SubscriptionFailureSnapshot,
  TotalsSnapshot,
  UnreadyCause
} from "./internal/snapshot/schema.ts"

/**
 * All metrics at one moment.
 */
export type MqttSnapshot = Snapshot.MqttSnapshot

/**
 * The schema of snapshots. Its encoded form is JSON.
 */
export const MqttSnapshot: Schema.Codec<MqttSnapshot> = snapshotSchema
