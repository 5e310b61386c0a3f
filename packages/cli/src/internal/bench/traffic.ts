/**
 * The traffic of `bench`: each connection publishes to a topic of its own and, if asked, receives from it. A message
 * has its number and the time when it was sent. The number of messages that a connection has on their way is bounded,
 * so a slow server slows the publishers down; with a rate, how far they are behind it is measured.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Arrivals } from "./arrivals.ts"
import { Histogram } from "./histogram.ts"

/** The number of a message and the time when it was sent. */
export const minimumSize = 16

/** What is published. */
export interface Load {
  readonly qos: QoS
  /** In bytes, at least `minimumSize`. */
  readonly size: number
  /** Messages a second of one connection; undefined: as fast as the server takes them. */
  readonly rate: number | undefined
  /** The most messages that one connection has on their way. */
  readonly inFlight: number
}

/** What all connections have counted. */
export class Counts {
  sent = 0
  /** At QoS 0: written. */
  acknowledged = 0
  readonly acknowledgement = new Histogram()
  readonly delivery = new Histogram()
  readonly behind = new Histogram()
  readonly arrivals: Array<Arrivals> = []
  isStopped = false

  get received(): number {
    return this.arrivals.reduce((sum, { distinct, doubled }) => sum + distinct + doubled, 0)
  }

  get distinct(): number {
    return this.arrivals.reduce((sum, { distinct }) => sum + distinct, 0)
  }

  get doubled(): number {
    return this.arrivals.reduce((sum, { doubled }) => sum + doubled, 0)
  }
}

/** Receives until the scope ends. */
export const receive = (
  session: Session,
  topic: string,
  qos: QoS,
  counts: Counts
): Effect.Effect<void, MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const { messages } = yield* session.subscription(topic, { qos, onOverflow: "suspend" })
    const arrivals = new Arrivals()
    counts.arrivals.push(arrivals)
    yield* Effect.forkScoped(Stream.runForEachArray(messages, (batch) =>
      Effect.sync(() => {
        const now = performance.now()
        // A plain loop, because every message of the run goes through it.
        for (const { payload } of batch) {
          if (payload.length < minimumSize) continue
          const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
          arrivals.add(view.getUint32(0))
          counts.delivery.add(now - view.getFloat64(8))
        }
      })))
  })

/** Publishes until the traffic is stopped, and the messages on their way are acknowledged. */
export const publish = (
  session: Session,
  topic: string,
  load: Load,
  counts: Counts
): Effect.Effect<void, MqttError> =>
  Effect.suspend(() => {
    const begin = performance.now()
    const { inFlight, qos, rate, size } = load
    let next = 0
    const one = Effect.gen(function*() {
      const number = next++
      if (rate !== undefined) {
        const due = begin + number * 1000 / rate
        const wait = due - performance.now()
        // A timer knows whole milliseconds.
        if (wait >= 1) yield* Effect.sleep(wait)
        if (counts.isStopped) return
        counts.behind.add(Math.max(0, performance.now() - due))
      }
      const payload = new Uint8Array(size)
      const view = new DataView(payload.buffer)
      const sentAt = performance.now()
      view.setUint32(0, number)
      view.setFloat64(8, sentAt)
      counts.sent++
      yield* session.publish(topic, payload, { qos })
      counts.acknowledged++
      counts.acknowledgement.add(performance.now() - sentAt)
    })
    const worker = Effect.whileLoop({ while: () => !counts.isStopped, body: () => one, step: () => {} })
    return Effect.all(Array.from({ length: inFlight }, () => worker), { concurrency: "unbounded", discard: true })
  })
