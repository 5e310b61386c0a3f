import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Raw from "./support/rawClient.ts"

it.live("accepts clients of both versions over TCP and WebSocket", () =>
  Effect.gen(function*() {
    const broker = yield* AedesBroker.AedesBroker
    for (const version of [4, 5] as const) {
      for (const dial of [Raw.dialTcp(broker.ports.tcp!), Raw.dialWebSocket(broker.urls.ws!)]) {
        const client = yield* Raw.connect(dial, version, "a")
        assert.strictEqual(client.connack.reasonCode, 0)
        yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t", { qos: 0 })])
        yield* client.send(Raw.publishPacket("t", "hello"))
        assert.strictEqual(Raw.text(yield* client.next("Publish")), "hello")
      }
    }
  }).pipe(Effect.provide(AedesBroker.layer({ webSocket: true }))))

it.live("cuts a client's connection on demand, and knows who is connected", () =>
  Effect.gen(function*() {
    const broker = yield* AedesBroker.AedesBroker
    const client = yield* Raw.connect(Raw.dialTcp(broker.ports.tcp!), 5, "a")
    assert.deepStrictEqual(broker.clients, ["a"])
    assert.isFalse(yield* broker.cut("b"))
    assert.isTrue(yield* broker.cut("a"))
    yield* client.closed
  }).pipe(Effect.provide(AedesBroker.layer())))
