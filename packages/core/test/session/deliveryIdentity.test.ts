/**
 * What tells a message from others: its packet identifier, and the use of it at QoS 2.
 */
import { type Message, MqttSession, SessionStore } from "@effect-mqttx/core"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"

const open = MqttSession.makeDurable({
  name: "plant",
  servers: [ScriptedBroker.memoryUrl],
  drainTimeout: "10 millis",
  reconnect: { initialDelay: 1 }
})

/** The messages of a life of the session, which ends when there are so many. */
const take = (count: number, publishes: (broker: ScriptedBroker.Service) => Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.ScriptedBroker
    const session = yield* open
    const messages: Array<Message.Message> = []
    const all = yield* Deferred.make<void>()
    yield* Effect.forkScoped(
      session.consume("a", (message) =>
        Effect.suspend(() =>
          messages.push(message) === count
            ? Effect.andThen(Deferred.succeed(all, undefined), Effect.never)
            : Effect.void
        ), { qos: 2, order: "none", onSubscribed: () => Effect.asVoid(publishes(broker)) })
    )
    yield* Deferred.await(all)
    return messages
  }).pipe(Effect.scoped)

describe("a delivery", () => {
  it.live("has its packet identifier, and at QoS 2 a use that stays through a restart", () =>
    Effect.gen(function*() {
      const first = yield* take(3, (broker) =>
        Effect.gen(function*() {
          // The broker keeps what it does not know to be received.
          yield* broker.inject(Fault.discard({ direction: "received", packet: "Puback" }))
          yield* broker.inject(Fault.discard({ direction: "received", packet: "Pubrec" }))
          for (const qos of [1, 2, 0] as const) yield* broker.publish("a", `${qos}`, { qos })
        }))
      const of = (messages: ReadonlyArray<Message.Message>, text: string) =>
        messages.find((message) => message.text === text)!
      assert.isAbove(of(first, "1").packetIdentifier, 0)
      assert.isUndefined(of(first, "1").use)
      assert.isAbove(of(first, "2").packetIdentifier, 0)
      assert.isString(of(first, "2").use)
      assert.strictEqual(of(first, "0").packetIdentifier, 0)
      assert.isUndefined(of(first, "0").use)
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedBroker.layerMemory(), SessionStore.layerMemory))))

  it.live("of a QoS 2 message that comes again has the same ones, and of another message others", () =>
    Effect.gen(function*() {
      const [one] = yield* take(1, (broker) => broker.publish("a", "one", { qos: 2 }))
      const [again, two] = yield* take(2, (broker) => broker.publish("a", "two", { qos: 2 }))
      assert.strictEqual(again!.text, "one")
      assert.isTrue(again!.dup)
      assert.strictEqual(again!.packetIdentifier, one!.packetIdentifier)
      assert.strictEqual(again!.use, one!.use)
      assert.notStrictEqual(two!.use, one!.use)
      for (const copy of [again!.copy(), again!.with({ topic: "b" })]) {
        assert.strictEqual(copy.use, one!.use)
        assert.strictEqual(copy.packetIdentifier, one!.packetIdentifier)
      }
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedBroker.layerMemory(), SessionStore.layerMemory))))
})
