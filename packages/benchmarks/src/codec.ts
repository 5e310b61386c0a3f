/**
 * The codec beside mqtt-packet: nanoseconds for each PUBLISH, decoding and encoding, in one process and in turns.
 */
import { makeDecoder, makeEncoder } from "@effect-mqttx/core/Codec"
import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import mqttPacket from "mqtt-packet"
import { Writable } from "node:stream"

interface Workload {
  readonly version: ProtocolVersion
  readonly qos: QoS
  readonly bytes: number
  readonly withProperties: boolean
}

interface Row {
  readonly name: string
  readonly ours: number
  readonly theirs: number
  /** Which of mqtt-packet's ways was the faster one. */
  readonly way: string
}

/** Runs some packets and says how many. */
type Side = () => number

const rounds = 11
const roundMillis = 20
const warmUpMillis = 60
const topicCount = 64
const chunkBytes = 65_536
// What one loop turn of a busy session writes.
const batch = 64

const topicOf = (index: number): string => `plant/line${index % 4}/sensor${index}/temperature`

const userProperties: ReadonlyArray<readonly [string, string]> = [["unit", "celsius"], ["source", "gateway-7"]]

const ourPackets = (workload: Workload): Array<Publish> =>
  Array.from({ length: topicCount }, (_, index) => ({
    _tag: "Publish",
    topic: topicOf(index),
    payload: new Uint8Array(workload.bytes).fill(index),
    qos: workload.qos,
    retain: false,
    dup: false,
    packetIdentifier: workload.qos === 0 ? 0 : index + 1,
    properties: workload.withProperties
      ? { messageExpiryInterval: 60 + index, contentType: "application/json", userProperties }
      : Properties.none
  }))

const theirPackets = (workload: Workload): Array<mqttPacket.IPublishPacket> =>
  ourPackets(workload).map((packet, index) => ({
    cmd: "publish",
    topic: packet.topic,
    payload: Buffer.from(packet.payload),
    qos: packet.qos,
    retain: false,
    dup: false,
    ...(packet.qos === 0 ? {} : { messageId: packet.packetIdentifier }),
    ...(workload.withProperties
      ? {
        properties: {
          messageExpiryInterval: 60 + index,
          contentType: "application/json",
          userProperties: Object.fromEntries(userProperties)
        }
      }
      : {})
  }))

const encodeAll = (packets: ReadonlyArray<Packet>, version: ProtocolVersion): Buffer => {
  const encoder = makeEncoder(version)
  for (const packet of packets) {
    const failure = encoder.write(packet)
    if (failure !== undefined) {
      throw new Error(failure.detail)
    }
  }
  return Buffer.concat(encoder.take())
}

/** A stream of whole packets in chunks that cut packets, as a socket delivers it. */
const chunksOf = (workload: Workload): { readonly chunks: Array<Buffer>; readonly packets: number } => {
  const once = encodeAll(ourPackets(workload), workload.version)
  const times = Math.max(1, Math.ceil((4 * chunkBytes) / once.length))
  const all = Buffer.concat(Array.from({ length: times }, () => once))
  const chunks: Array<Buffer> = []
  for (let position = 0; position < all.length; position += chunkBytes) {
    chunks.push(Buffer.from(all.subarray(position, position + chunkBytes)))
  }
  return { chunks, packets: times * topicCount }
}

let checksum = 0

const ourDecode = (workload: Workload): Side => {
  const { chunks, packets } = chunksOf(workload)
  const decoder = makeDecoder({ role: "client", protocolVersion: workload.version, maximumPacketSize: 268_435_455 })
  const into: Array<Packet> = []
  return () => {
    let seen = 0
    for (const chunk of chunks) {
      const violation = decoder.push(chunk, into)
      if (violation !== undefined) {
        throw new Error(violation.detail)
      }
      for (const packet of into) {
        if (packet._tag === "Publish") {
          seen++
          checksum += packet.payload.length + packet.topic.length
        }
      }
      into.length = 0
    }
    if (seen !== packets) {
      throw new Error(`${seen} packets in place of ${packets}`)
    }
    return packets
  }
}

const theirDecode = (workload: Workload): Side => {
  const { chunks, packets } = chunksOf(workload)
  const parser = mqttPacket.parser({ protocolVersion: workload.version })
  let seen = 0
  parser.on("packet", (packet) => {
    if (packet.cmd === "publish") {
      seen++
      checksum += packet.payload.length + packet.topic.length
    }
  })
  return () => {
    seen = 0
    for (const chunk of chunks) {
      parser.parse(chunk)
    }
    if (seen !== packets) {
      throw new Error(`${seen} packets in place of ${packets}`)
    }
    return packets
  }
}

/** A socket without the network: it takes what was written in one turn at once, and drops it. */
const makeSink = (): Writable =>
  new Writable({
    highWaterMark: 1 << 24,
    write: (chunk: Buffer, _encoding, done) => {
      checksum += chunk.length
      done()
    },
    writev: (chunks, done) => {
      for (const { chunk } of chunks) {
        checksum += (chunk as Buffer).length
      }
      done()
    }
  })

