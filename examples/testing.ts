/**
 * A service over MQTT that can be tested: `tsc -b examples && node examples/dist/testing.js`.
 *
 * The service is in testing/thermostat.ts and knows nothing of tests. test/thermostat.test.ts tests it in memory, with
 * the time of the test and a broker that fails on demand. Here it runs on an embedded broker over TCP.
 */
import { MqttSession } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { Reading, run, Switch } from "./testing/thermostat.ts"

const main = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.make()
  yield* Effect.gen(function*() {
    const session = yield* MqttSession.MqttSession
    const switches = yield* Switch.subscription(session, { qos: 1 })
    yield* Effect.forkScoped(run({ target: 21 }))
    yield* broker.awaitPacket({ direction: "sent", packet: "Suback", nth: 2 })
    for (const celsius of [19, 20, 22.5]) {
      yield* Reading.publish(session, { room: "kitchen" }, { celsius }, { qos: 1 })
    }
    const [on, off] = yield* Stream.runCollect(Stream.take(switches.messages, 2))
    yield* Effect.log(
      `the heating went ${on?.value.on === true ? "on" : "off"} and ${off?.value.on === true ? "on" : "off"}`
    )
    if (on?.value.on !== true || off?.value.on !== false) yield* Effect.die("the thermostat did something else")
  }).pipe(Effect.scoped, Effect.provide(MqttSession.layer({ name: "home", servers: [broker.url] })))
}).pipe(Effect.timeout("30 seconds"), Effect.scoped)

NodeRuntime.runMain(main)
