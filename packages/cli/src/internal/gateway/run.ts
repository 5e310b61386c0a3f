/**
 * A gateway from its start to its end: applies the file, serves metrics, reads the file again when it has changed, and
 * drains on SIGTERM and SIGINT. The command `gateway` loads it when it runs a file.
 */
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import { SessionLog } from "@effect-mqttx/core/SessionLog"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as EffectPath from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Path from "node:path"
import { endWith } from "../ending.ts"
import { CommandFailed, exitCodes } from "../failure.ts"
import { onSignal, writeInto } from "../flightRecords.ts"
import type { Reloaded } from "./adminApi.ts"
import type { Configuration } from "./configuration.ts"
import { changesText } from "./difference.ts"
import { logFailures, prepareFlows } from "./flows.ts"
import { Listener } from "./listener.ts"
import type { Loaded } from "./load.ts"
import { GatewayLog } from "./log.ts"
import { hangups, NotApplied, refuse, Reload } from "./reload.ts"
import type { GatewayFile } from "./schema.ts"
import { growWithTraffic } from "./traffic.ts"

export interface GatewayStart {
  readonly file: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly configuration: Configuration
  readonly loaded: Loaded
}

const clusterChanged = "cluster, with its store, is that of the start: end the gateway and start it again"

const gateway = (
  { configuration, environment, file, loaded }: GatewayStart,
  log: GatewayLog,
  stop: Deferred.Deferred<void>,
  write: FlightRecorder.Write
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | EffectPath.Path | Scope.Scope> =>
  Effect.gen(function*() {
    let current = configuration
    const { runtime, start } = yield* prepareFlows(configuration)
    const metrics = yield* Listener.make<NonNullable<GatewayFile["metrics"]>>({
      name: "the metrics server",
      keyOf: JSON.stringify,
      // Loaded where the file has it: the live page and the families of metrics take memory.
      listen: (settings) =>
        Effect.flatMap(
          Effect.promise(() => import("./metricsListener.ts")),
          ({ listenForMetrics }) => listenForMetrics(runtime)(settings)
        )
    })
    const signals = yield* hangups
    const sessions = Effect.map(
      Effect.flatMap(runtime.manager.statuses, (statuses) =>
        Effect.forEach(Array.from(statuses.keys()), (name) => Effect.option(runtime.manager.get(name)))),
      (found) =>
        found.flatMap(Option.toArray)
    )
    yield* onSignal(sessions, write)
    const flows = yield* start
    const apply = (next: Configuration): Effect.Effect<Reloaded, NotApplied> =>
      Effect.gen(function*() {
        if (next.cluster?.key !== current.cluster?.key) return yield* refuse([clusterChanged])
        const [duration, outcome] = yield* Effect.timed(flows.apply(next))
        current = next
        log.set(next.settings.log)
        // In a fiber of its own: the request for this reload may have come by the server that is moved.
        yield* Effect.forkDetach(listen(next))
        yield* logFailures(outcome)
        const { forwarders, sessions } = outcome.difference
        yield* Effect.annotateLogs(Effect.logInfo("the file is applied"), {
          sessions: changesText(sessions),
          forwarders: changesText(forwarders),
          millis: Math.round(Duration.toMillis(duration))
        })
        const notApplied = outcome.failures.map(({ error, name }) => ({ name, message: error.reason.message }))
        return { sessions, forwarders, failures: notApplied }
      }).pipe(
        Effect.catch((error) =>
          error instanceof NotApplied ? Effect.fail(error) : Effect.andThen(
            Effect.logError(
              `the file is not applied; the gateway goes on with the earlier one: ${error.reason.message}`
            ),
            Effect.fail(new NotApplied({ mistakes: [error.reason.message] }))
          )
        )
      )
    const reload = new Reload({ file, environment, loaded, settings: () => current.settings.reload, apply })
    const context = yield* Effect.context<FileSystem.FileSystem | EffectPath.Path>()
    const admin = yield* Listener.make<NonNullable<GatewayFile["admin"]>>({
      name: "the admin server",
      keyOf: ({ host, port, token }) => JSON.stringify([host, port, token === undefined ? "" : Redacted.value(token)]),
      // Loaded where the file has it: HttpApi and OpenAPI take memory.
      listen: (settings) =>
        Effect.flatMap(Effect.promise(() => import("./adminListener.ts")), ({ listenForAdmin }) =>
          listenForAdmin({
            file,
            runtime,
            cluster: () => flows.cluster,
            configuration: () => current,
            reload: Effect.provideContext(reload.now, context),
            // As any other SIGTERM: the answer leaves before.
            drain: Effect.sync(() => setImmediate(() => process.kill(process.pid, "SIGTERM")))
          })(settings))
    })
    const listen = ({ settings }: Configuration): Effect.Effect<void> =>
      Effect.forEach(
        [metrics.serve(settings.metrics), admin.serve(settings.admin)],
        (serving) => Effect.catch(serving, (error) => Effect.logError(error.what)),
        { discard: true }
      )
    yield* metrics.serve(configuration.settings.metrics)
    yield* admin.serve(configuration.settings.admin)
    yield* Effect.annotateLogs(Effect.logInfo("the gateway runs"), {
      file,
      sessions: configuration.sessions.size,
      forwarders: configuration.forwarders.size,
      ...(flows.cluster === undefined ? undefined : { node: flows.cluster.node })
    })
    yield* Effect.forkScoped(growWithTraffic(runtime.forwarders))
    const reloading = yield* Effect.forkScoped(reload.run(signals))
    yield* Deferred.await(stop)
    yield* Effect.logInfo("the gateway drains")
    const { drainTimeout } = current.settings
    // A reload that has begun is finished: it would leave sessions behind. In a fiber of its own, because the stop of a
    // forwarder cannot be interrupted.
    const draining = yield* Effect.forkDetach(Effect.andThen(Fiber.interrupt(reloading), flows.drain))
    const drained = yield* Effect.timeoutOption(Fiber.join(draining), drainTimeout)
    if (Option.isNone(drained)) {
      const what = `the gateway has not drained within ${Duration.format(drainTimeout)}`
      yield* Effect.logError(what)
      return yield* Effect.fail(new CommandFailed({ what, advice: undefined, exitCode: exitCodes.failed }))
    }
  })

/** The gateway, with a folder for the flight records of its sessions. */
const recorded = (
  start: GatewayStart,
  log: GatewayLog,
  stop: Deferred.Deferred<void>
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | EffectPath.Path | Scope.Scope> =>
  Effect.flatMap(FileSystem.FileSystem, (files) => {
    const write = writeInto(
      files,
      Path.resolve(Path.dirname(start.file), start.configuration.settings.flightRecords)
    )
    return Effect.provide(gateway(start, log, stop, write), FlightRecorder.layer(write))
  })

/** Runs a gateway until the fiber is interrupted, which SIGTERM and SIGINT do; then it drains, and ends with 0. */
export const runGateway = (
  start: GatewayStart
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | EffectPath.Path> => {
  const { log: settings } = start.configuration.settings
  const log = new GatewayLog(settings)
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const stop = Deferred.makeUnsafe<void>()
      const scope = yield* Scope.make()
      // In a fiber of its own, because an interruption would end whatever the drain waits for.
      const fiber = yield* Effect.forkDetach(Scope.provide(recorded(start, log, stop), scope))
      const first = yield* Effect.exit(restore(Fiber.await(fiber)))
      const isStopped = Exit.isFailure(first)
      if (isStopped) {
        // A second signal ends the process at once.
        for (const signal of ["SIGINT", "SIGTERM"] as const) {
          process.once(signal, () => process.exit(exitCodes.interrupted))
        }
        Deferred.doneUnsafe(stop, Exit.void)
      }
      const exit = isStopped ? yield* Fiber.await(fiber) : first.value
      const close = Scope.close(scope, exit)
      // What has not drained in its time would not be released in time either.
      if (Exit.isSuccess(exit) || !isStopped) yield* close
      else yield* Effect.forkDetach(close)
      if (isStopped && Exit.isSuccess(exit)) yield* Effect.logInfo("the gateway has ended")
      if (isStopped) endWith(Exit.isSuccess(exit) ? exitCodes.done : exitCodes.failed)
      return yield* exit
    })
  ).pipe(
    Effect.provideService(Logger.CurrentLoggers, new Set([log.logger])),
    Effect.provideService(Logger.LogToStderr, true),
    // The logger has the level of the file, which a reload may change.
    Effect.provideService(References.MinimumLogLevel, "All"),
    Effect.provideService(SessionLog, { log: settings.sessions })
  )
}
