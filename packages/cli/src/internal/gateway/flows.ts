/**
 * Starts the sessions and forwarders of a gateway: alone, where a configuration is applied at once, or in a cluster,
 * where only the owner applies it. `run.ts` calls it.
 */
import { ForwarderFailed, type MqttError } from "@effect-mqttx/core/MqttError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { CommandFailed, exitCodes, fromMqtt, usage } from "../failure.ts"
import type { Configuration } from "./configuration.ts"
import { type Flows, GatewayRuntime, type Outcome } from "./runtime.ts"

const failureOf = (error: MqttError): CommandFailed => {
  const failure = fromMqtt(error)
  return error.reason instanceof ForwarderFailed
    ? new CommandFailed({ what: failure.what, advice: failure.advice, exitCode: exitCodes.usage })
    : failure
}

export const logFailures = ({ failures }: Outcome): Effect.Effect<void> =>
  Effect.forEach(
    failures,
    ({ error, name }) =>
      Effect.annotateLogs(Effect.logError(`cannot be applied: ${error.reason.message}`), {
        name,
        reason: error.reason._tag
      }),
    { discard: true }
  )

/** Optional packages: a gateway that is alone needs none of them. */
const loadCluster = Effect.tryPromise({
  try: () => import("./clusterNode.ts"),
  catch: () =>
    usage(
      "cluster needs the packages @effect-mqttx/cluster, @effect-mqttx/store-sql and @effect/sql-pg",
      "Install them together with @effect-mqttx/cli."
    )
})

/** A gateway whose sessions and forwarders have not started. */
export interface Prepared {
  readonly runtime: GatewayRuntime
  /** Starts what the file says, or joins its cluster. */
  readonly start: Effect.Effect<Flows, CommandFailed, Scope.Scope>
}

const alone = (runtime: GatewayRuntime, configuration: Configuration): Effect.Effect<Flows, MqttError> =>
  Effect.gen(function*() {
    const { failures } = yield* runtime.apply(configuration)
    if (failures.length > 0) return yield* Effect.fail(failures[0]!.error)
    return { cluster: undefined, apply: (next) => runtime.apply(next), drain: runtime.drain }
  })

export const prepareFlows = (configuration: Configuration): Effect.Effect<Prepared, CommandFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const { cluster: plan } = configuration
    if (plan === undefined) {
      const runtime = yield* Effect.mapError(GatewayRuntime.make(), failureOf)
      return { runtime, start: Effect.mapError(alone(runtime, configuration), failureOf) }
    }
    const { join, leasesOf } = yield* loadCluster
    const runtime = yield* Effect.mapError(GatewayRuntime.make(leasesOf(plan)), failureOf)
    const start = join({ plan, configuration, runtime, logFailures }).pipe(
      Effect.mapError((error) => error instanceof CommandFailed ? error : failureOf(error))
    )
    return { runtime, start }
  })
