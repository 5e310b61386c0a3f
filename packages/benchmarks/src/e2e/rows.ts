/**
 * From one client through a real mosquitto to another one. The processor time is that of both clients.
 */
import type { Row } from "../harness/model.ts"
import { mosquittoClients, networkSource } from "./source.ts"

export const rows: ReadonlyArray<Row> = ([0, 1, 2] as const).flatMap((qos) =>
  [20, 256].map((payloadBytes): Row => {
    const conditions = { network: "tcp" as const, qos, payloadBytes }
    return {
      id: `e2e.qos${qos}.${payloadBytes}`,
      title: `end to end QoS ${qos}, ${payloadBytes} B`,
      unit: "msg/s",
      better: "higher",
      sides: [
        { role: "ours", name: "session", source: networkSource("session", conditions), part: "rate" },
        { role: "other", name: "MQTT.js", source: networkSource("raw", conditions), part: "rate" },
        { role: "limit", name: "bare sockets", source: networkSource("socket", conditions), part: "rate" },
        { role: "c", name: "mosquitto_pub, mosquitto_sub", source: mosquittoClients(conditions), part: "rate" }
      ]
    }
  })
)
