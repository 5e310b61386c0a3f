/**
 * A durable session in its second life: what it finds in the store, and what the server makes of it.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { eventsOf, makeBroker, makeSession, nextEvent, type Options, settle } from "./support.ts"

const make = Effect.fnUntraced(function*(options: Options = {}) {
  const broker = yield* makeBroker("memory")
  const store = Faulty.make()
  /** A session, and the end of its life. */
  const live = Effect.fnUntraced(function*(more: Options = {}) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const session = yield* makeSession(broker, {
      name: "plant",
      persistence: "durable",
      drainTimeout: "20 millis",
      ...options,
      ...more
    }).pipe(Effect.provideService(SessionStore, store.store), Scope.provide(scope))
    return {
      session,
      end: Scope.close(scope, Exit.void),
      run: <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Scope.provide(effect, scope)
    }
  })
  return { broker, store, live }
})

const inboxOf = Effect.fnUntraced(function*(messages: Stream.Stream<Message, unknown>) {
  const queue = yield* Queue.unbounded<string>()
  yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) => Queue.offer(queue, text)))
  return queue
})

for (const protocolVersion of [4, 5] as const) {
  describe(`a restart, version ${protocolVersion}`, () => {
    it.live("sends 1,000 stored messages again, and new ones behind, as the new connection's Receive Maximum admits", () =>
      Effect.gen(function*() {
        for (const receiveMaximum of [10, 100]) {
          const { broker, live } = yield* make({
            protocolVersion,
            maxInflight: protocolVersion === 4 ? receiveMaximum : 1000
          })
          const first = yield* live({ maxInflight: 1000 })
          yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
          for (let n = 1; n <= 1000; n++) yield* first.session.enqueue(`t/${n}`, "", { qos: 1 })
          yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 1000 })
          yield* first.end
          yield* broker.clearRecord
          if (protocolVersion === 5) yield* broker.setLimits({ receiveMaximum })
          const second = yield* live()
          yield* second.session.enqueue("new", "", { qos: 1 })
          // The server acknowledges nothing yet: so much comes at once, and no more.
          yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: receiveMaximum })
          yield* settle
          assert.strictEqual(broker.received("Publish").length, receiveMaximum)
          yield* broker.clearFaults
          yield* broker.release("mqttx-plant")
          yield* second.session.publish("end", "", { qos: 1 })
          const packets = broker.received("Publish").map(({ packet }) => packet)
          const again = packets.slice(0, 1000)
          assert.deepStrictEqual(again.map(({ packetIdentifier }) => packetIdentifier), again.map((_, i) => i + 1))
          assert.deepStrictEqual(again.map(({ topic }) => topic), again.map((_, i) => `t/${i + 1}`))
          assert.isTrue(again.every(({ dup }) => dup))
          assert.deepStrictEqual(packets.slice(1000).map(({ dup, topic }) => [topic, dup]), [["new", false], [
            "end",
            false
          ]])
          assert.deepStrictEqual(broker.violations, [])
          yield* second.end
        }
      }))

    it.live("subscribes once more, and gets no retained copies by that", () =>
      Effect.gen(function*() {
        const { broker, live } = yield* make({ protocolVersion })
        yield* broker.publish("t", "retained", { retain: true, qos: 1 })
        const first = yield* live()
        yield* first.run(first.session.subscription("t", { qos: 1, retained: "none" }))
        yield* first.end
        yield* broker.clearRecord
        const second = yield* live()
        const subscription = yield* second.run(second.session.subscription("t", { qos: 1, retained: "none" }))
        const inbox = yield* second.run(inboxOf(subscription.messages))
        yield* second.session.awaitReady
        const [subscribe] = broker.received("Subscribe")
        assert.strictEqual(subscribe!.packet.filters[0]!.retainHandling, protocolVersion === 5 ? 2 : 0)
        yield* broker.publish("t", "live", { qos: 1 })
        assert.strictEqual(yield* Queue.take(inbox), "live")
      }))

    it.live("gets what arrives before its consumer exists, when that comes", () =>
      Effect.gen(function*() {
        const { broker, live } = yield* make({ protocolVersion, unclaimed: { fraction: 0.01 }, receiveMaximum: 1000 })
        const first = yield* live()
        yield* first.run(first.session.subscription("t", { qos: 2 }))
        yield* first.end
        for (const text of ["1", "2", "3"]) yield* broker.publish("t", text, { qos: 1 })
        const second = yield* live()
        yield* second.session.awaitReady
        yield* broker.publish("t", "4", { qos: 2 })
        yield* broker.awaitPacket({ direction: "sent", packet: "Publish", nth: 4 })
        yield* settle
        assert.strictEqual((yield* second.session.metrics).unclaimed, 4)
        const subscription = yield* second.run(second.session.subscription("t", { qos: 2 }))
        const inbox = yield* second.run(inboxOf(subscription.messages))
        assert.deepStrictEqual(yield* Queue.takeN(inbox, 4), ["1", "2", "3", "4"])
        yield* broker.awaitIdle
        // Nor is a backlog too long that comes before anyone could have come for it.
        yield* second.end
        const backlog = Array.from({ length: 30 }, (_, index) => `${index}`)
        for (const text of backlog) yield* broker.publish("t", text, { qos: 1 })
        const third = yield* live()
        yield* broker.awaitUntil(() => broker.sessions[0]!.inflight === backlog.length)
        yield* settle
        assert.strictEqual((yield* third.session.metrics).unclaimed, backlog.length)
        const late = yield* third.run(third.session.subscription("t", { qos: 2 }))
        const lateInbox = yield* third.run(inboxOf(late.messages))
        assert.deepStrictEqual(yield* Queue.takeN(lateInbox, backlog.length), backlog)
      }))

    it.effect("reports what has expired while it was down, and sends the rest", () =>
      Effect.gen(function*() {
        const { broker, live } = yield* make({ protocolVersion, queue: { expiresAfter: "1 hour" } })
        yield* broker.refuseNetwork
        const first = yield* live()
        // The third one lives an hour, as the session's limit says.
        for (const expiresAfter of ["1 minute", "30 minutes", "2 hours"] as const) {
          yield* first.session.enqueue(expiresAfter, "", { qos: 1, expiresAfter })
        }
        yield* first.end
        yield* TestClock.adjust("10 minutes")
        const second = yield* live()
        yield* settle
        const events = yield* eventsOf(second.session)
        const { cause, count, topic } = yield* nextEvent(events, "MessageDropped")
        assert.deepStrictEqual([cause, count, topic], ["expired", 1, "1 minute"])
        assert.strictEqual((yield* second.session.metrics).dropped.expired, 1)
        yield* second.end
        yield* TestClock.adjust("45 minutes")
        yield* broker.acceptNetwork
        const third = yield* live()
        yield* settle
        yield* third.session.publish("end", "", { qos: 1 })
        assert.deepStrictEqual(broker.published.map((message) => message.topic), ["2 hours", "end"])
      }))

    it.live("with another client identifier is a new session: what was accepted and subscribed goes with it", () =>
      Effect.gen(function*() {
        const { broker, live, store } = yield* make({ protocolVersion })
        // Someone has used the new name before: that is not ours.
        const stranger = yield* live({ name: "other", clientId: "second", persistence: "durable" })
        yield* stranger.run(stranger.session.subscription("old", { qos: 1 }))
        yield* stranger.end
        for (const key of Array.from(store.records.keys())) (store.records as Map<string, unknown>).delete(key)

        const first = yield* live({ clientId: "first" })
        yield* first.run(first.session.subscription("t", { qos: 1 }))
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        yield* first.session.enqueue("sent", "", { qos: 1 })
        yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
        yield* broker.refuseNetwork
        yield* broker.cut("first")
        yield* first.session.enqueue("queued", "", { qos: 2 })
        yield* first.end
        yield* broker.clearFaults
        yield* broker.clearRecord
        yield* broker.acceptNetwork

        const second = yield* live({ clientId: "second" })
        yield* second.session.awaitReady
        yield* second.session.publish("end", "", { qos: 1 })
        assert.deepStrictEqual(
          broker.received("Publish").map(({ packet }) => [packet.topic, packet.dup]),
          [["sent", false], ["queued", false], ["end", false]]
        )
        assert.deepStrictEqual(broker.subscriptions("second").map(({ filter }) => filter), ["t"])
        yield* second.end
        assert.isDefined(broker.session("second"), "it outlives its connection")
        yield* broker.clearRecord
        const third = yield* live({ clientId: "second" })
        yield* third.session.awaitReady
        assert.deepStrictEqual(broker.sent("Connack").map(({ packet }) => packet.sessionPresent), [true])
      }))

    it.live("in the other version of MQTT continues where the server does, and loses nothing", () =>
      Effect.gen(function*() {
        const { broker, live } = yield* make({ protocolVersion })
        const first = yield* live()
        yield* first.run(first.session.subscription("t", { qos: 1 }))
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: ["Puback", "Pubrec"] }))
        yield* first.session.enqueue("sent/1", "", { qos: 1 })
        yield* first.session.enqueue("sent/2", "", { qos: 2 })
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 2 })
        yield* first.end
        yield* broker.clearFaults
        yield* broker.publish("t", "meanwhile", { qos: 1 })
        const second = yield* live({ protocolVersion: protocolVersion === 4 ? 5 : 4 })
        const subscription = yield* second.run(second.session.subscription("t", { qos: 1 }))
        const inbox = yield* second.run(inboxOf(subscription.messages))
        yield* second.session.awaitReady
        yield* second.session.publish("end", "", { qos: 2 })
        const topics = broker.published.map(({ topic }) => topic).filter((topic) => topic !== "t")
        // QoS 1 may come twice, and does here; QoS 2 may only where the server has begun a new session.
        for (const topic of ["sent/1", "sent/2", "end"]) assert.include(topics, topic)
        if (broker.sent("Connack").at(-1)!.packet.sessionPresent) {
          assert.strictEqual(topics.filter((topic) => topic === "sent/2").length, 1)
          assert.strictEqual(yield* Queue.take(inbox), "meanwhile")
        }
        yield* broker.publish("t", "live", { qos: 1 })
        assert.strictEqual(yield* Queue.take(inbox), "live")
        assert.deepStrictEqual(broker.violations, [])
      }))

    for (const policy of ["resend", "fail"] as const) {
      it.live(`whose server has lost the session lets unacknowledged messages ${policy === "fail" ? "go" : "begin again"}`, () =>
        Effect.gen(function*() {
          const { broker, live, store } = yield* make({ protocolVersion, unacknowledgedOnSessionLost: policy })
          const first = yield* live()
          yield* broker.inject(Fault.withhold({ direction: "sent", packet: ["Puback", "Pubrec"] }))
          yield* first.session.enqueue("a", "", { qos: 1 })
          yield* first.session.enqueue("b", "", { qos: 2 })
          yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 2 })
          yield* first.end
          yield* broker.clearFaults
          yield* broker.forgetSession("mqttx-plant")
          yield* broker.clearRecord
          const second = yield* live()
          const lost = yield* nextEvent(yield* eventsOf(second.session), "SessionLost")
          assert.strictEqual(lost.unacknowledged, 2)
          yield* second.session.publish("end", "", { qos: 2 })
          const sent = broker.received("Publish").map(({ packet }) => [packet.topic, packet.dup])
          assert.deepStrictEqual(sent, (policy === "fail" ? ["end"] : ["a", "b", "end"]).map((topic) => [topic, false]))
          yield* settle
          assert.deepStrictEqual(store.outbound(), [])
        }))
    }

    it.live("finds the server's new session after a crash before the commit that would have recorded it", () =>
      Effect.gen(function*() {
        const { broker, live, store } = yield* make({ protocolVersion })
        const first = yield* live()
        const subscription = yield* first.run(first.session.subscription("t", { qos: 2 }))
        const taken = yield* first.run(inboxOf(subscription.messages))
        yield* broker.inject(Fault.discard({ direction: "sent", packet: "Pubrel" }))
        yield* broker.publish("t", "old", { qos: 2 })
        assert.strictEqual(yield* Queue.take(taken), "old")
        yield* broker.awaitPacket({ direction: "received", packet: "Pubrec" })
        yield* first.end
        assert.includeMembers(Array.from(store.records.keys()), ["inbound/1", "subscription/t"])
        yield* broker.forgetSession("mqttx-plant")

        // The server begins a new session; the process dies before the store has taken what that changes.
        store.hang()
        const before = new Map(store.records)
        const second = yield* live()
        yield* broker.awaitConnections(2)
        yield* store.awaitCommits(1)
        const subscribes = broker.received("Subscribe").length
        yield* settle
        yield* second.end
        assert.strictEqual(broker.received("Subscribe").length, subscribes, "nothing is subscribed before the commit")
        assert.deepStrictEqual(store.records, before)
        assert.deepStrictEqual(broker.subscriptions("mqttx-plant"), [])

        store.mend()
        store.records.forEach((_, key) => assert.isTrue(before.has(key)))
        const third = yield* live()
        const again = yield* third.run(third.session.subscription("t", { qos: 2 }))
        const inbox = yield* third.run(inboxOf(again.messages))
        yield* third.session.awaitReady
        assert.isTrue(broker.sent("Connack").at(-1)!.packet.sessionPresent)
        // The same packet identifier as that of the old message.
        yield* broker.publish("t", "new", { qos: 2 })
        assert.strictEqual(yield* Queue.take(inbox), "new")
        assert.strictEqual(broker.sent("Publish").at(-1)!.packet.packetIdentifier, 1)
        yield* broker.awaitIdle
      }))
  })
}

describe("a client identifier that the server assigned unasked", () => {
  it.live("is neither stored nor used after a restart", () =>
    Effect.gen(function*() {
      const { broker, live } = yield* make()
      yield* broker.inject(Fault.replace({ direction: "sent", packet: "Connack" }, (packet) =>
        packet._tag === "Connack"
          ? [{ ...packet, properties: { ...packet.properties, assignedClientIdentifier: "assigned" } }]
          : [packet]))
      const first = yield* live()
      yield* first.session.awaitReady
      yield* settle
      yield* first.end
      const second = yield* live()
      yield* second.session.awaitReady
      const [own] = broker.received("Connect").map(({ packet }) => packet.clientId)
      assert.notStrictEqual(own, "assigned")
      assert.strictEqual(broker.received("Connect").at(-1)!.packet.clientId, own)
      assert.strictEqual((yield* second.session.status).clientId, own)
      assert.isTrue(broker.sent("Connack").at(-1)!.packet.sessionPresent)
    }))
})
