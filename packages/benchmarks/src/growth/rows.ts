/**
 * What a message costs when there is more of something: filters, streams, bytes, layers of the network.
 */
import { type NetworkCase, networkSource } from "../e2e/source.ts"
import type { Row, Side } from "../harness/model.ts"
import type { Side as SideRequest } from "../session/contract.ts"
import { nameOf, sideSource } from "../session/source.ts"

const unit = "msg/s"
const better = "higher"

const receive: SideRequest = { client: "session", mode: "batches", qos: 0, outstanding: 0 }
const receiveRaw: SideRequest = { client: "raw", mode: "onMessage", qos: 0, outstanding: 0 }

const sideOf = (request: SideRequest, name = nameOf(request)): Side => ({
  role: request.client === "session" ? "ours" : request.client === "raw" ? "other" : "limit",
  name,
  source: sideSource(request),
  part: "rate"
})

const ten = sideOf({ ...receive, idleFilters: 9 })

/** Among more filters, compared with the same session with ten. */
const routing: ReadonlyArray<Row> = [10, 1000, 100_000].map((filters) => ({
  id: `growth.routing.${filters}`,
  title: `receive QoS 0 among ${filters.toLocaleString("en")} filters`,
  unit,
  better,
  sides: [
    filters === 10 ? ten : sideOf({ ...receive, idleFilters: filters - 1 }),
    ...(filters === 10 ? [] : [{ ...ten, role: "other" as const, name: "among 10 filters" }])
  ]
}))

/** MQTT.js has listeners where a session has streams. */
const fanOut: ReadonlyArray<Row> = [1, 10, 100].map((streams) => ({
  id: `growth.fanOut.${streams}`,
  title: `receive QoS 0, each message to ${streams} ${streams === 1 ? "stream" : "streams"}`,
  unit,
  better,
  sides: [sideOf({ ...receive, streams }), sideOf({ ...receiveRaw, streams })]
}))

const sizes = [
  [20, "20 B"],
  [256, "256 B"],
  [4096, "4 KiB"],
  [65_536, "64 KiB"],
  [1_048_576, "1 MiB"],
  [10_000_000, "10 MB"]
] as const

const payloads: ReadonlyArray<Row> = sizes.flatMap(([payloadBytes, size]): ReadonlyArray<Row> => [
  {
    id: `growth.payload.receive.${payloadBytes}`,
    title: `receive QoS 0, ${size}`,
    unit,
    better,
    sides: [
      sideOf({ ...receive, payloadBytes }),
      sideOf({ ...receiveRaw, payloadBytes }),
      sideOf({ client: "socket", mode: "receive", qos: 0, outstanding: 0, payloadBytes })
    ]
  },
  {
    id: `growth.payload.publish.${payloadBytes}`,
    title: `publishAll QoS 0, ${size}`,
    unit,
    better,
    sides: [
      sideOf({ client: "session", mode: "publishAll", qos: 0, outstanding: 0, payloadBytes }),
      sideOf({ client: "raw", mode: "bare", qos: 0, outstanding: payloadBytes > 100_000 ? 1 : 100, payloadBytes }),
      sideOf({ client: "socket", mode: "send", qos: 0, outstanding: 0, payloadBytes })
    ]
  }
])

const networks: ReadonlyArray<readonly [network: NetworkCase["network"], name: string]> = [
  ["tcp", "TCP"],
  ["tls", "TLS"],
  ["ws", "WebSocket"],
  ["wss", "WebSocket over TLS"]
]

const overNetworks: ReadonlyArray<Row> = networks.flatMap(([network, name]) =>
  ([0, 1] as const).map((qos): Row => {
    const conditions = { network, qos, payloadBytes: 256 }
    return {
      id: `growth.network.${network}.qos${qos}`,
      title: `end to end QoS ${qos}, 256 B, ${name}`,
      unit,
      better,
      sides: [
        { role: "ours", name: "session", source: networkSource("session", conditions), part: "rate" },
        { role: "other", name: "MQTT.js", source: networkSource("raw", conditions), part: "rate" },
        ...(network === "ws" || network === "wss" ? [] : [
          { role: "limit" as const, name: "bare sockets", source: networkSource("socket", conditions), part: "rate" }
        ])
      ]
    }
  })
)

export const rows: ReadonlyArray<Row> = [...routing, ...fanOut, ...payloads, ...overNetworks]
