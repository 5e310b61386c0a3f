/**
 * What the tests of the gateway share: folders with files, brokers, traffic through them, and gateways as processes.
 */
import { type MqttError, MqttSession } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { Effect, Fiber, Queue, type Scope, Stream } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { type Running, type Settings, start } from "./program.ts"

export { freePort } from "../../../../test/support/freePort.ts"

/** A folder with these files, which is removed with the scope. */
export const folder = (files: Readonly<Record<string, string>>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = Fs.mkdtempSync(Path.join(Os.tmpdir(), "gateway-"))
      for (const [name, text] of Object.entries(files)) {
        Fs.mkdirSync(Path.dirname(Path.join(path, name)), { recursive: true })
        Fs.writeFileSync(Path.join(path, name), text)
      }
      return path
    }),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )

/** A mosquitto that queues whatever is not taken, and forgets no session when it is stopped. */
export const broker = MosquittoBroker.make({
  persistence: true,
  config: ["max_queued_messages 0", "max_inflight_messages 100", "log_type unsubscribe"]
})

/** What arrives at a broker. */
export interface Witness {
  readonly payloads: ReadonlyArray<string>
  readonly topics: ReadonlyArray<string>
  /** Waits for so many messages. */
  readonly has: (count: number) => Effect.Effect<void>
  /** Waits until it is subscribed, after its broker was away. */
  readonly subscribed: Effect.Effect<void, MqttError.MqttError>
}

/** Collects the messages of a broker from now on. */
export const witness = (url: string, filter: string): Effect.Effect<Witness, MqttError.MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({ name: "witness", servers: url })
    const { messages } = yield* session.subscription(filter, { qos: 2, onOverflow: "suspend" })
    const payloads: Array<string> = []
    const topics: Array<string> = []
    const arrived = yield* Queue.sliding<void>(1)
    yield* Effect.forkScoped(Stream.runForEach(messages, ({ text, topic }) => {
      payloads.push(text)
      topics.push(topic)
      return Queue.offer(arrived, undefined)
    }))
    return {
      payloads,
      topics,
      subscribed: session.awaitReady,
      has: (count) =>
        Effect.whileLoop({ while: () => payloads.length < count, body: () => Queue.take(arrived), step: () => {} })
    }
  })

/** A publisher that counts. */
export interface Publisher {
  /** How many messages it has handed to its session. */
  readonly published: () => number
  /** Waits until it has handed so many more to its session. */
  readonly more: (count: number) => Effect.Effect<void>
  /** Ends the traffic; answers how many messages there were. */
  readonly stop: Effect.Effect<number>
}

/** Publishes 0, 1, 2 and so on, so many a second, until it is stopped. */
export const publishing = (
  url: string,
  topic: string,
  qos: 1 | 2,
  rate: number
): Effect.Effect<Publisher, MqttError.MqttError, Scope.Scope> =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({ name: "publisher", servers: url })
    yield* session.awaitReady
    const traffic = { count: 0, isStopped: false }
    const handed = yield* Queue.sliding<void>(1)
    const fiber = yield* Effect.forkScoped(
      Effect.gen(function*() {
        while (!traffic.isStopped) {
          const batch = Array.from({ length: Math.ceil(rate / 100) }, () => String(traffic.count++))
          yield* Effect.forEach(batch, (payload) => session.publish(topic, payload, { qos }), {
            concurrency: "unbounded"
          })
          yield* Queue.offer(handed, undefined)
          yield* Effect.sleep(10)
        }
      })
    )
    return {
      published: () => traffic.count,
      more: (count) =>
        Effect.suspend(() => {
          const wanted = traffic.count + count
          return Effect.whileLoop({
            while: () => traffic.count < wanted,
            body: () => Queue.take(handed),
            step: () => {}
          })
        }),
      stop: Effect.suspend(() => {
        traffic.isStopped = true
        return Effect.orDie(Effect.as(Fiber.join(fiber), 0))
      }).pipe(Effect.map(() => traffic.count))
    }
  })

/** The first numbers, as texts. */
export const numbers = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => String(index))

/** The line of the log that says that the gateway is there. */
export const running = "the gateway runs"

/** Starts a gateway and waits until it runs. */
export const startGateway = (
  file: string,
  settings?: Settings
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const gateway = yield* start(["gateway", file], settings)
    yield* gateway.says(running)
    return gateway
  })

/** The same, and waits until it is ready: connected, and subscribed. */
export const startReady = (
  port: number,
  file: string,
  settings?: Settings
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.tap(startGateway(file, settings), () => awaitStatus(port, "/readyz", 200))

/** What an operator's server answers. */
export const ask = (port: number, path: string, init?: RequestInit): Effect.Effect<{ status: number; text: string }> =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
    return { status: response.status, text: await response.text() }
  })

/** Asks until the answer has this status. */
export const awaitStatus = (port: number, path: string, status: number): Effect.Effect<string> =>
  Effect.promise(async () => {
    while (true) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
      const text = await answer?.text()
      if (answer?.status === status) return text!
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })
