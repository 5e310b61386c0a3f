/**
 * Ports of servers: nothing else may have them when a server starts, and when it starts again.
 */
import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Net from "node:net"
import { freePorts, listenFree } from "../src/internal/node/freePorts.ts"

/** What Linux gives to connections begins here, and elsewhere it begins later. */
const firstOfConnections = 32_768

const listening = (port: number): Effect.Effect<Net.Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer()
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

describe("the ports of servers", () => {
  it.live("are all different, and none of those that connections get", () =>
    Effect.gen(function*() {
      const ports = [...(yield* freePorts(50)), ...(yield* freePorts(50))]
      assert.strictEqual(new Set(ports).size, 100)
      const brokers = [
        yield* ScriptedBroker.make({ webSocket: true }),
        yield* AedesBroker.make({ webSocket: true }),
        ...(MosquittoBroker.isPresent() ? [yield* MosquittoBroker.make({ webSocket: true })] : [])
      ]
      for (const { ports: { tcp, ws } } of brokers) ports.push(tcp!, ws!)
      for (const port of ports) assert.isBelow(port, firstOfConnections)
    }))

  it.live("are others when something listens on the first choice", () =>
    Effect.gen(function*() {
      const server = (): Effect.Effect<Net.Server, never, Scope.Scope> =>
        Effect.acquireRelease(
          Effect.sync(() => Net.createServer()),
          (server) => Effect.sync(() => server.close())
        )
      const taken = yield* listenFree(yield* server())
      // As in another process, which does not know what this one has.
      vi.resetModules()
      const other = yield* Effect.promise(() => import("../src/internal/node/freePorts.ts"))
      const random = vi.spyOn(Math, "random").mockReturnValueOnce((taken - 15_000 + 0.5) / 17_000)
      yield* Effect.addFinalizer(() => Effect.sync(() => random.mockRestore()))
      const second = yield* server()
      const port = yield* other.listenFree(second)
      assert.notStrictEqual(port, taken)
      assert.strictEqual((second.address() as Net.AddressInfo).port, port)
    }))

  it.live.skipIf(!MosquittoBroker.isPresent())(
    "are refused to a server while another one has them",
    () =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        yield* broker.stop
        const error = yield* Effect.scoped(
          Effect.andThen(listening(broker.ports.tcp!), Effect.flip(broker.start))
        )
        assert.include(error.detail, "EADDRINUSE")
        // What has them for a moment only, as a program that looks for a free port, is no obstacle.
        const moment = yield* Scope.make()
        yield* Scope.provide(listening(broker.ports.tcp!), moment)
        yield* Effect.forkChild(Effect.delay(Scope.close(moment, Exit.void), 100))
        yield* broker.start
        yield* broker.restart
      })
  )
})
