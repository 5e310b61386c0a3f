import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { OutgoingMessage } from "@effect-mqttx/core/Publication"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import * as CuttingProxy from "./cuttingProxy.ts"
import { seeded } from "./seeded.ts"
import { impatient, Ledger, makeBroker, readySession } from "./support.ts"

const cuts = 200
/** Messages of each topic: twenty topics make 5,000 messages in each direction. */
const each = 250

type Reliable = 1 | 2

const topicsOf = (prefix: string, qos: Reliable): ReadonlyArray<string> =>
  Array.from({ length: 5 }, (_, i) => `${prefix}/${qos}/${i}`)

/** Numbered messages of both qualities of service, all topics taking turns. */
const messagesOf = (prefix: string): ReadonlyArray<OutgoingMessage> =>
  Array.from({ length: each }, (_, number) => {
    const payload = String(1 + number)
    return ([1, 2] as const).flatMap((qos) =>
      topicsOf(prefix, qos).map((topic) => ({ topic, payload, options: { qos } }))
    )
  }).flat()

const text = new TextDecoder()

/** Publishes that came again, and those of them without DUP. */
const resends = (
  broker: ScriptedBroker.Service
): { readonly count: number; readonly withoutDup: ReadonlyArray<string> } => {
  const seen = new Set<string>()
  const withoutDup: Array<string> = []
  let count = 0
  for (const { packet } of broker.received("Publish")) {
    const key = `${packet.topic} ${text.decode(packet.payload)}`
    if (seen.has(key)) {
      count++
      if (!packet.dup) withoutDup.push(key)
    }
    seen.add(key)
  }
  return { count, withoutDup }
}

/** Consumes by hand and by handler: twice 2,500 messages. */
const consumeAll = Effect.fnUntraced(function*(session: MqttSession.Session) {
  const ledgers = { 1: new Ledger(), 2: new Ledger() }
  for (const qos of [1, 2] as const) {
    const { messages } = yield* session.subscription(`stream/${qos}/+`, { qos })
    yield* Effect.forkScoped(
      Stream.runForEach(messages, (message) => Effect.sync(() => ledgers[qos].noteMessage(message)))
    )
    yield* Effect.forkScoped(session.consume(
      `handler/${qos}/+`,
      (message) => Effect.sync(() => ledgers[qos].noteMessage(message)),
      { qos }
    ))
  }
  return ledgers
})

/** Publishes one by one and in bulk: twice 2,500 messages. */
const publishAll = Effect.fnUntraced(function*(session: MqttSession.Session) {
  const bulk = yield* Effect.forkScoped(session.publishAll(Stream.fromIterable(messagesOf("bulk"))))
  let settled = 0
  const single = yield* Effect.forkScoped(
    Effect.forEach(
      messagesOf("single"),
      ({ options, payload, topic }) =>
        Effect.tap(session.publish(topic, payload, options), () => Effect.sync(() => settled++)),
      {
        concurrency: 100,
        discard: true
      }
    )
  )
  return Effect.gen(function*() {
    yield* Fiber.join(single)
    const { published } = yield* Fiber.join(bulk)
    return { single: settled, bulk: published }
  })
})

const complete = (ledgers: Record<Reliable, Ledger>, ...prefixes: ReadonlyArray<string>) =>
  Effect.forEach(
    [1, 2] as const,
    (qos) => ledgers[qos].complete(prefixes.flatMap((prefix) => topicsOf(prefix, qos)), each)
  )

/** Nothing twice with QoS 2, and everything in the order of its topic. */
const assertFlawless = (ledgers: Record<Reliable, Ledger>): void => {
  assert.deepStrictEqual([...ledgers[1].misordered, ...ledgers[2].misordered], [])
  assert.strictEqual(ledgers[2].duplicates, 0)
}

/** Succeeds when the four subscriptions of `consumeAll` hold. */
const untilSubscribed = (session: MqttSession.Session) =>
  Effect.repeat(session.metrics, {
    schedule: Schedule.spaced("5 millis"),
    until: ({ subscriptions }) => subscriptions === 4
  })

