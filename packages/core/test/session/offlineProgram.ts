/**
 * A program that floods a session without a connection, and prints what became of the messages and of its memory. It is
 * run in a process of its own, since memory of earlier tests would be used again.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { QueuePolicy } from "@effect-mqttx/core/SessionOptions"
import * as Transport from "@effect-mqttx/core/Transport"
import { Effect, Fiber, Logger, Schedule } from "effect"
import * as process from "node:process"

export interface Flood {
  readonly accepted: number
  readonly failed: Readonly<Record<string, number>>
  readonly suspended: number
  readonly queued: number
  readonly dropped: number
  /** Bytes that the resident memory has grown by, at the peak. */
  readonly growth: number
  /** Bytes that the session still holds after a garbage collection. */
  readonly retained: number
  readonly millis: number
}

const nowhere: Transport.Transport = {
  open: () => Effect.fail(new MqttError({ reason: new ConnectionRefused({ code: "ECONNREFUSED" }) }))
}

const held = (): number => {
  globalThis.gc!()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const topics = Array.from({ length: 20_000 }, (_, i) => `topic/${i}`)

const flood = (policy: QueuePolicy, total: number, fibers: number): Effect.Effect<Flood, MqttError> =>
  Effect.scoped(Effect.gen(function*() {
    const session = yield* MqttSession.make({
      name: "plant",
      servers: "plant.invalid",
      queue: { messages: 10_000, policy },
      drainTimeout: "10 millis"
    })
    let next = 0
    let begun = 0
    let accepted = 0
    let ended = 0
    const failed: Record<string, number> = {}
    const one = Effect.suspend(() => {
      begun++
      return session.enqueue(topics[next++ % topics.length]!, "23.5 degrees")
    }).pipe(Effect.match({
      onSuccess: () => {
        accepted++
        ended++
      },
      onFailure: ({ reason }) => {
        failed[reason._tag] = (failed[reason._tag] ?? 0) + 1
        ended++
      }
    }))
    const work = Effect.fnUntraced(function*(each: number) {
      for (let i = 0; i < each; i++) yield* one
    })

    const heldBefore = held()
    const before = process.memoryUsage.rss()
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 5)
    const started = performance.now()
    const workers = yield* Effect.forEach(Array.from({ length: fibers }), () => Effect.forkChild(work(total / fibers)))
    if (policy === "suspend") {
      // Nobody gets any further once the queue is full and every fiber waits for room.
      yield* Effect.repeat(session.metrics, {
        until: ({ queuedMessages }) => queuedMessages === 10_000 && begun - ended === fibers,
        schedule: Schedule.spaced(10)
      })
    } else {
      yield* Effect.forEach(workers, Fiber.join, { discard: true })
    }
    // Drops are counted at the end of a turn of the event loop.
    yield* Effect.callback<void>((resume) => {
      setImmediate(() => setImmediate(() => resume(Effect.void)))
    })
    const millis = performance.now() - started
    clearInterval(watch)
    peak = Math.max(peak, process.memoryUsage.rss())
    const metrics = yield* session.metrics
    const result: Flood = {
      accepted,
      failed,
      suspended: begun - ended,
      queued: metrics.queuedMessages,
      dropped: Object.values(metrics.dropped).reduce((sum, count) => sum + count, 0),
      growth: peak - before,
      retained: held() - heldBefore,
      millis
    }
    yield* Fiber.interruptAll(workers)
    return result
  })).pipe(
    Effect.provideService(Transport.Transport, nowhere),
    // The output is for the result.
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
  )

const [policy, total, fibers] = process.argv.slice(2)
void Effect.runPromise(flood(policy as QueuePolicy, Number(total), Number(fibers))).then((result) => {
  process.stdout.write(JSON.stringify(result))
})
