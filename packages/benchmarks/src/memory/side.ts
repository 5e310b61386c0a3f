/**
 * Opens idle connections in a process of its own and measures what one of them costs. Runs with `--expose-gc`.
 *
 * A session and MQTT.js have one subscription with one consumer each.
 */
import { MqttSession, SessionManager } from "@effect-mqttx/core"
import { Effect, Scope, Stream } from "effect"
import * as mqtt from "mqtt"
import { answerWith, sleep } from "../harness/child.ts"
import { filter } from "../session/contract.ts"
import { connect } from "../wire.ts"
import type { MemoryRequest, MemoryResult } from "./contract.ts"

/** Connections that are opened at the same time. */
const concurrency = 100
/** The first ones pay for tables and compiled code that all share. */
const first = 50

/** Opens one connection, which is never closed: the process ends with it open. */
type Open = (index: number) => Promise<unknown>

const kept: Array<unknown> = []

const sessions = (port: number): Open => (index) =>
  Effect.runPromise(Scope.provide(
    Effect.gen(function*() {
      const session = yield* MqttSession.make({ name: `idle-${index}`, servers: [`mqtt://127.0.0.1:${port}`] })
      const subscription = yield* session.subscription(filter)
      yield* Effect.forkScoped(Stream.runForEach(subscription.messages, () => Effect.void))
    }),
    Scope.makeUnsafe()
  ))

const managed = async (port: number, withRoute: boolean): Promise<Open> => {
  const manager = await Effect.runPromise(Scope.provide(
    Effect.gen(function*() {
      const manager = yield* SessionManager.make()
      if (withRoute) yield* manager.handle("idle/#", () => Effect.void, { qos: 1 })
      return manager
    }),
    Scope.makeUnsafe()
  ))
  return (index) =>
    Effect.runPromise(Effect.andThen(
      manager.add({ name: `idle-${index}`, servers: [`mqtt://127.0.0.1:${port}`] }),
      manager.awaitReady(`idle-${index}`)
    ))
}

const raw = (port: number): Open => async (index) => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, clientId: `idle-${index}` })
  client.on("message", () => {})
  await client.subscribeAsync(filter)
  kept.push(client)
}

const sockets = (port: number): Open => async (index) => {
  const socket = await connect({ port, clientId: `idle-${index}`, protocolVersion: 5 })
  socket.on("data", () => {})
  kept.push(socket)
}

const opens = {
  session: async (port: number) => sessions(port),
  managed: (port: number) => managed(port, false),
  routed: (port: number) => managed(port, true),
  raw: async (port: number) => raw(port),
  socket: async (port: number) => sockets(port)
}

const openAll = async (open: Open, from: number, to: number): Promise<void> => {
  let next = from
  const worker = async (): Promise<void> => {
    while (next < to) await open(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

const settle = async (): Promise<NodeJS.MemoryUsage> => {
  // Code that runs once is given up by the collector after several collections.
  for (let i = 0; i < 12; i++) {
    await sleep(50)
    gc!()
  }
  return process.memoryUsage()
}

const measure = async ({ client, count, port }: MemoryRequest): Promise<MemoryResult> => {
  const open = await opens[client](port)
  await openAll(open, 0, first)
  const before = await settle()
  const begin = performance.now()
  await openAll(open, first, first + count)
  const millis = performance.now() - begin
  const after = await settle()
  // `external` counts the buffers too, where the version of Node counts them there.
  const bytes = ({ arrayBuffers, external, heapUsed }: NodeJS.MemoryUsage): number =>
    heapUsed + Math.max(external, arrayBuffers)
  return {
    heap: (bytes(after) - bytes(before)) / count,
    resident: (after.rss - before.rss) / count,
    total: after.rss,
    millis
  }
}

answerWith(measure)
