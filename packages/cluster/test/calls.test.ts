import { ClusterSession } from "@effect-mqttx/cluster"
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestRunner } from "effect/cluster"

class Sites extends ClusterSession.Service<Sites>()("sites") {}

describe("one node", () => {
  it.live("a call opens the session of a client identifier, publishes, and close ends it", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const received = yield* Deferred.make<string>()
      const node = Sites.layer({
        options: () => ({ servers: [broker.url], log: "off" }),
        run: (session) =>
          session.consume("in/#", (message) => Deferred.succeed(received, `${message.session} ${message.text}`), {
            qos: 2,
            consumer: "in"
          })
      }).pipe(Layer.provide(TestRunner.layer), Layer.provide(SessionStore.layerMemory))
      yield* Effect.gen(function*() {
        const sites = yield* Sites
        const observer = yield* MqttSession.make({ name: "observer", servers: [broker.url] })
        const out = yield* observer.subscription("out/#", { qos: 2 })
        const receipt = yield* sites.publish("site-7", "out/a", "hello", { qos: 2 })
        assert.strictEqual(receipt.reasonCode, 0)
        const status = yield* sites.status("site-7")
        assert.strictEqual(status.state, "connected")
        yield* observer.publish("in/a", "order", { qos: 2 })
        assert.strictEqual(yield* Deferred.await(received), "site-7 order")
        yield* sites.close("site-7")
        yield* Effect.log(status, out.filters)
      }).pipe(Effect.provide(node))
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()), Effect.timeout("20 seconds")))
})
