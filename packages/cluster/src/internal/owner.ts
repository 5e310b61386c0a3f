/**
 * The entity on the nodes that own sessions: holds the session of its client identifier, and answers the calls.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { PublishOptions } from "@effect-mqttx/core/Publication"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Entity from "effect/cluster/Entity"
import * as EntityResource from "effect/cluster/EntityResource"
import { Sharding } from "effect/cluster/Sharding"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { ClusterSessionError } from "../ClusterSessionError.ts"
import { NodeSessions } from "./nodeSessions.ts"
import type { Definition, OwnedSession } from "./ownedSession.ts"
import type { SessionEntity } from "./protocol.ts"
import type { Publication, Status } from "./wire.ts"

/** Registers the entity on this node, with the sessions of a definition. The end of the layer ends its sessions. */
export const layerOwner = <R>(
  entity: SessionEntity,
  definition: Effect.Effect<Definition, never, R>
): Layer.Layer<never, never, R | Sharding | SessionStore> =>
  Layer.unwrap(Effect.gen(function*() {
    const sessions = new NodeSessions(yield* definition, yield* Effect.scope)
    yield* Effect.addFinalizer(() => sessions.releaseAll)
    return entity.toLayer(behaviour(sessions), { concurrency: "unbounded", disableFatalDefects: true })
  }))

const behaviour = Effect.fnUntraced(function*(sessions: NodeSessions) {
  const { entityId: clientId, shardId } = yield* Entity.CurrentAddress
  const node = yield* Entity.CurrentRunnerAddress
  const sharding = yield* Sharding
  const isOwner = (): boolean => sharding.hasShardId(shardId)
  const resource = yield* EntityResource.make({
    acquire: Effect.gen(function*() {
      const owned = yield* sessions.acquire(clientId, isOwner)
      yield* Scope.addFinalizer(yield* EntityResource.CloseScope, sessions.release(clientId))
      return owned
    })
  })
  // Handlers are built again after a defect: the shard is still here, and so the session stays. Otherwise it ends
  // before the lock of the shard is released.
  yield* Effect.addFinalizer(() => isOwner() ? Effect.void : sessions.release(clientId))
  // Not awaited: the messages of other entities wait for the end of this build. After a fail-over it is the only one
  // that opens the session.
  yield* Effect.scoped(resource.get).pipe(
    Effect.andThen(sessions.ended(clientId)),
    Effect.andThen(resource.close),
    Effect.forkScoped
  )

  const call = <A, E>(effect: Effect.Effect<A, E>, hasRun: () => boolean): Effect.Effect<A, E | ClusterSessionError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.exit(restore(effect)),
        (exit): Effect.Effect<A, E | ClusterSessionError> =>
          Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
            ? Effect.fail(moved(clientId, hasRun()))
            : exit
      )
    )
  const never = (): boolean => false
  const withOwned = <A, E>(use: (owned: OwnedSession) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.scoped(Effect.flatMap(resource.get, use))
  const withSession = <A>(use: (session: Session) => Effect.Effect<A, MqttError>): Effect.Effect<A, MqttError> =>
    withOwned(({ session }) => Effect.flatMap(session, use))

  return {
    Start: () => call(withSession(() => Effect.void), never),
    Publish: ({ payload }: { readonly payload: Publication }) =>
      Effect.suspend(() => {
        let isAccepted = false
        return call(
          withSession((session) =>
            Effect.flatMap(enqueue(session, payload), ({ acknowledged }) => {
              isAccepted = true
              return acknowledged
            })
          ),
          () => isAccepted
        )
      }),
    Enqueue: ({ payload }: { readonly payload: Publication }) =>
      call(withSession((session) => Effect.asVoid(enqueue(session, payload))), never),
    Status: () => call(withOwned((owned) => statusOf(owned, `${node.host}:${node.port}`)), never),
    Close: () => resource.close
  }
})

const enqueue = (session: Session, { payload, topic, ...options }: Publication) =>
  session.enqueue(topic, payload, options satisfies PublishOptions)

const statusOf = ({ clientId, current, lastError }: OwnedSession, node: string): Effect.Effect<Status> =>
  Effect.gen(function*() {
    if (current === undefined) {
      const since = yield* Clock.currentTimeMillis
      return {
        clientId,
        node,
        state: "opening",
        since,
        ready: false,
        server: undefined,
        queuedMessages: 0,
        lastError
      }
    }
    const { lastError: failure, ready, server, since, state } = yield* current.status
    const { queuedMessages } = yield* current.metrics
    return { clientId, node, state, since, ready, server, queuedMessages, lastError: failure }
  })

const moved = (clientId: string, mayHaveRun: boolean): ClusterSessionError =>
  new ClusterSessionError({
    kind: "moved",
    clientId,
    mayHaveRun,
    detail: "the node stopped owning the session during the call"
  })
