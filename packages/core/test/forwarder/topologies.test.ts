/**
 * Random networks of brokers with forwarders between them, in every mixture of versions: what one message comes to.
 */
import type { ForwarderOptionsInput } from "@effect-mqttx/core/ForwarderOptions"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertSum, makeNet, type Net } from "../../../../test/support/forwarders.ts"
import { seeded } from "../session/seeded.ts"

interface Edge {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly mapping: ForwarderOptionsInput["mapping"]
}

interface World {
  readonly brokers: ReadonlyArray<string>
  readonly edges: ReadonlyArray<Edge>
  /** Broker, name and version of each session; the first two of each broker read and write, which may be one. */
  readonly sessions: ReadonlyArray<{
    readonly broker: string
    readonly name: string
    readonly protocolVersion: 4 | 5
    readonly isNamed: boolean
  }>
  readonly reader: (broker: string) => string
  readonly writer: (broker: string) => string
  readonly maxHops: number
}

const makeWorld = (seed: number, version: 4 | 5 | "mixed"): World => {
  const next = seeded(seed)
  const below = (bound: number): number => Math.floor(next() * bound)
  const pick = <A>(values: ReadonlyArray<A>): A => values[below(values.length)]!
  const brokers = ["a", "b", "c", "d", "e"].slice(0, 2 + below(4))
  const density = pick([0.3, 0.5, 1])
  // Two forwarders between the same brokers make twice as many ways.
  const edges = brokers.flatMap((from) =>
    brokers.filter((to) => to !== from && next() < density).flatMap((to): ReadonlyArray<Edge> =>
      Array.from({ length: brokers.length < 4 ? 1 + below(2) : 1 }, (_, index) => ({
        name: `${from}${to}${index}`,
        from,
        to,
        mapping: pick<Edge["mapping"]>([
          [],
          [],
          [{ strip: "", add: `${from}${to}/` }],
          [{ from: "+/#", to: "{2}/{1}" }],
          [{ from: "#", to: "same" }]
        ])
      }))
    )
  )
  const protocolVersion = (): 4 | 5 => version === "mixed" ? pick([4, 5] as const) : version
  const sessions = brokers.flatMap((broker) => {
    const isNamed = below(2) === 0
    const names = below(2) === 0 ? [broker] : [broker, `${broker} out`]
    return names.map((name) => ({ broker, name, protocolVersion: protocolVersion(), isNamed }))
  })
  const last = (broker: string): string => sessions.findLast((session) => session.broker === broker)!.name
  return { brokers, edges, sessions, reader: (broker) => broker, writer: last, maxHops: pick([8, 8, 1, 2]) }
}

/** How many ways lead from a broker to each other one without passing one twice. */
const waysFrom = ({ edges, maxHops }: World, origin: string): ReadonlyMap<string, number> => {
  const ways = new Map<string, number>()
  const walk = (at: string, passed: ReadonlyArray<string>): void => {
    ways.set(at, (ways.get(at) ?? 0) + 1)
    if (passed.length >= maxHops) return
    for (const { from, to } of edges) if (from === at && !passed.includes(to) && to !== at) walk(to, [...passed, at])
  }
  walk(origin, [])
  return ways
}

const build = Effect.fnUntraced(function*({ brokers, edges, maxHops, reader, sessions, writer }: World) {
  const net = yield* makeNet(brokers, { record: true })
  for (const { broker, isNamed, name, protocolVersion } of sessions) {
    yield* net.ready(broker, {
      name,
      protocolVersion,
      // Under two addresses a name tells that it is one broker.
      ...(isNamed
        ? { brokerName: `broker ${broker}`, servers: [`mqtt://${name.replace(" ", "-")}.invalid`] }
        : undefined)
    })
  }
  const forwarders = yield* Effect.forEach(
    edges,
    ({ from, mapping, name, to }) =>
      net.forward({ name, sources: [reader(from)], filters: ["#"], target: writer(to), mapping, maxHops })
  )
  for (const forwarder of forwarders) yield* forwarder.active
  return { net, forwarders }
})

/** Waits until every forwarder has had all that its source has, and has done with it. */
const untilQuiet = (net: Net, world: World, forwarders: Effect.Success<ReturnType<typeof build>>["forwarders"]) =>
  Effect.gen(function*() {
    const deadline = Date.now() + 120_000
    while (true) {
      let isQuiet = true
      for (const [index, { from }] of world.edges.entries()) {
        const metrics = yield* forwarders[index]!.metrics
        if (metrics.inFlight > 0 || metrics.received < net.brokers[from]!.published.length) isQuiet = false
      }
      if (isQuiet) return
      assert.isBelow(Date.now(), deadline, `not quiet: ${JSON.stringify(world)}`)
      yield* Effect.sleep("2 millis")
    }
  })

describe("Forwarder: networks", () => {
  for (const version of [5, 4, "mixed"] as const) {
    it.live(
      `one message reaches each broker once for each way to it, and never comes back: MQTT ${
        version === 4 ? "3.1.1" : version
      }`,
      () =>
        Effect.gen(function*() {
          let copies = 0
          for (let seed = 1; seed <= 60; seed++) {
            const world = makeWorld(seed, version)
            yield* Effect.scoped(Effect.gen(function*() {
              const { forwarders, net } = yield* build(world)
              const qos = (seed % 3) as 0 | 1 | 2
              yield* net.brokers.a!.publish("t/x", `message ${seed}`, { qos })
              yield* untilQuiet(net, world, forwarders)
              const ways = waysFrom(world, "a")
              const found = new Map(world.brokers.map((name) => [name, net.brokers[name]!.published.length]))
              const what = `seed ${seed}: ${JSON.stringify(world)}`
              assert.strictEqual(found.get("a"), 1, what)
              for (const name of world.brokers) {
                assert.strictEqual(found.get(name), ways.get(name) ?? 0, `${name}, ${what}`)
              }
              for (const forwarder of forwarders) {
                assertSum(yield* forwarder.metrics)
              }
              for (const count of found.values()) copies += count
            }))
          }
          assert.isAbove(copies, 300)
        }),
      180_000
    )
  }
})
