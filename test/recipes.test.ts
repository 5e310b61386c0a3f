/**
 * The programs of docs/guides/recipes.md that have a file name, run against the scripted broker.
 */
import { MqttError, MqttSession, Transport } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fencesOf, fileNameOf } from "./support/fences.ts"
import { freePort } from "./support/freePort.ts"
import { root } from "./support/repository.ts"
import { bundle, start } from "./support/walkthrough.ts"

const page = "docs/guides/recipes.md"
const fences = fencesOf(page, Fs.readFileSync(Path.join(root, page), "utf8"))

const directory = Path.join(root, "build/recipes")

/** Writes a program of the page. Answers its path. */
const write = (name: string): string => {
  const fence = fences.find((each) => fileNameOf(each) === name)
  assert.isDefined(fence, name)
  Fs.mkdirSync(directory, { recursive: true })
  const file = Path.join(directory, name)
  Fs.writeFileSync(file, `// @ts-nocheck\n${fence!.code}\n`)
  return file
}

/** A program of the page as a module. */
const load = (name: string) =>
  Effect.promise(async () => await import(/* @vite-ignore */ write(name)) as Record<string, unknown>)

type Program = Effect.Effect<void, unknown, MqttSession.MqttSession>

const Plant = MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] }).pipe(
  Layer.provideMerge(ScriptedBroker.layerMemory())
)

const subscribed = (broker: ScriptedBroker.Service) => broker.awaitPacket({ direction: "sent", packet: "Suback" })

const acknowledged = (broker: ScriptedBroker.Service, count: number) =>
  broker.awaitPacket({ direction: "received", packet: "Puback", nth: count })

/** Lets the time of the test pass until something has happened. */
const passing = <A, E, R>(event: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkScoped(event)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(fiber)
  })

