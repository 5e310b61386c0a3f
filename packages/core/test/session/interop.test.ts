import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, it } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import mqtt from "mqtt"

// MQTT.js as the client on the other side of a broker: what one of the two writes, the other one reads.

interface Seen {
  readonly topic: string
  readonly text: string
  readonly qos: number
  readonly user: ReadonlyArray<string>
}

const foreign = (url: string, protocolVersion: 4 | 5) =>
  Effect.acquireRelease(
    Effect.promise(() => mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0 })),
    (client) => Effect.promise(() => client.endAsync(true))
  )

const exchange = Effect.fnUntraced(function*(url: string, protocolVersion: 4 | 5) {
  const session = yield* MqttSession.make({ name: `interop-${protocolVersion}`, servers: [url], protocolVersion })
  const { messages } = yield* session.subscription("to/session/#", { qos: 2 })
  const client = yield* foreign(url, protocolVersion)
  yield* Effect.promise(() => client.subscribeAsync("to/client/#", { qos: 2 }))
  const inbox = yield* Queue.unbounded<Seen>()
  client.on("message", (topic, payload, { properties, qos }) => {
    const values = properties?.userProperties?.["key"] ?? []
    Queue.offerUnsafe(inbox, { topic, text: payload.toString(), qos, user: [values].flat() })
  })
  const user = protocolVersion === 5 ? ["a", "b"] : []
  const expected = (to: string): ReadonlyArray<Seen> =>
    [0, 1, 2].map((qos) => ({ topic: `to/${to}/${qos}`, text: `été ${qos}`, qos, user }))
  for (const { qos, text, topic } of expected("client")) {
    yield* session.publish(topic, text, {
      qos: qos as 0 | 1 | 2,
      ...(protocolVersion === 5 ? { properties: { userProperties: [["key", "a"], ["key", "b"]] } } : undefined)
    })
  }
  assert.deepStrictEqual(yield* Queue.takeN(inbox, 3), expected("client"))
  for (const { qos, text, topic } of expected("session")) {
    yield* Effect.promise(() =>
      client.publishAsync(topic, text, {
        qos: qos as 0 | 1 | 2,
        ...(protocolVersion === 5 ? { properties: { userProperties: { key: ["a", "b"] } } } : undefined)
      })
    )
  }
  const received = yield* messages.pipe(
    Stream.take(3),
    Stream.map(({ properties, qos, text, topic }): Seen => ({
      topic,
      text,
      qos,
      user: (properties.userProperties ?? []).map(([, value]) => value)
    })),
    Stream.runCollect
  )
  assert.deepStrictEqual(received, expected("session"))
})

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 4 ? "3.1.1" : "5"

  it.live(`MQTT.js and a session read each other's messages through the scripted broker, MQTT ${name}`, () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.make()
      yield* exchange(broker.url, protocolVersion)
    }))

  it.live.skipIf(!MosquittoBroker.isPresent())(
    `MQTT.js and a session read each other's messages through mosquitto, MQTT ${name}`,
    () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make({})
        yield* exchange(broker.urls.tcp!, protocolVersion)
      })
  )
}
