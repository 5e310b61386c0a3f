/**
 * Atoms of a user interface that query a server behind a broker: Effect's `AtomRpc` over the protocol of this package.
 */
import { MqttRpcClient } from "@effect-mqttx/rpc"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AtomRegistry, AtomRpc } from "effect/reactivity"
import { RpcClient } from "effect/rpc"
import { Group, makeWorld, scripted, serializations } from "./support.ts"

it.live("an atom queries a server", () =>
  Effect.scoped(Effect.gen(function*() {
    const { prefix, server, session } = yield* makeWorld(5)
    yield* server()
    const calling = yield* session()
    class Press extends AtomRpc.Service<Press>()("Press", {
      group: Group,
      protocol: Layer.effect(RpcClient.Protocol, MqttRpcClient.make(calling, { prefix })).pipe(
        Layer.provide(serializations.binary)
      )
    }) {}
    const registry = yield* Effect.acquireRelease(
      Effect.sync(() => AtomRegistry.make()),
      (each) => Effect.sync(() => each.dispose())
    )
    assert.strictEqual(yield* AtomRegistry.getResult(registry, Press.query("Add", { a: 1, b: 2 })), 3)
  })).pipe(Effect.provide(scripted())))
