/**
 * Opens idle connections, each with one subscription and one consumer, and prints what one of them costs. Run with
 * `--expose-gc`.
 */
import { MqttSession } from "@effect-mqttx/core"
import { Effect, Stream } from "effect"
import * as mqtt from "mqtt"
import { filter } from "./contract.ts"

const [client, port, count] = process.argv.slice(2) as [string, string, string]

const openSessions = async (first: number, number: number): Promise<void> => {
  const one = (index: number) =>
    Effect.gen(function*() {
      const session = yield* MqttSession.make({ name: `bench-${index}`, servers: [`mqtt://127.0.0.1:${port}`] })
      const subscription = yield* session.subscription(filter)
      yield* Effect.forkScoped(Stream.runForEach(subscription.messages, () => Effect.void))
    })
  // Never closed: the process ends with the sessions open.
  const opened = Effect.forEach(Array.from({ length: number }, (_, index) => first + index), one, { discard: true })
  await new Promise<void>((resolve) =>
    Effect.runFork(Effect.scoped(Effect.andThen(opened, Effect.andThen(Effect.sync(resolve), Effect.never))))
  )
}

const openRaw = async (_first: number, number: number): Promise<void> => {
  for (let index = 0; index < number; index++) {
    const connection = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 })
    connection.on("message", () => {})
    await connection.subscribeAsync(filter)
  }
}

const settle = async (): Promise<{ readonly heap: number; readonly resident: number }> => {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    gc!()
  }
  const { arrayBuffers, heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed + arrayBuffers, resident: rss }
}

const open = client === "raw" ? openRaw : openSessions
const total = Number(count)
// The first ones pay for tables and compiled code that all share.
await open(0, 20)
const before = await settle()
await open(20, total)
const after = await settle()
const kib = (bytes: number): number => Math.round(bytes / total / 1024)
process.send!({ heap: kib(after.heap - before.heap), resident: kib(after.resident - before.resident) })
process.exit(0)
