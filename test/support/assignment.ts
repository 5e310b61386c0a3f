/**
 * Which node of a cluster has which entity or singleton when all nodes know each other. A node that joins gets shards
 * of the others, so a test that counts owners or connections begins when the owners are these. Tests of clusters and of
 * the gateway on several nodes use it.
 */
import { Effect, HashRing, Layer } from "effect"
import {
  EntityId,
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"

/** Answers with the address (`host:port`) of the node that an entity or singleton belongs to, by its name. */
export const assignment = (
  addresses: ReadonlyArray<string>,
  shardsPerGroup: number
): Effect.Effect<(name: string) => string> =>
  Effect.gen(function*() {
    const { getShardId } = yield* Sharding.Sharding
    const ring = HashRing.make<RunnerAddress.RunnerAddress>()
    for (const address of addresses) {
      const [host, port] = address.split(":")
      HashRing.add(ring, RunnerAddress.make(host!, Number(port)))
    }
    const runners = HashRing.getShards(ring, shardsPerGroup)!
    return (name: string) => {
      const { host, port } = runners[getShardId(EntityId.make(name), "default").id - 1]!
      return `${host}:${port}`
    }
  }).pipe(
    Effect.provide(
      Sharding.layer.pipe(
        Layer.provide(Runners.layerNoop),
        Layer.provide([MessageStorage.layerNoop, RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
        Layer.provide(ShardingConfig.layer({ shardsPerGroup }))
      )
    )
  )
