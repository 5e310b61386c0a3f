/**
 * Everything that people and machines outside the program get to see of the sessions of a manager: logs, events,
 * states, errors, figures, the page, spans. Tests look in it for what must not be there.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionLog from "@effect-mqttx/core/SessionLog"
import type * as SessionManager from "@effect-mqttx/core/SessionManager"
import type { SessionStatus } from "@effect-mqttx/core/SessionStatus"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { Cause, Effect, Layer, Logger, Metric, References, Schema, type Scope, Stream, Tracer } from "effect"
import { inspect } from "node:util"
import { pageEvent } from "../src/internal/page/event.ts"
import { pageSnapshot } from "../src/internal/page/snapshot.ts"
import type { Registry } from "./support.ts"

export interface Witness {
  /** Loggers and a tracer that write down what they are given. */
  readonly layer: Layer.Layer<never>
  /** Begins to watch the sessions of a manager. */
  readonly watch: (manager: SessionManager.SessionManager["Service"]) => Effect.Effect<void, never, Scope.Scope>
  /** Notes a failure in every way in which a program could print it. */
  readonly error: (error: MqttError) => void
  readonly note: (where: string, text: string) => void
  /** Waits for a text. */
  readonly until: (found: (where: string, text: string) => boolean) => Effect.Effect<void>
  /** All texts so far, each with where it was seen. */
  readonly seen: Effect.Effect<ReadonlyArray<readonly [where: string, text: string]>>
  /** What was logged, traced and failed with, one text for each. */
  readonly shown: ReadonlyArray<readonly [where: string, text: string]>
  readonly events: ReadonlyArray<SessionEvent>
}

const encodeError = Schema.encodeUnknownSync(MqttError)

export const makeWitness = (): Witness => {
  const shown: Array<readonly [string, string]> = []
  const events: Array<SessionEvent> = []
  const states: Array<SessionStatus> = []
  const printed: Array<readonly [string, string]> = []
  let collect: Effect.Effect<void> = Effect.void
  const waiters = new Set<() => void>()
  const note = (where: string, text: string): void => {
    shown.push([where, text])
    for (const waiter of waiters) waiter()
  }
  const error = (failed: MqttError): void => {
    note("error message", failed.message)
    note("reason message", failed.reason.message)
    note("reason fields", JSON.stringify(encodeError(failed).reason))
    for (const line of Cause.pretty(Cause.fail(failed)).split("\n")) note("cause", line)
    printed.push(["printed error", `${failed} ${inspect(failed, { depth: 12, showHidden: true })} ${failed.stack}`])
    printed.push(["error as JSON", JSON.stringify(failed)])
  }
  const logger = Logger.make((line) => {
    const { cause, fiber, message } = line
    for (const part of Array.isArray(message) ? message : [message]) {
      // A log line may have several lines of its own, as the stack of a handler's failure has.
      for (const text of String(part).split("\n")) note("log", text)
    }
    for (const [name, value] of Object.entries(fiber.getRef(References.CurrentLogAnnotations))) {
      note(`log annotation ${name}`, typeof value === "string" ? value : inspect(value))
    }
    for (const text of Cause.pretty(cause).split("\n")) note("log cause", text)
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => {
        note("span", inspect([span.name, span.attributes, span.events], { depth: 9 }))
        end(endTime, exit)
      }
      return span
    }
  })
  return {
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "All"),
      SessionLog.layer({ log: "all" }),
      Layer.succeed(Tracer.Tracer, tracer)
    ),
    watch: Effect.fnUntraced(function*(manager) {
      const registry: Registry = new Map()
      const metrics = yield* MqttMetrics.make({ manager }).pipe(
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      yield* Effect.forkScoped(
        Stream.runForEach(manager.events, (event) =>
          Effect.sync(() => {
            events.push(event)
            if ("error" in event && event.error !== undefined) error(event.error)
            const { text = "" } = pageEvent(event) ?? {}
            note(`page event ${event._tag}`, text)
          })),
        { startImmediately: true }
      )
      collect = Effect.gen(function*() {
        const snapshot = yield* metrics.snapshot
        note("snapshot", JSON.stringify(snapshot))
        note("page", JSON.stringify(pageSnapshot(snapshot, undefined)))
        note("prometheus", yield* metrics.prometheus)
        for (const status of (yield* manager.statuses).values()) {
          states.push(status)
          if (status.lastError !== undefined) error(status.lastError)
          if (status.failure !== undefined) error(status.failure)
        }
      })
    }),
    error,
    note,
    until: (found) =>
      Effect.callback((resume) => {
        const look = (): void => {
          if (!shown.some(([where, text]) => found(where, text))) return
          waiters.delete(look)
          resume(Effect.void)
        }
        waiters.add(look)
        look()
      }),
    seen: Effect.suspend(() =>
      Effect.map(collect, () => [
        ...shown,
        ...printed,
        ...events.map((event) =>
          [`event ${event._tag}`, inspect(event, { depth: 12 }) + JSON.stringify(event)] as const
        ),
        ...states.map((state) => ["status", inspect(state, { depth: 12 }) + JSON.stringify(state)] as const)
      ])
    ),
    shown,
    events
  }
}
