/**
 * A forwarder between two mosquitto brokers beside mosquitto's own bridge doing the same in the same run.
 *
 * Both ways lead from a broker to one of the same kind, with the same limits; one load after the other goes over them,
 * in turns. What is printed are messages a second that arrived at the far end: medians, and their ratio.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { Effect } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { median } from "../median.ts"

export interface ForwarderConditions {
  readonly runs: number
  readonly seconds: number
  readonly warmUp: number
  readonly protocolVersion: 4 | 5
  readonly payloadBytes: number
  readonly maxInFlight: number
  readonly sideOptions: ReadonlyArray<string>
  readonly rows: string
}

/** Messages on their way from end to end. */
const window = 2000

// Both ways have the same: mosquitto's default of 20 measures the distance of the brokers, not what goes through.
const limits = ["max_inflight_messages 1000", "max_queued_messages 100000"]

const answer = async (child: ChildProcess, tag: string): Promise<Record<string, number>> => {
  const waiting = new AbortController()
  const { signal } = waiting
  const exit = once(child, "exit", { signal }).then(() => {
    throw new Error("a process of the benchmark ended early")
  })
  exit.catch(() => {})
  try {
    while (true) {
      const [message] = await Promise.race([once(child, "message", { signal }), exit])
      if (message._tag === tag) return message
    }
  } finally {
    waiting.abort()
  }
}

interface Run {
  readonly rate: number
  /** Microseconds of processor time of the forwarding process for each message. */
  readonly cost: number | undefined
}

const measure = async (
  conditions: ForwarderConditions,
  qos: 0 | 1,
  source: number,
  target: number,
  side: ChildProcess | undefined
): Promise<Run> => {
  const load = fork(
    new URL("./load.js", import.meta.url),
    [source, target, qos, conditions.payloadBytes, window, conditions.warmUp, conditions.seconds].map(String)
  )
  await answer(load, "Begin")
  const sample = async (): Promise<Record<string, number>> => {
    side!.send("sample")
    return answer(side!, "Sample")
  }
  const before = side === undefined ? undefined : await sample()
  const { rate } = await answer(load, "Rate")
  const after = side === undefined ? undefined : await sample()
  return {
    rate: rate!,
    cost: before === undefined || after === undefined
      ? undefined
      : (after.cpu! - before.cpu!) / (after.forwarded! - before.forwarded!)
  }
}

const row = (conditions: ForwarderConditions, qos: 0 | 1): Effect.Effect<number, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const far = yield* MosquittoBroker.make({ config: limits })
    const near = yield* MosquittoBroker.make({ config: limits })
    const bridgeFar = yield* MosquittoBroker.make({ config: limits })
    const bridging = yield* MosquittoBroker.make({
      config: [
        ...limits,
        "connection benchmark",
        `address 127.0.0.1:${bridgeFar.ports.tcp}`,
        `bridge_protocol_version ${conditions.protocolVersion === 5 ? "mqttv50" : "mqttv311"}`,
        "notifications false",
        `topic plant/# out ${qos}`
      ]
    })
    const side = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const child = fork(
          new URL("./side.js", import.meta.url),
          [near.ports.tcp, far.ports.tcp, conditions.protocolVersion, qos, conditions.maxInFlight].map(String),
          { execArgv: [...conditions.sideOptions] }
        )
        await answer(child, "Ready")
        return child
      }),
      (child) =>
        Effect.promise(async () => {
          if (child.exitCode !== null) return
          child.disconnect()
          await once(child, "exit")
        })
    )
    const ours: Array<Run> = []
    const theirs: Array<Run> = []
    // Not counted: mosquitto 2.0.11 sends more than the Receive Maximum in the first burst, which costs the session one
    // reconnect.
    yield* Effect.promise(() => measure({ ...conditions, seconds: 3 }, qos, near.ports.tcp!, far.ports.tcp!, side))
    for (let run = 0; run < conditions.runs; run++) {
      ours.push(yield* Effect.promise(() => measure(conditions, qos, near.ports.tcp!, far.ports.tcp!, side)))
      theirs.push(
        yield* Effect.promise(() => measure(conditions, qos, bridging.ports.tcp!, bridgeFar.ports.tcp!, undefined))
      )
    }
    const rate = median(ours.map((run) => run.rate))
    const bridge = median(theirs.map((run) => run.rate))
    const cost = median(ours.map((run) => run.cost!))
    const figure = (value: number): string => Math.round(value).toLocaleString("en").padStart(10)
    console.log(
      `QoS ${qos}    ${figure(rate)}  ${figure(bridge)}     ${(rate / bridge).toFixed(2)}x      ${cost.toFixed(1)}`
    )
    return rate / bridge
  }))

/** Prints the table, and answers the lowest ratio. */
export const benchmarkForwarder = async (conditions: ForwarderConditions): Promise<number> => {
  console.log(
    `From broker to broker, MQTT ${
      conditions.protocolVersion === 5 ? "5" : "3.1.1"
    }, ${conditions.payloadBytes} byte payloads, ` +
      `${window} on their way, messages a second, Node ${process.version}`
  )
  console.log("           forwarder  mosquitto's bridge  ratio  CPU µs a message of the forwarder")
  const ratios: Array<number> = []
  for (const qos of [0, 1] as const) {
    if (`QoS ${qos}`.includes(conditions.rows)) ratios.push(await Effect.runPromise(row(conditions, qos)))
  }
  return Math.min(...ratios)
}
