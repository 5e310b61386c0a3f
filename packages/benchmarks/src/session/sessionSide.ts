/**
 * A session with its default options, but for what a full stream does to QoS 0, used as its users do.
 */
import { MqttSession, type Publication } from "@effect-mqttx/core"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { Effect, Exit, Schedule, Scope, Stream } from "effect"
import { type Conditions, filter, type Side, topics } from "./contract.ts"
import { type Running, serve } from "./side.ts"

const make = Effect.fnUntraced(function*(side: Side, conditions: Conditions) {
  const session = yield* MqttSession.make({
    name: "bench",
    servers: [`mqtt://127.0.0.1:${conditions.port}`],
    protocolVersion: conditions.protocolVersion
  })
  if (side.watched === true) {
    const { prometheus } = yield* MqttMetrics.make({ sessions: [session] })
    yield* Effect.forkScoped(Effect.repeat(prometheus, Schedule.spaced("1 second")))
  }
  yield* session.awaitReady
  const payload = new Uint8Array(conditions.payloadBytes).fill(0x61)
  const options = { qos: side.qos }
  const state = { count: 0, running: true }
  let work: Effect.Effect<unknown, unknown> = Effect.void
  let note = (): string => ""

  switch (side.mode) {
    case "batches":
    case "messages": {
      // MQTT.js stops reading when its handler is slow and loses nothing: so does this stream.
      const subscription = yield* session.subscription(filter, { ...options, onOverflow: "suspend" })
      const messages = side.mode === "messages"
        ? Stream.runForEach(subscription.messages, () =>
          Effect.sync(() => {
            state.count++
          }))
        : Stream.runForEach(subscription.batches, (batch) =>
          Effect.sync(() => {
            state.count += batch.length
          }))
      yield* Effect.forkScoped(messages)
      note = () => {
        const { dropped } = Effect.runSync(subscription.pending)
        return dropped === 0 ? "" : `${dropped} dropped by the stream's buffer`
      }
      break
    }
    case "publishAll": {
      const messages = function*(): Generator<Publication.OutgoingMessage> {
        let next = 0
        while (state.running) yield { topic: topics[next++ % topics.length]!, payload, options }
      }
      work = Effect.tap(
        session.publishAll(Stream.fromIterable(messages())),
        (summary) =>
          Effect.sync(() => {
            state.count = summary.published
          })
      )
      break
    }
    case "publish": {
      let next = 0
      const loop = Effect.gen(function*() {
        while (state.running) {
          yield* session.publish(topics[next++ % topics.length]!, payload, options)
          state.count++
        }
      })
      work = Effect.all(Array.from({ length: side.outstanding }, () => loop), {
        concurrency: "unbounded",
        discard: true
      })
      break
    }
    default:
      return yield* Effect.die(new Error(`no such use of a session: ${side.mode}`))
  }

  const fiber = yield* Effect.forkScoped(work)
  return {
    count: () => state.count,
    finish: () => {
      state.running = false
      return new Promise<void>((resolve) =>
        fiber.addObserver((exit) => {
          if (Exit.isFailure(exit)) {
            console.error(exit.cause)
            process.exit(1)
          }
          resolve()
        })
      )
    },
    note
  }
})

const start = (side: Side, conditions: Conditions): Promise<Running> =>
  Effect.runPromise(Scope.provide(make(side, conditions), Scope.makeUnsafe()))

serve(start)
