/**
 * Connections that are cut at random while calls and streams run: every call is answered, once, and streams are
 * complete and in order. `npm run drill -- rpc` does more of it.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, type Scope, Stream } from "effect"
import * as CuttingProxy from "../../core/test/session/cuttingProxy.ts"
import { Broker, makeWorld, scripted, type World } from "./support.ts"

const persistence = "process"
const timing = { heartbeatInterval: "500 millis", livenessTimeout: "10 seconds", partSize: 2000 } as const

/** Calls and streams, until there were enough cuts. */
const load = Effect.fnUntraced(function*(
  { client, server }: World,
  version: 4 | 5,
  cuts: () => number,
  enough: number
) {
  const { handled } = yield* server(timing, { session: { persistence } })
  const clients = [
    yield* client(timing, { persistence }),
    yield* client(timing, { persistence, protocolVersion: version })
  ]
  let calls = 0
  const work = (group: (typeof clients)[number]["client"], worker: number) =>
    Effect.gen(function*() {
      for (let n = 0; cuts() < enough; n++) {
        const a = worker * 1_000_000 + n
        calls++
        assert.strictEqual(yield* group.Add({ a, b: 1 }), a + 1)
        const to = 1 + (n * 37) % 150
        assert.deepStrictEqual(
          yield* Stream.runCollect(group.Slow({ to })),
          Array.from({ length: to }, (_, index) => index + 1)
        )
        const text = String(a).repeat(500)
        assert.strictEqual(yield* group.Echo({ text }), text)
      }
    })
  yield* Effect.forEach(
    clients.flatMap(({ client: group }) => [group, group, group]),
    work,
    { concurrency: "unbounded", discard: true }
  )
  const adds = handled.ran.filter((each) => each.startsWith("Add"))
  assert.strictEqual(adds.length, calls)
  assert.strictEqual(new Set(adds).size, calls)
})

const quiet = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.scoped(effect).pipe(Effect.provideService(References.MinimumLogLevel, "None"))

describe.each([4, 5] as const)("MQTT %s", (version) => {
  it.live.each([1, 2, 3])("calls and streams go through cut connections, seed %s", (seed) =>
    quiet(
      Effect.gen(function*() {
        const world = yield* makeWorld(version)
        const cutter = yield* world.broker!.cutEvery({ packets: [5, 120], seed, limit: 25 })
        yield* load(world, version, cutter.cuts, 25)
      }).pipe(Effect.provide(scripted()))
    ))

  it.live.skipIf(!MosquittoBroker.isPresent())(
    "calls and streams go through cut connections, on mosquitto",
    () =>
      quiet(Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make({ config: ["set_tcp_nodelay true"] })
        let state = 5
        const proxy = yield* CuttingProxy.make({
          port: broker.ports.tcp!,
          bytes: [500, 30_000],
          limit: 20,
          random: () => {
            state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
            return state / 2 ** 32
          }
        })
        const Through = Layer.succeed(Broker, {
          address: `mqtt://127.0.0.1:${proxy.port}`,
          transport: undefined,
          broker: undefined
        })
        yield* Effect.flatMap(makeWorld(version), (world) => load(world, version, proxy.cuts, 20)).pipe(
          Effect.provide(Through)
        )
      }))
  )
})

describe("a broker with small packets", () => {
  it.live.each([4, 5] as const)("gets parts that fit into them, MQTT %s", (version) =>
    quiet(
      Effect.gen(function*() {
        const { client, server } = yield* makeWorld(version)
        // A broker of 3.1.1 does not say what it admits.
        const parts = version === 4 ? { partSize: 500 } : {}
        yield* server(parts)
        const { client: group } = yield* client(parts)
        const text = "x".repeat(50_000)
        assert.strictEqual(yield* group.Echo({ text }), text)
      }).pipe(Effect.provide(scripted({ limits: { maximumPacketSize: 1000 } })))
    ))
})
