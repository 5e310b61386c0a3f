/**
 * `effect-mqttx bench`: opens connections to any server, publishes and receives through each of them, and prints rates,
 * percentiles of the latency, and what was lost or came twice. It says when this program was the limit, not the server.
 */
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { QoS } from "@effect-mqttx/core/QoS"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stdio from "effect/Stdio"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import { type Connection, connectionFlags, open, optionsOf, qosFlag } from "../connection.ts"
import { CommandFailed, exitCodes, fromMqtt } from "../failure.ts"
import { showProgress } from "../progress.ts"
import { Histogram } from "./histogram.ts"
import { durationsOf, type Report, tableOf } from "./report.ts"
import { Counts, type Load, minimumSize, publish, receive } from "./traffic.ts"

const whole = (name: string, minimum: number, description: string, standard: number) =>
  Flag.Int(name).pipe(
    Flag.filter((value) => value >= minimum, (value) => `expected a number of at least ${minimum}, got ${value}`),
    Flag.withDescription(`${description}; default ${standard}`),
    Flag.withDefault(standard)
  )

const positive = (value: number): string => `expected a number above 0, got ${value}`

const config = {
  ...connectionFlags,
  topic: Flag.String("topic").pipe(
    Flag.withAlias("t"),
    Flag.withDescription("Topic below which messages are published; default effect-mqttx/bench"),
    Flag.withDefault("effect-mqttx/bench")
  ),
  connections: whole("connections", 1, "Number of connections", 10).pipe(Flag.withAlias("c")),
  rate: Flag.Finite("rate").pipe(
    Flag.filter((rate) => rate > 0, positive),
    Flag.withDescription("Messages a second of all connections together; default: as fast as the server takes them"),
    Flag.optional
  ),
  seconds: Flag.Finite("seconds").pipe(
    Flag.filter((seconds) => seconds > 0, positive),
    Flag.withDescription("How long messages are published; default 10"),
    Flag.withDefault(10)
  ),
  qos: qosFlag,
  size: whole("size", minimumSize, "Bytes of a payload", 100),
  inFlight: whole("in-flight", 1, "The most messages that one connection has on their way", 20),
  publishOnly: Flag.Boolean("publish-only").pipe(
    Flag.withDescription("Subscribes to nothing"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Prints one JSON object"), Flag.withDefault(false))
}

interface Input extends Connection {
  readonly topic: string
  readonly connections: number
  readonly rate: Option.Option<number>
  readonly seconds: number
  readonly qos: QoS
  readonly size: number
  readonly inFlight: number
  readonly publishOnly: boolean
  readonly json: boolean
}

/** Connections that are opened at the same time. */
const opening = 32
/** How long the last acknowledgements and messages are awaited, in seconds. */
const patience = 10

const openAll = (
  options: SessionOptions,
  input: Input,
  connect: Histogram
): Effect.Effect<ReadonlyArray<Session>, CommandFailed, Scope.Scope> =>
  Effect.forEach(
    Array.from({ length: input.connections }, (_, index) => index),
    (index) =>
      Effect.suspend(() => {
        const begin = performance.now()
        const clientId = Option.map(input.id, (id) => `${id}-${index}`)
        const own = { ...options, name: `bench-${index}`, ...Option.isSome(clientId) && { clientId: clientId.value } }
        return Effect.tap(open(own), () => Effect.sync(() => connect.add(performance.now() - begin)))
      }),
    { concurrency: opening }
  )

/** Waits until everything has arrived, or nothing has for a second. */
const awaitArrivals = (counts: Counts): Effect.Effect<void> =>
  Effect.gen(function*() {
    let quiet = 0
    for (let wait = 0; wait < patience * 20 && quiet < 20 && counts.distinct < counts.sent; wait++) {
      const before = counts.received
      yield* Effect.sleep("50 millis")
      quiet = counts.received === before ? quiet + 1 : 0
    }
  })

interface Run {
  readonly counts: Counts
  readonly seconds: number
  readonly client: Report["client"]
}

/** The share of a busy event loop from which this program counts as the limit. */
const busy = 0.9

const traffic = (
  sessions: ReadonlyArray<Session>,
  input: Input
): Effect.Effect<Run, CommandFailed, Scope.Scope | Stdio.Stdio> =>
  Effect.gen(function*() {
    const random = yield* Random.nextIntBetween(0, 2 ** 48 - 1)
    const topicOf = (index: number): string => `${input.topic}/${random.toString(36)}/${index}`
    const counts = new Counts()
    const load: Load = {
      qos: input.qos,
      size: input.size,
      rate: Option.getOrUndefined(Option.map(input.rate, (rate) => rate / sessions.length)),
      inFlight: input.inFlight
    }
    if (!input.publishOnly) {
      yield* Effect.forEach(sessions, (session, index) => receive(session, topicOf(index), input.qos, counts), {
        concurrency: opening
      })
    }
    const begin = performance.now()
    if (!input.json) {
      yield* showProgress(() => {
        const seconds = Math.min(input.seconds, (performance.now() - begin) / 1000)
        return `${seconds.toFixed(0)} of ${input.seconds} s, ${counts.sent} sent, ${counts.received} received`
      })
    }
    const delays = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const histogram = monitorEventLoopDelay({ resolution: 10 })
        histogram.enable()
        return histogram
      }),
      (histogram) => Effect.sync(() => histogram.disable())
    )
    const utilization = performance.eventLoopUtilization()
    let seconds = input.seconds
    let used = 0
    const stop = Effect.sync(() => {
      counts.isStopped = true
      seconds = (performance.now() - begin) / 1000
      used = performance.eventLoopUtilization(utilization).utilization
    })
    const publishing = Effect.forEach(
      sessions,
      (session, index) => publish(session, topicOf(index), load, counts),
      { concurrency: "unbounded", discard: true }
    )
    const timed = Effect.sleep(`${input.seconds} seconds`).pipe(
      Effect.andThen(stop),
      Effect.andThen(Effect.sleep(`${patience} seconds`))
    )
    yield* Effect.raceFirst(publishing, timed)
    if (!input.publishOnly) yield* awaitArrivals(counts)
    const eventLoopDelayP99 = Math.max(0, Math.round(delays.percentile(99) / 1e5) / 10 - 10)
    return {
      counts,
      seconds: Math.round(seconds * 1000) / 1000,
      client: {
        eventLoopUtilization: Math.round(used * 1000) / 1000,
        eventLoopDelayP99: Math.round(eventLoopDelayP99 * 10) / 10,
        isLimit: used >= busy
      }
    }
  }).pipe(Effect.mapError(fromMqtt))

