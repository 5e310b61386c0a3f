/**
 * Messages a second of a session and of MQTT.js, both with their default options, on the same scripted peer.
 *
 * Received at QoS 0 counts what the consumer handled, received at QoS 1 the PUBACKs at the peer, published the PUBLISH
 * packets at the peer. Nothing may be lost: streams take QoS 0 with `onOverflow: "suspend"`, because MQTT.js stops
 * reading too. After each run both accounts must agree to the message. Of several ways to use MQTT.js the fastest
 * counts.
 */
import type { Row, Side } from "../harness/model.ts"
import type { Mode, Side as SideRequest } from "./contract.ts"
import { nameOf, sideSource } from "./source.ts"

const sideOf = (client: SideRequest["client"], mode: Mode, qos: 0 | 1, outstanding = 0): Side => {
  const request: SideRequest = { client, mode, qos, outstanding }
  const role = client === "session" ? "ours" : client === "raw" ? "other" : "limit"
  return { role, name: nameOf(request), source: sideSource(request), part: "rate" }
}

const promise = { atLeast: 2 }
/** QoS 0 does not wait, so that the number of those who publish at once hardly matters; MQTT.js becomes slower. */
const publishPromises = { 0: [{ atLeast: 4 }, { atLeast: 6 }], 1: [promise, promise] } as const

const rowsOf = (qos: 0 | 1): ReadonlyArray<Row> => {
  const unit = "msg/s"
  const better = "higher"
  const session = (mode: Mode, outstanding = 0): Side => sideOf("session", mode, qos, outstanding)
  const onMessage = [sideOf("raw", "onMessage", qos), sideOf("socket", "receive", qos)]
  const hundred = [sideOf("raw", "callback", qos, 100), sideOf("raw", "async", qos, 100)]
  const thousand = [sideOf("raw", "callback", qos, 1000), sideOf("raw", "async", qos, 1000)]
  const limit = sideOf("socket", "send", qos, 1000)
  // At QoS 1 the round trip bounds a hundred at a time, of whatever client.
  const limitOfHundred = qos === 0 ? limit : sideOf("socket", "send", qos, 100)
  // Nothing awaits the outcome: what QoS 0 allows, and what a bulk of messages competes with.
  const bare = qos === 0 ? [sideOf("raw", "bare", qos, 100)] : []
  return [
    {
      id: `session.receive.qos${qos}.batches`,
      title: `receive QoS ${qos}, in batches`,
      unit,
      better,
      promise,
      sides: [session("batches"), ...onMessage]
    },
    {
      id: `session.receive.qos${qos}.messages`,
      title: `receive QoS ${qos}, one by one`,
      unit,
      better,
      promise,
      sides: [session("messages"), ...onMessage]
    },
    {
      id: `session.publishAll.qos${qos}`,
      title: `publishAll QoS ${qos}`,
      unit,
      better,
      promise,
      sides: [session("publishAll"), ...hundred, ...thousand, ...bare, limit]
    },
    {
      id: `session.publish.qos${qos}.100`,
      title: `publish QoS ${qos}, 100 at a time`,
      unit,
      better,
      promise: publishPromises[qos][0],
      sides: [session("publish", 100), ...hundred, limitOfHundred]
    },
    {
      id: `session.publish.qos${qos}.1000`,
      title: `publish QoS ${qos}, 1000 at a time`,
      unit,
      better,
      promise: publishPromises[qos][1],
      sides: [session("publish", 1000), ...thousand, limit]
    }
  ]
}

/**
 * What a flight record of 4 MiB costs: the same session with it and without, by processor time. The best runs count,
 * because the difference is smaller than what other programs of the machine take.
 */
const recorderRows = ([0, 1] as const).flatMap((qos) =>
  (["messages", "publish"] as const).map((mode): Row => {
    const side: SideRequest = { client: "session", mode, qos, outstanding: mode === "publish" ? 100 : 0 }
    const recorded: SideRequest = { ...side, flightRecorder: 4_194_304 }
    return {
      id: `session.recorder.${mode}.qos${qos}`,
      title: `flight record, ${mode === "publish" ? "publish" : "receive"} QoS ${qos}`,
      unit: "msg/CPU s",
      better: "higher",
      statistic: "best",
      sides: [
        { role: "ours", name: "recorded", source: sideSource(recorded), part: "perCpu" },
        { role: "other", name: "session", source: sideSource(side), part: "perCpu" }
      ]
    }
  })
)

export const rows: ReadonlyArray<Row> = [...rowsOf(0), ...rowsOf(1), ...recorderRows]
