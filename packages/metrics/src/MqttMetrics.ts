/**
 * The metrics of a program in one place: as snapshots, as streams of snapshots, and in Effect's Metric module, from
 * which they are exported to Prometheus (`MetricsRoutes`) or to an OpenTelemetry collector (Effect's `OtlpMetrics`).
 *
 * Sessions count in plain numbers, and no metric is updated for a message: a series of the Metric module reads its
 * value from the session when the registry is read. A series exists as long as its session, route, store or forwarder.
 *
 * **Example** (Printing how many sessions are ready)
 *
 * ```ts
 * import { MqttMetrics } from "@effect-mqttx/metrics"
 * import { Effect, Stream } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const metrics = yield* MqttMetrics.MqttMetrics
 *   yield* metrics.changes("5 seconds").pipe(
 *     Stream.take(1),
 *     Stream.runForEach(({ totals }) => Effect.log(`${totals.ready} of ${totals.sessions} sessions are ready`))
 *   )
 * })
 * ```
 */
import type { ForwarderMetrics } from "@effect-mqttx/core/ForwarderMetrics"
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import { MqttSession, type Session } from "@effect-mqttx/core/MqttSession"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import { SessionManager } from "@effect-mqttx/core/SessionManager"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { check, duration, type Fields, isRecord, opaque, orDie } from "./internal/options.ts"
import { familiesOf } from "./internal/series/families.ts"
import { MetricRegistration } from "./internal/series/registration.ts"
import { collect, RouteNames } from "./internal/snapshot/collect.ts"
import type { MqttSnapshot, SessionSnapshot } from "./MqttSnapshot.ts"

/**
 * A source of forwarder metrics, for example a `ForwarderManager`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ForwarderSource {
  /** The metrics of all forwarders, by name. Must not wait. */
  readonly allMetrics: Effect.Effect<ReadonlyMap<string, ForwarderMetrics>>
}

/**
 * The sources of the metrics, all optional.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface MetricsSources {
  /** The manager whose sessions are watched, later ones included. */
  readonly manager?: SessionManager["Service"] | undefined
  /** Sessions without a manager. Their names must differ. */
  readonly sessions?: ReadonlyArray<Session> | undefined
  /** The forwarders that are watched. */
  readonly forwarders?: ForwarderSource | undefined
}

/**
 * Options of the export.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface MetricsOptions {
  /**
   * How often series are updated for exporters that read the registry on their own. Values are always current. Default
   * five seconds.
   */
  readonly synchronizeEvery?: Duration.Input | undefined
  /**
   * Whether each session has series of its own, `mqtt_session_...` and `mqtt_store_...`: about 50 for each. Without
   * them the series `mqtt_manager_...` show all sessions together, as they do with them, and their number does not
   * depend on that of the sessions. Snapshots have every session in both cases. Default true.
   */
  readonly perSessionSeries?: boolean | undefined
}

/**
 * Watches sources until the scope ends, which removes all series. Series get the attributes of
 * `Metric.CurrentMetricAttributes` and go to the `Metric.MetricRegistry` of the caller. Dies with an `MqttError` for
 * invalid sources and options.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  sources: MetricsSources,
  options: MetricsOptions = {}
): Effect.Effect<MqttMetrics["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => decodeSources(sources))
    yield* check(MetricsSchema, options, "MqttMetrics.make")
    const { forwarders, manager, sessions = [] } = sources
    const context = yield* Effect.context<never>()
    const clock = yield* Clock.Clock
    const snapshot = collect({ manager, sessions, forwarders }, new RouteNames(), () => clock.currentTimeMillisUnsafe())
    // The registry reads by callback. No part of a snapshot waits; if a custom forwarder source waits, the values are
    // not updated.
    const runSync = Effect.runSyncExitWith(context)
    let latest = yield* snapshot
    const registration = new MetricRegistration(context, familiesOf(options.perSessionSeries ?? true), () => {
      const exit = runSync(snapshot)
      if (Exit.isSuccess(exit)) latest = exit.value
      return latest
    })
    const synchronize = Effect.sync(() => registration.reconcile())
    const comings = manager === undefined
      ? Stream.empty
      // Debounced, so that a thousand sessions that are added one after the other cause one update.
      : Stream.debounce(Stream.map(manager.eventsOf({ type: ["Added", "Removed"] }), () => undefined), "100 millis")
    yield* Effect.addFinalizer(() => Effect.sync(() => registration.clear()))
    yield* synchronize
    yield* Stream.merge(Stream.tick(options.synchronizeEvery ?? "5 seconds"), comings).pipe(
      Stream.runForEach(() => synchronize),
      Effect.forkScoped
    )
    const changes = (interval: Duration.Input = "1 second"): Stream.Stream<MqttSnapshot> =>
      Stream.mapEffect(Stream.tick(interval), () => snapshot)
    return {
      snapshot,
      changes,
      sessionChanges: (name, interval) =>
        changes(interval).pipe(
          Stream.map((all) => all.sessions.find((session) => session.name === name)),
          Stream.takeWhile((session) => session !== undefined)
        ),
      events: Stream.mergeAll(
        [...manager === undefined ? [] : [manager.events], ...sessions.map(({ events }) => events)],
        { concurrency: "unbounded" }
      ),
      synchronize,
      prometheus: Effect.andThen(synchronize, Effect.sync(() => PrometheusMetrics.formatUnsafe(context)))
    }
  })

/**
 * The metrics of the program.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class MqttMetrics extends Context.Service<MqttMetrics, {
  /** The current snapshot. */
  readonly snapshot: Effect.Effect<MqttSnapshot>
  /** A snapshot now, and another after each interval (default one second). */
  readonly changes: (interval?: Duration.Input) => Stream.Stream<MqttSnapshot>
  /**
   * The snapshot of one session now, and another after each interval (default one second), until the session is
   * removed.
   */
  readonly sessionChanges: (name: string, interval?: Duration.Input) => Stream.Stream<SessionSnapshot>
  /** The lifecycle events of all sessions. A new listener first receives the recent events. */
  readonly events: Stream.Stream<SessionEvent>
  /**
   * Updates the series in Effect's metric registry to the current sessions: call it before you read the registry
   * yourself. It also runs by itself a moment after a session was added or removed, and every few seconds.
   */
  readonly synchronize: Effect.Effect<void>
  /** The text format of Prometheus, version 0.0.4: all metrics in the registry, the program's own included. */
  readonly prometheus: Effect.Effect<string>
}>()("@effect-mqttx/metrics/MqttMetrics") {}