const reportOf = (
  options: SessionOptions,
  input: Input,
  { client, counts, seconds }: Run,
  connect: Histogram,
  reconnects: number
): Report => {
  const address = ServerAddress.parse(options.servers[0])
  const { acknowledged, distinct, doubled, received, sent } = counts
  const arrives = !input.publishOnly
  return {
    server: Result.isSuccess(address) ? ServerAddress.format(address.success) : "",
    protocolVersion: options.protocolVersion === 5 ? "5" : "3.1.1",
    connections: input.connections,
    qos: input.qos,
    size: input.size,
    seconds,
    rate: Option.getOrNull(input.rate),
    sent,
    acknowledged,
    received: arrives ? received : null,
    lost: arrives ? Math.max(0, acknowledged - distinct) : null,
    doubled: arrives ? doubled : null,
    sentPerSecond: Math.round(sent / seconds),
    receivedPerSecond: arrives ? Math.round(received / seconds) : null,
    reconnects,
    latency: {
      connect: durationsOf(connect)!,
      acknowledged: durationsOf(counts.acknowledgement),
      delivered: durationsOf(counts.delivery),
      behindRate: durationsOf(counts.behind)
    },
    client
  }
}

const verdict = ({ doubled, lost, qos }: Report): Effect.Effect<void, CommandFailed> => {
  const broken = [
    ...(qos > 0 && lost !== null && lost > 0 ? [`${lost} acknowledged messages did not arrive`] : []),
    ...(qos === 2 && doubled !== null && doubled > 0 ? [`${doubled} messages of QoS 2 arrived twice`] : [])
  ]
  return broken.length === 0 ? Effect.void : Effect.fail(
    new CommandFailed({
      what: broken.join(", "),
      advice: "Servers drop messages when their queues are full: look at its limits, or give a --rate.",
      exitCode: exitCodes.failed
    })
  )
}

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const options = yield* optionsOf(input, "bench", true)
    const connect = new Histogram()
    const sessions = yield* openAll(options, input, connect)
    const done = yield* Effect.scoped(traffic(sessions, input))
    const metrics = yield* Effect.forEach(sessions, (session) => session.metrics)
    const reconnects = metrics.reduce((sum, { reconnects }) => sum + reconnects, 0)
    const report = reportOf(options, input, done, connect, reconnects)
    yield* Console.log(input.json ? JSON.stringify(report) : tableOf(report))
    yield* verdict(report)
  }).pipe(Effect.scoped)

/** The command `bench`. */
export const bench: Command.Command<"bench", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> = Command
  .make("bench", config, run)
  .pipe(
    Command.withDescription("Measures a server: connections, rates, latency, and what is lost"),
    Command.withExamples([
      { command: "effect-mqttx bench -h broker.example --connections 100 --rate 5000 -q 1 --seconds 30" }
    ])
  )
