import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inOrder, numbers, owned, reason, subscribe, texts } from "./behaviourWorld.ts"

export const persistence = (test: Define): void => {
  test("process: begins clean and is resumed at every reconnect", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const clientId = `${world.unique}-process`
      // An earlier program has left a session under this identifier.
      const earlier = yield* owned(world.session({ clientId, persistence: "durable", name: clientId }))
      yield* subscribe(earlier.value, world.topic("old"), { qos: 1 })
      yield* earlier.end
      const session = yield* world.session({ servers: [link.address], clientId })
      yield* link.cut
      yield* event(session, "Ready", 2)
      const connected = yield* session.events.pipe(
        Stream.filter((each) => each._tag === "Connected"),
        Stream.take(2),
        Stream.runCollect
      )
      assert.deepStrictEqual(connected.map(({ sessionPresent }) => sessionPresent), [false, true])
      assert.isFalse(yield* world.isSubscribed(world.topic("old")))
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  for (const mode of ["process", "none"] as const) {
    test(`${mode}: the server keeps nothing after the end`, (world) =>
      Effect.gen(function*() {
        const clientId = `${world.unique}-${mode}`
        const session = yield* world.session({ clientId, persistence: mode })
        yield* subscribe(session, world.topic("t"), { qos: 1, keep: true })
        yield* session.drain
        assert.isFalse(yield* world.isSubscribed(world.topic("t")))
        // A session that the server has, and the store does not know, costs a second connection to discard it.
        const link = yield* world.link
        yield* world.session({ clientId, persistence: "durable", servers: [link.address] })
        assert.strictEqual(yield* link.connections, 1)
      }).pipe(Effect.provide(SessionStore.layerMemory)))
  }

  test("none: never resumed, and its streams continue all the same", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address], persistence: "none" })
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* link.cut
      const { cleanStart, sessionPresent } = yield* event(session, "Connected", 2)
      assert.deepStrictEqual([cleanStart, sessionPresent], [true, false])
      yield* event(session, "Ready", 2)
      yield* session.publish(world.topic("t"), "again", { qos: 1 })
      assert.strictEqual((yield* messages.next).text, "again")
    }))

  test("durable: after a restart the session gets what was published meanwhile", (world) =>
    Effect.gen(function*() {
      const options = { name: `${world.unique}-durable`, persistence: "durable" } as const
      const publisher = yield* world.session()
      const first = yield* owned(Effect.gen(function*() {
        const session = yield* world.session(options)
        return yield* subscribe(session, world.topic("t"), { qos: 1 })
      }))
      yield* publisher.publish(world.topic("t"), "1", { qos: 1 })
      assert.strictEqual((yield* first.value.next).text, "1")
      yield* first.end
      assert.isTrue(yield* world.isSubscribed(world.topic("t")))
      for (const n of numbers(2, 10)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      const session = yield* world.session(options)
      assert.isTrue((yield* event(session, "Connected")).sessionPresent)
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(texts(yield* messages.until("end")), ["is anyone there?", ...numbers(2, 10)])
      yield* session.unsubscribe(world.topic("t"))
      assert.isFalse(yield* world.isSubscribed(world.topic("t")))
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("durable: after a restart the session subscribes once more, and gets no retained copies by that", (world) =>
    Effect.gen(function*() {
      const options = { name: `${world.unique}-durable`, persistence: "durable" } as const
      const filters = [world.topic("t"), world.topic("u/#")]
      const publisher = yield* world.session()
      for (const topic of ["t", "u/1"]) {
        yield* publisher.publish(world.topic(topic), "retained", { qos: 1, retain: true })
      }
      const first = yield* owned(
        Effect.flatMap(world.session(options), (session) => subscribe(session, filters, { qos: 1, retained: "none" }))
      )
      yield* first.end
      const session = yield* world.session(options)
      const messages = yield* subscribe(session, filters, { qos: 1, retained: "none" })
      yield* publisher.publish(world.topic("u/1"), "live", { qos: 1 })
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(texts(yield* messages.until("end")), ["live"])
      for (const topic of ["t", "u/1"]) {
        yield* publisher.publish(world.topic(topic), "", { qos: 1, retain: true })
      }
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("durable: what was accepted without a connection is sent after a restart, in order and once", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const options = { name: `${world.unique}-durable`, persistence: "durable", servers: [link.address] } as const
      const receiver = yield* world.session()
      const messages = yield* subscribe(receiver, world.topic("t"), { qos: 2 })
      const first = yield* owned(world.make(options))
      const receipts = yield* Effect.forEach(
        numbers(1, 10),
        (n) => first.value.enqueue(world.topic("t"), n, { qos: 2 })
      )
      yield* first.end
      yield* Effect.forEach(receipts, ({ acknowledged }) => reason(acknowledged, "Closed"))
      yield* link.open
      const second = yield* world.session(options)
      assert.deepStrictEqual(texts(yield* messages.take(10)), numbers(1, 10))
      yield* second.publish(world.topic("t"), "end", { qos: 2 })
      assert.deepStrictEqual(yield* messages.until("end"), [])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("durable: what a stream has finished does not come again after a restart", (world) =>
    Effect.gen(function*() {
      const options = { name: `${world.unique}-durable`, persistence: "durable" } as const
      const publisher = yield* world.session()
      const first = yield* owned(
        Effect.flatMap(world.session(options), (session) => subscribe(session, world.topic("t"), { qos: 1 }))
      )
      for (const n of numbers(1, 3)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      yield* first.value.take(3)
      yield* first.end
      const session = yield* world.session(options)
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      assert.deepStrictEqual(yield* messages.until("end"), [])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("durable: a session name is owned by one session at a time", (world) =>
    Effect.gen(function*() {
      const options = { name: `${world.unique}-durable`, persistence: "durable" } as const
      yield* world.session(options)
      yield* reason(world.make(options), "StorageFailed")
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  test("durable: nothing is lost when the server restarts", (shared) =>
    Effect.gen(function*() {
      const world = yield* shared.alone
      const publisher = yield* world.session({ name: `${world.unique}-publisher`, persistence: "durable" })
      const receiver = yield* world.session({ name: `${world.unique}-receiver`, persistence: "durable" })
      const messages = yield* subscribe(receiver, world.topic("t"), { qos: 2 })
      const before = yield* Effect.forEach(numbers(1, 100), (n) => publisher.enqueue(world.topic("t"), n, { qos: 1 }))
      const restarting = yield* Effect.forkChild(world.server.restart, { startImmediately: true })
      yield* event(publisher, "Disconnected")
      const meanwhile = yield* Effect.forEach(numbers(101, 200), (n) =>
        publisher.enqueue(world.topic("t"), n, { qos: 1 }))
      yield* Fiber.join(restarting)
      yield* Effect.forEach([...before, ...meanwhile], ({ acknowledged }) =>
        acknowledged)
      yield* publisher.publish(world.topic("t"), "end", { qos: 1 })
      const arrived = texts(yield* messages.until("end"))
      assert.deepStrictEqual(inOrder(world, arrived), numbers(1, 200))
      yield* fence(receiver)
    }).pipe(Effect.provide(SessionStore.layerMemory)))
}
