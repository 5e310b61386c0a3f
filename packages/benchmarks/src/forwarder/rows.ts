/**
 * A forwarder between two mosquitto brokers, compared with mosquitto's own bridge in C in the same run.
 *
 * The bridge keeps nothing on a disk; a durable forwarder, which does, is compared with it all the same.
 *
 * Both ways lead from a broker to one of the same kind, with the same limits, and one load after the other goes over
 * them. Compared are messages a second that arrive at the far end.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { Effect, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Child } from "../harness/child.ts"
import type { Fixtures } from "../harness/fixtures.ts"
import type { Parts, Plan, Row, Source } from "../harness/model.ts"
import type { ForwarderRequest } from "./contract.ts"

/** Messages on their way from end to end. */
const window = 2000

// Both ways have the same: mosquitto's default of 20 measures the distance of the brokers, not what goes through.
const limits = ["max_inflight_messages 1000", "max_queued_messages 100000"]

type LoadReply = { readonly _tag: "Begin" } | { readonly _tag: "Rate"; readonly rate: number }
type SideReply =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Sample"; readonly forwarded: number; readonly cpu: number }
type Forwarding = Child<{ readonly _tag: "Sample" }, SideReply>

interface Case {
  readonly qos: 0 | 1 | 2
  readonly isDurable: boolean
  readonly atLeast?: number
}

/** Two ports of brokers with a way from the first one to the second one. */
interface Way {
  readonly source: number
  readonly target: number
  /** The process of the way, where it is not a broker. */
  readonly forwarding?: Forwarding
}

/** One load over a way: messages a second, and microseconds of processor time of the forwarder for each. */
const drive = async (way: Way, qos: number, plan: Plan): Promise<Parts> => {
  const load = new Child<never, LoadReply>(new URL("./load.js", import.meta.url), {
    args: [way.source, way.target, qos, plan.payloadBytes, window, plan.warmUp, plan.seconds].map(String)
  })
  try {
    await load.next("Begin")
    const before = await way.forwarding?.ask({ _tag: "Sample" }, "Sample")
    const { rate } = await load.next("Rate")
    const after = await way.forwarding?.ask({ _tag: "Sample" }, "Sample")
    const cpu = before === undefined || after === undefined
      ? {}
      : { cpu: (after.cpu - before.cpu) / (after.forwarded - before.forwarded) }
    return { rate: { value: rate, ...cpu } }
  } finally {
    await load.end()
  }
}

const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "forwarder-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A process between two brokers. */
const processWay = (script: string) =>
(
  { isDurable, qos }: Case,
  plan: Plan
): Effect.Effect<Way, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const far = yield* MosquittoBroker.make({ config: limits })
    const near = yield* MosquittoBroker.make({ config: limits })
    const request: ForwarderRequest = {
      source: near.ports.tcp!,
      target: far.ports.tcp!,
      protocolVersion: plan.protocolVersion,
      qos,
      maxInFlight: plan.inFlight,
      ...(isDurable ? { directory: yield* temporaryDirectory } : {})
    }
    const forwarding = yield* Effect.acquireRelease(
      Effect.sync((): Forwarding =>
        new Child(new URL(script, import.meta.url), {
          args: [JSON.stringify(request)],
          nodeOptions: plan.nodeOptions
        })
      ),
      (child) => Effect.promise(() => child.end())
    )
    yield* Effect.tryPromise(() => forwarding.next("Ready"))
    const way = { source: request.source, target: request.target, forwarding }
    // Not counted: mosquitto 2.0.11 sends more than the Receive Maximum in the first burst, which costs the session one
    // reconnect.
    yield* Effect.tryPromise(() => drive(way, qos, { ...plan, seconds: 3 }))
    return way
  })

const bridgeWay = ({ qos }: Case, plan: Plan): Effect.Effect<Way, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const far = yield* MosquittoBroker.make({ config: limits })
    const near = yield* MosquittoBroker.make({
      config: [
        ...limits,
        "connection benchmark",
        `address 127.0.0.1:${far.ports.tcp}`,
        `bridge_protocol_version ${plan.protocolVersion === 5 ? "mqttv50" : "mqttv311"}`,
        "notifications false",
        `topic plant/# out ${qos}`
      ]
    })
    return { source: near.ports.tcp!, target: far.ports.tcp! }
  })

const sourceOf = (
  name: string,
  conditions: Case,
  make: (conditions: Case, plan: Plan) => Effect.Effect<Way, unknown, Scope.Scope>
): Source => ({
  name: `${name}, QoS ${conditions.qos}`,
  measure: async (plan: Plan, fixtures: Fixtures) =>
    drive(await fixtures.get(`${name} ${conditions.qos}`, make(conditions, plan)), conditions.qos, plan)
})

const cases: ReadonlyArray<Case> = [
  { qos: 0, isDurable: false, atLeast: 0.8 },
  { qos: 1, isDurable: false, atLeast: 0.8 },
  { qos: 2, isDurable: false },
  { qos: 1, isDurable: true },
  { qos: 2, isDurable: true }
]

const forwarderWay = processWay("./side.js")

const bare = ([0, 1] as const).map((qos) =>
  sourceOf("bare sockets", { qos, isDurable: false }, processWay("./bareSide.js"))
)

const bridges = ([0, 1, 2] as const).map((qos) => sourceOf("bridge", { qos, isDurable: false }, bridgeWay))

export const rows: ReadonlyArray<Row> = cases.map((conditions) => {
  const { atLeast, isDurable, qos } = conditions
  const name = isDurable ? "durable forwarder" : "forwarder"
  return {
    id: `forwarder.qos${qos}${isDurable ? ".durable" : ""}`,
    title: `forward from broker to broker, QoS ${qos}${isDurable ? ", durable in a file store" : ""}`,
    unit: "msg/s",
    better: "higher",
    promise: atLeast === undefined ? undefined : { atLeast },
    sides: [
      { role: "ours", name, source: sourceOf(name, conditions, forwarderWay), part: "rate" },
      { role: "other", name: "mosquitto's bridge", source: bridges[qos]!, part: "rate" },
      ...isDurable || qos === 2
        ? []
        : [{ role: "limit" as const, name: "bare sockets", source: bare[qos]!, part: "rate" }]
    ]
  }
})
