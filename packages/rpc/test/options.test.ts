/**
 * Options and arguments that are wrong: each is named, and nothing is subscribed to.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { MqttRpcClient, MqttRpcError, MqttRpcServer } from "@effect-mqttx/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, type Scope } from "effect"
import type { RpcSerialization } from "effect/rpc"
import { makeWorld, scripted, serializations } from "./support.ts"

const wrong: ReadonlyArray<readonly [path: string, value: unknown]> = [
  ["prefix", 5],
  ["prefix", ""],
  ["prefix", "a/+/b"],
  ["prefix", "a/"],
  ["prefix", "$share/a"],
  ["prefix", "a".repeat(1025)],
  ["qos", 0],
  ["partSize", 0],
  ["partSize", 100.5],
  ["maxMessageSize", -1],
  ["maxBufferedBytes", Infinity],
  ["heartbeatInterval", "soon"],
  ["livenessTimeout", 0],
  ["livenessTimeout", "9 seconds"],
  ["willGrace", null],
  ["nothing", 1]
]

const ofServers: ReadonlyArray<readonly [path: string, value: unknown]> = [
  ["share", ""],
  ["share", "a/b"],
  ["maxCalls", 0],
  ["maxClients", "many"]
]

const pathsOf = (error: MqttError): ReadonlyArray<string> => {
  assert.strictEqual(error.reason._tag, "InvalidOptions")
  return error.reason._tag === "InvalidOptions" ? error.reason.issues.map(({ path }) => path) : []
}

const refusal = (side: "client" | "server", session: unknown, options: unknown) => {
  const making: Effect.Effect<unknown, MqttError, RpcSerialization.RpcSerialization | Scope.Scope> = side === "client"
    ? MqttRpcClient.make(session as never, options as never)
    : MqttRpcServer.make(session as never, options as never)
  return Effect.map(Effect.flip(making), pathsOf).pipe(Effect.provide(serializations.json))
}

describe("wrong options", () => {
  it.effect("are each refused by name", () =>
    Effect.scoped(Effect.gen(function*() {
      const { broker, session } = yield* makeWorld(5)
      const own = yield* session()
      for (const [path, value] of wrong) {
        for (const side of ["client", "server"] as const) {
          assert.deepStrictEqual(yield* refusal(side, own, { prefix: "a", [path]: value }), [path], `${path} ${value}`)
        }
      }
      for (const [path, value] of ofServers) {
        assert.deepStrictEqual(
          yield* refusal("server", own, { prefix: "a", [path]: value }),
          [path],
          `${path} ${value}`
        )
      }
      assert.isNotEmpty(yield* refusal("client", own, undefined))
      assert.deepStrictEqual(yield* refusal("client", own, {}), ["prefix"])
      assert.deepStrictEqual(yield* refusal("server", {}, { prefix: "a" }), ["session"])
      assert.deepStrictEqual(yield* refusal("client", undefined, { prefix: "a" }), ["session"])
      assert.deepStrictEqual(broker!.received("Subscribe"), [])
    })).pipe(Effect.provide(scripted())))
})

describe("the error of a call", () => {
  it("is found in no other value", () => {
    for (const value of [undefined, null, 5, {}, { reason: 5 }, { reason: { _tag: "RpcClientDefect" } }]) {
      assert.isTrue(Option.isNone(MqttRpcError.fromClientError(value as never)))
    }
  })
})

describe("a will", () => {
  it("has the client identifier as one level", () => {
    assert.strictEqual(MqttRpcServer.will("a/b", "c/d+").topic, "a/b/presence/servers/c%2fd%2b")
    assert.strictEqual(MqttRpcClient.will("a/b", "c").topic, "a/b/presence/clients/c")
  })
})
