import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Exit, Fiber, Latch, Layer, Result, Scope, Stream } from "effect"
import { collect, logOf, makeWorld, reasonOf } from "../../../../test/support/managers.ts"

const arrival: ReadonlyArray<SessionEvent["_tag"]> = [
  "Added",
  "StateChanged",
  "Connecting",
  "Connected",
  "StateChanged",
  "Ready"
]

const changes = (events: ReadonlyArray<SessionEvent>) =>
  events.flatMap((event) => event._tag === "StateChanged" ? [[event.from, event.to]] : [])

describe("SessionManager: the registry", () => {
  it.live("add succeeds at once and connects in the background", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      const session = yield* manager.add(options("plant"))
      assert.strictEqual(session.name, "plant")
      assert.deepStrictEqual(yield* manager.list, ["plant"])
      assert.isFalse((yield* manager.status("plant")).ready)
      yield* broker.acceptNetwork
      yield* manager.awaitReady("plant")
      assert.strictEqual((yield* manager.status("plant")).state, "connected")
    }))

  it.live("a first connect that fails is tried again until the server is there", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      const log = yield* logOf(manager)
      yield* manager.add(options("plant"))
      yield* log.until((event) => event._tag === "Reconnecting" && event.attempt === 3)
      yield* broker.acceptNetwork
      yield* manager.awaitReady("plant")
    }))

  it.live("sessions that are added one after the other connect at the same time", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      const everybody = Latch.makeUnsafe()
      let dialing = 0
      // Nobody gets through before all are dialing.
      const transport: Transport.Transport = {
        open: (request, handlers) =>
          Effect.suspend(() => {
            if (++dialing === 8) Latch.openUnsafe(everybody)
            return Effect.andThen(Latch.await(everybody), broker.transport.open(request, handlers))
          })
      }
      for (let n = 0; n < 8; n++) yield* manager.add(options(`s${n}`), { transport })
      yield* manager.awaitAllReady()
      assert.strictEqual(dialing, 8)
    }))

  it.live("a second session of a name is refused with DuplicateSession, and harms the first one not", () =>
    Effect.gen(function*() {
      const { manager, options, ready } = yield* makeWorld()
      yield* ready("plant")
      const reason = yield* reasonOf(manager.add(options("plant")))
      assert.strictEqual(reason._tag, "DuplicateSession")
      assert.isTrue((yield* manager.status("plant")).ready)
    }))

  it.live("invalid options are refused, and leave no trace", () =>
    Effect.gen(function*() {
      const { manager, options } = yield* makeWorld()
      const reason = yield* reasonOf(manager.add(options("plant", { keepAlive: "-1 seconds" })))
      assert.strictEqual(reason._tag, "InvalidOptions")
      assert.deepStrictEqual(yield* manager.list, [])
      assert.deepStrictEqual(yield* Effect.map(manager.statuses, (statuses) => statuses.size), 0)
    }))

  it.live("an add that fails or is interrupted while the store opens leaves no trace, and no event", () =>
    Effect.gen(function*() {
      const { manager, options, ready } = yield* makeWorld()
      const log = yield* logOf(manager)
      const addTo = (store: SessionStore.SessionStore["Service"]) =>
        Effect.provideService(manager.addDurable(options("plant")), SessionStore.SessionStore, store)
      const full = new MqttError({ reason: new StorageFailed({ detail: "no space left" }) })
      const broken = { open: () => Effect.fail(full) }
      assert.strictEqual((yield* reasonOf(addTo(broken)))._tag, "StorageFailed")
      const slow = { open: () => Effect.never }
      const adding = yield* Effect.forkChild(addTo(slow), { startImmediately: true })
      assert.strictEqual((yield* reasonOf(manager.get("plant")))._tag, "SessionNotFound")
      assert.strictEqual((yield* reasonOf(addTo(slow)))._tag, "DuplicateSession")
      yield* Fiber.interrupt(adding)
      assert.deepStrictEqual(yield* manager.list, [])
      yield* ready("plant")
      yield* log.until(({ _tag }) => _tag === "Ready")
      assert.deepStrictEqual(log.tags(), arrival)
    }))

  it.live("an add that waits for its store fails with Closed when the manager ends", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const manager = yield* Scope.provide(SessionManager.make(), scope)
      const adding = yield* manager.addDurable({ name: "plant", servers: "plant.invalid" }).pipe(
        Effect.provideService(SessionStore.SessionStore, { open: () => Effect.never }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* reasonOf(Fiber.join(adding)))._tag, "Closed")
    }))

  it.live("of many adds of one name one succeeds, also while the name is being removed", () =>
    Effect.gen(function*() {
      const { manager, options, ready } = yield* makeWorld()
      yield* ready("plant")
      const adds = Effect.all(Array.from({ length: 10 }, () => Effect.result(manager.add(options("plant")))), {
        concurrency: "unbounded"
      })
      const [, results] = yield* Effect.all([manager.remove("plant"), adds], { concurrency: "unbounded" })
      assert.strictEqual(results.filter(Result.isSuccess).length, 1)
      assert.deepStrictEqual(yield* manager.list, ["plant"])
    }))

  it.live("invalid options of the manager are refused", () =>
    Effect.gen(function*() {
      for (const options of [{ eventBuffer: 0 }, { eventReplay: -1 }, { eventReplay: 0.5 }]) {
        assert.strictEqual((yield* reasonOf(SessionManager.make(options)))._tag, "InvalidOptions")
      }
    }))

  it.live("what is asked of a name that no session has fails with SessionNotFound", () =>
    Effect.gen(function*() {
      const { manager } = yield* makeWorld()
      const calls: ReadonlyArray<Effect.Effect<unknown, MqttError, Scope.Scope>> = [
        manager.get("nobody"),
        manager.remove("nobody"),
        manager.status("nobody"),
        manager.connect("nobody"),
        manager.disconnect("nobody"),
        manager.awaitReady("nobody"),
        manager.publishTo("nobody", "t", "x"),
        manager.handleTo("nobody", "t", () => Effect.void),
        manager.listenerTo("nobody", "t"),
        Stream.runDrain(manager.listenTo("nobody", "t"))
      ]
      for (const call of calls) {
        const reason = yield* reasonOf(call)
        assert.strictEqual(reason._tag, "SessionNotFound")
      }
    }))

  it.live("remove drains, releases the connection and frees the name", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant")
      const receipt = yield* session.enqueue("t", "last words", { qos: 1 })
      yield* manager.remove("plant")
      yield* receipt.acknowledged
      yield* broker.awaitNoConnections
      assert.deepStrictEqual(yield* manager.list, [])
      assert.strictEqual((yield* reasonOf(manager.get("plant")))._tag, "SessionNotFound")
      yield* ready("plant")
      assert.deepStrictEqual(yield* manager.list, ["plant"])
    }))

  it.live("a removal continues when its caller is interrupted, and an add of the name waits for its end", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant", { drainTimeout: "300 millis" })
      yield* broker.goSilent(1)
      const session = yield* manager.get("plant")
      yield* session.enqueue("t", "never acknowledged", { qos: 1 })
      const removing = yield* Effect.forkChild(manager.remove("plant"), { startImmediately: true })
      yield* Fiber.interrupt(removing)
      assert.deepStrictEqual(yield* manager.list, [])
      yield* ready("plant")
      assert.strictEqual((yield* session.status).state, "closed")
    }))

  it.live("a durable session keeps its state over remove, and loses it with deleteState, at the server too", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const options = { persistence: "durable" as const, clientId: "plant-1" }
      yield* Effect.scoped(
        Effect.flatMap(ready("plant", options), (session) => session.subscription("kept/#", { qos: 1 }))
      )
      yield* manager.remove("plant")
      assert.strictEqual(broker.subscriptions("plant-1").length, 1)
      const again = yield* ready("plant", options)
      assert.strictEqual((yield* again.metrics).subscriptions, 1)
      yield* manager.remove("plant", { deleteState: true })
      assert.isUndefined(broker.session("plant-1"))
      const anew = yield* ready("plant", options)
      assert.strictEqual((yield* anew.metrics).subscriptions, 0)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.live("a listener of events may get, add and remove sessions", () =>
    Effect.gen(function*() {
      const { manager, options } = yield* makeWorld()
      const log = yield* logOf(manager)
      yield* Effect.forkScoped(
        Stream.runForEach(manager.eventsOf({ type: "Added" }), ({ session }) =>
          Effect.gen(function*() {
            yield* manager.get(session)
            if (session === "first") yield* manager.add(options("second"))
            if (session === "second") yield* manager.remove("first")
          })),
        { startImmediately: true }
      )
      yield* manager.add(options("first"))
      yield* log.until(({ _tag, session }) => _tag === "Removed" && session === "first")
      assert.deepStrictEqual(yield* manager.list, ["second"])
    }))

  it.live("the end of the manager closes all sessions at the same time and refuses new ones", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { broker, options } = yield* makeWorld()
      const manager = yield* SessionManager.make().pipe(
        Effect.provideService(Transport.Transport, broker.transport),
        Scope.provide(scope)
      )
      for (let n = 0; n < 20; n++) yield* manager.add(options(`s${n}`))
      yield* manager.awaitAllReady()
      const stream = yield* Effect.forkChild(Stream.runCollect(manager.listen("t")), { startImmediately: true })
      const log = yield* logOf(manager)
      yield* Scope.close(scope, Exit.void)
      yield* broker.awaitNoConnections
      assert.deepStrictEqual(yield* manager.list, [])
      assert.deepStrictEqual(yield* Fiber.join(stream), [])
      yield* log.until(() => log.tags().filter((tag) => tag === "Removed").length === 20)
      assert.strictEqual((yield* reasonOf(manager.add(options("late"))))._tag, "Closed")
    }))

  it.live("disconnected sessions keep their names and connect again", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const log = yield* logOf(manager)
      yield* log.until(({ _tag, session }) => _tag === "Ready" && session === "b")
      const before = log.all.length
      yield* manager.disconnectAll
      yield* broker.awaitNoConnections
      assert.deepStrictEqual(yield* manager.list, ["a", "b"])
      assert.strictEqual((yield* manager.status("a")).state, "disconnected")
      assert.strictEqual((yield* reasonOf(manager.get("a")))._tag, "Closed")
      yield* manager.disconnectAll
      const results = yield* manager.connectAll
      assert.isTrue(Array.from(results.values()).every(Result.isSuccess))
      yield* manager.awaitAllReady()
      yield* log.until((event) => event._tag === "Ready" && event.session === "b" && log.all.indexOf(event) > before)
      const events = log.all.slice(before).filter(({ session }) => session === "a")
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Disconnected", "StateChanged", ...arrival.slice(1)])
      assert.deepStrictEqual(changes(events), [
        ["connected", "disconnected"],
        ["disconnected", "connecting"],
        ["connecting", "connected"]
      ])
    }))

  it.live("connect starts a session again that makes no further attempts", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseConnect(0x86, { times: 1 })
      yield* manager.add(options("plant", { reconnect: { onPermanentFailure: "stop" } }))
      assert.strictEqual((yield* reasonOf(manager.awaitReady("plant")))._tag, "BadCredentials")
      yield* manager.connect("plant")
      yield* manager.awaitReady("plant")
      const same = yield* manager.get("plant")
      assert.strictEqual(yield* manager.connect("plant"), same)
    }))

  it.live("awaitAllReady fails with every session that is not ready and why", () =>
    Effect.gen(function*() {
      const { broker, manager, options, ready } = yield* makeWorld()
      yield* ready("good")
      yield* ready("resting")
      yield* manager.disconnect("resting")
      yield* broker.refuseConnect(0x86, { clientId: "intruder" })
      yield* manager.add(options("intruder", { clientId: "intruder" }))
      yield* manager.add(options("lost", { servers: ["mqtt://nowhere:1"], connectTimeout: "10 seconds" }), {
        transport: { open: () => Effect.never }
      })
      assert.strictEqual((yield* reasonOf(manager.awaitReady("intruder")))._tag, "BadCredentials")
      const error = yield* Effect.flip(manager.awaitAllReady({ timeout: "200 millis" }))
      assert.instanceOf(error, SessionManager.SessionsNotReady)
      assert.deepStrictEqual(
        error.failures.map(({ error, session, state }) => [session, state, error.reason._tag]),
        [
          ["resting", "disconnected", "Closed"],
          ["intruder", "connecting", "BadCredentials"],
          ["lost", "connecting", "Timeout"]
        ]
      )
      assert.include(error.message, "intruder")
      yield* manager.remove("resting")
      yield* manager.remove("intruder")
      yield* manager.remove("lost")
      yield* manager.awaitAllReady()
    }))

  it.live("awaiting leaves no listener behind and can be interrupted", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* broker.refuseNetwork
      yield* manager.add(options("plant"))
      assert.strictEqual((yield* reasonOf(manager.awaitReady("plant", { timeout: "10 millis" })))._tag, "Timeout")
      const waiting = yield* Effect.forkChild(manager.awaitReady("plant", { timeout: "Infinity" }))
      yield* Fiber.interrupt(waiting)
      yield* broker.acceptNetwork
      yield* manager.awaitReady("plant")
    }))

  it.live("publishTo, publishToAll, subscribeAll and unsubscribeAll answer for each session", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      yield* ready("resting")
      yield* manager.disconnect("resting")
      const subscriptions = yield* manager.subscribeAll("t/#", { qos: 1 })
      assert.deepStrictEqual(Array.from(subscriptions.keys()), ["a", "b", "resting"])
      const resting = subscriptions.get("resting")!
      assert.isTrue(Result.isFailure(resting) && resting.failure.reason._tag === "Closed")
      const a = yield* collect(Result.getOrThrow(subscriptions.get("a")!).messages)
      assert.strictEqual((yield* manager.publishTo("b", "t/1", "one", { qos: 1 })).reasonCode, 0)
      const receipts = yield* manager.publishToAll("t/2", "all", { qos: 1 })
      assert.isTrue(Result.isSuccess(receipts.get("a")!) && Result.isSuccess(receipts.get("b")!))
      assert.isTrue(Result.isFailure(receipts.get("resting")!))
      assert.deepStrictEqual((yield* a.take(3)).map(({ text }) => text), ["one", "all", "all"])
      const removed = yield* manager.unsubscribeAll("t/#")
      assert.isTrue(Result.isSuccess(removed.get("a")!))
      assert.strictEqual(broker.sessions.flatMap(({ clientId }) => broker.subscriptions(clientId)).length, 0)
    }))

  it.live("metrics really count, and keep the counts of sessions that are gone", () =>
    Effect.gen(function*() {
      const { manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const inbox = yield* collect(manager.listen("t", { qos: 1 }))
      yield* Effect.flatMap(manager.routes, ([route]) => route!.active)
      yield* manager.publishTo("a", "t", "1", { qos: 1 })
      yield* manager.publishTo("b", "t", "2")
      yield* inbox.take(4)
      const metrics = yield* manager.metrics
      assert.strictEqual(metrics.sessions, 2)
      assert.strictEqual(metrics.ready, 2)
      assert.strictEqual(metrics.states.connected, 2)
      assert.strictEqual(metrics.routes, 1)
      assert.strictEqual(metrics.totals.messagesSent, 2)
      assert.strictEqual(metrics.totals.messagesReceived, 4)
      assert.strictEqual(metrics.totals.connections, 2)
      assert.strictEqual(metrics.bySession.get("a")!.messagesSent, 1)
      assert.isAbove(metrics.totals.bytesReceived, 10)
      yield* manager.disconnect("a")
      yield* manager.connect("a")
      yield* manager.awaitReady("a")
      assert.strictEqual((yield* manager.metrics).bySession.get("a")!.connections, 2)
      yield* manager.remove("a")
      yield* manager.remove("b")
      const after = yield* manager.metrics
      assert.strictEqual(after.sessions, 0)
      assert.strictEqual(after.totals.messagesSent, 2)
      assert.strictEqual(after.totals.messagesReceived, 4)
      assert.strictEqual(after.totals.connections, 3)
      assert.strictEqual(after.totals.subscriptions, 0)
    }))

  it.live("the layer has its sessions from the start, and refuses two of one name", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const network = Layer.succeed(Transport.Transport, broker.transport)
      const sessions = [{ name: "plant", servers: [broker.url] }, { name: "cloud", servers: [broker.url] }]
      const program = Effect.gen(function*() {
        const manager = yield* SessionManager.SessionManager
        yield* manager.awaitAllReady()
        return yield* manager.list
      })
      const layer = SessionManager.layer({ sessions }).pipe(Layer.provide(network))
      assert.deepStrictEqual(yield* Effect.provide(program, layer), ["plant", "cloud"])
      const twice = SessionManager.layer({ sessions: [...sessions, ...sessions] }).pipe(Layer.provide(network))
      assert.strictEqual((yield* reasonOf(Layer.build(twice)))._tag, "DuplicateSession")
    }))

  it.live("layerConfig takes the sessions from Config", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory()
      const env = {
        PLANT_NAME: "plant",
        PLANT_SERVERS: broker.url,
        CLOUD_NAME: "cloud",
        CLOUD_SERVERS: broker.url,
        CLOUD_KEEP_ALIVE: "30 seconds"
      }
      const layer = SessionManager.layerConfig(
        Config.all([SessionOptions.config("PLANT"), SessionOptions.config("CLOUD")])
      ).pipe(Layer.provide(Layer.succeed(Transport.Transport, broker.transport)))
      const program = Effect.gen(function*() {
        const manager = yield* SessionManager.SessionManager
        yield* manager.awaitAllReady()
        return yield* manager.list
      })
      assert.deepStrictEqual(
        yield* program.pipe(
          Effect.provide(layer),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
        ),
        ["plant", "cloud"]
      )
    }))
})
