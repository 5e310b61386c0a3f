/**
 * What runs in the browser: bundled by the test, called by it through the page.
 */
import { MqttSession, Transport } from "@effect-mqttx/core"
import { Effect, Fiber, Stream } from "effect"

export interface Result {
  readonly received: ReadonlyArray<string>
  readonly reconnects: number
}

/**
 * Publishes a message with each quality of service before and after the test has cut the connection.
 */
const run = (url: string, cut: () => Promise<void>): Promise<Result> =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({
      name: "browser",
      servers: [url],
      reconnect: { initialDelay: "10 millis" }
    })
    const { messages } = yield* session.subscription("from/browser/#", { qos: 2 })
    const receiving = yield* messages.pipe(Stream.take(6), Stream.runCollect, Effect.forkChild)
    for (const qos of [0, 1, 2] as const) yield* session.publish(`from/browser/${qos}`, `before ${qos}`, { qos })
    yield* Effect.promise(cut)
    // The broker has cut, but the browser may not know yet: what is written until then is gone, as QoS 0 may be.
    yield* session.events.pipe(Stream.takeUntil((event) => event._tag === "Disconnected"), Stream.runDrain)
    yield* session.awaitReady
    for (const qos of [0, 1, 2] as const) yield* session.publish(`from/browser/${qos}`, `after ${qos}`, { qos })
    const received = yield* Fiber.join(receiving)
    const { reconnects } = yield* session.metrics
    return { received: received.map((message) => `${message.topic}: ${message.text}`), reconnects }
  }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.runPromise)

/** Succeeds when the browser tells that the network may be back. */
const reachable = (): Promise<string> =>
  Effect.flatMap(Transport.Transport, (transport) => transport.reachable!).pipe(
    Effect.as("reachable"),
    Effect.timeout("20 seconds"),
    Effect.runPromise
  )

Object.assign(globalThis, { run, reachable })
