/**
 * All metrics of a program at one moment: sessions, routes, stores and forwarders, as plain data that can be converted
 * to JSON and back. `MqttMetrics` makes them.
 *
 * No snapshot contains a secret, a payload or the topic of a message. It contains the names of sessions, servers and
 * the filters of routes, and errors. Times are milliseconds; points in time are counted from the epoch, and absent when
 * the event never happened.
 *
 * **Example** (Reading a snapshot as JSON)
 *
 * ```ts
 * import { MqttMetrics, MqttSnapshot } from "@effect-mqttx/metrics"
 * import { Effect, Schema } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const metrics = yield* MqttMetrics.MqttMetrics
 *   const text = JSON.stringify(yield* metrics.snapshot)
 *   const { sessions } = yield* Schema.decodeEffect(Schema.fromJsonString(MqttSnapshot.MqttSnapshot))(text)
 *   return sessions.map(({ name }) => name)
 * })
 * ```
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
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type MqttSnapshot = Snapshot.MqttSnapshot

/**
 * The schema of snapshots. Its encoded form is JSON.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const MqttSnapshot: Schema.Codec<MqttSnapshot> = snapshotSchema