/**
 * The metrics of a manager and its sessions, and optionally of forwarders: `layer({ forwarders: ForwarderManager })`
 * with the tag of a service that provides them.
 *
 * **Example** (Watching sessions and forwarders)
 *
 * ```ts
 * import { ForwarderManager, SessionManager } from "@effect-mqttx/core"
 * import { MqttMetrics } from "@effect-mqttx/metrics"
 * import { Layer } from "effect"
 *
 * export const Metrics = MqttMetrics.layer({ forwarders: ForwarderManager.ForwarderManager }).pipe(
 *   Layer.provideMerge(ForwarderManager.layer()),
 *   Layer.provideMerge(SessionManager.layer({ sessions: [{ name: "plant", servers: ["mqtt://localhost:1883"] }] }))
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: MetricsOptions & { readonly forwarders?: Effect.Effect<ForwarderSource, never, R> | undefined } = {}
): Layer.Layer<MqttMetrics, never, SessionManager | R> =>
  Layer.effect(
    MqttMetrics,
    Effect.gen(function*() {
      yield* check(LayerSchema, options, "MqttMetrics.layer")
      const manager = yield* SessionManager
      const { forwarders: source, ...rest } = options
      const forwarders = source === undefined ? undefined : yield* source
      return yield* make({ manager, forwarders }, rest)
    })
  )

/**
 * The metrics of a program with one session.
 *
 * **Example** (Reading the text for Prometheus)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { MqttMetrics } from "@effect-mqttx/metrics"
 * import { Effect, Layer } from "effect"
 *
 * const Plant = MqttSession.layer({ name: "plant", servers: ["mqtt://localhost:1883"] })
 *
 * export const program = Effect.gen(function*() {
 *   const metrics = yield* MqttMetrics.MqttMetrics
 *   return yield* metrics.prometheus
 * }).pipe(Effect.provide(Layer.provide(MqttMetrics.layerSession(), Plant)))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerSession = (options: MetricsOptions = {}): Layer.Layer<MqttMetrics, never, MqttSession> =>
  Layer.effect(MqttMetrics, Effect.flatMap(MqttSession, (session) => make({ sessions: [session] }, options)))

const metricsFields = {
  synchronizeEvery: Schema.optionalKey(duration),
  perSessionSeries: Schema.optional(Schema.Boolean)
} satisfies Fields<MetricsOptions>
const MetricsSchema = OptionsSchema.strict(metricsFields)
const LayerSchema = OptionsSchema.strict({
  ...metricsFields,
  forwarders: Schema.optionalKey(opaque(Effect.isEffect, "an Effect"))
})

const SourcesSchema = OptionsSchema.strict(
  {
    manager: Schema.optional(
      opaque((value) => isRecord(value) && typeof value["eventsOf"] === "function", "a manager")
    ),
    sessions: Schema.optional(
      opaque((value) => Array.isArray(value) && Array.from(value, isRecord).every(Boolean), "an array of sessions")
    ),
    forwarders: Schema.optional(
      opaque((value) => isRecord(value) && Effect.isEffect(value["allMetrics"]), "a ForwarderManager")
    )
  } satisfies Fields<MetricsSources>
)

/** Not by `OptionsSchema.decode`, which makes plain data of its input: sources are services. */
const decodeSources = (sources: unknown): Result.Result<unknown, MqttError> =>
  Result.mapError(
    Schema.decodeUnknownResult(SourcesSchema, { errors: "all" })(sources),
    (error) => new MqttError({ method: "MqttMetrics.make", reason: InvalidOptions.fromSchemaError(error) })
  )
