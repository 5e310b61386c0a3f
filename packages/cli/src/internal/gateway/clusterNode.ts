/**
 * This gateway as a node of a cluster. The node that has the lock of the cluster's singleton is the owner of all
 * sessions and forwarders of its file; the others stand by. Sessions of the owner are behind the fences of the cluster.
 * `flows.ts` loads it where the file has `cluster`, so that other gateways need none of its packages.
 */
import * as ClusterSingleton from "@effect-mqttx/cluster/ClusterSingleton"
import * as ClusterTimings from "@effect-mqttx/cluster/ClusterTimings"
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import { Transport } from "@effect-mqttx/core/Transport"
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as Runners from "effect/cluster/Runners"
import type { Sharding } from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SocketRunner from "effect/cluster/SocketRunner"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SocketServerError } from "effect/socket/SocketServer"
import { type CommandFailed, usage } from "../failure.ts"
import type { ClusterPlan, Configuration } from "./configuration.ts"
import { nodeAddress } from "./description.ts"
import { listenCode } from "./listener.ts"
import type { Flows, GatewayRuntime, Outcome } from "./runtime.ts"
import type { StoreOptions } from "./schema.ts"
import type { Leases } from "./stores.ts"

/** What the names of the cluster's tables begin with, after the prefix of the store. */
const tables = "_gateway"

/** Between two attempts to open the sessions whose stores could not be opened. */
const pause = "1 second"

const nothing: Outcome = {
  difference: {
    sessions: { added: [], changed: [], removed: [] },
    forwarders: { added: [], changed: [], removed: [] },
    paused: []
  },
  failures: []
}

/** The leases of stores: they end with the locks of a node that has died. */
export const leasesOf = ({ timings }: ClusterPlan): Leases | undefined =>
  timings === "failover" ? ClusterTimings.store : undefined

/** A node by its address and the database; its settings never come from the environment. */
const layerNode = (
  { host, listenHost = host, port, timings }: ClusterPlan,
  { tablePrefix = "mqttx", url }: StoreOptions
): Layer.Layer<Sharding, MqttError | SocketServerError> => {
  const address = (name: string) => Option.some(RunnerAddress.make(name, Number(port)))
  const config = ShardingConfig.layer({
    ...(timings === "failover" ? ClusterTimings.failover : undefined),
    runnerAddress: address(host),
    runnerListenAddress: address(listenHost)
  })
  const health = RunnerHealth.layerPing.pipe(
    Layer.provide(Runners.layerRpc),
    Layer.provide(NodeClusterSocket.layerClientProtocol)
  )
  const database = SqlRunnerStorage.layerWith({ prefix: tablePrefix + tables }).pipe(
    Layer.provide(Layer.fresh(PgClient.layer({ url: url! }))),
    // What the driver says may have the address.
    Layer.catch(() =>
      Layer.effectContext(Effect.fail(
        new MqttError({
          method: "gateway",
          reason: new StorageFailed({ kind: "unavailable", detail: "the database of the cluster cannot be used" })
        })
      ))
    )
  )
  return SocketRunner.layer.pipe(
    Layer.provide([NodeClusterSocket.layerSocketServer, NodeClusterSocket.layerClientProtocol, health]),
    // A singleton takes no calls.
    Layer.provide([MessageStorage.layerNoop, database]),
    Layer.provide(config),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )
}

export interface NodeParts {
  readonly plan: ClusterPlan
  readonly configuration: Configuration
  readonly runtime: GatewayRuntime
  readonly logFailures: (outcome: Outcome) => Effect.Effect<void>
}

class ClusterNode implements Flows {
  readonly #parts: NodeParts
  readonly #scope: Scope.Closeable
  /** Whether this node owns the flows changes with it only. */
  readonly #lock = Semaphore.makeUnsafe(1)
  #configuration: Configuration
  #isOwner = false

  constructor(parts: NodeParts, scope: Scope.Closeable) {
    this.#parts = parts
    this.#scope = scope
    this.#configuration = parts.configuration
  }

  get cluster(): NonNullable<Flows["cluster"]> {
    return { node: nodeAddress(this.#parts.plan), role: this.#isOwner ? "owner" : "standby" }
  }

  apply(next: Configuration): Effect.Effect<Outcome, MqttError> {
    return this.#lock.withPermits(1)(Effect.suspend(() => {
      if (this.#isOwner) {
        return Effect.tap(this.#parts.runtime.apply(next), () => {
          this.#configuration = next
          return Effect.void
        })
      }
      this.#configuration = next
      return Effect.succeed(nothing)
    }))
  }

  get drain(): Effect.Effect<void> {
    return Effect.andThen(Scope.close(this.#scope, Exit.void), this.#parts.runtime.drain)
  }

  /** Owns the flows until it is interrupted, which the loss of the lock does, or until a session has another owner. */
  get own(): Effect.Effect<never, MqttError, Scope.Scope> {
    const { logFailures, plan, runtime } = this.#parts
    const annotated = Effect.annotateLogs({ node: nodeAddress(plan) })
    return Effect.gen({ self: this }, function*() {
      const services = yield* Effect.context<never>()
      const context = Context.make(Transport, yield* Transport) as Context.Context<never>
      yield* Effect.addFinalizer(() =>
        this.#lock.withPermits(1)(Effect.gen({ self: this }, function*() {
          this.#isOwner = false
          yield* runtime.release
          yield* annotated(Effect.logInfo("this node of the cluster stands by"))
        }))
      )
      yield* this.#lock.withPermits(1)(Effect.sync(() => {
        runtime.serveWith({
          context,
          guard: (store) => Effect.provideContext(ClusterSingleton.guardStore(store), services)
        })
        this.#isOwner = true
      }))
      yield* annotated(Effect.logInfo("this node of the cluster is the owner"))
      while (true) {
        const outcome = yield* this.#lock.withPermits(1)(Effect.suspend(() => runtime.apply(this.#configuration)))
        yield* logFailures(outcome)
        if (!outcome.failures.some(({ error }) => error.reason._tag === "StorageFailed")) return yield* Effect.never
        yield* Effect.sleep(pause)
      }
    })
  }
}

/** Joins the cluster. The flows start when this node is the owner; the end of the scope leaves the cluster. */
export const join = (parts: NodeParts): Effect.Effect<Flows, MqttError | CommandFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const { configuration: { stores }, plan } = parts
    const scope = yield* Scope.fork(yield* Effect.scope)
    const node = new ClusterNode(parts, scope)
    const joined = ClusterSingleton.layer("gateway", node.own).pipe(
      Layer.provide(layerNode(plan, stores.get(plan.store)!))
    )
    yield* Layer.buildWithScope(joined, scope).pipe(
      Effect.mapError((error) =>
        error instanceof MqttError ? error : usage(
          `the node of the cluster cannot listen on ${plan.listenHost ?? plan.host}:${plan.port}: ${
            listenCode(error.reason.cause)
          }`,
          "Give it another [cluster] port, or a listenHost."
        )
      )
    )
    return node
  })
