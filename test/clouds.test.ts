/**
 * Each layer of docs/clouds.md, run against the profile of its server.
 */
import { MqttSession, Transport } from "@effect-mqttx/core"
import { isMqttError, type MqttError } from "@effect-mqttx/core/MqttError"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, type Layer, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fencesOf } from "./support/fences.ts"
import { root } from "./support/repository.ts"

const page = Fs.readFileSync(Path.join(root, "docs/clouds.md"), "utf8")
const directory = Path.join(root, "build/clouds")

/** The layer of the section with this title. */
const layerOf = (title: string) =>
  Effect.promise(async () => {
    const section = page.split("\n## ").find((each) => each.startsWith(`${title}\n`))!
    const [fence] = fencesOf("docs/clouds.md", section)
    Fs.mkdirSync(directory, { recursive: true })
    const file = Path.join(directory, `${title.replaceAll(" ", "-")}.ts`)
    Fs.writeFileSync(file, `// @ts-nocheck\n${fence!.code}\n`)
    const { Cloud } = await import(/* @vite-ignore */ file) as {
      readonly Cloud: Layer.Layer<MqttSession.MqttSession, MqttError>
    }
    return Cloud
  })

const filters = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => `t/${i}`)

const failure = <A, R>(effect: Effect.Effect<A, MqttError, R>): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(effect), (error) => isMqttError(error) ? error.reason._tag : String(error))

/** Sends to itself at QoS 1, 200 messages at once, and gets them. */
const roundTrip = (session: MqttSession.Session) =>
  Effect.scoped(Effect.gen(function*() {
    const { messages } = yield* session.subscription("own/topic", { qos: 1 })
    const texts = Array.from({ length: 200 }, (_, i) => String(i))
    yield* Effect.forEach(texts, (text) => session.publish("own/topic", text, { qos: 1 }), {
      concurrency: "unbounded",
      discard: true
    })
    const received = yield* Stream.runCollect(Stream.take(messages, 200))
    assert.deepStrictEqual(received.map(({ text }) => text), texts)
  }))

/** As many subscriptions as allowed, and one more. */
const subscriptions = (session: MqttSession.Session, maximum: number) =>
  Effect.scoped(Effect.gen(function*() {
    assert.lengthOf((yield* session.subscription(filters(maximum), { qos: 1 })).granted, maximum)
    assert.strictEqual(yield* failure(session.subscription("one/more")), "NotSupported")
  }))

const clouds: ReadonlyArray<
  readonly [
    title: string,
    profile: ScriptedBroker.ProfileName,
    use: (session: MqttSession.Session, broker: ScriptedBroker.Service) => Effect.Effect<void, unknown>
  ]
> = [
  ["AWS IoT Core", "aws-iot", (session) =>
    Effect.gen(function*() {
      yield* roundTrip(session)
      yield* subscriptions(session, 50)
      assert.strictEqual(yield* failure(session.publish("t", "x", { qos: 2 })), "NotSupported")
      assert.strictEqual(yield* failure(session.publish("t", new Uint8Array(200_000), { qos: 1 })), "PacketTooLarge")
    })],
  ["Azure Event Grid", "azure-event-grid", (session) =>
    Effect.gen(function*() {
      yield* roundTrip(session)
      yield* subscriptions(session, 50)
      assert.strictEqual(yield* failure(session.publish("t", "x", { qos: 2 })), "NotSupported")
      assert.strictEqual(yield* failure(session.publish("t", "x", { retain: true })), "NotSupported")
      assert.strictEqual(yield* failure(Effect.scoped(session.subscription("$share/g/t"))), "NotSupported")
    })],
  ["Azure IoT Hub", "azure-iot-hub", (session, broker) =>
    Effect.scoped(Effect.gen(function*() {
      const { messages } = yield* session.subscription("devices/device-1/messages/devicebound/#", { qos: 1 })
      yield* session.publish("devices/device-1/messages/events/a=b", "telemetry", { qos: 1 })
      yield* broker.publish("devices/device-1/messages/devicebound/", "command", { qos: 1 })
      const [command] = yield* Stream.runCollect(Stream.take(messages, 1))
      assert.strictEqual(command!.text, "command")
      assert.strictEqual(
        yield* failure(session.publish("devices/device-1/messages/events/", "x", { qos: 2 })),
        "NotSupported"
      )
    }))],
  ["HiveMQ Cloud", "hivemq-cloud", (session, broker) =>
    Effect.gen(function*() {
      yield* roundTrip(session)
      assert.strictEqual(broker.connections[0]!.inflightReceived.highest, 10)
      yield* session.publish("t", "x", { qos: 2, retain: true })
    })],
  ["EMQX Cloud", "emqx", (session) => Effect.andThen(roundTrip(session), subscriptions(session, 10))]
]

describe("docs/clouds.md", () => {
  it.live.each(clouds)(
    "has a layer for %s that works with its profile on one connection",
    ([title, profile, use]) =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.makeMemory({
          profile,
          throttling: false,
          users: { user: "secret" }
        })
        const provider = ConfigProvider.fromEnv({
          env: { MQTT_SERVERS: "mqtts://cloud.example", MQTT_USERNAME: "user", MQTT_PASSWORD: "secret" }
        })
        const layer = yield* layerOf(title)
        yield* Effect.gen(function*() {
          const session = yield* MqttSession.MqttSession
          yield* session.awaitReady
          yield* use(session, broker)
          assert.strictEqual((yield* session.metrics).connections, 1)
        }).pipe(
          Effect.provide(layer),
          Effect.provideService(Transport.Transport, broker.transport),
          Effect.provideService(ConfigProvider.ConfigProvider, provider)
        )
        assert.deepStrictEqual(broker.violations, [])
      })
  )

  it("names in its table every case that the behaviour suite skips for a profile", () => {
    const skips = Fs.readFileSync(Path.join(root, "packages/core/test/session/behaviourProfiles.ts"), "utf8")
    const reasons = Array.from(skips.matchAll(/because\(\s*"([^"]+)"/g), ([, reason]) => reason!)
    assert.isAbove(reasons.length, 5)
    const [, table = ""] = page.split("\n## What does not hold there\n")
    const named: Readonly<Record<string, string>> = {
      "QoS 2": "| QoS 2 |",
      "keeps no retained": "| retained messages |",
      "wildcard brings no retained": "| retained messages for filters with wildcards |",
      "shared subscriptions": "| shared subscriptions |",
      "128 KB": "| large messages |",
      "a/# does not match": "| `a/#` matches `a` |",
      "with a blank": "| topics with a blank |",
      "MQTT 5": "| MQTT 5 |",
      "is no broker": "Azure IoT Hub",
      "at most 10 messages under way": "RabbitMQ",
      "messages wait for a client that is away": "| messages that wait for a session that is away |",
      "a topic alias of the server": "mosquitto 2.1"
    }
    for (const reason of reasons) {
      const key = Object.keys(named).find((each) => reason.includes(each))
      assert.isDefined(key, reason)
      assert.include(table, named[key!]!)
    }
  })
})
