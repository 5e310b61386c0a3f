/**
 * The flight recorder of a session: when it hands a record out, to whom, and that the record runs again.
 */
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import * as FlightRecorder from "@effect-mqttx/core/FlightRecorder"
import * as Transport from "@effect-mqttx/core/Transport"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Queue, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { impatient, makeBroker, type Options, readyCore } from "./support.ts"

const bytes = 1_048_576

const open = (broker: ScriptedBroker.Service, options?: Options<never>) =>
  MqttSession.make({ name: "plant", clientId: "plant", servers: [broker.url], reconnect: impatient, ...options }).pipe(
    Effect.provideService(Transport.Transport, broker.transport),
    Effect.tap((session) => session.awaitReady)
  )

const linesOf = ({ lines }: FlightRecorder.FlightRecord): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Stream.mkString(lines), (text) => {
    assert.isTrue(text.endsWith("\n"))
    return text.slice(0, -1).split("\n")
  })

/** Runs a record to its end. */
const replayed = (record: FlightRecorder.FlightRecord) =>
  Effect.gen(function*() {
    const lines = yield* linesOf(record)
    const replay = Option.getOrThrow(Result.getOrThrow(FlightRecorder.replay(lines[0]!)))
    const steps = lines.slice(1).map((line) => Result.getOrThrow(replay.run(line)))
    assert.deepStrictEqual(steps.filter(({ isSame }) => !isSame), [])
    assert.lengthOf(steps.filter(({ kind }) => kind === "step"), record.steps)
    return { replay, steps }
  })

/** The records that sessions hand out by themselves. */
const watched = Effect.gen(function*() {
  const records = yield* Queue.unbounded<FlightRecorder.FlightRecord>()
  return {
    records,
    provide: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provide(effect, FlightRecorder.layer((record) => Effect.asVoid(Queue.offer(records, record))))
  }
})

const disconnected = (session: MqttSession.Session) =>
  Effect.forkChild(
    session.events.pipe(Stream.filter(({ _tag }) => _tag === "Disconnected"), Stream.take(1), Stream.runDrain),
    { startImmediately: true }
  )

/** An alias that the session does not allow. */
const unexpected = {
  _tag: "Publish",
  topic: "a",
  payload: new Uint8Array(1),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: { topicAlias: 60_000 }
} as const

