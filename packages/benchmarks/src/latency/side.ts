/**
 * Publishes at a given pace and measures how long each publish takes from the moment when it was due, in a process of
 * its own.
 *
 * The loop looks at the clock in every turn of the event loop, because timers of Node wait for whole milliseconds.
 */
import { MqttSession } from "@effect-mqttx/core"
import { Effect, Exit, Scope } from "effect"
import * as mqtt from "mqtt"
import { answerWith } from "../harness/child.ts"
import { topics } from "../session/contract.ts"
import { WireClient } from "../wire.ts"
import type { LatencyRequest, LatencyResult } from "./contract.ts"

/** Publishes the message of this number, and calls back when it has ended. */
type Publish = (index: number, ended: (index: number) => void) => void

/**
 * V8 compiles a client after some thousand messages. A program that publishes 1,000 a second has sent them after some
 * seconds, so the warm-up is counted in messages, and is fast.
 */
const leastWarmUp = 20_000
const leastWarmUpRate = 10_000

const fail = (error: unknown): void => {
  console.error(error)
  process.exit(1)
}

const openSession = async (request: LatencyRequest): Promise<Publish> => {
  const payload = new Uint8Array(request.payloadBytes).fill(0x61)
  const options = { qos: request.qos }
  const session = await Effect.runPromise(Scope.provide(
    Effect.tap(
      MqttSession.make({
        name: "bench",
        servers: [`mqtt://127.0.0.1:${request.port}`],
        protocolVersion: request.protocolVersion
      }),
      (session) => session.awaitReady
    ),
    Scope.makeUnsafe()
  ))
  return (index, ended) => {
    Effect.runFork(session.publish(topics[index % topics.length]!, payload, options)).addObserver((exit) => {
      if (Exit.isFailure(exit)) fail(exit.cause)
      ended(index)
    })
  }
}

const openRaw = async (request: LatencyRequest): Promise<Publish> => {
  const payload = Buffer.alloc(request.payloadBytes, 0x61)
  const options = { qos: request.qos } as const
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${request.port}`, {
    protocolVersion: request.protocolVersion
  })
  return (index, ended) => {
    client.publish(topics[index % topics.length]!, payload, options, (error) => {
      if (error) fail(error)
      ended(index)
    })
  }
}

const openSocket = async (request: LatencyRequest): Promise<Publish> => {
  const client = await WireClient.open({ ...request, clientId: "bench", topics })
  const waiting: Array<readonly [index: number, ended: (index: number) => void]> = []
  let first = 0
  client.onRead = () => {
    // The peer acknowledges in order.
    while (first < client.settled) {
      const [index, ended] = waiting[first]!
      first++
      ended(index)
    }
  }
  return (index, ended) => {
    client.send(1)
    if (request.qos === 0) ended(index)
    else waiting.push([index, ended])
  }
}

interface Run {
  /** Milliseconds of each message. */
  readonly took: Float64Array
  /** Messages that had not ended a second after the last one was due. */
  readonly late: number
}

const run = async (publish: Publish, total: number, rate: number): Promise<Run> => {
  const took = new Float64Array(total)
  const distance = 1000 / rate
  const begin = performance.now()
  let done = 0
  const ended = (index: number): void => {
    took[index] = performance.now() - (begin + index * distance)
    done++
  }
  let next = 0
  await new Promise<void>((resolve) => {
    const turn = (): void => {
      const now = performance.now()
      while (next < total && begin + next * distance <= now) publish(next++, ended)
      if (done === total || now > begin + total * distance + 1000) resolve()
      else setImmediate(turn)
    }
    turn()
  })
  // What has not ended took at least this long.
  for (let index = 0; index < total; index++) {
    if (took[index] === 0) took[index] = performance.now() - (begin + index * distance)
  }
  return { took, late: total - done }
}

const measure = async (request: LatencyRequest): Promise<LatencyResult> => {
  const { rate, seconds, warmUp } = request
  const open = { session: openSession, raw: openRaw, socket: openSocket }[request.client]
  const publish = await open(request)
  const warmUpRate = Math.max(rate, leastWarmUpRate)
  await run(publish, Math.max(Math.ceil(warmUpRate * warmUp), leastWarmUp), warmUpRate)
  const { late, took } = await run(publish, Math.ceil(rate * seconds), rate)
  const sorted = took.sort()
  const percentile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
  return { p50: percentile(0.5) * 1000, p99: percentile(0.99) * 1000, p999: percentile(0.999) * 1000, late }
}

answerWith(measure)
