/**
 * Why a call to a session of the cluster failed without an answer of the session. Failures of the session itself arrive
 * as the `MqttError` that it answered.
 */
import * as Schema from "effect/Schema"

const kinds = ["moved", "overloaded", "unassigned", "storage"] as const

/**
 * What happened to the call.
 *
 * - `moved`: the node stopped owning the session while the call ran.
 * - `overloaded`: the owner has as many calls or sessions as it takes (`entityMailboxCapacity`, `maxResidentEntities`).
 * - `unassigned`: the node of the caller is leaving the cluster.
 * - `storage`: the cluster's message storage failed.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type ClusterSessionErrorKind = typeof ClusterSessionErrorKind.Type

/**
 * The schema of the kinds.
 *
 * @stability unstable
 * @category schemas
 * @since 0.1.0
 */
export const ClusterSessionErrorKind: Schema.Literals<typeof kinds> = Schema.Literals(kinds)

/**
 * A call that got no answer of its session.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class ClusterSessionError
  extends Schema.TaggedError<ClusterSessionError>("@effect-mqttx/cluster/ClusterSessionError")("ClusterSessionError", {
    kind: ClusterSessionErrorKind,
    /** The client identifier of the session. */
    clientId: Schema.String,
    /**
     * Whether the call may have had its effect. False: it has not. A message of a call that may have had its effect is
     * stored in the session, and its next owner publishes it.
     */
    mayHaveRun: Schema.Boolean,
    /** The sentence for people. */
    detail: Schema.String,
    cause: Schema.optional(Schema.Defect())
  })
{
  /** What happened, in one sentence. */
  override get message(): string {
    return `${this.clientId}: ${this.detail}`
  }
}

/**
 * Whether a value is an error of this module.
 *
 * @stability unstable
 * @category guards
 * @since 0.1.0
 */
export const isClusterSessionError = (u: unknown): u is ClusterSessionError => u instanceof ClusterSessionError