describe("the flight recorder", () => {
  it.effect("gives the record of a session when it is asked, and none without the option", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* open(broker, { flightRecorder: bytes }).pipe(Effect.provide(FlightRecorder.layer()))
      const subscription = yield* session.subscription("plant/#", { qos: 2 })
      const received = yield* Effect.forkChild(Stream.runCollect(Stream.take(subscription.messages, 30)))
      for (let i = 0; i < 30; i++) {
        yield* session.publish("plant/a", `payload ${i}`, {
          qos: i % 3 as 0 | 1 | 2,
          properties: { userProperties: [["a", "b"]] }
        })
      }
      yield* Fiber.join(received)
      const record = Option.getOrThrow(yield* FlightRecorder.of(session))
      assert.deepInclude(record, { session: "plant", cause: "request", dropped: 0 })
      const { replay, steps } = yield* replayed(record)
      assert.strictEqual(steps.filter(({ call }) => call === "publish" || call === "direct.publish").length, 30)
      assert.include(JSON.stringify(replay.state()), `"filter":"plant/#"`)
      const packets = steps.flatMap(({ output }) => (output as { readonly packets?: [] } | undefined)?.packets ?? [])
      // Without those of QoS 0, which became bytes at once.
      assert.isAtLeast(packets.length, 60)
      assert.notInclude((yield* linesOf(record)).join("\n"), "payload 1")
      assert.isTrue(Option.isNone(yield* FlightRecorder.of(yield* open(broker, { clientId: "other" }))))
    }))

  it.effect("gives the record of a durable session, with its commits and what it began with", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const live = Effect.gen(function*() {
        const session = yield* MqttSession.makeDurable({
          name: "plant",
          clientId: "plant",
          servers: [broker.url],
          reconnect: impatient,
          persistence: "durable",
          flightRecorder: bytes
        })
        yield* session.awaitReady
        yield* session.publish("a", "b", { qos: 2 })
        yield* session.publish("a", "b", { qos: 1 })
        return Option.getOrThrow(yield* FlightRecorder.of(session))
      }).pipe(Effect.scoped, Effect.provideService(Transport.Transport, broker.transport))
      yield* Effect.gen(function*() {
        yield* replayed(yield* live)
        const { steps } = yield* replayed(yield* live)
        assert.strictEqual(steps[0]?.call, "restore")
        assert.include(JSON.stringify(steps[0]?.args), "Identity")
        assert.include(steps.map(({ call }) => call), "takeIndependent")
      }).pipe(Effect.provide([SessionStore.layerMemory, FlightRecorder.layer()]))
    }))

  it.effect("emits it after a violation of the server, at most once a minute", () =>
    Effect.gen(function*() {
      const { provide, records } = yield* watched
      const broker = yield* makeBroker("memory")
      const session = yield* provide(open(broker, { flightRecorder: bytes }))
      for (let i = 0; i < 2; i++) {
        const lost = yield* disconnected(session)
        yield* broker.sendPacket("plant", unexpected)
        yield* Fiber.join(lost)
        yield* TestClock.adjust("1 second")
        yield* session.awaitReady
      }
      const record = yield* Queue.take(records)
      assert.strictEqual(record.cause, "violation")
      const { replay, steps } = yield* replayed(record)
      assert.strictEqual(replay.cause, "violation: PUBLISH with topic alias 60000, the maximum is 16")
      assert.deepInclude(steps.at(-1)?.result, { kind: "topic-alias" })
      assert.strictEqual(yield* Queue.size(records), 0)
      yield* TestClock.adjust("1 minute")
      const lost = yield* disconnected(session)
      yield* broker.sendPacket("plant", unexpected)
      yield* Fiber.join(lost)
      yield* replayed(yield* Queue.take(records))
    }))

  it.effect("emits it after bytes that are no packet", () =>
    Effect.gen(function*() {
      const { provide, records } = yield* watched
      const broker = yield* makeBroker("memory")
      yield* provide(open(broker, { flightRecorder: bytes }))
      yield* broker.sendRaw("plant", new Uint8Array([0xf1, 0xff]))
      const { replay } = yield* replayed(yield* Queue.take(records))
      assert.include(replay.cause, "violation: ")
    }))

  it.effect("emits it after a defect in a turn", () =>
    Effect.gen(function*() {
      const { provide, records } = yield* watched
      const broker = yield* makeBroker("memory")
      const core = yield* provide(readyCore(broker, { flightRecorder: bytes }))
      const { engine } = core.engineLoop
      const { take } = engine
      Object.assign(engine, {
        take: () => {
          Object.assign(engine, { take })
          throw new TypeError("hunter2")
        }
      })
      yield* core.session.publish("a", "b", { qos: 1 })
      const record = yield* Queue.take(records)
      assert.strictEqual(record.cause, "defect")
      assert.notInclude((yield* linesOf(record)).join(), "hunter2")
      assert.strictEqual((yield* replayed(record)).replay.cause, "defect: TypeError")
    }))

  it.effect("is an error without FlightRecorder.layer, which makes the recorder", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        MqttSession.make({ name: "plant", servers: ["mqtt://localhost"], flightRecorder: bytes })
      )
      assert.strictEqual(error.reason._tag, "InvalidOptions")
      assert.include(error.message, "flightRecorder: needs FlightRecorder.layer")
    }))

  it("takes only a size with room for a state", () =>
    Effect.gen(function*() {
      for (const flightRecorder of [-1, 1, 65_535, 70_000.5, 2_000_000_000]) {
        const error = yield* Effect.flip(
          MqttSession.make({ name: "plant", servers: ["mqtt://localhost"], flightRecorder })
        )
        assert.include(error.message, "flightRecorder")
      }
    }).pipe(Effect.scoped, Effect.runPromise))
})
