/**
 * Programs that run once in a cluster, for example forwarders: on one node, and on another one after that has died or
 * left. It uses `effect/cluster`, which is unstable: a minor version of Effect may change the API that is used
 * here.
 *
 * **Example** (A forwarder that runs on one node at a time)
 *
 * ```ts
 * import { ClusterSingleton, ClusterTimings } from "@effect-mqttx/cluster"
 * import { Forwarder, SessionManager } from "@effect-mqttx/core"
 * import { Effect, Layer } from "effect"
 *
 * const Sessions = SessionManager.layerDurable({
 *   sessions: [
 *     { ...ClusterTimings.session, name: "plant", clientId: "uplink", servers: ["mqtt://plant.example"] },
 *     { ...ClusterTimings.session, name: "cloud", clientId: "uplink", servers: ["mqtts://cloud.example"] }
 *   ]
 * })
 *
 * export const Uplink = ClusterSingleton.layer(
 *   "uplink",
 *   Forwarder.make({ name: "uplink", sources: "plant", filters: "sensors/#", target: "cloud" }).pipe(
 *     Effect.andThen(Effect.never),
 *     Effect.provide(Layer.fresh(Sessions))
 *   )
 * )
 * ```
 */
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Cause from "effect/Cause"
import { make as makeEntityId } from "effect/cluster/EntityId"
import { Sharding } from "effect/cluster/Sharding"
import * as Singleton from "effect/cluster/Singleton"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { makeFence, StoreGuard } from "./internal/fence.ts"

/** Before a program that failed runs again. */
const patience = Schedule.min([Schedule.exponential("200 millis", 2), Schedule.spaced("5 seconds")])

/**
 * Runs an effect on one node of the cluster, under a name. It has a scope of its own. When it fails, or when another
 * owner has opened one of its stores, its scope ends, and it runs again after a pause.
 *
 * The sessions that it makes are behind the fences of the cluster: before each connection they check that this node
 * still has the lock of the singleton, and that no other owner has opened their stores. A node that loses the lock
 * interrupts the effect and waits for its end before another node begins, so give its sessions a short `drainTimeout`,
 * see `ClusterTimings.session`.
 *
 * Fails with `InvalidOptions` for a name that is not a text of 1 to 200 characters.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = <A, E, R>(
  name: string,
  run: Effect.Effect<A, E, R>
): Layer.Layer<never, MqttError, Exclude<R, Scope.Scope> | Sharding> =>
  Layer.unwrap(Effect.suspend(() => {
    if (typeof name !== "string" || name === "" || name.length > 200) {
      const issues = [{ path: "name", message: "must be a text of 1 to 200 characters" }]
      return Effect.fail(new MqttError({ method: "ClusterSingleton.layer", reason: new InvalidOptions({ issues }) }))
    }
    return Effect.succeed(Singleton.make(`@effect-mqttx/cluster/${name}`, keep(`@effect-mqttx/cluster/${name}`, run)))
  })) as Layer.Layer<never, MqttError, Exclude<R, Scope.Scope> | Sharding>

/**
 * Puts a store behind the fence of the singleton that calls this, for a program that opens stores by itself. The
 * `SessionStore` among the services of a singleton is behind it anyway. Outside of a singleton it returns the store.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const guardStore = (store: SessionStore["Service"]): Effect.Effect<SessionStore["Service"]> =>
  Effect.map(StoreGuard, (guard) => guard(store))

const keep = Effect.fnUntraced(function*<A, E, R>(name: string, run: Effect.Effect<A, E, R>) {
  const sharding = yield* Sharding
  const shardId = sharding.getShardId(makeEntityId(name), "default")
  const once = Effect.gen(function*() {
    const { lost, services } = yield* makeFence(() => sharding.hasShardId(shardId))
    yield* Effect.raceFirst(
      lost,
      Effect.andThen(
        Effect.updateContext(run, (context: Context.Context<R>) => Context.merge(context, services)),
        Effect.never
      )
    )
  })
  yield* Effect.scoped(once).pipe(
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logError("a singleton of the cluster failed, and will run again", cause)
    ),
    Effect.sandbox,
    Effect.retry(patience),
    Effect.orDie
  )
})
