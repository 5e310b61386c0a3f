/**
 * The load of the forwarder benchmark, in a process of its own: publishes to one broker, receives from the other, and
 * keeps the number of messages on their way constant. Plain sockets and ready-made bytes, so that it is never the
 * slowest part.
 *
 * Arguments: the two ports, quality of service, bytes of a payload, messages on their way, seconds of warm-up and of
 * measurement.
 */
import { once } from "node:events"
import * as net from "node:net"

const [source, target, qos, payloadBytes, window, warmUp, seconds] = process.argv.slice(2).map(Number) as [
  number,
  number,
  0 | 1,
  number,
  number,
  number,
  number
]

const topics = Array.from({ length: 8 }, (_, index) => `plant/room${index}/temperature`)

const connect = (name: string): Buffer => {
  const id = Buffer.from(name)
  return Buffer.concat([
    Buffer.from([0x10, 12 + id.length, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, id.length]),
    id
  ])
}

const subscribe = (filter: string): Buffer => {
  const text = Buffer.from(filter)
  return Buffer.concat([Buffer.from([0x82, 5 + text.length, 0, 1, 0, text.length]), text, Buffer.from([qos])])
}

const publish = (topic: string): Buffer => {
  const text = Buffer.from(topic)
  const length = 2 + text.length + (qos === 0 ? 0 : 2) + payloadBytes
  const header = [0x30 | (qos << 1), ...(length < 128 ? [length] : [(length & 127) | 128, length >> 7]), 0, text.length]
  const rest = Buffer.alloc((qos === 0 ? 0 : 2) + payloadBytes, 0x37)
  return Buffer.concat([Buffer.from(header), text, rest])
}

/** Calls back for each packet with where it begins, and where its body does. */
const frames = (onPacket: (chunk: Buffer, at: number, body: number) => void): (chunk: Buffer) => void => {
  let rest: Buffer = Buffer.alloc(0)
  return (piece) => {
    const chunk = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    let at = 0
    while (at + 2 <= chunk.length) {
      let length = 0
      let body = at + 1
      let shift = 0
      let byte = 128
      while (byte >= 128 && body < chunk.length) {
        byte = chunk[body++]!
        length |= (byte & 127) << shift
        shift += 7
      }
      if (byte >= 128 || body + length > chunk.length) break
      onPacket(chunk, at, body)
      at = body + length
    }
    rest = chunk.subarray(at)
  }
}

const open = async (port: number, name: string): Promise<net.Socket> => {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
  await once(socket, "connect")
  socket.write(connect(name))
  await once(socket, "data")
  return socket
}

const packets = topics.map(publish)

/** The packet under a packet identifier, which stands in front of the payload. */
const numbered = (packet: Buffer, packetIdentifier: number): Buffer => {
  if (qos === 0) return packet
  const copy = Buffer.from(packet)
  copy.writeUInt16BE(packetIdentifier, packet.length - payloadBytes - 2)
  return copy
}

const subscriber = await open(target, "load-subscriber")
subscriber.write(subscribe("plant/#"))
await once(subscriber, "data")
const publisher = await open(source, "load-publisher")

let sent = 0
let received = 0
let identifier = 0

const flood = (): void => {
  const due = window - (sent - received)
  if (due < window / 4) return
  const batch: Array<Buffer> = []
  for (let i = 0; i < due; i++) {
    identifier = identifier % 60_000 + 1
    batch.push(numbered(packets[sent++ % packets.length]!, identifier))
  }
  publisher.write(Buffer.concat(batch))
}

const acknowledgements: Array<Buffer> = []
subscriber.on(
  "data",
  frames((chunk, at, body) => {
    if (chunk[at]! >> 4 !== 3) return
    received++
    if (qos === 0) return
    const place = body + 2 + chunk.readUInt16BE(body)
    acknowledgements.push(Buffer.from([0x40, 2, chunk[place]!, chunk[place + 1]!]))
  })
)
subscriber.on("data", () => {
  if (acknowledgements.length > 0) subscriber.write(Buffer.concat(acknowledgements.splice(0)))
  flood()
})
publisher.on("data", () => {})

const until = async (time: number): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, time * 1000))
}

// The way from one broker to the other may not be open yet: one message at a time until one arrives.
const isOpen = (): boolean => received > 0
while (!isOpen()) {
  publisher.write(numbered(packets[0]!, 65_000))
  await until(0.05)
}
sent = received
flood()
// What was lost on the way would keep the window shut for ever.
let before = -1
const stuck = setInterval(() => {
  if (received === before) sent = received
  before = received
  flood()
}, 500)
await until(warmUp)
process.send!({ _tag: "Begin" })
const [from, start] = [received, performance.now()]
await until(seconds)
const rate = (received - from) / (performance.now() - start) * 1000
clearInterval(stuck)
process.send!({ _tag: "Rate", rate })
process.exit(0)
