/**
 * Topics with types: `tsc -b examples && node examples/dist/typed-topics.js`.
 *
 * One definition of a topic gives both sides the filter to subscribe to, the parameters and the payload's type. A
 * payload of another type is skipped, or published to a dead-letter topic.
 */
import { MqttSession, PayloadCodec, TopicTemplate } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema, Stream } from "effect"

const Reading = Schema.Struct({ celsius: Schema.Finite, at: Schema.DateFromString })

const temperature = TopicTemplate.make("sensors/:room/temperature", PayloadCodec.json(Reading))
const lamp = TopicTemplate.make("rooms/:room/lamps/:number", PayloadCodec.text(Schema.Literals(["on", "off"])), {
  params: { number: Schema.FiniteFromString }
})
const file = TopicTemplate.make("files/*path", PayloadCodec.bytes)

const program = Effect.gen(function*() {
  const session = yield* MqttSession.MqttSession

  const temperatures = yield* temperature.subscription(session, {
    qos: 1,
    onInvalid: { deadLetter: "dead/temperature" }
  })
  const dead = yield* session.subscription("dead/#", { qos: 1 })
  const secondLamps = yield* lamp.subscription(session, { qos: 1, params: { number: 2 } })
  const files = yield* file.subscription(session, { qos: 1 })

  yield* temperature.publish(session, { room: "kitchen" }, { celsius: 21.5, at: new Date(0) }, { qos: 1 })
  yield* session.publish("sensors/cellar/temperature", "cold", { qos: 1 })
  yield* temperature.publish(session, { room: "attic" }, { celsius: 35, at: new Date(60_000) }, { qos: 1 })
  yield* lamp.publish(session, { room: "hall", number: 1 }, "off", { qos: 1 })
  yield* lamp.publish(session, { room: "hall", number: 2 }, "on", { qos: 1 })
  yield* file.publish(session, { path: "logs/today" }, new Uint8Array([1, 2, 3]), { qos: 1 })

  yield* temperatures.messages.pipe(
    Stream.take(2),
    Stream.runForEach(({ params, value }) =>
      Effect.log(`${params.room}: ${value.celsius} °C at ${value.at.toISOString()}`)
    )
  )
  yield* dead.messages.pipe(
    Stream.take(1),
    Stream.runForEach((message) => Effect.log(`${message.topic}: ${message.text}`))
  )
  yield* secondLamps.messages.pipe(
    Stream.take(1),
    Stream.runForEach(({ params, value }) => Effect.log(`lamp ${params.number} in the ${params.room} is ${value}`))
  )
  yield* files.messages.pipe(
    Stream.take(1),
    Stream.runForEach(({ params, value }) => Effect.log(`${params.path}: ${value.length} bytes`))
  )
  yield* Effect.log(`not of the type: ${yield* temperatures.invalid}`)
})

// The broker is in the same process, and in memory.
const Session = MqttSession.layer({ name: "home", servers: [ScriptedBroker.memoryUrl] }).pipe(
  Layer.provide(ScriptedBroker.layerMemory())
)

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(Session)))
