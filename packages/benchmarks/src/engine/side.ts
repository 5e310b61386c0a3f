/**
 * A session, or MQTT.js, over a transport in memory: what the code of a client costs without the operating system, in a
 * process of its own.
 */
import { MqttSession } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import { Effect, Scope, Stream } from "effect"
import * as mqtt from "mqtt"
import { Duplex } from "node:stream"
import { answerWith, cpuSince } from "../harness/child.ts"
import { filter, topics } from "../session/contract.ts"
import type { EngineRequest, EngineResult } from "./contract.ts"
import { MemoryServer } from "./memoryServer.ts"
import { transportOf } from "./transport.ts"

/** Messages that the server brings before it waits: fewer than the Receive Maximum of a session. */
const maximumOnTheWay = 512

const longTopics = topics.map((topic) => `company/site/building/floor/${topic}`.padEnd(60, "-"))

/** Begins the publishes of a turn, and resolves when all of them have ended. */
type PublishTurn = () => Promise<unknown>

interface Client {
  readonly received: () => number
  readonly publishTurn: PublishTurn
}

const openSession = (request: EngineRequest, server: MemoryServer): Promise<Client> => {
  const payload = new Uint8Array(request.payloadBytes).fill(0x61)
  const options = { qos: request.qos }
  const names = request.aliases === undefined ? topics : longTopics
  const program = Effect.gen(function*() {
    const session = yield* MqttSession.make({
      name: "bench",
      servers: ["mqtt://memory.invalid"],
      ...(request.aliases !== undefined && { topicAliases: request.aliases.topicAliases }),
      protocolVersion: request.protocolVersion
    })
    yield* session.awaitReady
    let received = 0
    if (request.direction === "receive") {
      const subscription = yield* session.subscription(filter, { ...options, onOverflow: "suspend" })
      yield* Effect.forkScoped(
        Stream.runForEach(subscription.batches, (batch) =>
          Effect.sync(() => {
            received += batch.length
          }))
      )
    }
    const publishes = Effect.all(
      Array.from(
        { length: request.turn },
        (_, index) => session.publish(names[index % names.length]!, payload, options)
      ),
      { concurrency: "unbounded", discard: true }
    )
    return { received: () => received, publishTurn: () => Effect.runPromise(publishes) }
  })
  return Effect.runPromise(
    Scope.provide(program, Scope.makeUnsafe()).pipe(Effect.provideService(Transport.Transport, transportOf(server)))
  )
}

const openRaw = async (request: EngineRequest, server: MemoryServer): Promise<Client> => {
  const payload = Buffer.alloc(request.payloadBytes, 0x61)
  const options = { qos: request.qos } as const
  const stream = (): Duplex => {
    const duplex = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        server.receive(chunk)
        done()
      },
      writev: (chunks, done) => {
        server.receive(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)))
        done()
      }
    })
    server.send = (bytes) => {
      duplex.push(bytes)
    }
    return duplex
  }
  const client = new mqtt.MqttClient(stream as unknown as mqtt.StreamBuilder, {
    protocolVersion: request.protocolVersion
  })
  await new Promise<void>((resolve) => client.once("connect", () => resolve()))
  let received = 0
  if (request.direction === "receive") {
    client.on("message", () => {
      received++
    })
    await client.subscribeAsync(filter, options)
  }
  return {
    received: () => received,
    publishTurn: () =>
      Promise.all(
        Array.from(
          { length: request.turn },
          (_, index) => client.publishAsync(topics[index % topics.length]!, payload, options)
        )
      )
  }
}

const turnOfLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const measure = async (request: EngineRequest): Promise<EngineResult> => {
  const server = new MemoryServer(request)
  const client = await (request.client === "session" ? openSession : openRaw)(request, server)
  let brought = 0
  const turn = request.direction === "publish" ? client.publishTurn : async (): Promise<void> => {
    server.bring()
    brought += request.turn
    await turnOfLoop()
  }
  const run = async (seconds: number): Promise<number> => {
    const until = performance.now() + seconds * 1000
    let turns = 0
    while (performance.now() < until) {
      const handled = request.qos === 1 ? server.acknowledged : client.received()
      if (request.direction === "receive" && brought - handled > maximumOnTheWay) {
        await turnOfLoop()
        continue
      }
      await turn()
      turns++
    }
    for (let wait = 0; client.received() < brought; wait++) {
      if (wait > 100_000) throw new Error(`${client.received()} of ${brought} messages arrived`)
      await turnOfLoop()
    }
    return turns * request.turn
  }
  await run(request.warmUp)
  const bytes = server.bytes
  const before = process.cpuUsage()
  const messages = await run(request.seconds)
  const cpu = cpuSince(before) / messages
  return { perCpu: 1e6 / cpu, cpu, bytes: (server.bytes - bytes) / messages }
}

answerWith(measure)
