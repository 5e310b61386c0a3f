/**
 * What the code of a client costs without the operating system: a session and MQTT.js over the same server in memory,
 * in turns of 1, 2, 4, 16 and 64 packets. Brokers write packet by packet, so a turn often carries few of them.
 */
import { resultOf } from "../harness/child.ts"
import type { Parts, Row, Source } from "../harness/model.ts"
import type { EngineRequest, EngineResult } from "./contract.ts"

const sidePath = new URL("./side.js", import.meta.url)

type Use = Pick<EngineRequest, "direction" | "qos" | "turn">

const sourceOf = (client: EngineRequest["client"], use: Use): Source => ({
  name: `${client === "raw" ? "MQTT.js" : client}, ${use.direction} QoS ${use.qos}, turns of ${use.turn}`,
  measure: async ({ nodeOptions, payloadBytes, protocolVersion, seconds, warmUp }): Promise<Parts> => {
    const request: EngineRequest = { client, ...use, payloadBytes, protocolVersion, seconds, warmUp }
    const { cpu, perCpu } = await resultOf<EngineResult>(sidePath, request, { nodeOptions })
    return { perCpu: { value: perCpu, cpu } }
  }
})

export const rows: ReadonlyArray<Row> = (["receive", "publish"] as const).flatMap((direction) =>
  ([0, 1] as const).flatMap((qos) =>
    [1, 2, 4, 16, 64].map((turn): Row => ({
      id: `engine.${direction}.qos${qos}.${turn}`,
      title: `${direction} QoS ${qos} in memory, ${turn} a turn`,
      unit: "msg/CPU s",
      better: "higher",
      sides: [
        {
          role: "ours",
          name: "session",
          source: sourceOf("session", { direction, qos, turn }),
          part: "perCpu"
        },
        { role: "other", name: "MQTT.js", source: sourceOf("raw", { direction, qos, turn }), part: "perCpu" }
      ]
    }))
  )
)
