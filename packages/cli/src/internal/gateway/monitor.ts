/**
 * The server for operators of a gateway: `/metrics`, `/healthz`, `/readyz` and the live page. A reload may move it to
 * another address, or end it.
 */
import * as MetricsServer from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type CommandFailed, usage } from "../failure.ts"
import type { GatewayRuntime } from "./runtime.ts"
import type { GatewayFile } from "./schema.ts"

type Settings = NonNullable<GatewayFile["metrics"]>

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : String(cause)

export class Monitor {
  readonly #runtime: GatewayRuntime
  readonly #parent: Scope.Scope
  #running: { readonly key: string; readonly scope: Scope.Closeable } | undefined

  private constructor(runtime: GatewayRuntime, parent: Scope.Scope) {
    this.#runtime = runtime
    this.#parent = parent
  }

  static make = (runtime: GatewayRuntime): Effect.Effect<Monitor, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => new Monitor(runtime, scope))

  /** Serves with these settings; undefined: not at all. Does nothing when it serves with equal ones. */
  serve(settings: Settings | undefined): Effect.Effect<void, CommandFailed> {
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      const key = JSON.stringify(settings) ?? ""
      if (this.#running?.key === key) return
      // Ended first: the new one may have the same port.
      if (this.#running !== undefined) yield* Scope.close(this.#running.scope, Exit.void)
      this.#running = undefined
      if (settings === undefined) return
      const scope = yield* Scope.fork(this.#parent)
      const url = yield* this.#listen(settings).pipe(
        Scope.provide(scope),
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
      this.#running = { key, scope }
      yield* Effect.annotateLogs(Effect.logInfo("the metrics server listens"), { url })
    }))
  }

  #listen({ allowedHosts, host, port, title }: Settings): Effect.Effect<string, CommandFailed, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { forwarders, manager } = this.#runtime
      const metrics = yield* MqttMetrics.make({ manager, forwarders })
      const context = yield* Layer.build(
        NodeMetricsServer.layer({ host, port: Number(port), allowedHosts, page: { title } }).pipe(
          Layer.provide(Layer.succeed(MqttMetrics.MqttMetrics, metrics))
        )
      )
      return Context.get(context, MetricsServer.MetricsServer).url
    }).pipe(
      Effect.mapError(({ cause }) =>
        usage(
          `the metrics server cannot listen on ${host}:${port}: ${codeOf(cause)}`,
          "Give it another [metrics] port."
        )
      )
    )
  }
}
