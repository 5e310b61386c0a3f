/**
 * Starts the sessions of a list: once in the cluster, by the node that has the singleton.
 */
import type { Sharding } from "effect/cluster/Sharding"
import * as Singleton from "effect/cluster/Singleton"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { makeCalls } from "./calls.ts"
import type { SessionEntity } from "./protocol.ts"

const patience = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

export const layerRoster = (
  entity: SessionEntity,
  clientIds: ReadonlyArray<string>
): Layer.Layer<never, never, Sharding> =>
  Singleton.make(
    `@effect-mqttx/cluster/${entity.type}/start`,
    Effect.flatMap(makeCalls(entity), ({ start }) =>
      Effect.forEach(
        clientIds,
        (clientId) =>
          start(clientId).pipe(
            Effect.tapError((error) => Effect.logWarning("a session of the cluster could not be started", error)),
            Effect.retry({
              schedule: patience,
              while: (error) => error._tag !== "MqttError" || error.reason._tag !== "SessionNotFound"
            }),
            Effect.ignore
          ),
        { concurrency: 16, discard: true }
      ))
  )
