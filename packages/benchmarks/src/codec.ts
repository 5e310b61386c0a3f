/**
 * The codec beside mqtt-packet: processor nanoseconds for each PUBLISH, decoding and encoding, in one process and in
 * turns.
 */
import { makeDecoder, makeEncoder } from "@effect-mqttx/core/Codec"
import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import mqttPacket from "mqtt-packet"
import { median } from "./median.ts"

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
  readonly ratio: number
}

/** Runs some packets and says how many. */
type Side = () => number

const rounds = 41
const roundMillis = 12
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
  ourPackets(workload).map(({ packetIdentifier, payload, qos, topic }, index) => {
    const packet: mqttPacket.IPublishPacket = {
      cmd: "publish",
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: false,
      dup: false
    }
    if (qos > 0) {
      packet.messageId = packetIdentifier
    }
    if (workload.withProperties) {
      packet.properties = {
        messageExpiryInterval: 60 + index,
        contentType: "application/json",
        userProperties: Object.fromEntries(userProperties)
      }
    }
    return packet
  })

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
  // As a connection has it: both sides keep the chunks that they are given.
  const decoder = makeDecoder({
    role: "client",
    protocolVersion: workload.version,
    maximumPacketSize: 268_435_455,
    ownsChunks: true
  })
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

const ourEncode = (workload: Workload): Side => {
  const packets = ourPackets(workload)
  const encoder = makeEncoder(workload.version)
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      for (let i = from; i < from + batch; i++) {
        encoder.write(packets[i])
      }
      for (const chunk of encoder.take()) {
        checksum += chunk.length
      }
    }
    return packets.length
  }
}

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
  let parts: Array<Buffer> = []
  const sink = {
    write: (part: Buffer | string): boolean => {
      parts.push(typeof part === "string" ? Buffer.from(part) : part)
      return true
    }
  } as unknown as NodeJS.WritableStream
  return () => {
    for (let from = 0; from < packets.length; from += batch) {
      for (let i = from; i < from + batch; i++) {
        writeToStream(packets[i], sink, options)
      }
      checksum += Buffer.concat(parts).length
      parts = []
    }
    return packets.length
  }
}

/**
 * Processor time, the garbage collector's included, since the clock on the wall also counts what other programs do.
 */
const run = (side: Side, millis: number): number => {
  const limit = performance.now() + millis
  const before = process.cpuUsage()
  let packets = 0
  while (performance.now() < limit) {
    packets += side()
  }
  const { system, user } = process.cpuUsage(before)
  return ((user + system) * 1000) / packets
}

interface Measured {
  /** Processor nanoseconds for each packet, by side. */
  readonly times: ReadonlyArray<number>
  /** How much longer than the first side each one takes. */
  readonly ratios: ReadonlyArray<number>
}

/**
 * Every round runs every side, so that a slow moment of the machine hits all of them, and compares within the round.
 */
const measure = (sides: ReadonlyArray<Side>): Measured => {
  for (const side of sides) {
    run(side, warmUpMillis)
  }
  const all = Array.from({ length: rounds }, () => sides.map((side) => run(side, roundMillis)))
  return {
    times: sides.map((_, side) => median(all.map((round) => round[side]))),
    ratios: sides.map((_, side) => median(all.map((round) => round[side] / round[0])))
  }
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

const print = (title: string, notes: ReadonlyArray<string>, theirs: string, rows: ReadonlyArray<Row>): void => {
  console.log(
    [
      title,
      `${"".padEnd(34)}${"ours".padStart(8)}${theirs.padStart(18)}${"ratio".padStart(8)}`,
      ...rows.map((row) =>
        row.name.padEnd(34) + row.ours.toFixed(0).padStart(8) + row.theirs.toFixed(0).padStart(18) +
        `${row.ratio.toFixed(1)}x`.padStart(8)
      ),
      ...notes,
      ""
    ].join("\n")
  )
}

/**
 * Measures every row and prints the tables; answers the lowest ratio of decoding by `parser().parse` and encoding by
 * `generate`, the two functions of mqtt-packet between packets and bytes.
 */
export const benchmarkCodec = (): number => {
  const decoded: Array<Row> = []
  const generated: Array<Row> = []
  const streamed: Array<Row> = []
  for (const workload of workloads) {
    const { ratios, times } = measure([ourDecode(workload), theirDecode(workload)])
    decoded.push({ name: label("decode", workload), ours: times[0], theirs: times[1], ratio: ratios[1] })
  }
  for (const workload of workloads) {
    const { ratios, times } = measure([ourEncode(workload), theirGenerate(workload), theirWriteToStream(workload)])
    const name = label("encode", workload)
    generated.push({ name, ours: times[0], theirs: times[1], ratio: ratios[1] })
    streamed.push({ name, ours: times[0], theirs: times[2], ratio: ratios[2] })
  }
  console.log(
    `Codec beside mqtt-packet on Node ${process.versions.node}: processor nanoseconds for each PUBLISH, median of ${rounds} rounds\n`
  )
  print("Bytes to packets", [], "parser().parse", decoded)
  print("Packets to bytes", [], "generate", generated)
  print(
    "For comparison: writeToStream makes no bytes but writes four to thirty pieces for each packet.",
    [`Here a sink joins the pieces of ${batch} packets into one chunk, which no stream does.`],
    "writeToStream",
    streamed
  )
  // Printed so that no side's work can be optimised away.
  console.log(`(checksum ${checksum % 1_000_003})`)
  return Math.min(...[...decoded, ...generated].map(({ ratio }) => ratio))
}
