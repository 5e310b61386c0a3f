import type { Message } from "@effect-mqttx/core/Message"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import * as RouteTransformer from "@effect-mqttx/core/RouteTransformer"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Effect, Exit, Fiber, Latch, Result, Schedule, Scope } from "effect"
import {
  collect,
  from,
  impatient,
  logOf,
  makeInbox,
  makeWorld,
  reasonOf,
  texts
} from "../../../../test/support/managers.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly text: string }> {}

describe("SessionManager: handle", () => {
  it.live("gets the messages of all sessions, each with its session's name", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const inbox = yield* makeInbox
      const route = yield* manager.handle("t/+", inbox.put, { qos: 2 })
      yield* route.active
      yield* broker.publish("t/1", "one", { qos: 2 })
      const messages = yield* inbox.take(2)
      assert.deepStrictEqual(from(messages), ["a", "b"])
      assert.isTrue(messages.every(({ qos, text, topic }) => qos === 2 && text === "one" && topic === "t/1"))
      assert.deepStrictEqual(
        Array.from(yield* route.sessions),
        [["a", { state: "active", granted: [2], error: undefined }], ["b", {
          state: "active",
          granted: [2],
          error: undefined
        }]]
      )
    }))

  it.live("a session that is added later joins before it is ready, and one that is removed leaves", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const inbox = yield* makeInbox
      const route = yield* manager.handle("t", inbox.put, { qos: 1 })
      yield* route.active
      yield* ready("late")
      yield* broker.publish("t", "1", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(1)), ["late"])
      yield* ready("later")
      yield* broker.publish("t", "2", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(2)), ["late", "later"])
      yield* manager.remove("late")
      assert.deepStrictEqual(Array.from((yield* route.sessions).keys()), ["later"])
      yield* broker.publish("t", "3", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(1)), ["later"])
    }))

  it.live("an offline session holds up neither handle nor the routes of the others", () =>
    Effect.gen(function*() {
      const { broker, manager, options, ready } = yield* makeWorld()
      yield* ready("online")
      yield* manager.add(options("offline"), { transport: { open: () => Effect.never } })
      const inbox = yield* makeInbox
      const route = yield* manager.handle("t", inbox.put, { qos: 1 })
      yield* broker.awaitPacket({ direction: "received", packet: "Subscribe" })
      yield* broker.publish("t", "1", { qos: 1 })
      assert.deepStrictEqual(from(yield* inbox.take(1)), ["online"])
      assert.strictEqual((yield* route.sessions).get("offline")!.state, "joining")
    }))

  it.live("two routes on one filter both get every message, and the end of one does not affect the other", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const [first, second] = [yield* makeInbox, yield* makeInbox]
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(manager.handle("t", first.put, { qos: 1 }), scope)
      const two = yield* manager.handleTo("plant", "t", second.put, { qos: 1 })
      yield* Effect.all([one.active, two.active])
      yield* broker.publish("t", "1", { qos: 1 })
      assert.deepStrictEqual(texts(yield* first.take(1)), ["1"])
      assert.deepStrictEqual(texts(yield* second.take(1)), ["1"])
      yield* Scope.close(scope, Exit.void)
      yield* one.await
      yield* broker.publish("t", "2", { qos: 1 })
      assert.deepStrictEqual(texts(yield* second.take(1)), ["2"])
      assert.strictEqual(first.messages.length, 1)
      assert.strictEqual((yield* manager.routes).length, 1)
    }))

  it.live.each([1, 2] as const)(
    "what a route has not handled when its scope ends goes to the route that replaces it, although another one has, QoS %s",
    (qos) =>
      Effect.gen(function*() {
        const { broker, manager, ready } = yield* makeWorld()
        yield* ready("plant")
        const sent = Array.from({ length: 50 }, (_, index) => `${index}`)
        const inbox = yield* makeInbox
        yield* Effect.flatMap(manager.handle("t", inbox.put, { qos }), ({ active }) => active)
        const scope = yield* Scope.make()
        const stuck = yield* Scope.provide(manager.handleTo("plant", "t", () => Effect.never, { qos }), scope)
        yield* stuck.active
        for (const payload of sent) yield* broker.publish("t", payload, { qos })
        assert.deepStrictEqual(texts(yield* inbox.take(50)), sent)
        yield* Scope.close(scope, Exit.void)
        const replacement = yield* makeInbox
        yield* manager.handleTo("plant", "t", replacement.put, { qos })
        assert.deepStrictEqual(texts(yield* replacement.take(50)), sent)
        yield* broker.awaitIdle
        assert.lengthOf(inbox.messages, 50)
      })
  )

  it.live("what comes for a route with a name while it is away waits for it, however long that is", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant", { unclaimed: { hold: "1 millis" } })
      const options = { qos: 1, consumer: "billing" } as const
      const inbox = yield* makeInbox
      yield* Effect.scoped(Effect.flatMap(manager.handle("t", inbox.put, options), ({ active }) => active))
      yield* broker.publish("t", "1", { qos: 1 })
      yield* Effect.repeat(Effect.delay(session.metrics, "5 millis"), {
        until: ({ messagesReceived }) => messagesReceived === 1
      })
      yield* manager.handle("t", inbox.put, options)
      assert.deepStrictEqual(texts(yield* inbox.take(1)), ["1"])
      assert.strictEqual((yield* session.metrics).dropped.unclaimed, 0)
    }))

  it.live("handleTo concerns its session alone, stays over disconnect and connect, and ends with remove", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      yield* ready("other")
      const inbox = yield* makeInbox
      const route = yield* manager.handleTo("plant", "t", inbox.put, { qos: 1 })
      yield* route.active
      assert.deepStrictEqual(Array.from((yield* route.sessions).keys()), ["plant"])
      yield* manager.disconnect("plant")
      yield* manager.connect("plant")
      yield* manager.awaitReady("plant")
      yield* broker.publish("t", "again", { qos: 1 })
      assert.deepStrictEqual(texts(yield* inbox.take(1)), ["again"])
      yield* manager.remove("plant")
      yield* route.await
    }))

  it.live("bad filters and options are refused before there is any session", () =>
    Effect.gen(function*() {
      const { manager } = yield* makeWorld()
      const nothing = () => Effect.void
      assert.strictEqual((yield* reasonOf(manager.handle("a/#/b", nothing)))._tag, "InvalidFilter")
      assert.strictEqual((yield* reasonOf(manager.handle([], nothing)))._tag, "InvalidOptions")
      assert.strictEqual((yield* reasonOf(manager.handle("a", nothing, { qos: 3 as never })))._tag, "InvalidOptions")
      assert.strictEqual((yield* reasonOf(manager.handle("a", nothing, { concurrency: 0 })))._tag, "InvalidOptions")
      assert.strictEqual((yield* reasonOf(manager.listener("a", { capacity: 0.5 })))._tag, "InvalidOptions")
      assert.strictEqual(
        (yield* reasonOf(manager.handle("a", nothing, { onFailure: { deadLetter: "dead/#" } })))._tag,
        "InvalidOptions"
      )
      assert.strictEqual(
        (yield* reasonOf(manager.handle("a", nothing, { filter: RouteFilter.not(RouteFilter.topic("+a")) })))._tag,
        "InvalidFilter"
      )
      assert.strictEqual(
        (yield* reasonOf(manager.handle("a", nothing, { transform: RouteTransformer.topic("a/+", "b/{2}") })))._tag,
        "InvalidOptions"
      )
      assert.deepStrictEqual(yield* manager.routes, [])
    }))

  it.live("a refused subscription is reported by active, does not affect the other sessions, and is tried again", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      yield* manager.add(options("good", { clientId: "good" }))
      yield* manager.awaitAllReady()
      const inbox = yield* makeInbox
      yield* broker.refuseSubscribe("t", 0x83, { times: 1 })
      const route = yield* manager.handle("t", inbox.put, { qos: 1 })
      const reason = yield* reasonOf(route.active)
      assert.strictEqual(reason._tag, "SubscriptionRefused")
      const { lastError, lastErrorAt } = yield* route.metrics
      assert.strictEqual(
        (lastError as { readonly reason: { readonly _tag: string } }).reason._tag,
        "SubscriptionRefused"
      )
      assert.isDefined(lastErrorAt)
      yield* broker.cut("good")
      yield* broker.awaitPacket({ direction: "received", packet: "Subscribe", nth: 2 })
      yield* route.active
      yield* broker.publish("t", "1", { qos: 1 })
      yield* inbox.take(1)
    }))

  it.live("handleTo ends with a refusal that lasts", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      yield* broker.refuseSubscribe("secret", 0x87)
      const route = yield* manager.handleTo("plant", "secret", () => Effect.void)
      const reason = yield* reasonOf(route.await)
      assert.strictEqual(reason._tag, "SubscriptionRefused")
    }))

  it.live("a handler may publish and await the acknowledgement, under load", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant")
      const done = Latch.makeUnsafe()
      let handled = 0
      const route = yield* manager.handle("in/#", (message) =>
        Effect.andThen(
          session.publish("out", message.payload, { qos: 1 }),
          Effect.sync(() => {
            if (++handled === 500) done.openUnsafe()
          })
        ), { qos: 1 })
      yield* route.active
      for (let n = 0; n < 500; n++) yield* broker.publish(`in/${n % 7}`, `${n}`, { qos: 1 })
      yield* done.await
      assert.strictEqual(broker.published.filter(({ topic }) => topic === "out").length, 500)
    }))

  it.live("a failing handler is retried, counted, and under skip the next message comes", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const inbox = yield* makeInbox
      let attempts = 0
      const route = yield* manager.handle("t", (message) => {
        if (message.text === "good") return inbox.put(message)
        attempts++
        if (message.text === "throws") throw new Error("a bug")
        return Effect.fail(new Refused({ text: message.text }))
      }, { qos: 1, retry: Schedule.recurs(2), onFailure: "skip" })
      yield* route.active
      yield* broker.publish("t", "bad", { qos: 1 })
      yield* broker.publish("t", "throws", { qos: 1 })
      yield* broker.publish("t", "good", { qos: 1 })
      yield* inbox.take(1)
      assert.strictEqual(attempts, 4)
      const metrics = yield* route.metrics
      assert.strictEqual(metrics.received, 3)
      assert.strictEqual(metrics.delivered, 1)
      assert.strictEqual(metrics.failures, 2)
      assert.strictEqual(metrics.dropped, 0)
      assert.strictEqual(metrics.bytes, 3 + 6 + 4)
      assert.strictEqual((metrics.lastError as Error).message, "a bug")
      assert.isDefined(metrics.lastErrorAt)
      assert.isDefined(metrics.lastMessageAt)
      yield* broker.awaitIdle
      assert.deepStrictEqual(broker.deliveries.map(({ outcome }) => outcome), Array(3).fill("Acknowledged"))
    }))

  it.live("under deadLetter a failed message is published as it came, under fail the route ends", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const refuse = (message: Message) => Effect.fail(new Refused({ text: message.text }))
      const dead = yield* manager.handleTo("a", "t", refuse, {
        qos: 1,
        onFailure: { deadLetter: "dead" },
        transform: RouteTransformer.payload(() => "changed")
      })
      yield* dead.active
      const graves = yield* collect(manager.listenTo("b", "dead", { qos: 1 }))
      yield* Effect.flatMap(manager.routes, (routes) => routes.at(-1)!.active)
      yield* broker.publish("t", "rip", { qos: 1 })
      assert.deepStrictEqual(texts(yield* graves.take(1)), ["rip"])

      const failing = yield* manager.handle("u", refuse, { qos: 1, onFailure: "fail" })
      yield* failing.active
      yield* broker.publish("u", "end", { qos: 1 })
      const error = yield* Effect.flip(failing.await)
      assert.instanceOf(error, Refused)
      assert.strictEqual((yield* failing.sessions).size, 0)
    }))

  it.live("filter, transformer, handler: in this order, with what is dropped counted", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      const inbox = yield* makeInbox
      const order: Array<string> = []
      const route = yield* manager.handle("sensors/#", (message) => {
        order.push(`handler ${message.topic}`)
        return inbox.put(message)
      }, {
        qos: 1,
        concurrency: 1,
        filter: RouteFilter.predicate((message) => {
          order.push(`filter ${message.topic}`)
          return message.text !== "filtered"
        }),
        transform: RouteTransformer.compose(
          RouteTransformer.make((message) => {
            order.push(`transformer ${message.topic}`)
            return Effect.succeed(message.text === "transformed away" ? undefined : message)
          }),
          RouteTransformer.topic("sensors/+", "storage/{1}")
        )
      })
      yield* route.active
      yield* broker.publish("sensors/1", "filtered", { qos: 1 })
      yield* broker.publish("sensors/2", "transformed away", { qos: 1 })
      yield* broker.publish("sensors/3", "good", { qos: 1 })
      assert.strictEqual((yield* inbox.take(1))[0]!.topic, "storage/3")
      assert.deepStrictEqual(order, [
        "filter sensors/1",
        "filter sensors/2",
        "transformer sensors/2",
        "filter sensors/3",
        "transformer sensors/3",
        "handler storage/3"
      ])
      const { delivered, dropped, failures, received } = yield* route.metrics
      assert.deepStrictEqual({ received, dropped, delivered, failures }, {
        received: 3,
        dropped: 2,
        delivered: 1,
        failures: 0
      })
      yield* broker.awaitIdle
    }))

  it.live("a transformer that fails hands the message to the failure policy", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant")
      let calls = 0
      const route = yield* manager.handle("t", () => Effect.sync(() => calls++), {
        qos: 1,
        transform: RouteTransformer.json("a", 1),
        onFailure: "fail"
      })
      yield* route.active
      yield* broker.publish("t", "no JSON", { qos: 1 })
      const reason = yield* reasonOf(route.await)
      assert.strictEqual(reason._tag, "InvalidPayload")
      assert.strictEqual(calls, 0)
    }))

  it.live("a handler has the services of the program that made the route, at sessions that come later too", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      class Prefix extends Context.Service<Prefix, string>()("test/Prefix") {}
      const inbox = yield* makeInbox
      yield* manager.handle("t", (message) =>
        Effect.gen(function*() {
          const prefix = yield* Prefix
          yield* inbox.put(message.with({ topic: prefix + message.topic }))
        })).pipe(Effect.provideService(Prefix, "here/"))
      yield* ready("plant")
      yield* broker.publish("t", "1")
      assert.strictEqual((yield* inbox.take(1))[0]!.topic, "here/t")
    }))
})

