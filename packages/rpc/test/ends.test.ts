/**
 * Servers and clients that go: in an orderly way, with their will, and without a word. Time is TestClock's where the
 * scripted broker is in memory.
 */
import { MqttRpcClient, MqttRpcServer } from "@effect-mqttx/rpc"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { decode } from "../src/internal/packets.ts"
import { everywhere, failureOf, makeWorld, scripted, until, type World } from "./support.ts"

everywhere("ends", (test) => {
  test("a server that ends fails its calls at once with serverGone", ({ client, server }) =>
    Effect.gen(function*() {
      const { end, handled } = yield* server()
      const { client: group } = yield* client()
      const waiting = yield* Effect.forkChild(failureOf(group.Wait({ name: "one" })))
      yield* until(handled, () => handled.ran.includes("one"))
      yield* end
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error.kind, "serverGone")
      assert.isTrue(error.mayHaveRun)
      assert.deepStrictEqual(handled.interrupted, ["one"])
    }))

  test("a client that ends interrupts its handlers at once", ({ client, server }) =>
    Effect.gen(function*() {
      const { handled } = yield* server()
      const { client: group, end } = yield* client()
      yield* Effect.forkChild(Effect.exit(group.Wait({ name: "one" })))
      yield* until(handled, () => handled.ran.includes("one"))
      yield* end
      yield* until(handled, () => handled.interrupted.includes("one"))
    }))
})

/** A test with the scripted broker, under TestClock. */
const test = (name: string, version: 4 | 5, body: (world: World) => Effect.Effect<void, unknown, never>) =>
  it.effect(name, () =>
    Effect.flatMap(makeWorld(version), body).pipe(
      Effect.provide(scripted()),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))

/** Time passes while the scope ends, because sessions without a connection wait for one. */
const scopedly =
  (body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) => (world: World): Effect.Effect<void, unknown> =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(Scope.provide(body(world), scope))
      const closing = yield* Effect.forkChild(Scope.close(scope, exit))
      while (closing.pollUnsafe() === undefined) yield* pass(1)
      yield* exit
    })

/** Lets time pass in small steps, so that what follows from each can happen. */
const pass = (seconds: number): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: seconds * 4 }),
    () => Effect.andThen(TestClock.adjust("250 millis"), settle),
    { discard: true }
  )

const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.promise(() => new Promise(setImmediate)), {
  discard: true
})

