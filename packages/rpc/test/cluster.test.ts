/**
 * Runners of Effect's cluster that reach each other through a broker, and have no open port.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MqttRpcClient, MqttRpcServer } from "@effect-mqttx/rpc"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Schema } from "effect"
import {
  Entity,
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerServer,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { Rpc, RpcSerialization, RpcServer } from "effect/rpc"

const Counter = Entity.make("Counter", [Rpc.make("Increment", { success: Schema.Struct({ runner: Schema.String }) })])

const prefixOf = ({ host, port }: RunnerAddress.RunnerAddress): string => `runners/${host}/${port}`

/** A runner, whose address is no address of the network but the prefix of its topics. */
const runner = (session: MqttSession.Session, address: RunnerAddress.RunnerAddress) => {
  const clients = Layer.effect(
    Runners.RpcClientProtocol,
    Effect.map(RpcSerialization.RpcSerialization, (serialization) => ({
      codecFor: serialization.codecFor,
      make: (other: RunnerAddress.RunnerAddress) =>
        Effect.orDie(MqttRpcClient.make(session, { prefix: prefixOf(other) })).pipe(
          Effect.provideService(RpcSerialization.RpcSerialization, serialization)
        )
    }))
  )
  const server = Layer.effect(RpcServer.Protocol, MqttRpcServer.make(session, { prefix: prefixOf(address) }))
  return Counter.toLayer({ Increment: () => Effect.succeed({ runner: address.host }) }).pipe(
    Layer.provideMerge(RunnerServer.layerWithClients),
    Layer.provide([clients, server]),
    Layer.provide(RpcSerialization.layerSchemaBinary()),
    Layer.provide(ShardingConfig.layer({
      runnerAddress: Option.some(address),
      shardsPerGroup: 16,
      refreshAssignmentsInterval: "100 millis",
      runnerJoinDebounce: 0
    }))
  )
}

describe.skipIf(!MosquittoBroker.isPresent())("runners of a cluster behind a broker", () => {
  it.live(
    "call each other's entities, and one takes over when the other one leaves",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        // The tables of the cluster: what a database is in a real one.
        const shared = yield* Layer.build(
          Layer.mergeAll(RunnerStorage.layerMemory, MessageStorage.layerNoop, RunnerHealth.layerNoop)
        )
        const start = Effect.fnUntraced(function*(name: string) {
          const session = yield* MqttSession.make({ name, clientId: name, servers: [url], log: "off" })
          return yield* Effect.provideContext(Layer.build(runner(session, RunnerAddress.make(name, 1))), shared)
        })
        const one = yield* start("one")
        const callAll = Effect.flatMap(Counter.client, (client) =>
          Effect.forEach(
            Array.from({ length: 32 }, (_, n) => `${n}`),
            (id) => Effect.map(client(id).Increment(), ({ runner }) => runner),
            { concurrency: 8 }
          )).pipe(
            Effect.provideContext(one),
            Effect.map((runners) => new Set(runners))
          )
        yield* Effect.scoped(Effect.gen(function*() {
          yield* start("two")
          // Both have shards after a while; the answers of the other one come through the broker.
          const both = yield* Effect.repeat(callAll, { until: (runners) => runners.size === 2 })
          assert.sameMembers([...both], ["one", "two"])
        }))
        const left = yield* Effect.repeat(callAll, { until: (runners) => runners.size === 1 })
        assert.sameMembers([...left], ["one"])
        assert.isAbove(yield* Context.get(one, Sharding.Sharding).activeEntityCount, 0)
      })).pipe(Effect.provide(MosquittoBroker.layer())),
    180_000
  )
})
