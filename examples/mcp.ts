/**
 * An MCP server behind a broker: `tsc -b examples && node examples/dist/mcp.js`.
 *
 * A machine offers a tool by Effect's `McpServer`, over MQTT instead of HTTP. A program lists the tools and calls one.
 */
import { MqttSession } from "@effect-mqttx/core"
import { MqttRpcClient, MqttRpcServer } from "@effect-mqttx/rpc"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { McpProtocol, McpSchema, McpServer, Tool, Toolkit } from "effect/ai"
import { RpcClient, RpcSerialization } from "effect/rpc"

const Tools = Toolkit.make(
  Tool.make("Heat", {
    description: "Heats the press",
    parameters: Schema.Struct({ celsius: Schema.Number }),
    success: Schema.String
  })
)

const session = (name: string) => MqttSession.layer({ name, servers: [ScriptedBroker.memoryUrl] })

// MCP is JSON-RPC.
const serialization = RpcSerialization.layerJsonRpc()

const Press = McpServer.layer({
  name: "press",
  version: "1.0.0",
  protocols: [McpProtocol.v2025_11_25],
  registrations: McpServer.toolkit(Tools).pipe(
    Layer.provide(Tools.toLayer({ Heat: ({ celsius }) => Effect.succeed(`heated to ${celsius} degrees`) }))
  )
}).pipe(
  Layer.provide(MqttRpcServer.layer({ prefix: "machines/press" })),
  Layer.provide(serialization),
  Layer.provide(session("press"))
)

const Caller = MqttRpcClient.layer({ prefix: "machines/press" }).pipe(
  Layer.provide(serialization),
  Layer.provide(session("assistant"))
)

const program = Effect.gen(function*() {
  const client = yield* RpcClient.make(McpSchema.ClientRequestRpcs)
  const { serverInfo } = yield* client.initialize({
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "assistant", version: "1.0.0" }
  })
  const { tools } = yield* client["tools/list"]({})
  yield* Effect.log(`${serverInfo.name} has the tools ${tools.map(({ name }) => name).join(", ")}`)
  const result = yield* client["tools/call"]({ name: "Heat", arguments: { celsius: 60 } })
  yield* Effect.log(JSON.stringify(result))
})

// The broker is in the same process, and in memory.
NodeRuntime.runMain(
  program.pipe(
    Effect.scoped,
    Effect.provide(Layer.provideMerge(Caller, Press)),
    Effect.provide(ScriptedBroker.layerMemory())
  )
)