describe("the recipe", () => {
  it.effect("of batches inserts what is readable, and acknowledges nothing before it is inserted", () =>
    Effect.gen(function*() {
      const { ingest } = yield* load("ingest.ts") as Effect.Effect<{
        readonly ingest: (
          insert: (rows: ReadonlyArray<{ readonly id: string }>) => Effect.Effect<void, string>
        ) => Program
      }>
      const broker = yield* ScriptedBroker.ScriptedBroker
      const inserted: Array<string> = []
      const failed = yield* Deferred.make<void>()
      let attempts = 0
      const insert = (rows: ReadonlyArray<{ readonly id: string }>) =>
        Effect.suspend(() => {
          attempts++
          if (attempts === 1) return Effect.andThen(Deferred.succeed(failed, undefined), Effect.fail("no database"))
          inserted.push(...rows.map(({ id }) => id))
          return Effect.void
        })
      yield* Effect.forkScoped(ingest(insert))
      yield* subscribed(broker)
      for (let i = 0; i < 9; i++) {
        yield* broker.publish("sensors/a/temperature", `{"id":"${i}","celsius":20}`, { qos: 1 })
      }
      yield* broker.publish("sensors/a/temperature", "broken", { qos: 1 })
      yield* Deferred.await(failed)
      assert.lengthOf(broker.received("Puback"), 0)
      yield* broker.publish("sensors/a/temperature", `{"id":"9","celsius":20}`, { qos: 1 })
      yield* passing(acknowledged(broker, 11))
      assert.deepStrictEqual(inserted, Array.from({ length: 10 }, (_, i) => String(i)))
    }).pipe(Effect.scoped, Effect.provide(Plant)))

  it.effect("of groups acknowledges by hand what was written", () =>
    Effect.gen(function*() {
      const { grouped } = yield* load("grouped.ts") as Effect.Effect<{
        readonly grouped: (write: (messages: ReadonlyArray<unknown>) => Effect.Effect<void>) => Program
      }>
      const broker = yield* ScriptedBroker.ScriptedBroker
      const sizes: Array<number> = []
      let acknowledgedBefore = -1
      yield* Effect.forkScoped(grouped((messages) =>
        Effect.sync(() => {
          acknowledgedBefore = broker.received("Puback").length
          sizes.push(messages.length)
        })
      ))
      yield* subscribed(broker)
      for (const value of ["1", "2", "3"]) yield* broker.publish("sensors/a", value, { qos: 1 })
      yield* passing(acknowledged(broker, 3))
      assert.deepStrictEqual(sizes, [3])
      assert.strictEqual(acknowledgedBefore, 0)
    }).pipe(Effect.scoped, Effect.provide(Plant)))

  it.effect("of dead letters tries four times, and replays on the first topic", () =>
    Effect.gen(function*() {
      const { handle, replay } = yield* load("letters.ts") as Effect.Effect<{
        readonly handle: (charge: () => Effect.Effect<void, string>) => Program
        readonly replay: Program
      }>
      const broker = yield* ScriptedBroker.ScriptedBroker
      let runs = 0
      const charging = yield* Effect.forkScoped(handle(() => Effect.suspend(() => Effect.fail(`run ${++runs}`))))
      yield* subscribed(broker)
      yield* broker.publish("orders/1", "an order", { qos: 1 })
      const letter = yield* passing(broker.awaitPacket({
        direction: "received",
        packet: "Publish",
        where: ({ packet }) => packet._tag === "Publish" && packet.topic === "dead/orders"
      }))
      yield* acknowledged(broker, 1)
      assert.strictEqual(runs, 4)
      yield* Fiber.interrupt(charging)

      yield* Effect.forkScoped(replay)
      yield* broker.awaitPacket({ direction: "sent", packet: "Suback", nth: 2 })
      yield* broker.publish("dead/orders", "an order", {
        qos: 1,
        properties: letter.packet.properties
      })
      const again = yield* broker.awaitPacket({
        direction: "received",
        packet: "Publish",
        where: ({ packet }) => packet._tag === "Publish" && packet.topic === "orders/1"
      })
      assert.strictEqual(new TextDecoder().decode(again.packet.payload), "an order")
    }).pipe(Effect.scoped, Effect.provide(Plant)))

  it.effect("of workers gives each job to one of them", () =>
    Effect.gen(function*() {
      const { worker } = yield* load("workers.ts") as Effect.Effect<{
        readonly worker: (
          work: (job: { readonly text: string; readonly session: string }) => Effect.Effect<void>
        ) => Program
      }>
      const broker = yield* ScriptedBroker.ScriptedBroker
      const done: Array<string> = []
      const workers = new Set<string>()
      for (const name of ["one", "two"]) {
        const session = yield* MqttSession.make({ name, servers: [ScriptedBroker.memoryUrl] })
        yield* worker((job) =>
          Effect.sync(() => {
            done.push(job.text)
            workers.add(job.session)
          })
        ).pipe(Effect.provideService(MqttSession.MqttSession, session), Effect.forkScoped)
      }
      yield* broker.awaitPacket({ direction: "sent", packet: "Suback", nth: 2 })
      const jobs = Array.from({ length: 20 }, (_, i) => String(i))
      for (const job of jobs) yield* broker.publish(`jobs/${job}`, job, { qos: 1 })
      yield* acknowledged(broker, 20)
      assert.sameMembers(done, jobs)
      assert.strictEqual(workers.size, 2)
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layerMemory())))

  // Windows has no SIGTERM.
  it.live.skipIf(process.platform === "win32")(
    "for Kubernetes is ready when its session is, and ends in order on SIGTERM",
    () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make()
        const port = yield* freePort
        const module = yield* bundle(directory, write("main.ts"))
        const program = yield* start(directory, process.execPath, [module], {
          MQTT_URL: broker.url,
          METRICS_PORT: String(port)
        })
        yield* subscribed(broker)
        yield* broker.publish("orders/1", "1", { qos: 1 })
        yield* program.prints("orders/1")
        for (const path of ["healthz", "readyz"]) {
          const { status } = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/${path}`))
          assert.strictEqual(status, 200, path)
        }
        program.child.kill("SIGTERM")
        yield* broker.awaitPacket({ direction: "received", packet: "Disconnect" })
        assert.lengthOf(broker.received("Puback"), 1)
        yield* Effect.promise(() => program.ended)
      }).pipe(Effect.scoped),
    180_000
  )

  const layerOf = (broker: ScriptedBroker.Service) =>
    MqttSession.layer({ name: "web", servers: [ScriptedBroker.memoryUrl] }).pipe(
      Layer.provide(Layer.succeed(Transport.Transport, broker.transport))
    )

  it.live("for web servers publishes by promises, says the status of a failure, and ends the session", () =>
    Effect.gen(function*() {
      const { Mqtt, statusOf } = yield* load("mqtt.ts") as Effect.Effect<{
        readonly Mqtt: new(layer: ReturnType<typeof layerOf>) => {
          readonly publish: (topic: string, payload: string) => Promise<void>
          readonly onModuleDestroy: () => Promise<void>
        }
        readonly statusOf: (error: unknown) => number
      }>
      const broker = yield* ScriptedBroker.makeMemory()
      const mqtt = new Mqtt(layerOf(broker))
      yield* Effect.promise(() => mqtt.publish("alarms/web", "fire"))
      assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["alarms/web"])
      const failure = yield* Effect.promise(() =>
        mqtt.publish("alarms/+", "fire").then(() => undefined, (error) => error)
      )
      assert.isTrue(MqttError.isMqttError(failure))
      assert.strictEqual(statusOf(failure), 400)
      assert.strictEqual(statusOf(new Error("another one")), 500)
      yield* Effect.promise(() => mqtt.onModuleDestroy())
      yield* broker.awaitNoConnections
      assert.lengthOf(broker.received("Disconnect"), 1)
    }).pipe(Effect.scoped))

  it.live("for React holds the last value of each topic", () =>
    Effect.gen(function*() {
      const { latest } = yield* load("latest.ts") as Effect.Effect<{
        readonly latest: (layer: ReturnType<typeof layerOf>, filter: string) => {
          readonly subscribe: (listener: () => void) => () => void
          readonly getSnapshot: () => ReadonlyMap<string, string>
          readonly dispose: () => Promise<void>
        }
      }>
      const broker = yield* ScriptedBroker.makeMemory()
      const store = latest(layerOf(broker), "sensors/+/temperature")
      const first = store.getSnapshot()
      const changed = yield* Deferred.make<void>()
      let calls = 0
      const stop = store.subscribe(() => {
        calls++
        if (store.getSnapshot().size === 2) Effect.runFork(Deferred.succeed(changed, undefined))
      })
      yield* subscribed(broker)
      yield* broker.publish("sensors/a/temperature", "1", { qos: 1 })
      yield* broker.publish("sensors/a/temperature", "2", { qos: 1 })
      yield* broker.publish("sensors/b/temperature", "3", { qos: 1 })
      yield* Deferred.await(changed)
      assert.deepStrictEqual([...store.getSnapshot()], [["sensors/a/temperature", "2"], ["sensors/b/temperature", "3"]])
      assert.notStrictEqual(store.getSnapshot(), first)
      assert.strictEqual(calls, 3)
      stop()
      yield* Effect.promise(() => store.dispose())
      yield* broker.awaitNoConnections
    }).pipe(Effect.scoped))
})
