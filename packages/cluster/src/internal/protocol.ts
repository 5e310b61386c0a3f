/**
 * The calls that the owner of a session answers. Both sides make the entity from it.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import * as Entity from "effect/cluster/Entity"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { ClusterSessionError } from "../ClusterSessionError.ts"
import { Publication, Receipt, Status } from "./wire.ts"

const error = Schema.Union([MqttError, ClusterSessionError])

const calls = [
  Rpc.make("Start", { error }),
  Rpc.make("Publish", { payload: Publication, success: Receipt, error }),
  Rpc.make("Enqueue", { payload: Publication, error }),
  Rpc.make("Status", { success: Status, error }),
  Rpc.make("Close", { error })
] as const

export type Calls = typeof calls[number]

export type SessionEntity = Entity.Entity<string, Calls>

/**
 * The entity of a kind of sessions. A shard that leaves waits for the calls that run, up to `entityTerminationTimeout`.
 * Then they end with an answer that says so.
 */
export const makeEntity = (kind: string): SessionEntity => Entity.make(kind, calls)