describe.each([4, 5] as const)("MQTT %s", (version) => {
  test(
    "a server without a connection fails its calls with unanswered, in bounded time",
    version,
    scopedly(({ broker, client, server }) =>
      Effect.gen(function*() {
        const { handled, session } = yield* server()
        const { client: group } = yield* client()
        const waiting = yield* Effect.forkChild(failureOf(group.Wait({ name: "one" })))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* broker!.goSilent((yield* session.status).clientId)
        yield* pass(14)
        assert.isUndefined(waiting.pollUnsafe())
        yield* pass(12)
        const error = yield* Fiber.join(waiting)
        assert.strictEqual(error.kind, "unanswered")
        assert.isTrue(error.mayHaveRun)
      })
    )
  )

  test(
    "a client that is silent has its handlers interrupted, in bounded time",
    version,
    scopedly(({ broker, client, server }) =>
      Effect.gen(function*() {
        const { handled } = yield* server()
        const { client: group, session } = yield* client()
        yield* Effect.forkChild(Effect.exit(group.Wait({ name: "one" })))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* broker!.goSilent((yield* session.status).clientId)
        yield* pass(26)
        assert.deepStrictEqual(handled.interrupted, ["one"])
      })
    )
  )

  test(
    "a call that takes long is confirmed by heartbeats, and answered",
    version,
    scopedly(({ client, server }) =>
      Effect.gen(function*() {
        const { handled } = yield* server()
        const { client: group } = yield* client()
        const waiting = yield* Effect.forkChild(group.Wait({ name: "long" }))
        yield* until(handled, () => handled.ran.includes("long"))
        yield* pass(120)
        assert.isUndefined(waiting.pollUnsafe())
        handled.waits.get("long")!()
        assert.strictEqual(yield* Fiber.join(waiting), "long")
      })
    )
  )

  test(
    "the will of a server fails its calls with serverGone after the grace, and one that comes back keeps them",
    version,
    scopedly(({ broker, client, prefix, server }) =>
      Effect.gen(function*() {
        const will = MqttRpcServer.will(prefix, "the server")
        const { handled, session } = yield* server({}, {
          session: { clientId: "the server", will, reconnect: { initialDelay: "1 second", jitter: "none" } }
        })
        const { client: group } = yield* client({ willGrace: "3 seconds" })
        const waiting = yield* Effect.forkChild(failureOf(group.Wait({ name: "one" })))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* pass(6)
        yield* broker!.cut("the server")
        yield* pass(6)
        assert.isTrue((yield* session.status).ready)
        assert.isUndefined(waiting.pollUnsafe(), "it came back within the grace")
        yield* broker!.refuseConnect(version === 5 ? 0x88 : 3, { clientId: "the server" })
        yield* broker!.cut("the server")
        yield* pass(2)
        assert.isUndefined(waiting.pollUnsafe())
        yield* pass(2)
        assert.strictEqual((yield* Fiber.join(waiting)).kind, "serverGone")
      })
    )
  )

  test(
    "the will of a client interrupts its handlers after the grace",
    version,
    scopedly(({ broker, client, prefix, server }) =>
      Effect.gen(function*() {
        const { handled } = yield* server({ willGrace: "3 seconds" })
        const will = MqttRpcClient.will(prefix, "the/client")
        const { client: group } = yield* client({}, { clientId: "the/client", will })
        yield* Effect.forkChild(Effect.exit(group.Wait({ name: "one" })))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* pass(6)
        yield* broker!.refuseConnect(version === 5 ? 0x88 : 3, { clientId: "the/client" })
        yield* broker!.cut("the/client")
        yield* pass(2)
        assert.deepStrictEqual(handled.interrupted, [])
        yield* pass(2)
        assert.deepStrictEqual(handled.interrupted, ["one"])
      })
    )
  )

  test(
    "a call without any server fails",
    version,
    scopedly(({ client }) =>
      Effect.gen(function*() {
        const { client: group } = yield* client()
        const calling = yield* Effect.forkChild(failureOf(group.Add({ a: 1, b: 2 })))
        yield* settle
        // Only MQTT 5 says at once that there is none.
        if (version === 4) yield* pass(26)
        const error = yield* Fiber.join(calling)
        assert.strictEqual(error.kind, version === 5 ? "noServer" : "unanswered")
        assert.strictEqual(error.mayHaveRun, version === 4)
      })
    )
  )

  test(
    "calls go through cut connections of either side, and are answered once",
    version,
    scopedly(({ broker, client, server }) =>
      Effect.gen(function*() {
        const persistence = "process"
        const { handled, session: serving } = yield* server({}, { session: { persistence } })
        const { client: group, session: calling } = yield* client({}, { persistence })
        const waiting = yield* Effect.forkChild(group.Wait({ name: "one" }))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* broker!.cut((yield* serving.status).clientId)
        yield* broker!.cut((yield* calling.status).clientId)
        handled.waits.get("one")!()
        yield* pass(3)
        assert.strictEqual(yield* Fiber.join(waiting), "one")
        assert.deepStrictEqual(handled.ran, ["one"])
      })
    )
  )

  test(
    "a response that is lost with the session of the client fails its call, in bounded time",
    version,
    scopedly(({ broker, client, server }) =>
      Effect.gen(function*() {
        const { handled } = yield* server()
        const { client: group, session } = yield* client({}, {
          persistence: "none",
          reconnect: { initialDelay: "2 seconds", jitter: "none" }
        })
        const waiting = yield* Effect.forkChild(failureOf(group.Wait({ name: "one" })))
        yield* until(handled, () => handled.ran.includes("one"))
        yield* pass(6)
        yield* broker!.cut((yield* session.status).clientId)
        yield* pass(1)
        handled.waits.get("one")!()
        yield* pass(5)
        assert.isTrue((yield* session.status).ready)
        assert.isUndefined(waiting.pollUnsafe())
        yield* pass(20)
        const error = yield* Fiber.join(waiting)
        assert.strictEqual(error.kind, "unanswered")
        assert.strictEqual(yield* group.Add({ a: 1, b: 2 }), 3)
      })
    )
  )

  test(
    "an acknowledgement that is lost fails its stream, in bounded time",
    version,
    scopedly(({ broker, client, server }) =>
      Effect.gen(function*() {
        const { handled } = yield* server()
        const { client: group } = yield* client()
        yield* broker!.inject(Fault.discard({
          direction: "received",
          packet: "Publish",
          where: (packet) => {
            if (packet._tag !== "Publish") return false
            const content = decode(packet.payload)
            return content?._tag === "Part" && content.kind === "ack" && content.sequence === 3
          }
        }))
        const error = yield* Effect.forkChild(failureOf(Stream.runDrain(group.Slow({ to: 100 }))))
        yield* until(handled, () => handled.produced >= 3)
        yield* pass(40)
        assert.strictEqual((yield* Fiber.join(error)).kind, "lost")
        assert.deepStrictEqual(handled.interrupted, ["Slow"])
      })
    )
  )

  test(
    "calls of a client that has ended fail at once",
    version,
    scopedly(({ client, server }) =>
      Effect.gen(function*() {
        yield* server()
        const { client: group, session } = yield* client()
        yield* session.drain
        const exit = yield* Effect.exit(group.Add({ a: 1, b: 2 }))
        assert.isTrue(Exit.isFailure(exit))
      })
    )
  )
})