describe.each([4, 5] as const)("version %s", (version) => {
  describe.each(["memory", "tcp"] as const)("over %s", (network) => {
    it.live(
      "200 cuts lose nothing, duplicate no QoS 2 message, keep the order and settle every outcome once",
      () =>
        Effect.gen(function*() {
          const seed = version
          // Small windows, so that connections are cut in all phases of all handshakes.
          const broker = yield* makeBroker(network, { seed, limits: { maximumInflight: 20, receiveMaximum: 20 } })
          const session = yield* readySession(broker, { protocolVersion: version, clientId: "plant", maxInflight: 20 })
          const inbound = yield* consumeAll(session)
          yield* untilSubscribed(session)
          const cutter = yield* broker.cutEvery({ packets: [1, 120], seed, limit: cuts, clientId: "plant" })
          const outcomes = yield* publishAll(session)
          const handlers = messagesOf("handler")
          for (const [i, stream] of messagesOf("stream").entries()) {
            const handler = handlers[i]!
            yield* broker.publish(stream.topic, stream.payload, { qos: stream.options!.qos! })
            yield* broker.publish(handler.topic, handler.payload, { qos: handler.options!.qos! })
          }

          assert.deepStrictEqual(yield* outcomes, { single: 2500, bulk: 2500 })
          yield* complete(inbound, "stream", "handler")
          yield* broker.awaitIdle
          assert.strictEqual(cutter.cuts(), cuts)
          assertFlawless(inbound)

          const outbound = { 1: new Ledger(), 2: new Ledger() }
          for (const { payload, publisher, qos, topic } of broker.published) {
            if (publisher !== undefined) outbound[qos as Reliable].note(topic, Number(text.decode(payload)))
          }
          yield* complete(outbound, "single", "bulk")
          assertFlawless(outbound)
          const { count, withoutDup } = resends(broker)
          assert.deepStrictEqual(withoutDup, [])
          assert.isAbove(count, 0)
          assert.deepStrictEqual(broker.violations, [])

          const metrics = yield* session.metrics
          assert.strictEqual(metrics.messagesSent, 5000)
          assert.strictEqual(metrics.queuedMessages + metrics.inflight + metrics.unacknowledged, 0)
          assert.strictEqual(metrics.reconnects, cuts)
        }),
      180_000
    )
  })
})

describe.skipIf(!MosquittoBroker.isPresent()).each([4, 5] as const)("version %s, mosquitto", (version) => {
  it.live("200 cuts and two restarts lose nothing", () =>
    Effect.gen(function*() {
      const mosquitto = yield* MosquittoBroker.make({ persistence: true, config: ["max_queued_messages 0"] })
      const proxy = yield* CuttingProxy.make({
        port: mosquitto.ports.tcp!,
        bytes: [20, 4000],
        limit: cuts,
        random: seeded(version)
      })
      const options = {
        protocolVersion: version,
        // mosquitto forgets a session that was opened with Clean Start when it ends.
        persistence: "durable",
        // After a restart mosquitto 2.0.11 sends all that waited for a client at once, whatever its Receive Maximum.
        receiveMaximum: 65_535,
        reconnect: impatient
      } as const
      const plant = yield* MqttSession.makeDurable({
        name: "plant",
        servers: [`mqtt://127.0.0.1:${proxy.port}`],
        ...options
      })
      const observer = yield* MqttSession.makeDurable({ name: "observer", servers: [mosquitto.url], ...options })
      yield* plant.awaitReady
      yield* observer.awaitReady
      const outbound = { 1: new Ledger(), 2: new Ledger() }
      const { messages } = yield* observer.subscription(["single/#", "bulk/#"], { qos: 2 })
      yield* Effect.forkScoped(Stream.runForEach(messages, (message) =>
        Effect.sync(() =>
          outbound[message.qos as Reliable].noteMessage(message)
        )))
      const inbound = yield* consumeAll(plant)
      yield* untilSubscribed(plant)

      const outcomes = yield* publishAll(plant)
      const feed = yield* Effect.forkScoped(Effect.forEach(["stream", "handler"], (prefix) =>
        observer.publishAll(Stream.fromIterable(messagesOf(prefix))), { concurrency: 2, discard: true }))
      for (const count of [cuts / 3, 2 * cuts / 3]) {
        yield* proxy.awaitCuts(count)
        yield* mosquitto.restart
      }

      assert.deepStrictEqual(yield* outcomes, { single: 2500, bulk: 2500 })
      yield* Fiber.join(feed)
      yield* complete(inbound, "stream", "handler")
      yield* complete(outbound, "single", "bulk")
      assert.strictEqual(proxy.cuts(), cuts)
      // Reported only. mosquitto 2.0.11 publishes a message again for which it has sent PUBREL when the next connection
      // ends before the PUBREL is repeated, and on 3.1.1 a message may overtake earlier ones of its topic after a
      // reconnect.
      yield* Effect.log(
        `duplicates from mosquitto: QoS 1 ${inbound[1].duplicates}, QoS 2 ${inbound[2].duplicates};`,
        `out of order: QoS 1 ${inbound[1].misordered.length}, QoS 2 ${inbound[2].misordered.length};`,
        `duplicates to mosquitto and back: QoS 1 ${outbound[1].duplicates}, QoS 2 ${outbound[2].duplicates}`
      )
    }).pipe(Effect.provide(SessionStore.layerMemory)), 180_000)
})
