import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { layerMemory, SessionStore } from "@effect-mqttx/core/SessionStore"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Stream } from "effect"
import { impatient, logOf, makeWorld } from "../../../../test/support/managers.ts"
import { undisturbed } from "../../../../test/support/within.ts"

type Of<Tag extends SessionEvent["_tag"]> = Extract<SessionEvent, { readonly _tag: Tag }>

const withoutTime = (events: ReadonlyArray<SessionEvent>) => events.map(({ at: _at, ...event }) => event)

describe("SessionManager: events", () => {
  it.live("added, lost, connected again, disconnected and removed: in the order of the contract", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const log = yield* logOf(manager)
      yield* ready("plant", { clientId: "plant-1" })
      yield* broker.cut("plant-1")
      yield* log.until((event) => event._tag === "Ready" && log.tags().lastIndexOf("Ready") > 5)
      yield* manager.disconnect("plant")
      yield* manager.remove("plant")
      yield* log.until(({ _tag }) => _tag === "Removed")
      assert.deepStrictEqual(log.tags(), [
        // added
        "Added",
        "StateChanged",
        "Connecting",
        "Connected",
        "StateChanged",
        "Ready",
        // lost
        "Disconnected",
        "StateChanged",
        "Reconnecting",
        // connected again
        "Connecting",
        "Connected",
        "StateChanged",
        "Ready",
        // disconnected
        "Disconnected",
        "StateChanged",
        // removed
        "StateChanged",
        "Removed"
      ])
      assert.deepStrictEqual(
        log.all.flatMap((event) => event._tag === "StateChanged" ? [[event.from, event.to]] : []),
        [
          ["disconnected", "connecting"],
          ["connecting", "connected"],
          ["connected", "reconnecting"],
          ["reconnecting", "connected"],
          ["connected", "disconnected"],
          ["disconnected", "closed"]
        ]
      )
    }))

  it.live("a session that is removed while it is connected ends with Disconnected, StateChanged, Removed", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const log = yield* logOf(manager)
      yield* manager.remove("plant")
      yield* log.until(({ _tag }) => _tag === "Removed")
      assert.deepStrictEqual(withoutTime(log.all.slice(-3)), [
        { _tag: "Disconnected", session: "plant", error: undefined },
        { _tag: "StateChanged", session: "plant", from: "connected", to: "closed" },
        { _tag: "Removed", session: "plant" }
      ])
    }))

  it.live("a session that never connected is removed with StateChanged, Removed", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      const log = yield* logOf(manager)
      yield* manager.add(options("plant", { reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" } }))
      yield* log.until(({ _tag }) => _tag === "Reconnecting")
      yield* manager.remove("plant")
      yield* log.until(({ _tag }) => _tag === "Removed")
      assert.deepStrictEqual(withoutTime(log.all.slice(-2)), [
        { _tag: "StateChanged", session: "plant", from: "connecting", to: "closed" },
        { _tag: "Removed", session: "plant" }
      ])
    }))

  it.live("Reconnecting has the delay that is really waited", () =>
    undisturbed(
      Effect.gen(function*() {
        const { broker, manager, options } = yield* makeWorld()
        yield* broker.refuseNetwork
        const log = yield* logOf(manager)
        yield* manager.add(options("plant", {
          reconnect: { initialDelay: "20 millis", factor: 2, maxDelay: "1 second", jitter: "full" }
        }))
        yield* log.until((event) => event._tag === "Connecting" && event.attempt === 5)
        const waits: Array<readonly [number, number]> = []
        for (let i = 0; i < log.all.length - 1; i++) {
          const [event, next] = [log.all[i]!, log.all[i + 1]!]
          if (event._tag === "Reconnecting") {
            assert.strictEqual((next as Of<"Connecting">).attempt, event.attempt)
            waits.push([event.delay, next.at - event.at])
          }
        }
        assert.strictEqual(waits.length, 4)
        for (const [promised, waited] of waits) {
          assert.isAtLeast(waited, Math.floor(promised) - 2)
          // The machine may be busy.
          assert.isBelow(waited, promised + 2000)
        }
      }).pipe(Effect.scoped)
    ))

  it.live("a new listener gets the recent events, and no others", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld({ eventReplay: 4 })
      yield* ready("plant")
      const seen = yield* manager.events.pipe(Stream.take(4), Stream.runCollect)
      assert.deepStrictEqual(seen.map(({ _tag }) => _tag), ["Connecting", "Connected", "StateChanged", "Ready"])
    }))

  it.live("a slow listener harms no other, and misses the oldest events", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld({ eventReplay: 2, eventBuffer: 8 })
      const awake = Latch.makeUnsafe()
      const slow = yield* manager.events.pipe(
        Stream.tap(() => awake.await),
        Stream.takeUntil(({ _tag }) => _tag === "Removed"),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const log = yield* logOf(manager)
      yield* ready("plant", { clientId: "plant-1" })
      for (let n = 2; n <= 5; n++) {
        yield* broker.cut("plant-1")
        yield* broker.awaitConnections(n)
        yield* log.until(() => log.tags().filter((tag) => tag === "Ready").length === n)
      }
      yield* manager.remove("plant")
      yield* log.until(({ _tag }) => _tag === "Removed")
      assert.strictEqual(log.tags().filter((tag) => tag === "Connected").length, 5)
      awake.openUnsafe()
      const seen = yield* Fiber.join(slow)
      assert.isBelow(seen.length, log.all.length)
      assert.deepStrictEqual(withoutTime(seen.slice(-3)), withoutTime(log.all.slice(-3)))
    }))

  it.live("eventsOf selects by types and session", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const ready2 = yield* manager.eventsOf({ type: "Ready" }).pipe(Stream.take(2), Stream.runCollect)
      assert.deepStrictEqual(ready2.map(({ session, subscriptions }) => [session, subscriptions]), [["a", 0], ["b", 0]])
      const ofB = yield* manager.eventsOf({ session: "b", type: ["Connected", "Added"] }).pipe(
        Stream.take(2),
        Stream.runCollect
      )
      assert.deepStrictEqual(ofB.map(({ _tag, session }) => [_tag, session]), [["Added", "b"], ["Connected", "b"]])
    }))

  it.live("a store that fails for a while is reported by StorageDegraded and StorageRecovered", () =>
    Effect.gen(function*() {
      const { manager, options } = yield* makeWorld()
      const inner = yield* SessionStore
      let failures = 1
      yield* manager.addDurable(options("plant")).pipe(Effect.provideService(SessionStore, {
        open: (name) =>
          Effect.map(inner.open(name), (handle) => ({
            ...handle,
            commit: (changes) =>
              Effect.suspend(() =>
                failures-- > 0
                  ? Effect.fail(new MqttError({ reason: new StorageFailed({ detail: "disk full" }) }))
                  : handle.commit(changes)
              )
          }))
      }))
      const log = yield* logOf(manager)
      const session = yield* manager.get("plant")
      yield* session.enqueue("t", "safe", { qos: 1 })
      yield* log.until(({ _tag }) => _tag === "StorageRecovered")
      const degraded = log.all.find((event): event is Of<"StorageDegraded"> => event._tag === "StorageDegraded")!
      assert.strictEqual(degraded.error.reason._tag, "StorageFailed")
      assert.isBelow(log.tags().indexOf("StorageDegraded"), log.tags().indexOf("StorageRecovered"))
    }).pipe(Effect.provide(layerMemory)))

  describe.skipIf(!MosquittoBroker.isPresent())("mosquitto", () => {
    it.live("every event of a session's life with its payload, over a restart of the server", () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        const manager = yield* SessionManager.make()
        const log = yield* logOf(manager)
        const begin = Date.now()
        yield* manager.handle("plant/#", () => Effect.void, { qos: 1 })
        yield* manager.add({
          name: "plant",
          servers: [broker.url],
          clientId: "plant-1",
          reconnect: impatient,
          queue: { messages: 1, policy: "dropOldest" }
        })
        yield* manager.awaitReady("plant")
        yield* broker.stop
        yield* log.until((event) => event._tag === "Reconnecting" && event.attempt >= 3)
        const session = yield* manager.get("plant")
        yield* session.enqueue("plant/a", "dropped", { qos: 1 })
        yield* session.enqueue("plant/b", "kept", { qos: 1 })
        yield* broker.start
        yield* log.until(() => log.tags().filter((tag) => tag === "Ready").length === 2)
        yield* manager.remove("plant")
        yield* log.until(({ _tag }) => _tag === "Removed")

        for (const { at, session } of log.all) {
          assert.strictEqual(session, "plant")
          assert.isAtLeast(at, begin)
          assert.isAtMost(at, Date.now())
        }
        const connected = (cleanStart: boolean, subscriptions: number) => ({
          _tag: "Connected" as const,
          session: "plant",
          server: broker.url,
          clientId: "plant-1",
          cleanStart,
          sessionPresent: false,
          persistent: true,
          autoReconnect: true,
          subscriptions
        })
        assert.deepStrictEqual(withoutTime(log.all.slice(0, 6)), [
          { _tag: "Added", session: "plant" },
          { _tag: "StateChanged", session: "plant", from: "disconnected", to: "connecting" },
          { _tag: "Connecting", session: "plant", server: broker.url, attempt: 1 },
          connected(true, 0),
          { _tag: "StateChanged", session: "plant", from: "connecting", to: "connected" },
          { _tag: "Ready", session: "plant", subscriptions: 1 }
        ])

        const lost = log.all.findIndex(({ _tag }) => _tag === "Disconnected")
        assert.strictEqual(lost, 6)
        const disconnected = log.all[6] as Of<"Disconnected">
        assert.strictEqual(disconnected.error?.reason._tag, "ConnectionLost")
        assert.deepStrictEqual(withoutTime([log.all[7]!]), [
          { _tag: "StateChanged", session: "plant", from: "connected", to: "reconnecting" }
        ])
        const first = log.all[8] as Of<"Reconnecting">
        assert.deepStrictEqual([first._tag, first.attempt, first.delay, first.error.reason._tag], [
          "Reconnecting",
          1,
          1,
          "ConnectionLost"
        ])
        const second = log.all[10] as Of<"Reconnecting">
        assert.deepStrictEqual([second._tag, second.attempt, second.delay, second.error.reason._tag], [
          "Reconnecting",
          2,
          1,
          "ConnectionRefused"
        ])
        const dropped = log.all.find((event): event is Of<"MessageDropped"> => event._tag === "MessageDropped")!
        assert.deepStrictEqual(withoutTime([dropped]), [{
          _tag: "MessageDropped",
          session: "plant",
          direction: "outbound",
          cause: "dropOldest",
          topic: "plant/a",
          count: 1
        }])

        // A session that was opened with Clean Start 1 is gone after a restart of mosquitto.
        const back = log.all.slice(log.all.findLastIndex(({ _tag }) => _tag === "Connected"))
        assert.deepStrictEqual(withoutTime(back.filter(({ _tag }) => _tag !== "SessionLost")), [
          connected(false, 0),
          { _tag: "StateChanged", session: "plant", from: "reconnecting", to: "connected" },
          { _tag: "Ready", session: "plant", subscriptions: 1 },
          { _tag: "Disconnected", session: "plant", error: undefined },
          { _tag: "StateChanged", session: "plant", from: "connected", to: "closed" },
          { _tag: "Removed", session: "plant" }
        ])
        const gone = log.all.find((event): event is Of<"SessionLost"> => event._tag === "SessionLost")!
        assert.deepStrictEqual(withoutTime([gone]), [
          { _tag: "SessionLost", session: "plant", unacknowledged: 0, subscriptions: 1 }
        ])
      }))

    it.live("a shared subscription of a session that outlives its connection is named by SharedSubscriptionAtRisk", () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make({ persistence: true })
        const manager = yield* SessionManager.make({
          sessions: [{ name: "lasting", servers: [broker.url], reconnect: impatient }, {
            name: "fleeting",
            servers: [broker.url],
            persistence: "none"
          }]
        })
        const log = yield* logOf(manager)
        yield* manager.awaitAllReady()
        const [lasting, fleeting] = [yield* manager.get("lasting"), yield* manager.get("fleeting")]
        yield* fleeting.subscription("jobs/#", { share: "workers" })
        yield* lasting.subscription("plain/#")
        const { granted } = yield* lasting.subscription(["jobs/#", "tasks"], { qos: 1, share: "workers" })
        assert.deepStrictEqual(granted, [1, 1])
        // The same subscription comes back with the server: the warning is said once.
        yield* broker.restart
        yield* log.until((event) => event._tag === "Ready" && event.session === "lasting" && event.subscriptions === 3)
        assert.deepStrictEqual(withoutTime(log.all.filter(({ _tag }) => _tag === "SharedSubscriptionAtRisk")), [{
          _tag: "SharedSubscriptionAtRisk",
          session: "lasting",
          filters: ["$share/workers/jobs/#", "$share/workers/tasks"],
          persistence: "process"
        }])
      }))

    it.live("a handler that holds the window back is named by SlowConsumer", () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        const manager = yield* SessionManager.make({
          sessions: [{ name: "plant", servers: [broker.url], ackDeadline: "1 second" }]
        })
        const log = yield* logOf(manager)
        const go = Latch.makeUnsafe()
        yield* manager.handle("slow/#", () => go.await, { qos: 1, concurrency: 1 })
        yield* manager.awaitAllReady()
        const session = yield* manager.get("plant")
        yield* Effect.forEach(Array.from({ length: 60 }, (_, n) => `${n}`), (n) =>
          session.publish(`slow/${n}`, n, { qos: 1 }), { discard: true })
        const event = (yield* log.until(({ _tag }) =>
          _tag === "SlowConsumer"
        )) as Of<"SlowConsumer">
        assert.deepStrictEqual(event.filters, ["slow/#"])
        assert.strictEqual(event.topic, "slow/0")
        assert.isAbove(event.waiting, 0)
        go.openUnsafe()
      }))
  })
})
