/**
 * The library at work on real messages: `npm start`, or `npm start -- --seconds 5`.
 *
 * A `plant` session publishes the readings of simulated sensors at QoS 1. A pipeline takes them from there, drops the
 * broken ones, converts the rest and republishes them on a `cloud` session. Every few seconds a connection is cut. What
 * arrives is compared with what was published, by the numbers in the messages themselves. A page in the browser shows
 * the same live.
 *
 * The broker is embedded; set MQTT_URL to use another one.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MetricsServer } from "@effect-mqttx/metrics/MetricsServer"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import * as NodeMetricsServer from "@effect-mqttx/metrics/NodeMetricsServer"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Context, Duration, Effect, Layer, Option, Random, Ref, Schema, Stream } from "effect"
import * as Display from "./demo/display.ts"
import { Ledger } from "./demo/ledger.ts"
import * as Scissors from "./demo/scissors.ts"

const Reading = Schema.Struct({ sensor: Schema.String, sequence: Schema.Int, celsius: Schema.Finite })
const decodeReading = Schema.fromJsonString(Reading)

class Plant extends MqttSession.Service<Plant>()("plant") {}
class Cloud extends MqttSession.Service<Cloud>()("cloud") {}

const sensors = Array.from({ length: 8 }, (_, index) => `room${index + 1}`)
const broken = -273.15

/** One sensor: a reading every few milliseconds, each awaited until the broker has it. */
const sensor = Effect.fnUntraced(function*(name: string, ledger: Ledger, running: Ref.Ref<boolean>) {
  const plant = yield* Plant
  let sequence = 0
  while (yield* Ref.get(running)) {
    const id = `${name}/${++sequence}`
    const celsius = sequence % 10 === 0 ? broken : Math.round((yield* Random.nextBetween(15, 30)) * 10) / 10
    const payload = JSON.stringify({ sensor: name, sequence, celsius } satisfies typeof Reading.Type)
    if (celsius !== broken) ledger.sending(id)
    yield* plant.publish(`sensors/${name}/temperature`, payload, { qos: 1 }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => ledger.withdrawn(id)))
    )
    if (celsius !== broken) ledger.published(id)
    yield* Effect.sleep("5 millis")
  }
})

/**
 * From the plant to the cloud: an array is acknowledged to the plant's server when the cloud's server has all of it.
 */
const pipeline = Effect.gen(function*() {
  const plant = yield* Plant
  const cloud = yield* Cloud
  const { messages } = yield* plant.subscription("sensors/+/temperature", { qos: 1 })
  return Stream.runForEachArray(messages, (batch) =>
    cloud.publishAll(
      Stream.fromIterable(batch).pipe(
        Stream.mapEffect((message) => message.decode(decodeReading)),
        Stream.filter((reading) => reading.celsius !== broken),
        Stream.map((reading) => ({
          topic: `cloud/${reading.sensor}/temperature`,
          payload: JSON.stringify({
            id: `${reading.sensor}/${reading.sequence}`,
            fahrenheit: reading.celsius * 1.8 + 32
          }),
          options: { qos: 1 }
        }))
      )
    ))
})

/** What the cloud's subscribers see. */
const arrivals = Effect.fnUntraced(function*(ledger: Ledger) {
  const cloud = yield* Cloud
  const { messages } = yield* cloud.subscription("cloud/+/temperature", { qos: 1 })
  return Stream.runForEach(
    messages,
    (message) => Effect.sync(() => ledger.arrived((JSON.parse(message.text) as { readonly id: string }).id))
  )
})

const program = Effect.fnUntraced(function*(seconds: Option.Option<number>) {
  const ledger = new Ledger()
  const running = yield* Ref.make(true)
  const sessions = [yield* Plant, yield* Cloud]
  const scissors = yield* Scissors.Scissors
  const { url } = yield* MetricsServer
  yield* Display.line(`Live page: ${url}`)
  yield* Display.events(sessions)
  yield* Effect.forEach(sessions, (session) => session.awaitReady, { concurrency: "unbounded", discard: true })

  yield* Effect.forkScoped(yield* arrivals(ledger))
  yield* Effect.forkScoped(yield* pipeline)
  for (const name of sensors) yield* Effect.forkScoped(sensor(name, ledger, running))
  yield* Display.rates(sessions, ledger)
  yield* Effect.andThen(Display.line("a connection is cut"), scissors.cut).pipe(
    Effect.delay("2 seconds"),
    Effect.forever,
    Effect.forkScoped
  )

  const finish = Effect.gen(function*() {
    yield* Ref.set(running, false)
    yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => ledger.outstanding === 0 }))
  })
  yield* (Option.isNone(seconds) ? Effect.never : Effect.sleep(Duration.seconds(seconds.value))).pipe(
    Effect.onInterrupt(() => Effect.andThen(Effect.timeoutOption(finish, "1 second"), Display.summary(ledger)))
  )
  yield* Effect.timeoutOption(finish, "10 seconds")
  const { lost } = yield* Display.summary(ledger)
  if (lost > 0) process.exitCode = 1
})

/** Which broker: MQTT_URL, or the embedded one. */
class Broker extends Context.Service<Broker, { readonly url: string }>()("examples/demo/Broker") {
  static readonly layer = Layer.unwrap(Effect.map(
    Config.option(Config.String("MQTT_URL")),
    Option.match({
      onSome: (url) => Layer.succeed(Broker, { url }),
      onNone: () =>
        Layer.effect(Broker, Effect.map(ScriptedBroker.ScriptedBroker, (broker) => ({ url: broker.url }))).pipe(
          Layer.provide(ScriptedBroker.layer({ record: false }))
        )
    })
  ))
}

const Sessions = Layer.unwrap(Effect.map(Broker, ({ url }) => {
  const options = {
    servers: [url],
    // A cable that is cut every two seconds is no reason to wait longer and longer.
    reconnect: { initialDelay: "200 millis", maxDelay: "500 millis" },
    drainTimeout: "500 millis"
  } as const
  return Layer.mergeAll(Plant.layer(options), Cloud.layer(options))
})).pipe(Layer.provideMerge(Layer.mergeAll(Broker.layer, Scissors.layer)))

/** The live page of both sessions, where Prometheus would look for it, or on any other port if that one is taken. */
const Page = NodeMetricsServer.layer({ port: 9464, page: { title: "demo" } }).pipe(
  Layer.catchTag("ServeError", () => NodeMetricsServer.layer({ port: 0, page: { title: "demo" } })),
  Layer.provide(Layer.effect(
    MqttMetrics.MqttMetrics,
    Effect.gen(function*() {
      return yield* MqttMetrics.make({ sessions: [yield* Plant, yield* Cloud] })
    })
  ))
)

const seconds = Option.fromNullishOr(process.argv[process.argv.indexOf("--seconds") + 1]).pipe(
  Option.filter(() => process.argv.includes("--seconds")),
  Option.map(Number)
)

program(seconds).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Page, Sessions)), NodeRuntime.runMain)
