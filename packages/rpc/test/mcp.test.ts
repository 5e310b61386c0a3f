/**
 * An MCP server behind a broker: Effect's `McpServer` over the protocol of this package.
 */
import { MqttRpcClient, MqttRpcServer } from "@effect-mqttx/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { McpProtocol, McpSchema, McpServer, Tool, Toolkit } from "effect/ai"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { makeWorld, scripted } from "./support.ts"

const Tools = Toolkit.make(
  Tool.make("Heat", {
    description: "Heats the press",
    parameters: Schema.Struct({ celsius: Schema.Number }),
    success: Schema.String
  })
)

const registrations = McpServer.toolkit(Tools).pipe(
  Layer.provide(Tools.toLayer({ Heat: ({ celsius }) => Effect.succeed(`heated to ${celsius}`) }))
)

describe.each([4, 5] as const)("MQTT %s", (version) => {
  it.live("an MCP server lists its tools, and a client of it calls one", () =>
    Effect.scoped(Effect.gen(function*() {
      const { prefix, session } = yield* makeWorld(version)
      const serving = yield* session()
      yield* Layer.build(
        McpServer.layer({
          name: "press",
          version: "1.0.0",
          protocols: [McpProtocol.v2025_11_25],
          registrations
        }).pipe(
          Layer.provide(Layer.effect(RpcServer.Protocol, MqttRpcServer.make(serving, { prefix }))),
          Layer.provide(RpcSerialization.layerJsonRpc())
        )
      )
      const calling = yield* session()
      const protocol = yield* MqttRpcClient.make(calling, { prefix }).pipe(
        Effect.provide(RpcSerialization.layerJsonRpc())
      )
      const client = yield* RpcClient.make(McpSchema.ClientRequestRpcs).pipe(
        Effect.provideService(RpcClient.Protocol, protocol)
      )
      const { serverInfo } = yield* client.initialize({
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "test", version: "1.0.0" }
      })
      assert.strictEqual(serverInfo.name, "press")
      yield* protocol.send(0, {
        _tag: "Request",
        id: "initialized",
        tag: "notifications/initialized",
        payload: undefined,
        headers: [],
        isNotification: true
      })
      const { tools } = yield* client["tools/list"]({})
      assert.deepStrictEqual(tools.map(({ name }) => name), ["Heat"])
      const result = yield* client["tools/call"]({ name: "Heat", arguments: { celsius: 60 } })
      assert.include(JSON.stringify(result), "heated to 60")
    })).pipe(Effect.provide(scripted())))
})
