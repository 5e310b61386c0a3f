/**
 * The transport to a scripted broker in the same process.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type { ByteStream, Transport } from "@effect-mqttx/core/Transport"
import * as Effect from "effect/Effect"
import type { BrokerEndpoints } from "../../BrokerEndpoints.ts"
import type { Accept } from "./listening.ts"
import { makePair } from "./memoryNetwork.ts"

/** See `ScriptedBroker.memoryUrl`. */
export const memoryUrl = "mqtt://memory.invalid:1883"

export const memoryEndpoints: BrokerEndpoints = { url: memoryUrl, urls: { tcp: memoryUrl }, ports: {} }

export const memoryTransport = (accept: Accept): Transport => ({
  open: (request, handlers) =>
    Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<ByteStream, MqttError> => {
        const [client, server] = makePair()
        const { protocol } = request.address
        const accepted = accept(server, "memory", protocol === "ws" || protocol === "wss")
        if (accepted === undefined) {
          const reason = new ConnectionRefused({
            server: ServerAddress.format(request.address),
            code: "ECONNREFUSED"
          })
          return Effect.fail(new MqttError({ reason }))
        }
        server.attach(accepted)
        client.attach(handlers)
        return Effect.succeed(client)
      }),
      (stream) => Effect.sync(() => stream.destroy())
    )
})
