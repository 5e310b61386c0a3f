import type { Message } from "@effect-mqttx/core/Message"
import { assert } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import type { Define } from "./behaviour.ts"
import { event, fence, inbox, inOrder, numbers, reason, subscribe, texts } from "./behaviourWorld.ts"

/** Real time that a test may move ahead, as far as anyone only looks at it. */
const movableClock = (): { readonly clock: Clock.Clock; readonly ahead: (millis: number) => void } => {
  const real = Clock.Clock.defaultValue()
  let offset = 0
  const now = (): number => real.currentTimeMillisUnsafe() + offset
  const nanos = (): bigint => real.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
  const monotonic = (): bigint => real.monotonicTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
  return {
    clock: {
      currentTimeMillisUnsafe: now,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => real.sleep(duration)
    },
    ahead: (millis) => {
      offset += millis
    }
  }
}

export const reconnecting = (test: Define): void => {
  test("reports a loss and the return in order", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      yield* link.cut
      yield* event(session, "Ready", 2)
      const events = yield* session.events.pipe(Stream.take(12), Stream.runCollect)
      assert.deepStrictEqual(events.slice(5).map(({ _tag }) => _tag), [
        "Disconnected",
        "StateChanged",
        "Reconnecting",
        "Connecting",
        "Connected",
        "StateChanged",
        "Ready"
      ])
      const { error } = events[5] as Extract<typeof events[number], { _tag: "Disconnected" }>
      assert.strictEqual(error?.reason._tag, "ConnectionLost")
      const changes = events.filter((each) => each._tag === "StateChanged")
      assert.deepStrictEqual(changes.map(({ from, to }) => `${from} > ${to}`), [
        "disconnected > connecting",
        "connecting > connected",
        "connected > reconnecting",
        "reconnecting > connected"
      ])
      const metrics = yield* session.metrics
      assert.deepStrictEqual([metrics.connections, metrics.reconnects], [2, 1])
    }))

  test("keeps trying while the server is away, by its schedule", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      yield* link.close
      const session = yield* world.make({
        servers: [link.address],
        reconnect: { initialDelay: 10, factor: 2, maxDelay: 30, jitter: "none" }
      })
      const attempts = yield* session.events.pipe(
        Stream.filter((each) => each._tag === "Reconnecting"),
        Stream.take(4),
        Stream.runCollect
      )
      assert.deepStrictEqual(attempts.map(({ attempt, delay }) => [attempt, delay]), [[2, 10], [3, 20], [4, 30], [
        5,
        30
      ]])
      for (const { error } of attempts) {
        assert.strictEqual(error.reason._tag, "ConnectionRefused", error.message)
        assert.isTrue(error.isRetryable)
      }
      yield* link.open
      yield* session.awaitReady
    }))

  test("a session that must not reconnect ends with its first connection", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address], reconnect: { enabled: false } })
      const { messages } = yield* session.subscription(world.topic("t"))
      const running = yield* Effect.forkChild(Stream.runDrain(messages), { startImmediately: true })
      yield* link.cut
      yield* reason(Fiber.join(running), "ConnectionLost")
      yield* reason(session.awaitReady, "ConnectionLost")
      assert.strictEqual((yield* session.status).state, "disconnected")
    }))

  test("streams and publishes continue through a reconnect", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* session.publish(world.topic("t"), "before", { qos: 1 })
      yield* messages.take(1)
      yield* fence(session)
      yield* link.close
      yield* event(session, "Reconnecting")
      const publishing = yield* Effect.forEach([0, 1, 2] as const, (qos) =>
        Effect.forkChild(session.publish(world.topic("t"), `meanwhile ${qos}`, { qos }), { startImmediately: true }))
      yield* link.open
      yield* Effect.forEach(publishing, Fiber.join)
      assert.sameMembers(texts(yield* messages.take(3)) as Array<string>, ["meanwhile 0", "meanwhile 1", "meanwhile 2"])
    }))

  test("messages to a session that is away arrive when it is back", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const messages = yield* subscribe(session, world.topic("t"), { qos: 2 })
      const publisher = yield* world.session()
      yield* link.close
      yield* link.idle
      yield* event(session, "Reconnecting")
      for (const n of numbers(1, 30)) yield* publisher.publish(world.topic("t"), n, { qos: 1 })
      yield* link.open
      assert.deepStrictEqual(texts(yield* messages.take(30)), numbers(1, 30))
    }))

  test("cuts on both sides in the middle of QoS 1 and 2 traffic: QoS 1 loses none, QoS 2 comes exactly once", (world) =>
    Effect.gen(function*() {
      const publisherLink = yield* world.link
      const receiverLink = yield* world.link
      const receiver = yield* world.session({ servers: [receiverLink.address] })
      const publisher = yield* world.session({ servers: [publisherLink.address] })
      const count = 300
      const received: { readonly [qos: string]: Array<string> } = { 1: [], 2: [] }
      const { messages } = yield* receiver.subscription(world.topic("+"), { qos: 2 })
      const finished = (): boolean => received[2]!.length >= count && new Set(received[1]).size >= count
      // At the first arrival of these messages: what comes again must not cut again.
      const cuts = new Map([
        ["50", receiverLink.cut],
        ["100", publisherLink.cut],
        ["150", receiverLink.cut],
        ["200", publisherLink.cut],
        ["250", Effect.andThen(receiverLink.cut, publisherLink.cut)]
      ])
      const collecting = yield* messages.pipe(
        Stream.tap((message: Message) => {
          received[message.qos]!.push(message.text)
          const cut = cuts.get(message.text) ?? Effect.void
          cuts.delete(message.text)
          return cut
        }),
        Stream.takeUntil(finished),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      const summary = yield* publisher.publishAll(
        Stream.fromIterable(numbers(1, count)).pipe(
          Stream.flatMap((n) =>
            Stream.fromIterable(([1, 2] as const).map((qos) => ({
              topic: world.topic(String(qos)),
              payload: n,
              options: { qos }
            })))
          )
        )
      )
      assert.strictEqual(summary.published, 2 * count)
      yield* Fiber.join(collecting)
      assert.strictEqual(received[2]!.length, count)
      assert.deepStrictEqual(inOrder(world, received[2]!), numbers(1, count))
      assert.deepStrictEqual(inOrder(world, received[1]!), numbers(1, count))
      assert.strictEqual(cuts.size, 0)
    }))

  test("connects to the next server when the preferred one fails, and returns to it later", (world) =>
    Effect.gen(function*() {
      const preferred = yield* world.link
      const spare = yield* world.link
      yield* preferred.close
      const { ahead, clock } = movableClock()
      const session = yield* Effect.provideService(
        world.session({ servers: [preferred.address, spare.address] }),
        Clock.Clock,
        clock
      )
      assert.strictEqual((yield* session.status).server, spare.printed)
      const messages = yield* subscribe(session, world.topic("t"), { qos: 1 })
      yield* preferred.open
      ahead(60_000)
      yield* spare.cut
      yield* event(session, "Ready", 2)
      assert.strictEqual((yield* session.status).server, preferred.printed)
      yield* session.publish(world.topic("t"), "on the preferred one", { qos: 1 })
      assert.strictEqual((yield* messages.next).text, "on the preferred one")
    }))

  test("a server that failed a moment ago is tried last", (world) =>
    Effect.gen(function*() {
      const preferred = yield* world.link
      const spare = yield* world.link
      yield* preferred.close
      const session = yield* world.session({ servers: [preferred.address, spare.address] })
      yield* preferred.open
      yield* spare.cut
      yield* event(session, "Ready", 2)
      assert.strictEqual((yield* session.status).server, spare.printed)
    }))

  test("an interrupted publish whose bytes were sent finishes without an error", (world) =>
    Effect.gen(function*() {
      const session = yield* world.session()
      const receiver = yield* world.session()
      const messages = yield* subscribe(receiver, world.topic("t"), { qos: 2 })
      for (let i = 0; i < 20; i++) {
        const publishing = yield* Effect.forkChild(
          session.publish(world.topic("t"), String(i), { qos: 2 }),
          { startImmediately: true }
        )
        for (let turns = 0; turns < i; turns++) yield* Effect.yieldNow
        yield* Fiber.interrupt(publishing)
      }
      yield* session.publish(world.topic("t"), "end", { qos: 2 })
      yield* fence(session)
      const arrived = texts(yield* messages.until("end")).map(Number)
      assert.deepStrictEqual(arrived, Array.from(new Set(arrived)).sort((a, b) => a - b))
      const metrics = yield* session.metrics
      assert.deepStrictEqual([metrics.inflight, metrics.queuedMessages], [0, 0])
    }))

  test("reconnects again and again without leaving connections", (world) =>
    Effect.gen(function*() {
      const link = yield* world.link
      const session = yield* world.session({ servers: [link.address] })
      const { messages } = yield* session.subscription(world.topic("t"), { qos: 1 })
      const received = yield* inbox(messages)
      for (let i = 1; i <= 5; i++) {
        const back = yield* Effect.forkChild(
          session.events.pipe(Stream.filter(({ _tag }) => _tag === "Disconnected"), Stream.runHead),
          { startImmediately: true }
        )
        yield* link.cut
        yield* session.publish(world.topic("t"), String(i), { qos: 1 })
        yield* received.until(String(i))
        yield* Fiber.join(back)
      }
      assert.isAtLeast(yield* link.connections, 5)
      yield* session.drain
      yield* link.idle
    }))
}
