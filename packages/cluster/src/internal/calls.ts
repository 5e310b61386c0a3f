/**
 * The calls of any node to a session: checks a message before it crosses the wire, finds the owner, and calls again
 * where a call has not run because the session moved.
 */
import { InvalidOptions, MqttError, Timeout } from "@effect-mqttx/core/MqttError"
import { checkPublish } from "@effect-mqttx/core/MqttSession"
import type { Payload, PublishOptions, PublishReceipt } from "@effect-mqttx/core/Publication"
import type {
  AlreadyProcessingMessage,
  EntityNotAssignedToRunner,
  MailboxFull,
  PersistenceError
} from "effect/cluster/ClusterError"
import type { Sharding } from "effect/cluster/Sharding"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { ClusterSessionError } from "../ClusterSessionError.ts"
import type { SessionEntity } from "./protocol.ts"
import type { Publication, Status } from "./wire.ts"

export const TypeId = "~effect-mqttx/cluster/Sessions"

type Failure = MqttError | ClusterSessionError

/**
 * The sessions of one kind, as every node sees them. Each call finds the owner of the session, waits for one during a
 * fail-over, and opens the session where it is not open. Calls have no time limit of their own.
 *
 * They fail with the `MqttError` of the session, or with a `ClusterSessionError` when there is no answer.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Sessions {
  readonly [TypeId]: typeof TypeId
  /**
   * Opens the session of a client identifier, on the node that owns it, and keeps it open there and on every later
   * owner, until `close`. Succeeds when it is open; the connection may follow.
   */
  readonly start: (clientId: string) => Effect.Effect<void, Failure>
  /**
   * Publishes through the session of a client identifier, see `Session.publish`. A call whose owner dies is made again
   * at the next owner, so its message may be published twice. Where that matters, use `SqlOutbox.enqueue`.
   */
  readonly publish: (
    clientId: string,
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<PublishReceipt, Failure>
  /**
   * Hands a message over. Succeeds when the session has stored it: from then on every owner of the session publishes
   * it, until the server has acknowledged it.
   */
  readonly enqueue: (
    clientId: string,
    topic: string,
    payload: Payload,
    options?: PublishOptions
  ) => Effect.Effect<void, Failure>
  /** The status of a session, and the node that owns it. */
  readonly status: (clientId: string) => Effect.Effect<Status, Failure>
  /** Ends a session without its will. Its state stays in the store, and the next call to it opens it again. */
  readonly close: (clientId: string) => Effect.Effect<void, Failure>
}

/** A call that has not run is made again. */
const again = Schedule.spaced("100 millis")

export const makeCalls = (entity: SessionEntity): Effect.Effect<Sessions, never, Sharding> =>
  Effect.map(entity.client, (client) => {
    const call = <A>(
      clientId: string,
      run: (owner: ReturnType<typeof client>) => Effect.Effect<A, CallFailure>
    ): Effect.Effect<A, Failure> =>
      Effect.suspend(() => isClientId(clientId) ? run(client(clientId)) : Effect.fail(notClientId)).pipe(
        Effect.mapError((error) => toFailure(clientId, error)),
        Effect.retry({
          schedule: again,
          while: (error) => error._tag === "ClusterSessionError" && error.kind === "moved" && !error.mayHaveRun
        })
      )
    const send = <A>(
      method: string,
      clientId: string,
      topic: string,
      payload: Payload,
      options: PublishOptions | undefined,
      run: (owner: ReturnType<typeof client>, publication: Publication) => Effect.Effect<A, CallFailure>
    ): Effect.Effect<A, Failure> =>
      Effect.suspend(() => {
        const checked = checkPublish(topic, payload, options)
        if (checked._tag === "Failure") {
          return Effect.fail(new MqttError({ session: clientId, method, topic, reason: checked.failure }))
        }
        const { expiresAfter, ...message } = checked.success
        const limit = options?.timeout === undefined ? undefined : Duration.fromInputUnsafe(options.timeout)
        const publication: Publication = {
          ...message,
          ...(expiresAfter === undefined ? undefined : { expiresAfter }),
          ...(options?.topicAlias === undefined ? undefined : { topicAlias: options.topicAlias }),
          ...(options?.origin === undefined ? undefined : { origin: options.origin }),
          ...(limit === undefined ? undefined : { timeout: Duration.toMillis(limit) })
        }
        const effect = call(clientId, (owner) => run(owner, publication))
        if (limit === undefined) return effect
        const millis = Duration.toMillis(limit)
        return Effect.timeoutOrElse(effect, {
          duration: limit,
          orElse: () =>
            Effect.fail(
              new MqttError({
                session: clientId,
                method,
                topic,
                reason: new Timeout({ operation: "the call to the owner of the session", millis })
              })
            )
        })
      })
    return {
      [TypeId]: TypeId,
      start: (clientId) => call(clientId, (owner) => owner.Start()),
      publish: (clientId, topic, payload, options) =>
        send("publish", clientId, topic, payload, options, (owner, message) => owner.Publish(message)),
      enqueue: (clientId, topic, payload, options) =>
        send("enqueue", clientId, topic, payload, options, (owner, message) => owner.Enqueue(message)),
      status: (clientId) => call(clientId, (owner) => owner.Status()),
      close: (clientId) => call(clientId, (owner) => owner.Close())
    }
  })

/** Longer client identifiers cannot be in a CONNECT packet, and the cluster keeps them in columns of this length. */
const longestClientId = 255

const isClientId = (clientId: unknown): boolean =>
  typeof clientId === "string" && clientId !== "" && clientId.length <= longestClientId

const notClientId = new MqttError({
  method: "ClusterSession",
  reason: new InvalidOptions({
    issues: [{ path: "clientId", message: `must be a text of 1 to ${longestClientId} characters` }]
  })
})

type CallFailure = Failure | AlreadyProcessingMessage | EntityNotAssignedToRunner | MailboxFull | PersistenceError

const toFailure = (clientId: string, error: CallFailure): Failure => {
  switch (error._tag) {
    case "MqttError":
    case "ClusterSessionError":
      return error
    case "MailboxFull":
      return new ClusterSessionError({
        kind: "overloaded",
        clientId,
        mayHaveRun: false,
        detail: "the owner of the session takes no more calls",
        cause: error
      })
    case "EntityNotAssignedToRunner":
      return new ClusterSessionError({
        kind: "unassigned",
        clientId,
        mayHaveRun: true,
        detail: "this node is leaving the cluster",
        cause: error
      })
    default:
      return new ClusterSessionError({
        kind: "storage",
        clientId,
        mayHaveRun: true,
        detail: "the message storage of the cluster failed",
        cause: error
      })
  }
}