describe("SessionManager: the interruption of a route", () => {
  it.live("the end of the scope interrupts handlers, unsubscribes, and succeeds await", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant", { clientId: "plant-1" })
      const scope = yield* Scope.make()
      const [begun, interrupted] = [Latch.makeUnsafe(), Latch.makeUnsafe()]
      const route = yield* Scope.provide(
        manager.handle("t", () => {
          begun.openUnsafe()
          return Effect.onInterrupt(Effect.never, () => interrupted.open)
        }, { qos: 1 }),
        scope
      )
      yield* route.active
      yield* broker.publish("t", "1", { qos: 1 })
      yield* begun.await
      yield* Scope.close(scope, Exit.void)
      yield* interrupted.await
      yield* route.await
      yield* broker.awaitPacket({ direction: "received", packet: "Unsubscribe" })
      assert.deepStrictEqual(yield* manager.routes, [])
    }))

  it.live("a handler may remove and disconnect its own session: that takes the drain's time, and is no deadlock", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("plant", { drainTimeout: "100 millis" })
      const log = yield* logOf(manager)
      const route = yield* manager.handle(
        "+",
        ({ topic }) => topic === "disconnect" ? manager.disconnect("plant") : manager.remove("plant"),
        { qos: 1 }
      )
      yield* route.active
      yield* broker.publish("disconnect", "1", { qos: 1 })
      yield* log.until((event) => event._tag === "StateChanged" && event.to === "disconnected")
      yield* manager.connect("plant")
      yield* manager.awaitReady("plant")
      yield* broker.publish("remove", "1", { qos: 1 })
      yield* log.until(({ _tag }) => _tag === "Removed")
      assert.deepStrictEqual(yield* manager.list, [])
    }))

  it.live("a route to a session that is being disconnected waits for its next connection", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      const session = yield* ready("plant", { clientId: "plant-1", drainTimeout: "100 millis" })
      yield* broker.goSilent("plant-1")
      yield* session.enqueue("t", "keeps the drain waiting", { qos: 1 })
      const disconnecting = yield* Effect.forkChild(manager.disconnect("plant"), { startImmediately: true })
      const inbox = yield* makeInbox
      const route = yield* manager.handleTo("plant", "t", inbox.put, { qos: 1 })
      yield* Fiber.join(disconnecting)
      yield* manager.connect("plant")
      yield* route.active
      yield* broker.publish("t", "here", { qos: 1 })
      assert.deepStrictEqual(texts(yield* inbox.take(1)), ["here"])
    }))

  it.live("a handler may end its own route and remove other sessions", () =>
    Effect.gen(function*() {
      const { broker, manager, ready } = yield* makeWorld()
      yield* ready("a")
      yield* ready("b")
      const log = yield* logOf(manager)
      const scope = yield* Scope.make()
      const route = yield* Scope.provide(
        manager.handleTo("a", "t", () =>
          Effect.andThen(manager.remove("b"), Effect.forkDetach(Scope.close(scope, Exit.void))), { qos: 1 }),
        scope
      )
      yield* route.active
      yield* broker.publish("t", "1", { qos: 1 })
      yield* log.until(({ _tag, session }) =>
        _tag === "Removed" && session === "b"
      )
      yield* route.await
    }))
})

