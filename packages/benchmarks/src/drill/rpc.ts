/**
 * The drill of RPC over MQTT: clients that call and read streams without a pause, servers, and connections that are cut
 * after a random number of packets.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MqttRpcClient, MqttRpcError, MqttRpcServer } from "@effect-mqttx/rpc"
import { ScriptedBroker } from "@effect-mqttx/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as References from "effect/References"
import { RpcClient, type RpcClientError, RpcSerialization, RpcServer } from "effect/rpc"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Group, handlers, type Ledger } from "./rpcProgram.ts"

export interface RpcDrill {
  readonly cuts: number
  readonly seed: number
}

interface Setting {
  readonly name: string
  readonly version: 4 | 5
  readonly servers: number
  readonly share: string | undefined
  readonly qos: 1 | 2
  /** Whether the broker forgets sessions now and then. */
  readonly forgets: boolean
}

const settings: ReadonlyArray<Setting> = [
  { name: "MQTT 5", version: 5, servers: 1, share: undefined, qos: 1, forgets: false },
  { name: "MQTT 3.1.1", version: 4, servers: 1, share: undefined, qos: 1, forgets: false },
  // At QoS 1 a broker may hand a request that a client sends again to another server of the group.
  { name: "two servers", version: 5, servers: 2, share: "group", qos: 2, forgets: false },
  { name: "forgetful", version: 5, servers: 1, share: undefined, qos: 1, forgets: true }
]

interface Outcome {
  cuts: number
  forgotten: number
  calls: number
  answered: number
  failed: number
  interrupted: number
  /** Neither answered nor failed within a minute. */
  lost: number
  /** Carried out more than once. */
  doubled: number
  /** Another answer, a stream that is not complete and in order, or a failure without a type. */
  wrong: number
  /** Handlers that still run at the end. */
  left: number
}

const columns = [
  "cuts",
  "forgotten",
  "calls",
  "answered",
  "failed",
  "interrupted",
  "lost",
  "doubled",
  "wrong",
  "left"
] as const

const row = (name: string, cells: ReadonlyArray<string | number>): string =>
  name.padEnd(12) + cells.map((cell) => String(cell).padStart(12)).join("")

const prefix = "drill"
const clients = 3
const workers = 8
const timing = { heartbeatInterval: "500 millis", livenessTimeout: "5 seconds", willGrace: "2 seconds" } as const

type Client = RpcClient.FromGroup<typeof Group, RpcClientError.RpcClientError>

const between = (minimum: number, maximum: number): Effect.Effect<number> => Random.nextIntBetween(minimum, maximum)

const makeSession = (broker: ScriptedBroker.Service, setting: Setting, clientId: string) =>
  MqttSession.make({
    name: clientId,
    clientId,
    servers: [broker.url],
    protocolVersion: setting.version,
    persistence: "process",
    reconnect: { initialDelay: "5 millis", maxDelay: "50 millis" },
    drainTimeout: "1 second",
    log: "off"
  })

const startServer = Effect.fnUntraced(function*(
  broker: ScriptedBroker.Service,
  setting: Setting,
  ledger: Ledger,
  number: number
) {
  const session = yield* makeSession(broker, setting, `server-${number}`)
  const { qos, share } = setting
  const protocol = MqttRpcServer.make(session, {
    prefix,
    qos,
    partSize: 4096,
    ...timing,
    ...(share === undefined ? undefined : { share })
  })
  yield* Layer.build(
    RpcServer.layer(Group, { disableFatalDefects: true, disableTracing: true }).pipe(
      Layer.provide(handlers(ledger)),
      Layer.provide(Layer.effect(RpcServer.Protocol, protocol)),
      Layer.provide(RpcSerialization.layerSchemaBinary())
    )
  )
})

const startClient = Effect.fnUntraced(function*(broker: ScriptedBroker.Service, setting: Setting, number: number) {
  const session = yield* makeSession(broker, setting, `client-${number}`)
  const protocol = MqttRpcClient.make(session, { prefix, qos: setting.qos, partSize: 4096, ...timing })
  const context = yield* Layer.build(
    Layer.effect(RpcClient.Protocol, protocol).pipe(Layer.provide(RpcSerialization.layerSchemaBinary()))
  )
  return yield* Effect.provideContext(RpcClient.make(Group, { disableTracing: true }), context)
})

