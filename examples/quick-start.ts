/**
 * One session that publishes and receives: `tsc -b examples && node examples/dist/quick-start.js`.
 *
 * The broker is embedded; set MQTT_URL to use another one.
 */
import { MqttSession } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Option, Stream } from "effect"

const program = Effect.gen(function*() {
  const session = yield* MqttSession.MqttSession
  // Succeeds when the server has granted it: what is published from here on comes back.
  const temperatures = yield* session.subscription("sensors/+/temperature", { qos: 1 })
  yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
  yield* temperatures.messages.pipe(
    Stream.take(1),
    Stream.runForEach((message) => Effect.log(message.topic, message.text))
  )
}).pipe(Effect.scoped)

const main = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("MQTT_URL"))
  const url = Option.isSome(given) ? given.value : (yield* ScriptedBroker.make()).url
  yield* Effect.provide(program, MqttSession.layer({ name: "plant", servers: [url] }))
})

NodeRuntime.runMain(Effect.scoped(main))
