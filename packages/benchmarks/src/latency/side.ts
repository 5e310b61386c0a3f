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

const measure = async (request: LatencyRequest): Promise<LatencyResult> => {
  const open = { session: openSession, raw: openRaw, socket: openSocket }[request.client]
  const publish = await open(request)
  const warmUp = Math.ceil(request.rate * request.warmUp)
  const total = warmUp + Math.ceil(request.rate * request.seconds)
  const took = new Float64Array(total)
  const distance = 1000 / request.rate
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
  const late = total - done
  // What has not ended took at least this long.
  for (let index = warmUp; index < total; index++) {
    if (took[index] === 0) took[index] = performance.now() - (begin + index * distance)
  }
  const sorted = took.subarray(warmUp).sort()
  const percentile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
  return { p50: percentile(0.5) * 1000, p99: percentile(0.99) * 1000, p999: percentile(0.999) * 1000, late }
}

answerWith(measure)
