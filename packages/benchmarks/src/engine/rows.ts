/**
 * What the code of a client costs without the operating system: a session and MQTT.js over the same server in memory,
 * in turns of 1, 2, 4, 16 and 64 packets. Brokers write packet by packet, so a turn often carries few of them.
 */
import { resultOf } from "../harness/child.ts"
import { type Parts, type Row, sidesOf, type Source } from "../harness/model.ts"
import type { EngineRequest, EngineResult } from "./contract.ts"

const sidePath = new URL("./side.js", import.meta.url)

type Use = Pick<EngineRequest, "aliases" | "direction" | "qos" | "turn">

const sourceOf = (client: EngineRequest["client"], use: Use): Source => ({
  name: `${client === "raw" ? "MQTT.js" : client}, ${use.direction} QoS ${use.qos}, turns of ${use.turn}` +
    (use.aliases === undefined ? "" : `, topic aliases ${use.aliases.topicAliases} of ${use.aliases.maximum}`),
  measure: async ({ nodeOptions, payloadBytes, protocolVersion, seconds, warmUp }): Promise<Parts> => {
    const request: EngineRequest = { client, ...use, payloadBytes, protocolVersion, seconds, warmUp }
    const { bytes, cpu, perCpu } = await resultOf<EngineResult>(sidePath, request, { nodeOptions })
    return { perCpu: { value: perCpu, cpu }, bytes: { value: bytes, cpu } }
  }
})

/** The same publishes to eight topics of 60 bytes, with automatic topic aliases and without. */
const aliasRows = ([0, 1] as const).flatMap((qos) =>
  [0, 10].flatMap((maximum): ReadonlyArray<Row> => {
    const use = (topicAliases: "auto" | "explicit"): Use => ({
      direction: "publish",
      qos,
      turn: 16,
      aliases: { topicAliases, maximum }
    })
    const sources = [
      { role: "ours", name: "auto", source: sourceOf("session", use("auto")) },
      { role: "other", name: "explicit", source: sourceOf("session", use("explicit")) }
    ] as const
    const title = `publish QoS ${qos} to long topics, ${maximum} topic aliases`
    const cpu: Row = {
      id: `engine.aliases.qos${qos}.${maximum}`,
      title,
      unit: "msg/CPU s",
      better: "higher",
      sides: sidesOf(sources, "perCpu")
    }
    if (maximum === 0) return [cpu]
    return [cpu, {
      id: `engine.aliases.qos${qos}.${maximum}.bytes`,
      title: `${title}: bytes of a message`,
      unit: "B",
      better: "lower",
      sides: sidesOf(sources, "bytes")
    }]
  })
)

const turnRows: ReadonlyArray<Row> = (["receive", "publish"] as const).flatMap((direction) =>
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

export const rows: ReadonlyArray<Row> = [...turnRows, ...aliasRows]
