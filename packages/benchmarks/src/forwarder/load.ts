/**
 * The load of the forwarder rows, in a process of its own: publishes to one broker, receives from the other, and keeps
 * the number of messages on their way constant. Bare sockets and ready-made bytes, so that it is never the slowest
 * part.
 *
 * Arguments: the two ports, quality of service, bytes of a payload, messages on their way, seconds of warm-up and of
 * measurement.
 */
import { sleep } from "../harness/child.ts"
import { topics } from "../session/contract.ts"
import { WireClient } from "../wire.ts"

const [source, target, qos, payloadBytes, window, warmUp, seconds] = process.argv.slice(2).map(Number) as [
  number,
  number,
  0 | 1 | 2,
  number,
  number,
  number,
  number
]

process.on("disconnect", () => process.exit(0))

const common = { protocolVersion: 4, qos, payloadBytes, topics } as const
const subscriber = await WireClient.open({ ...common, port: target, clientId: "load-subscriber" })
await subscriber.subscribe("plant/#")
const publisher = await WireClient.open({ ...common, port: source, clientId: "load-publisher" })

let begun = 0
const flood = (): void => {
  const due = window - (begun - subscriber.received)
  if (due < window / 4) return
  begun += due
  publisher.send(due)
}

// The way from one broker to the other may not be open yet: one message at a time until one arrives.
while (subscriber.received === 0) {
  publisher.send(1)
  await sleep(50)
}
begun = subscriber.received
subscriber.onRead = flood
flood()
// What was lost on the way would keep the window shut for ever.
let before = -1
const stuck = setInterval(() => {
  if (subscriber.received === before) begun = subscriber.received
  before = subscriber.received
  flood()
}, 500)
await sleep(warmUp * 1000)
process.send!({ _tag: "Begin" })
const [from, start] = [subscriber.received, performance.now()]
await sleep(seconds * 1000)
const rate = (subscriber.received - from) / (performance.now() - start) * 1000
clearInterval(stuck)
process.send!({ _tag: "Rate", rate })
