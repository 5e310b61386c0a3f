/**
 * A durable session whose store hangs, fails, is lost or was damaged.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import type { SessionStatus } from "@effect-mqttx/core/SessionStatus"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import {
  eventsOf,
  makeBroker,
  makeSession,
  nextEvent,
  type Options,
  pass,
  readySession,
  reasonOf,
  settle
} from "./support.ts"

const world = Effect.fnUntraced(function*(options: Options = {}, faults?: Faulty.FaultyOptions) {
  const broker = yield* makeBroker("memory")
  const store = Faulty.make(faults)
  const durable: Options = { name: "plant", persistence: "durable", drainTimeout: "50 millis", ...options }
  const open = (more: Options = {}) =>
    Effect.provideService(makeSession(broker, { ...durable, ...more }), SessionStore, store.store)
  const ready = (more: Options = {}) =>
    Effect.provideService(readySession(broker, { ...durable, ...more }), SessionStore, store.store)
  return { broker, store, open, ready }
})

const tagsOf = (events: Queue.Dequeue<SessionEvent>) =>
  Effect.map(Queue.clear(events), (all) => all.map(({ _tag }) => _tag).filter((tag) => tag.startsWith("Storage")))

const statuses = Effect.fnUntraced(function*(changes: Stream.Stream<SessionStatus>) {
  const seen: Array<string | undefined> = []
  yield* Effect.forkScoped(
    Stream.runForEach(changes, ({ storage }) => Effect.sync(() => seen.push(storage?.failure?.reason._tag))),
    { startImmediately: true }
  )
  return seen
})

describe("a store that fails", () => {
  it.effect("wait: publishers wait, everything is retried, and each outage is reported once", () =>
    Effect.gen(function*() {
      const { broker, ready, store } = yield* world()
      const session = yield* ready()
      const events = yield* eventsOf(session)
      yield* settle
      yield* Queue.clear(events)
      const seen = yield* statuses(session.statusChanges)
      yield* settle
      for (let outage = 1; outage <= 2; outage++) {
        store.fail()
        const commits = store.commits()
        const enqueued = yield* Effect.forkChild(session.enqueue("a", "1", { qos: 1 }))
        const published = yield* Effect.forkChild(session.publish("b", "2", { qos: 0 }))
        yield* pass(2000)
        // After 100, 200, 400, 800 ms by Effect's Clock.
        assert.strictEqual(store.commits() - commits, 5)
        assert.isUndefined(enqueued.pollUnsafe())
        assert.strictEqual((yield* session.status).storage?.failure?.reason._tag, "StorageFailed")
        assert.strictEqual(broker.published.length, 2 * (outage - 1))
        store.mend()
        yield* pass(2000)
        yield* (yield* Fiber.join(enqueued)).acknowledged
        yield* Fiber.join(published)
        assert.isUndefined((yield* session.status).storage?.failure)
      }
      assert.deepStrictEqual(yield* tagsOf(events), [
        "StorageDegraded",
        "StorageRecovered",
        "StorageDegraded",
        "StorageRecovered"
      ])
      assert.deepStrictEqual(seen.filter((tag, i) => i === 0 || tag !== seen[i - 1]), [
        undefined,
        "StorageFailed",
        undefined,
        "StorageFailed",
        undefined
      ])
      assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["a", "b", "a", "b"])
    }))

  for (const applies of [false, true]) {
    it.effect(`fail: what is published fails, and is neither stored nor sent${applies ? ", although the commit was applied" : ""}`, () =>
      Effect.gen(function*() {
        const { broker, ready, store } = yield* world({ onStorageFailure: "fail" })
        const session = yield* ready()
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        const before = yield* session.enqueue("before", "1", { qos: 1 })
        yield* broker.awaitPacket({ direction: "received", packet: "Publish" })
        store.fail("full", { applies })
        const during = yield* Effect.forkChild(Effect.all([
          reasonOf(session.enqueue("during", "2", { qos: 1 })),
          reasonOf(session.publish("during", "2", { qos: 2 })),
          reasonOf(session.publish("during", "2", { qos: 0 })),
          reasonOf(session.publishAll(Stream.make({ topic: "during", payload: "2", options: { qos: 1 } })))
        ], { concurrency: "unbounded" }))
        yield* settle
        assert.deepStrictEqual((yield* Fiber.join(during)).map(({ _tag }) => _tag), Array(4).fill("StorageFailed"))
        const later = yield* reasonOf(session.enqueue("later", "3", { qos: 1 }))
        assert.deepInclude(later, { _tag: "StorageFailed", kind: "full" })
        // What is tried again has no use for room: it holds nothing of what was taken back.
        yield* pass(1000)
        const stored = store.latest().filter((change) => change._tag === "Put" && change.record._tag === "Outbound")
        assert.deepStrictEqual(stored, [])
        assert.isAbove(store.latest().length, 0)
        yield* broker.release("mqttx-plant")
        yield* settle
        store.mend()
        yield* pass(5000)
        yield* before.acknowledged
        yield* session.publish("after", "4", { qos: 2 })
        assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["before", "after"])
        yield* settle
        assert.deepStrictEqual(store.outbound(), [])
        assert.deepStrictEqual(broker.violations, [])
      }))
  }

  it.effect("fail: a publisher that waits for room in the queue fails too, and what was accepted stays", () =>
    Effect.gen(function*() {
      const { broker, open, store } = yield* world({ onStorageFailure: "fail", queue: { messages: 1 } })
      yield* broker.refuseNetwork
      const session = yield* open()
      yield* session.enqueue("kept", "1", { qos: 1 })
      const parked = yield* Effect.forkChild(reasonOf(session.enqueue("parked", "2", { qos: 1 })))
      yield* settle
      store.fail()
      yield* broker.acceptNetwork
      yield* pass(1000)
      assert.strictEqual((yield* Fiber.join(parked))._tag, "StorageFailed")
      store.mend()
      yield* pass(6000)
      yield* session.publish("after", "3", { qos: 1 })
      assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["kept", "after"])
    }))

  it.effect("a commit that dies counts as a failure like others", () =>
    Effect.gen(function*() {
      const { ready, store } = yield* world()
      let died = 0
      const session = yield* Effect.provideService(ready(), SessionStore, {
        open: (name) =>
          Effect.map(store.store.open(name), (handle) => ({
            ...handle,
            commit: (changes) => died++ === 0 ? Effect.die(new Error("a bug")) : handle.commit(changes)
          }))
      }).pipe(Effect.forkChild)
      yield* pass(1000)
      yield* session.pipe(Fiber.join, Effect.flatMap((each) => each.publish("a", "1", { qos: 1 })))
    }))
})

describe("while a store hangs", () => {
  for (const protocolVersion of [4, 5] as const) {
    it.effect(`QoS 0 and 1 are delivered at once, QoS 2 after its commit, and acknowledgements wait, version ${protocolVersion}`, () =>
      Effect.gen(function*() {
        const { broker, ready, store } = yield* world({ protocolVersion, keepAlive: "10 seconds" })
        const session = yield* ready()
        const subscription = yield* session.subscription("t/#", { qos: 2 })
        const seen: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(subscription.messages, ({ text }) => Effect.sync(() => seen.push(text)))
        )
        store.hang()
        const blocked = yield* Effect.forkChild(session.enqueue("x", "x", { qos: 1 }))
        for (const n of ["1", "2", "3"]) {
          for (const qos of [0, 1, 2] as const) yield* broker.publish(`t/${qos}`, `${qos}.${n}`, { qos })
        }
        yield* settle
        assert.deepStrictEqual(seen, ["0.1", "1.1", "0.2", "1.2", "0.3", "1.3"])
        yield* pass(25_000, 1000)
        assert.isAtLeast(broker.received("Pingreq").length, 2)
        assert.strictEqual(broker.received("Puback").length + broker.received("Pubrec").length, 0)
        store.mend()
        yield* settle
        yield* Fiber.join(blocked)
        assert.deepStrictEqual(seen.filter((text) => text.startsWith("2")), ["2.1", "2.2", "2.3"])
        assert.strictEqual(broker.received("Puback").length, 3)
        assert.strictEqual(broker.connections.length, 1)
        assert.deepStrictEqual(broker.violations, [])
      }))
  }

  it.live("a message is accepted while an attempt to connect hangs", () =>
    Effect.gen(function*() {
      const { broker, open, store } = yield* world()
      yield* broker.inject(Fault.discard({ direction: "received", packet: "Connect" }))
      const session = yield* open()
      yield* settle
      yield* session.enqueue("a", "1", { qos: 1 })
      assert.deepStrictEqual(store.outbound(), ["a"])
    }))
})

describe("a store that is lost permanently", () => {
  for (const kind of ["fenced", "corrupt", "newerFormat", "closed"] as const) {
    it.live(`${kind}: the session disconnects, everything that waits fails, and nothing is committed any more`, () =>
      Effect.gen(function*() {
        const { broker, ready, store } = yield* world()
        const session = yield* ready()
        const subscription = yield* session.subscription("t", { qos: 1 })
        const stream = yield* Effect.forkChild(reasonOf(Stream.runDrain(subscription.messages)))
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        const accepted = yield* session.enqueue("accepted", "1", { qos: 1 })
        const awaiting = yield* Effect.forkChild(reasonOf(session.publish("sent", "2", { qos: 1 })))
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 2 })
        const events = yield* eventsOf(session)
        store.fail(kind)
        const commits = store.commits()
        const reasons = [yield* reasonOf(session.publish("failing", "3", { qos: 1 }))]
        yield* nextEvent(events, "StorageDegraded")
        const { error } = yield* nextEvent(events, "Disconnected")
        reasons.push(
          error!.reason,
          yield* Fiber.join(awaiting),
          yield* reasonOf(accepted.acknowledged),
          yield* Fiber.join(stream),
          yield* reasonOf(session.enqueue("later", "4", { qos: 1 })),
          yield* reasonOf(session.publish("later", "4", { qos: 0 })),
          yield* reasonOf(session.unsubscribe("t"))
        )
        for (const reason of reasons) assert.deepInclude(reason, { _tag: "StorageFailed", kind })
        yield* broker.awaitNoConnections
        assert.deepStrictEqual(broker.received("Disconnect").map(({ packet }) => packet.reasonCode), [0x83])
        const status = yield* session.statusChanges.pipe(
          Stream.filter(({ state }) => state === "disconnected"),
          Stream.runHead
        )
        assert.isTrue(status._tag === "Some")
        const { failure, state, storage } = yield* session.status
        assert.strictEqual(state, "disconnected")
        assert.strictEqual(failure?.reason._tag, "StorageFailed")
        assert.strictEqual(storage?.failure?.reason._tag, "StorageFailed")
        assert.strictEqual((yield* reasonOf(session.awaitReady))._tag, "StorageFailed")
        store.mend()
        yield* session.drain
        assert.strictEqual(store.commits(), commits + 1)
        assert.deepStrictEqual(store.outbound(), ["accepted", "sent"])
        assert.strictEqual((yield* session.status).state, "closed")
      }))
  }

  for (const onStorageFailure of ["wait", "fail"] as const) {
    it.live(`a record that it can never hold: its message is refused, and the session continues (${onStorageFailure})`, () =>
      Effect.gen(function*() {
        const { broker, store } = yield* world()
        const invalid = new MqttError({
          reason: new StorageFailed({ kind: "invalid", detail: "too large for this store" })
        })
        const picky: SessionStore["Service"] = {
          open: (name) =>
            Effect.map(store.store.open(name), (handle) => ({
              ...handle,
              commit: (changes) =>
                changes.some((change) =>
                    change._tag === "Put" && change.record._tag === "Outbound" && change.record.topic === "large"
                  )
                  ? Effect.fail(invalid)
                  : handle.commit(changes)
            }))
        }
        const options: Options = { name: "plant", persistence: "durable", drainTimeout: "50 millis", onStorageFailure }
        const session = yield* Effect.provideService(readySession(broker, options), SessionStore, picky)
        yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        yield* session.enqueue("accepted", "1", { qos: 1 })
        const refused = { _tag: "StorageFailed", kind: "invalid" } as const
        assert.deepInclude(yield* reasonOf(session.enqueue("large", "2", { qos: 1 })), refused)
        assert.deepInclude(yield* reasonOf(session.publish("large", "3", { qos: 2 })), refused)
        yield* session.enqueue("small", "4", { qos: 1 })
        assert.deepStrictEqual(store.outbound(), ["accepted", "small"])
        assert.strictEqual((yield* session.status).state, "connected")
        yield* broker.awaitPacket({ direction: "received", packet: "Publish", nth: 2 })
        assert.deepStrictEqual(broker.published.map(({ topic }) => topic), ["accepted", "small"])
      }))
  }

  for (const unreadable of ["corrupt", "newerFormat", "unavailable"] as const) {
    it.live(`${unreadable} when it is loaded: there is no session`, () =>
      Effect.gen(function*() {
        const { broker, open, store } = yield* world({}, { unreadable })
        assert.deepInclude(yield* reasonOf(open()), { _tag: "StorageFailed", kind: unreadable })
        assert.deepStrictEqual([store.commits(), broker.connections.length], [0, 0])
      }))
  }
})

describe("the status of the store", () => {
  it.live("says what a commit survives, and nothing without a store", () =>
    Effect.gen(function*() {
      for (const durability of ["session", "process", "power"] as const) {
        const { open } = yield* world({}, { durability })
        assert.deepStrictEqual((yield* (yield* open()).status).storage, {
          durability,
          volatile: durability === "session",
          failure: undefined
        })
      }
      const { open } = yield* world({ persistence: "process" })
      assert.isUndefined((yield* (yield* open()).status).storage)
    }))

  it.live("damage is reported once, with what is left", () =>
    Effect.gen(function*() {
      const { open, ready, store } = yield* world({}, { damage: { lost: 2, detail: "a torn record" } })
      const session = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* ready()
        const { detail, kept, lost } = yield* nextEvent(yield* eventsOf(session), "StorageDamaged")
        assert.deepStrictEqual([kept, lost, detail], [0, 2, "a torn record"])
        assert.isAbove(store.records.size, 0)
        return yield* open({ name: "plant" })
      }))
      const all = yield* Stream.runCollect(session.events)
      assert.notInclude(all.map(({ _tag }) => _tag), "StorageDamaged")
    }))
})
