/**
 * What the demo shows: a line for each event, and one line of figures, which stays in place on a terminal.
 */
import type { MqttSession, SessionEvent } from "@effect-mqttx/core"
import { Clock, Effect, Schedule, type Scope, Stream } from "effect"
import type { Ledger, Summary } from "./ledger.ts"

const isTerminal = process.stdout.isTTY === true
const clear = isTerminal ? "\r\u001b[2K" : ""

/** A line of its own, above the figures. */
export const line = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stdout.write(`${clear}${text}\n`)
  })

const describe = (event: SessionEvent.SessionEvent): string | undefined => {
  switch (event._tag) {
    case "Disconnected":
      return event.error === undefined ? "disconnected" : `disconnected: ${event.error.reason.message}`
    case "Reconnecting":
      return `connects again in ${(event.delay / 1000).toFixed(1)} s`
    case "Ready":
      return `ready, ${event.subscriptions} subscription${event.subscriptions === 1 ? "" : "s"}`
    case "MessageDropped":
      return `dropped ${event.count} (${event.cause})`
    default:
      return undefined
  }
}

/** Prints what happens to the sessions. */
export const events = (sessions: ReadonlyArray<MqttSession.Session>): Effect.Effect<void, never, Scope.Scope> =>
  Stream.mergeAll(sessions.map((session) => session.events), { concurrency: "unbounded" }).pipe(
    Stream.runForEach((event) => {
      const text = describe(event)
      return text === undefined ? Effect.void : line(`  ${event.session}: ${text}`)
    }),
    Effect.forkScoped({ startImmediately: true }),
    Effect.asVoid
  )

const count = (value: number): string => value.toLocaleString("en")

const figures = Effect.fnUntraced(function*(sessions: ReadonlyArray<MqttSession.Session>) {
  let inflight = 0
  let queued = 0
  const reconnects: Array<string> = []
  for (const session of sessions) {
    const metrics = yield* session.metrics
    inflight += metrics.inflight
    queued += metrics.queuedMessages
    reconnects.push(`${session.name} ${metrics.reconnects}`)
  }
  return `in flight ${inflight}, queued ${queued} | reconnects: ${reconnects.join(", ")}`
})

/** Prints the figures every second. */
export const rates = Effect.fnUntraced(
  function*(sessions: ReadonlyArray<MqttSession.Session>, ledger: Ledger): Effect.fn.Return<void, never, Scope.Scope> {
    const began = yield* Clock.currentTimeMillis
    let before = ledger.summary
    yield* Effect.gen(function*() {
      const now = ledger.summary
      const seconds = Math.round(((yield* Clock.currentTimeMillis) - began) / 1000)
      const rate = (key: keyof Summary): string => `${key} ${count(now[key])} (${count(now[key] - before[key])}/s)`
      const text = [
        `${seconds} s`,
        rate("published"),
        rate("delivered"),
        `on the way ${count(ledger.outstanding)}`,
        yield* figures(sessions)
      ].join(" | ")
      before = now
      process.stdout.write(isTerminal ? `${clear}${text}` : `${text}\n`)
    }).pipe(Effect.schedule(Schedule.spaced("1 second")), Effect.forkScoped)
  }
)

/** Prints the last line. */
export const summary = (ledger: Ledger): Effect.Effect<Summary> =>
  Effect.suspend(() => {
    const { delivered, duplicates, lost, published } = ledger.summary
    return Effect.as(
      line(`published ${published}, delivered ${delivered}, duplicates ${duplicates}, lost ${lost}`),
      ledger.summary
    )
  })