const ourEncode = (workload: Workload): Side => {
  const packets = ourPackets(workload)
  const encoder = makeEncoder(workload.version)
  const sink = makeSink()
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      for (let i = from; i < from + batch; i++) {
        encoder.write(packets[i])
      }
      for (const chunk of encoder.take()) {
        sink.write(chunk)
      }
    }
    return packets.length
  }
}

// Without a sink at all, which is kinder than any use.
const theirGenerate = (workload: Workload): Side => {
  const packets = theirPackets(workload)
  const options = { protocolVersion: workload.version }
  return () => {
    for (const packet of packets) {
      checksum += mqttPacket.generate(packet, options).length
    }
    return packets.length
  }
}

const writeToStream = mqttPacket.writeToStream as (
  packet: mqttPacket.Packet,
  stream: NodeJS.WritableStream,
  // The types leave the options out, which MQTT.js passes and without which no version 5 can be written.
  options: { readonly protocolVersion: number }
) => boolean

const theirWriteToStream = (workload: Workload): Side => {
  const packets = theirPackets(workload)
  const options = { protocolVersion: workload.version }
  const sink = makeSink()
  // writeToStream corks a stream for each packet until the next turn, which never comes in a loop. Corked by hand for a
  // batch the effect is the same.
  const withoutCork = { write: (chunk: Buffer | string) => sink.write(chunk) } as unknown as NodeJS.WritableStream
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      sink.cork()
      for (let i = from; i < from + batch; i++) {
        writeToStream(packets[i], withoutCork, options)
      }
      sink.uncork()
    }
    return packets.length
  }
}

const run = (side: Side, millis: number): number => {
  const start = process.hrtime.bigint()
  const limit = start + BigInt(millis) * 1_000_000n
  let packets = 0
  let now = start
  while (now < limit) {
    packets += side()
    now = process.hrtime.bigint()
  }
  return Number(now - start) / packets
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

/** Every round runs every side, so that a slow moment of the machine hits all of them. */
const measure = (sides: ReadonlyArray<Side>): Array<number> => {
  for (const side of sides) {
    run(side, warmUpMillis)
  }
  const times = sides.map((): Array<number> => [])
  for (let round = 0; round < rounds; round++) {
    sides.forEach((side, index) => times[index].push(run(side, roundMillis)))
  }
  return times.map(median)
}

const label = (direction: string, { bytes, qos, version, withProperties }: Workload): string =>
  `${direction} ${bytes === 64 ? "64 B " : "1 KiB"} QoS ${qos} ${
    version === 4 ? "3.1.1" : withProperties ? "5, properties" : "5"
  }`

const workloads: ReadonlyArray<Workload> = [64, 1024].flatMap((bytes) =>
  ([0, 1] as const).flatMap((qos) => [
    { bytes, qos, version: 4 as const, withProperties: false },
    { bytes, qos, version: 5 as const, withProperties: false },
    { bytes, qos, version: 5 as const, withProperties: true }
  ])
)

/**
 * Measures every row and prints the table; answers the lowest ratio.
 */
export const benchmarkCodec = (): number => {
  const rows: Array<Row> = []
  for (const workload of workloads) {
    const [ours, theirs] = measure([ourDecode(workload), theirDecode(workload)])
    rows.push({ name: label("decode", workload), ours, theirs, way: "parser().parse" })
  }
  for (const workload of workloads) {
    const [ours, generate, stream] = measure([
      ourEncode(workload),
      theirGenerate(workload),
      theirWriteToStream(workload)
    ])
    rows.push({
      name: label("encode", workload),
      ours,
      theirs: Math.min(generate, stream),
      way: generate < stream ? "generate" : "writeToStream"
    })
  }
  const lines = [
    `Codec beside mqtt-packet, Node ${process.versions.node}: nanoseconds for each PUBLISH, median of ${rounds} rounds`,
    "",
    `${"".padEnd(34)}${"ours".padStart(8)}${"mqtt-packet".padStart(14)}${"ratio".padStart(8)}   mqtt-packet by`,
    ...rows.map(({ name, ours, theirs, way }) =>
      name.padEnd(34) + ours.toFixed(0).padStart(8) + theirs.toFixed(0).padStart(14) +
      `${(theirs / ours).toFixed(1)}x`.padStart(8) + `   ${way}`
    ),
    "",
    "For encoding the faster of mqtt-packet's two ways counts: generate, which makes a buffer for each packet, or",
    `writeToStream into a stream that is corked for ${batch} packets, as MQTT.js uses it on a socket.`
  ]
  console.log(lines.join("\n"))
  // Printed so that no side's work can be optimised away.
  console.log(`(checksum ${checksum % 1_000_003})`)
  return Math.min(...rows.map(({ ours, theirs }) => theirs / ours))
}
