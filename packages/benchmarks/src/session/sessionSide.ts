/**
 * A session with its default options, but for what a full stream does to QoS 0, used as its users do.
 */
import { MqttSession, type Publication } from "@effect-mqttx/core"
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { Effect, Exit, Schedule, Scope, Stream } from "effect"
import { type Conditions, filter, idleFilter, sharedFilter, type Side, startFilter, topics } from "./contract.ts"
import { largePayload, type Running, serve } from "./side.ts"

const make = Effect.fnUntraced(function*(side: Side, conditions: Conditions) {
  const session = yield* MqttSession.make({
    name: "bench",
    servers: [`mqtt://127.0.0.1:${conditions.port}`],
    protocolVersion: conditions.protocolVersion,
    flightRecorder: side.flightRecorder ?? 0,
    ...(conditions.payloadBytes > largePayload
      ? { maximumPacketSize: conditions.payloadBytes + 65_536, memoryLimit: 256 * 1024 * 1024 }
      : {})
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

  // A SUBSCRIBE of each thousand; its stream waits, and never gets a message.
  for (let from = 0; from < (side.idleFilters ?? 0); from += 1000) {
    const count = Math.min(1000, side.idleFilters! - from)
    const others = yield* session.subscription(Array.from({ length: count }, (_, index) => idleFilter(from + index)))
    yield* Effect.forkScoped(Stream.runDrain(others.messages))
  }

  switch (side.mode) {
    case "batches":
    case "messages": {
      // MQTT.js stops reading when its handler is slow and loses nothing: so does this stream.
      const wanted = side.streams === undefined ? filter : sharedFilter
      const subscription = yield* session.subscription(wanted, { ...options, onOverflow: "suspend" })
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
      for (let index = 1; index < (side.streams ?? 1); index++) {
        const another = yield* session.subscription(sharedFilter, { ...options, onOverflow: "suspend" })
        yield* Effect.forkScoped(Stream.runForEach(another.batches, () => Effect.void))
      }
      if (side.streams !== undefined) yield* session.subscription(startFilter)
      note = () => {
        const { dropped } = Effect.runSync(subscription.pending)
        return dropped === 0 ? "" : `${dropped} dropped by the stream's buffer`
      }
      break
    }
    case "publishAll": {
      // The stream's own size, and less where the last chunk would take minutes to send.
      const chunkSize = conditions.payloadBytes > 65_536 ? 8 : undefined
      const messages = function*(): Generator<Publication.OutgoingMessage> {
        let next = 0
        while (state.running) yield { topic: topics[next++ % topics.length]!, payload, options }
      }
      work = Effect.tap(
        session.publishAll(Stream.fromIterable(messages(), { chunkSize })),
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
  Effect.runPromise(Effect.provide(Scope.provide(make(side, conditions), Scope.makeUnsafe()), FlightRecorder.layer()))

serve(start)