describe.skipIf(!MosquittoBroker.isPresent())("SessionManager: routes on mosquitto", () => {
  it.live("routes continue after a restart of the server, with the defaults of a session", () =>
    Effect.gen(function*() {
      const broker = yield* MosquittoBroker.make()
      const manager = yield* SessionManager.make({
        sessions: ["a", "b"].map((name) => ({ name, servers: [broker.url], reconnect: impatient }))
      })
      const handled = yield* makeInbox
      yield* manager.handle("t", handled.put, { qos: 1 })
      const heard = yield* collect(manager.listenTo("a", "t", { qos: 1 }))
      yield* manager.awaitAllReady()
      yield* Effect.flatMap(manager.routes, (routes) => Effect.all(routes.map(({ active }) => active)))
      const log = yield* logOf(manager)
      yield* broker.restart
      yield* log.until(() => log.tags().filter((tag) => tag === "SessionLost").length === 2)
      yield* manager.awaitAllReady()
      const results = yield* manager.publishToAll("t", "after", { qos: 1 })
      for (const result of results.values()) assert.isTrue(Result.isSuccess(result))
      assert.deepStrictEqual(from(yield* handled.take(4)), ["a", "a", "b", "b"])
      assert.strictEqual((yield* heard.take(2)).length, 2)
    }))
})

describe("SessionManager: failures keep their type", () => {
  it("the failure of a handler and of a transformer is that of the route", () => {
    const program = (manager: SessionManager.SessionManager["Service"]) =>
      Effect.gen(function*() {
        const route = yield* manager.handle("t", () => Effect.fail("handler" as const), {
          transform: RouteTransformer.make(() => Effect.fail("transformer" as const))
        })
        return yield* route.await
      })
    type Failure = Effect.Error<ReturnType<typeof program>>
    const check = (failure: Failure): string =>
      typeof failure === "string" ? failure satisfies "handler" | "transformer" : failure._tag
    assert.strictEqual(check("handler"), "handler")
    assert.isTrue(Cause.isCause(Cause.fail("transformer")))
  })
})
