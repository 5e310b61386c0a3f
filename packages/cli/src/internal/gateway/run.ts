/**
 * A gateway from its start to its end: applies the file, serves metrics, reads the file again when it has changed, and
 * drains on SIGTERM and SIGINT. The command `gateway` loads it when it runs a file.
 */
import { ForwarderFailed, type MqttError } from "@effect-mqttx/core/MqttError"
import { SessionLog } from "@effect-mqttx/core/SessionLog"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { endWith } from "../ending.ts"
import { CommandFailed, exitCodes, fromMqtt } from "../failure.ts"
import type { Reloaded } from "./adminApi.ts"
import type { Configuration } from "./configuration.ts"
import { changesText } from "./difference.ts"
import { Listener } from "./listener.ts"
import { GatewayLog } from "./log.ts"
import { hangups, NotApplied, Reload } from "./reload.ts"
import { GatewayRuntime, type Outcome } from "./runtime.ts"
import type { GatewayFile } from "./schema.ts"

export interface GatewayStart {
  readonly file: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly configuration: Configuration
  readonly contents: string
}

const failureOf = (error: MqttError): CommandFailed => {
  const failure = fromMqtt(error)
  return error.reason instanceof ForwarderFailed
    ? new CommandFailed({ what: failure.what, advice: failure.advice, exitCode: exitCodes.usage })
    : failure
}

const logFailures = ({ failures }: Outcome): Effect.Effect<void> =>
  Effect.forEach(
    failures,
    ({ error, name }) =>
      Effect.annotateLogs(Effect.logError(`cannot be applied: ${error.reason.message}`), {
        name,
        reason: error.reason._tag
      }),
    {
      discard: true
    }
  )

const gateway = (
  { configuration, contents, environment, file }: GatewayStart,
  log: GatewayLog,
  stop: Deferred.Deferred<void>
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function*() {
    let current = configuration
    const runtime = yield* Effect.mapError(GatewayRuntime.make, failureOf)
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
    const { failures } = yield* Effect.mapError(runtime.apply(configuration), failureOf)
    if (failures.length > 0) return yield* Effect.fail(failureOf(failures[0]!.error))
    const apply = (next: Configuration): Effect.Effect<Reloaded, NotApplied> =>
      Effect.gen(function*() {
        const [duration, outcome] = yield* Effect.timed(runtime.apply(next))
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
        Effect.catch(({ reason }) =>
          Effect.andThen(
            Effect.logError(`the file is not applied; the gateway goes on with the earlier one: ${reason.message}`),
            Effect.fail(new NotApplied({ mistakes: [reason.message] }))
          )
        )
      )
    const reload = new Reload({ file, environment, contents, settings: () => current.settings.reload, apply })
    const context = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
    const admin = yield* Listener.make<NonNullable<GatewayFile["admin"]>>({
      name: "the admin server",
      keyOf: ({ host, port, token }) => JSON.stringify([host, port, token === undefined ? "" : Redacted.value(token)]),
      // Loaded where the file has it: HttpApi and OpenAPI take memory.
      listen: (settings) =>
        Effect.flatMap(Effect.promise(() => import("./adminListener.ts")), ({ listenForAdmin }) =>
          listenForAdmin({
            file,
            runtime,
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
      forwarders: configuration.forwarders.size
    })
    const reloading = yield* Effect.forkScoped(reload.run(signals))
    yield* Deferred.await(stop)
    yield* Effect.logInfo("the gateway drains")
    const { drainTimeout } = current.settings
    // A reload that has begun is finished: it would leave sessions behind. In a fiber of its own, because the stop of a
    // forwarder cannot be interrupted.
    const draining = yield* Effect.forkDetach(Effect.andThen(Fiber.interrupt(reloading), runtime.drain))
    const drained = yield* Effect.timeoutOption(Fiber.join(draining), drainTimeout)
    if (Option.isNone(drained)) {
      const what = `the gateway has not drained within ${Duration.format(drainTimeout)}`
      yield* Effect.logError(what)
      return yield* Effect.fail(new CommandFailed({ what, advice: undefined, exitCode: exitCodes.failed }))
    }
  })

/** Runs a gateway until the fiber is interrupted, which SIGTERM and SIGINT do; then it drains, and ends with 0. */
export const runGateway = (
  start: GatewayStart
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Path.Path> => {
  const { log: settings } = start.configuration.settings
  const log = new GatewayLog(settings)
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const stop = Deferred.makeUnsafe<void>()
      const scope = yield* Scope.make()
      // In a fiber of its own, because an interruption would end whatever the drain waits for.
      const fiber = yield* Effect.forkDetach(Scope.provide(gateway(start, log, stop), scope))
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