/** One call of a random kind; succeeds with whether the answer is right. */
const oneCall = Effect.fnUntraced(function*(client: Client, call: number) {
  const kind = yield* between(0, 10)
  if (kind < 6) return (yield* client.Double({ call, delay: yield* between(0, 30) })) === 2 * call
  if (kind < 8) {
    const text = String(call).repeat(yield* between(1, 10_000))
    return (yield* client.Echo({ call, text })) === text
  }
  const to = yield* between(1, 200)
  const numbers = yield* Stream.runCollect(client.Count({ call, to }))
  return numbers.length === to && numbers.every((number, index) => number === index + 1)
})

const isTyped = (cause: Cause.Cause<RpcClientError.RpcClientError>): boolean =>
  Option.exists(Cause.findErrorOption(cause), (error) => Option.isSome(MqttRpcError.fromClientError(error)))

/** Calls again and again, and counts what becomes of the calls. */
const work = (client: Client, outcome: Outcome, isOver: () => boolean): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (!isOver()) {
      const call = outcome.calls++
      if ((yield* between(0, 10)) === 0) {
        const hanging = yield* Effect.forkChild(Effect.exit(client.Hang({ call })))
        yield* Effect.sleep(yield* between(0, 60))
        yield* Fiber.interrupt(hanging)
        outcome.interrupted++
        continue
      }
      const exit = yield* Effect.exit(Effect.timeoutOption(oneCall(client, call), "1 minute"))
      if (Exit.isSuccess(exit)) {
        if (Option.isNone(exit.value)) outcome.lost++
        else if (exit.value.value) outcome.answered++
        else outcome.wrong++
      } else if (isTyped(exit.cause)) outcome.failed++
      else outcome.wrong++
    }
  })

/** Makes the broker forget the session of a client or server, whose connection it cuts. */
const forgetAtRandom = (broker: ScriptedBroker.Service, outcome: Outcome): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { sessions } = broker
    const session = sessions[yield* between(0, sessions.length - 1)]!
    if (session.connection !== undefined) yield* broker.cut(session.connection)
    if (yield* broker.forgetSession(session.clientId)) outcome.forgotten++
  }).pipe(Effect.repeat(Schedule.spaced("100 millis")), Effect.asVoid)

const trial = (setting: Setting, { cuts, seed }: RpcDrill): Effect.Effect<Outcome, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.make({ seed, record: false })
    const ledger: Ledger = { runs: new Map(), running: 0 }
    const outcome: Outcome = {
      cuts: 0,
      forgotten: 0,
      calls: 0,
      answered: 0,
      failed: 0,
      interrupted: 0,
      lost: 0,
      doubled: 0,
      wrong: 0,
      left: 0
    }
    for (let n = 0; n < setting.servers; n++) yield* startServer(broker, setting, ledger, n)
    const started = yield* Effect.forEach(
      Array.from({ length: clients }, (_, n) => n),
      (n) => startClient(broker, setting, n)
    )
    let isOver = false
    const cutter = yield* broker.cutEvery({ packets: [5, 150], seed, limit: cuts, handshake: true })
    const forgetting = setting.forgets ? yield* Effect.forkScoped(forgetAtRandom(broker, outcome)) : undefined
    const working = yield* Effect.forEach(
      started.flatMap((client) => Array.from({ length: workers }, () => client)),
      (client) => Effect.forkChild(work(client, outcome, () => isOver))
    )
    yield* cutter.awaitCuts(cuts)
    if (forgetting !== undefined) yield* Fiber.interrupt(forgetting)
    isOver = true
    yield* Effect.forEach(working, (each) => Fiber.join(each), { discard: true })
    outcome.cuts = cutter.cuts()
    // Handlers whose callers have gone end by the timeouts at the latest.
    yield* Effect.repeat(Effect.sync(() => ledger.running), {
      until: (running) => running === 0,
      schedule: Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(100)])
    })
    outcome.left = ledger.running
    for (const runs of ledger.runs.values()) if (runs > 1) outcome.doubled++
    return outcome
  })

/** Runs the drill in each setting, each with its part of the cuts. Succeeds with whether all held. */
export const drillRpc = (drill: RpcDrill): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    console.log(`rpc, ${drill.cuts} cuts, seed ${drill.seed}\n`)
    console.log(row("", columns))
    let held = true
    for (const setting of settings) {
      const cuts = Math.ceil(drill.cuts / settings.length)
      const outcome = yield* Effect.scoped(trial(setting, { ...drill, cuts }))
      console.log(row(setting.name, columns.map((column) => outcome[column])))
      const { doubled, left, lost, wrong } = outcome
      held &&= doubled + left + lost + wrong === 0 && (setting.forgets || outcome.failed === 0)
    }
    return held
  }).pipe(Effect.orDie, Effect.provideService(References.MinimumLogLevel, "None"))
