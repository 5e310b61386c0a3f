/**
 * Typed calls to a device behind a broker: `tsc -b examples && node examples/dist/rpc.js`.
 *
 * A machine serves calls and a stream, without an open port. A program calls it, reads the stream and leaves it early.
 * Then the machine ends, and the program gets a typed error.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MqttRpcClient, MqttRpcError, MqttRpcServer } from "@effect-mqttx/rpc"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"

class TooHot extends Schema.TaggedError<TooHot>()("TooHot", { limit: Schema.Finite }) {}

class Machine extends RpcGroup.make(
  Rpc.make("Heat", { payload: { celsius: Schema.Finite }, success: Schema.Finite, error: TooHot }),
  Rpc.make("Temperatures", { success: Schema.Finite, stream: true }),
  Rpc.make("Repair", { success: Schema.Void })
) {}

let temperature = 20

const handlers = Machine.toLayer({
  Heat: ({ celsius }) =>
    Effect.suspend(() => {
      if (celsius > 90) return Effect.fail(new TooHot({ limit: 90 }))
      temperature = celsius
      return Effect.succeed(temperature)
    }),
  Temperatures: () =>
    Stream.tick("20 millis").pipe(
      Stream.map(() => temperature++),
      Stream.onExit(() => Effect.log("the machine stops measuring"))
    ),
  Repair: () => Effect.never
})

const options = { prefix: "machines/press" }

// Both sides must use the same serialization; layerJson can be read in a broker's log.
const serialization = RpcSerialization.layerSchemaBinary()

const session = (name: string) =>
  MqttSession.layer({
    name,
    clientId: name,
    servers: [ScriptedBroker.memoryUrl],
    // Tells clients that the machine has lost its power.
    ...(name === "press" ? { will: MqttRpcServer.will(options.prefix, name) } : undefined)
  })

const Press = RpcServer.layer(Machine, { disableFatalDefects: true }).pipe(
  Layer.provide(handlers),
  Layer.provide(MqttRpcServer.layer(options)),
  Layer.provide(serialization),
  Layer.provide(session("press"))
)

const Caller = MqttRpcClient.layer(options).pipe(Layer.provide(serialization), Layer.provide(session("caller")))

const program = Effect.gen(function*() {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(Press, scope)
  const press = yield* RpcClient.make(Machine)

  yield* Effect.log(`heated to ${yield* press.Heat({ celsius: 60 })} degrees`)
  yield* press.Heat({ celsius: 200 }).pipe(
    Effect.catchTag("TooHot", ({ limit }) => Effect.log(`it refuses more than ${limit} degrees`))
  )
  const some = yield* press.Temperatures().pipe(Stream.take(5), Stream.runCollect)
  yield* Effect.log(`temperatures: ${some.join(", ")}`)

  const repairing = yield* Effect.forkChild(Effect.flip(press.Repair()))
  yield* Effect.sleep("100 millis")
  yield* Scope.close(scope, Exit.void)
  const error = Option.getOrThrow(MqttRpcError.fromClientError(yield* Fiber.join(repairing)))
  yield* Effect.log(`the repair ended: ${error.kind}, may have run: ${error.mayHaveRun}`)
}).pipe(Effect.scoped, Effect.provide(Caller))

// The broker is in the same process, and in memory.
NodeRuntime.runMain(program.pipe(Effect.provide(ScriptedBroker.layerMemory())))
