/**
 * QoS 0 on an open connection: publishing does not wait, and nothing else changes by that.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { Packet } from "@effect-mqttx/core/Packet"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { accepting, listen, type Peer } from "../../../../test/support/peers.ts"
import { impatient } from "./support.ts"

const published = (peer: Peer): ReadonlyArray<string> =>
  peer.packets.flatMap((packet: Packet) =>
    packet._tag === "Publish" ? [`${packet.qos} ${packet.topic} ${new TextDecoder().decode(packet.payload)}`] : []
  )

describe.each([4, 5] as const)("version %s", (version) => {
  const make = Effect.gen(function*() {
    const listener = yield* listen({ protocol: "tcp", serve: accepting() })
    const session = yield* MqttSession.make({
      name: `direct-${version}`,
      servers: [`mqtt://localhost:${listener.address.port}`],
      protocolVersion: version,
      keepAlive: 0,
      // The peer acknowledges nothing.
      drainTimeout: 1,
      reconnect: impatient
    })
    yield* session.awaitReady
    return { session, peer: listener.peers[0]! }
  })

  it.live("succeeds at once on an open connection, and the program may use its bytes again", () =>
    Effect.gen(function*() {
      const { peer, session } = yield* make
      const payload = new Uint8Array(1)
      for (let i = 0; i < 5; i++) {
        payload[0] = 0x30 + i
        const exit = Effect.runSyncExit(session.publish("a", payload))
        assert.deepStrictEqual(exit, Exit.succeed({ reasonCode: 0, reasonString: undefined }))
      }
      payload[0] = 0x3f
      const { acknowledged } = Effect.runSync(session.enqueue("b", payload))
      payload[0] = 0
      assert.deepStrictEqual(Effect.runSync(acknowledged), { reasonCode: 0, reasonString: undefined })
      yield* peer.until(() => published(peer).length === 6)
      assert.deepStrictEqual(published(peer), ["0 a 0", "0 a 1", "0 a 2", "0 a 3", "0 a 4", "0 b ?"])
      const { messagesSent, published: counts } = yield* session.metrics
      assert.strictEqual(messagesSent, 6)
      assert.deepInclude(counts, { accepted: 6, acknowledged: 6, pending: 0 })
    }))

  it.live("keeps the order of what is published in one turn, at every QoS", () =>
    Effect.gen(function*() {
      const { peer, session } = yield* make
      const messages = ([0, 0, 1, 0, 2, 0] as const).map((qos, index) => ({ topic: `t/${index}`, qos }))
      yield* Effect.forEach(messages, ({ qos, topic }) => Effect.forkScoped(session.publish(topic, "x", { qos })), {
        concurrency: "unbounded"
      })
      yield* peer.until(() => published(peer).length === messages.length)
      assert.deepStrictEqual(published(peer), messages.map(({ qos, topic }) => `${qos} ${topic} x`))
    }))

  it.live(
    "a stream of many messages yields to other fibers, and all messages arrive in order",
    () =>
      Effect.gen(function*() {
        const { peer, session } = yield* make
        const count = 50_000
        const payload = "x".repeat(100)
        let turns = 0
        // Yields after each round.
        yield* Effect.forkScoped(Effect.forever(Effect.sync(() => turns++)))
        const summary = yield* session.publishAll(
          Stream.fromIterable(
            Array.from({ length: count }, (_, index) => ({ topic: `t/${index}`, payload })),
            { chunkSize: count }
          )
        )
        assert.strictEqual(summary.published, count)
        // More than 5 MB, of which one turn has at most about 1 MiB.
        assert.isAtLeast(turns, 4)
        yield* peer.until(() => published(peer).length === count)
        assert.deepStrictEqual(published(peer), Array.from({ length: count }, (_, index) => `0 t/${index} ${payload}`))
      }),
    180_000
  )
})
